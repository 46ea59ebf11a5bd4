//! Groups of cgroup v1: one directory in each hierarchy.

use std::fs;
use std::io;
use std::path::Path;

use super::{Hierarchy, failed, write};
use crate::{Error, Result};

mod apply;
mod block_io;
mod devices;

pub use apply::apply;

/// Makes `path` in one hierarchy, level by level.
pub fn create(hierarchy: &Hierarchy, path: &Path) -> Result<()> {
    let dir = hierarchy.mount.join(path);
    // The common case: only the last level is new.
    match make(hierarchy, &dir) {
        Err(Error::Path { source, .. }) if source.kind() == io::ErrorKind::NotFound => {}
        done => return done,
    }
    let mut level = hierarchy.mount.clone();
    for component in path.components() {
        level.push(component);
        make(hierarchy, &level)?;
    }
    Ok(())
}

fn make(hierarchy: &Hierarchy, dir: &Path) -> Result<()> {
    match fs::create_dir(dir) {
        Err(e) if e.kind() == io::ErrorKind::AlreadyExists => {}
        made => made.map_err(|e| failed("make the cgroup", dir, e))?,
    }
    if hierarchy.controllers.iter().any(|c| c == "cpuset") {
        inherit(dir, "cpuset.cpus")?;
        inherit(dir, "cpuset.mems")?;
    }
    Ok(())
}

/// What the cpuset may use. A new one is empty and holds no process until told:
/// it takes over what its parent has. The parent may be as new, made by another
/// process that has not come to this yet, so it is seen to first; the root of
/// the hierarchy is never empty.
fn inherit(dir: &Path, file: &str) -> Result<String> {
    let path = dir.join(file);
    let own = fs::read_to_string(&path).map_err(|e| failed("read the cgroup file", &path, e))?;
    let own = own.trim();
    if !own.is_empty() {
        return Ok(own.to_owned());
    }
    let parent = dir
        .parent()
        .expect("a group is below its hierarchy's mount point");
    let inherited = inherit(parent, file)?;
    write(&path, &inherited)?;
    Ok(inherited)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_cpuset_below_one_that_is_still_empty_is_filled_with_it() {
        let hierarchy = tempfile::tempdir().unwrap();
        let parent = hierarchy.path().join("kubepods");
        let pod = parent.join("pod");
        fs::create_dir_all(&pod).unwrap();
        for (dir, cpus) in [(hierarchy.path(), "0-1\n"), (&parent, "\n"), (&pod, "\n")] {
            fs::write(dir.join("cpuset.cpus"), cpus).unwrap();
        }
        assert_eq!(inherit(&pod, "cpuset.cpus").unwrap(), "0-1");
        for dir in [&parent, &pod] {
            let cpus = fs::read_to_string(dir.join("cpuset.cpus")).unwrap();
            assert_eq!(cpus.trim(), "0-1");
        }
    }
}
