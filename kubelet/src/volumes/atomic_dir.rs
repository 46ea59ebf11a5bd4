//! A directory of files that changes as a whole.
//!
//! The files live in a directory named by the time it was made; `..data` points
//! at it, and every visible name is a link through `..data`. A new version is
//! written beside the old one and `..data` renamed over: readers see all of the
//! old or all of the new, also through files they have open.

use std::collections::{BTreeMap, BTreeSet};
use std::fs::{self, DirBuilder, OpenOptions, Permissions};
use std::io::{self, Write as _};
use std::os::unix::fs::{DirBuilderExt as _, OpenOptionsExt as _, PermissionsExt as _, symlink};
use std::path::{Component, Path, PathBuf};

use jiff::Timestamp;

/// One file's content and permissions.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct File {
    pub data: Vec<u8>,
    pub mode: u32,
}

/// The wanted files by relative path.
pub type Payload = BTreeMap<String, File>;

const DATA: &str = "..data";

/// Makes `dir` hold exactly `payload`; true if anything changed. `own` is given
/// each new version before it becomes visible.
///
/// # Errors
/// The file system refused, or a path leads out of the directory.
pub fn write(
    dir: &Path,
    payload: &Payload,
    now: Timestamp,
    own: impl Fn(&Path) -> io::Result<()>,
) -> io::Result<bool> {
    payload.keys().try_for_each(|path| check(path))?;
    let old = fs::read_link(dir.join(DATA)).ok();
    if let Some(old) = &old
        && holds(&dir.join(old), payload)
    {
        return Ok(false);
    }
    let new = version_name(now);
    let version = dir.join(&new);
    make_version(&version, payload)
        .and_then(|()| own(&version))
        .and_then(|()| show(dir, &new))
        .inspect_err(|_| discard(&version))?;
    link_names(dir, payload)?;
    if let Some(old) = old.filter(|old| is_version(old)) {
        fs::remove_dir_all(dir.join(old))?;
    }
    Ok(true)
}

/// Refuses what would be written elsewhere.
fn check(path: &str) -> io::Result<()> {
    let plain = Path::new(path)
        .components()
        .all(|part| matches!(part, Component::Normal(_)));
    if path.is_empty() || !plain || path.starts_with("..") {
        let message = format!("{path:?} must be a relative path inside the volume");
        return Err(io::Error::new(io::ErrorKind::InvalidInput, message));
    }
    Ok(())
}

/// A link target that is one of our own version directories and no path.
fn is_version(target: &Path) -> bool {
    target
        .to_str()
        .is_some_and(|name| name.starts_with("..20") && !name.contains('/'))
}

fn version_name(now: Timestamp) -> PathBuf {
    let time = now.strftime("..%Y_%m_%d_%H_%M_%S");
    PathBuf::from(format!("{time}.{:09}", now.subsec_nanosecond()))
}

/// Points `..data` at the version called `name`.
fn show(dir: &Path, name: &Path) -> io::Result<()> {
    let temporary = dir.join("..data_tmp");
    remove_file(&temporary)?;
    symlink(name, &temporary)?;
    fs::rename(&temporary, dir.join(DATA))
}

/// Nobody would ever remove a version that was never shown.
fn discard(version: &Path) {
    match fs::remove_dir_all(version) {
        Err(e) if e.kind() != io::ErrorKind::NotFound => {
            tracing::warn!("remove the half-made {}: {e}", version.display());
        }
        _ => {}
    }
}

fn make_version(version: &Path, payload: &Payload) -> io::Result<()> {
    make_dir(version)?;
    for (path, file) in payload {
        let path = version.join(path);
        if let Some(parent) = path.parent().filter(|parent| *parent != version) {
            DirBuilder::new()
                .recursive(true)
                .mode(0o755)
                .create(parent)?;
        }
        write_file(&path, file)?;
    }
    Ok(())
}

fn make_dir(path: &Path) -> io::Result<()> {
    match DirBuilder::new().mode(0o755).create(path) {
        Err(e) if e.kind() == io::ErrorKind::AlreadyExists => {
            fs::remove_dir_all(path).and_then(|()| fs::create_dir(path))
        }
        made => made,
    }?;
    fs::set_permissions(path, Permissions::from_mode(0o755))
}

fn write_file(path: &Path, file: &File) -> io::Result<()> {
    let mut out = OpenOptions::new()
        .write(true)
        .create_new(true)
        .mode(0o600)
        .open(path)?;
    out.write_all(&file.data)?;
    // After creation: the umask must not decide.
    out.set_permissions(Permissions::from_mode(file.mode & 0o7777))
}

/// Whether `version` holds exactly the wanted files, content and mode.
fn holds(version: &Path, payload: &Payload) -> bool {
    let Ok(present) = files_below(version) else {
        return false;
    };
    present.len() == payload.len()
        && payload.iter().all(|(path, file)| {
            present.contains(path)
                && fs::read(version.join(path)).is_ok_and(|data| data == file.data)
        })
}

fn files_below(root: &Path) -> io::Result<BTreeSet<String>> {
    let mut found = BTreeSet::new();
    let mut pending = vec![root.to_owned()];
    while let Some(dir) = pending.pop() {
        for entry in fs::read_dir(&dir)? {
            let entry = entry?;
            if entry.file_type()?.is_dir() {
                pending.push(entry.path());
            } else if let Ok(path) = entry.path().strip_prefix(root) {
                found.insert(path.to_string_lossy().into_owned());
            }
        }
    }
    Ok(found)
}

/// The visible links: one for the first component of every path, no others.
fn link_names(dir: &Path, payload: &Payload) -> io::Result<()> {
    let wanted: BTreeSet<&str> = payload
        .keys()
        .filter_map(|path| path.split('/').next())
        .collect();
    for name in &wanted {
        let link = dir.join(name);
        let target = Path::new(DATA).join(name);
        if fs::read_link(&link).ok().as_ref() != Some(&target) {
            remove_file(&link)?;
            symlink(&target, &link)?;
        }
    }
    for entry in fs::read_dir(dir)? {
        let entry = entry?;
        let name = entry.file_name();
        let ours = fs::read_link(entry.path()).is_ok_and(|target| target.starts_with(DATA));
        if ours && !name.to_str().is_some_and(|name| wanted.contains(name)) {
            remove_file(&entry.path())?;
        }
    }
    Ok(())
}

fn remove_file(path: &Path) -> io::Result<()> {
    match fs::remove_file(path) {
        Err(e) if e.kind() == io::ErrorKind::NotFound => Ok(()),
        done => done,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn payload(files: &[(&str, &str)]) -> Payload {
        files
            .iter()
            .map(|(path, text)| {
                (
                    (*path).to_owned(),
                    File {
                        data: text.as_bytes().to_vec(),
                        mode: 0o640,
                    },
                )
            })
            .collect()
    }

    fn put(dir: &Path, second: i64, files: &[(&str, &str)]) -> io::Result<bool> {
        write(
            dir,
            &payload(files),
            Timestamp::from_second(second).unwrap(),
            |_| Ok(()),
        )
    }

    fn names(dir: &Path) -> Vec<String> {
        let mut names: Vec<_> = fs::read_dir(dir)
            .unwrap()
            .map(|e| e.unwrap().file_name().into_string().unwrap())
            .collect();
        names.sort();
        names
    }

    #[test]
    fn a_version_that_fails_leaves_nothing_behind() {
        let dir = tempfile::tempdir().unwrap();
        put(dir.path(), 1, &[("a", "1")]).unwrap();
        let before = names(dir.path());
        let now = Timestamp::from_second(2).unwrap();
        let refuse = |_: &Path| Err(io::Error::other("no"));
        write(dir.path(), &payload(&[("a", "2")]), now, refuse).unwrap_err();
        // "a" cannot be both a file and a directory.
        put(dir.path(), 3, &[("a", "3"), ("a/b", "3")]).unwrap_err();
        assert_eq!(names(dir.path()), before);
        assert_eq!(fs::read(dir.path().join("a")).unwrap(), b"1");
    }

    #[test]
    fn files_appear_under_links_with_their_modes() {
        let dir = tempfile::tempdir().unwrap();
        put(dir.path(), 0, &[("a", "1"), ("x/y/z", "2")]).unwrap();
        assert_eq!(
            names(dir.path()),
            ["..1970_01_01_00_00_00.000000000", "..data", "a", "x"]
        );
        assert_eq!(fs::read_to_string(dir.path().join("x/y/z")).unwrap(), "2");
        assert_eq!(
            fs::metadata(dir.path().join("a"))
                .unwrap()
                .permissions()
                .mode()
                & 0o7777,
            0o640
        );
    }

    #[test]
    fn a_change_replaces_all_and_removes_what_is_gone() {
        let dir = tempfile::tempdir().unwrap();
        put(dir.path(), 1_700_000_000, &[("a", "1"), ("b", "1")]).unwrap();
        let open = fs::File::open(dir.path().join("a")).unwrap();
        assert!(put(dir.path(), 1_700_000_001, &[("a", "2")]).unwrap());
        assert_eq!(
            names(dir.path()),
            ["..2023_11_14_22_13_21.000000000", "..data", "a"]
        );
        assert_eq!(fs::read_to_string(dir.path().join("a")).unwrap(), "2");
        assert_eq!(io::read_to_string(open).unwrap(), "1");
    }

    #[test]
    fn the_same_content_again_changes_nothing() {
        let dir = tempfile::tempdir().unwrap();
        put(dir.path(), 0, &[("a", "1")]).unwrap();
        assert!(!put(dir.path(), 1, &[("a", "1")]).unwrap());
    }

    #[test]
    fn paths_out_of_the_directory_are_refused() {
        let dir = tempfile::tempdir().unwrap();
        for path in ["../x", "/etc/x", "a/../../x", "..data", ""] {
            assert!(put(dir.path(), 0, &[(path, "1")]).is_err(), "{path}");
        }
    }
}
