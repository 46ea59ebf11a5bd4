//! The copy of skiff's file that pods' monitors run from.
//!
//! A monitor outlives the skiff that started it. Were it to run from the
//! installed file, whoever copies a new version over that file would change the
//! code under all running monitors; so they run from a copy that nobody else
//! knows of. One copy is kept for one version of the file.

use std::ffi::OsString;
use std::fs;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};

use anyhow::Context;
use runtime::MonitorProgram;

/// Makes sure of the copy in `dir`, and removes those of other versions: a
/// monitor that runs keeps its file without a name.
///
/// A file that cannot be written to here needs no copy (a node of a cluster on
/// one machine has it so, and starts faster for it).
pub fn copy_into(dir: &Path) -> anyhow::Result<MonitorProgram> {
    let own = fs::File::open("/proc/self/exe").context("open skiff's own file")?;
    let mount = nix::sys::statvfs::fstatvfs(&own).context("look at skiff's own file system")?;
    if mount
        .flags()
        .contains(nix::sys::statvfs::FsFlags::ST_RDONLY)
    {
        return Ok(MonitorProgram {
            exe: fs::read_link("/proc/self/exe").context("find skiff's own file")?,
            ..MonitorProgram::default()
        });
    }
    let exe = dir.join(name_of(
        &own.metadata().context("look at skiff's own file")?,
    ));
    pki::private_file::make_dir(dir)?;
    if !exe.exists() {
        copy(&own, &exe).with_context(|| format!("copy skiff to {}", exe.display()))?;
    }
    remove_others(dir, &exe);
    Ok(MonitorProgram {
        exe,
        ..MonitorProgram::default()
    })
}

/// Another name for another file, or for the same one with other contents.
fn name_of(file: &fs::Metadata) -> OsString {
    let (seconds, nanos) = (file.mtime(), file.mtime_nsec());
    format!("skiff-{}-{}-{seconds}-{nanos}", file.ino(), file.size()).into()
}

fn copy(mut own: &fs::File, exe: &Path) -> std::io::Result<()> {
    use std::os::unix::fs::OpenOptionsExt;
    let unfinished = exe.with_extension("new");
    let _ = fs::remove_file(&unfinished);
    let mut file = fs::OpenOptions::new()
        .write(true)
        .create_new(true)
        .mode(0o500)
        .open(&unfinished)?;
    std::io::copy(&mut own, &mut file)?;
    file.sync_all()?;
    fs::rename(unfinished, exe)
}

fn remove_others(dir: &Path, exe: &Path) {
    let entries = fs::read_dir(dir).into_iter().flatten().flatten();
    let others = entries.map(|entry| entry.path()).filter(|path| path != exe);
    for path in others.collect::<Vec<PathBuf>>() {
        if let Err(error) = fs::remove_file(&path) {
            let error = &error as &dyn std::error::Error;
            tracing::warn!(path = %path.display(), error, "an old copy of skiff stays");
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn copy_is_made_once_and_replaces_that_of_another_version() {
        let parent = tempfile::tempdir().unwrap();
        let dir = parent.path().join("bin");
        pki::private_file::make_dir(&dir).unwrap();
        fs::write(dir.join("skiff-of-old"), "x").unwrap();
        let first = copy_into(&dir).unwrap();
        let made = fs::metadata(&first.exe).unwrap();
        assert_eq!(made.mode() & 0o777, 0o500);
        assert!(!dir.join("skiff-of-old").exists());
        let again = copy_into(&dir).unwrap();
        assert_eq!(fs::metadata(again.exe).unwrap().ino(), made.ino());
    }
}
