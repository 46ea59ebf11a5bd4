//! The directory itself: which files count, and when it changes.

use std::collections::BTreeMap;
use std::fs::File;
use std::io::{self, Read as _};
use std::os::unix::fs::{MetadataExt as _, OpenOptionsExt as _};
use std::path::{Path, PathBuf};

use anyhow::{Context as _, ensure};
use nix::sys::inotify::{AddWatchFlags, InitFlags, Inotify};
use tokio::io::AsyncReadExt as _;
use tokio::net::unix::pipe;

/// A larger file is a mistake; the largest bundles people publish are a few MiB.
const LARGEST: u64 = 16 << 20;
/// More files than this are not looked at.
const MOST: usize = 1000;

/// What is in a file, or why that cannot be said.
#[derive(Debug, PartialEq, Eq)]
pub struct Text(pub Result<String, String>);

pub struct Folder(PathBuf);

impl Folder {
    pub fn new(path: PathBuf) -> Self {
        Self(path)
    }

    pub fn path(&self) -> &Path {
        &self.0
    }

    /// The manifests by name; `None` while the directory is not there: it may be
    /// on a disk that comes later, so nothing counts as gone then.
    pub fn read(&self) -> anyhow::Result<Option<BTreeMap<String, Text>>> {
        let entries = match std::fs::read_dir(&self.0) {
            Ok(entries) => entries,
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
            Err(error) => return Err(error.into()),
        };
        let names = entries
            .flatten()
            .filter_map(|entry| entry.file_name().into_string().ok());
        let mut names: Vec<String> = names.filter(|name| is_manifest(name)).collect();
        names.sort();
        if names.len() > MOST {
            let dir = self.0.display();
            tracing::warn!(
                "{dir} has {} manifests; the first {MOST} count",
                names.len()
            );
            names.truncate(MOST);
        }
        let text = |name: &String| {
            let read = read(&self.0.join(name));
            Text(read.map_err(|error| format!("{error:#}")))
        };
        let texts = names.iter().map(|name| (name.clone(), text(name)));
        Ok(Some(texts.collect()))
    }

    /// Tells of changes from now on; also of the directory being made.
    pub fn watch(&self) -> Changes {
        match watch(&self.0) {
            Ok(receiver) => Changes(Some(receiver)),
            Err(error) => {
                let dir = self.0.display();
                tracing::warn!("watch {dir}, whose changes count from the next start on: {error}");
                Changes(None)
            }
        }
    }
}

/// Changes of a directory; none ever comes where it cannot be watched.
pub struct Changes(Option<pipe::Receiver>);

impl Changes {
    pub async fn next(&mut self) {
        let mut events = [0; 8 << 10];
        if let Some(receiver) = &mut self.0
            && receiver.read(&mut events).await.is_ok()
        {
            return;
        }
        std::future::pending().await
    }
}

/// Watches the directory, or the nearest one above it that is there.
fn watch(dir: &Path) -> io::Result<pipe::Receiver> {
    let inotify = Inotify::init(InitFlags::IN_NONBLOCK | InitFlags::IN_CLOEXEC)?;
    let flags = AddWatchFlags::IN_CLOSE_WRITE
        | AddWatchFlags::IN_MOVE
        | AddWatchFlags::IN_DELETE
        | AddWatchFlags::IN_DELETE_SELF
        | AddWatchFlags::IN_MOVE_SELF;
    let made = AddWatchFlags::IN_CREATE | AddWatchFlags::IN_MOVED_TO;
    for (depth, dir) in dir.ancestors().enumerate() {
        let flags = if depth == 0 { flags } else { flags | made };
        match inotify.add_watch(dir, flags | AddWatchFlags::IN_ONLYDIR) {
            Ok(_) => break,
            Err(nix::errno::Errno::ENOENT) => {}
            Err(error) => return Err(error.into()),
        }
    }
    // It reads like a pipe of events; what they say does not matter.
    pipe::Receiver::from_owned_fd_unchecked(inotify.into())
}

/// Editors' own files begin with a dot or end otherwise.
fn is_manifest(name: &str) -> bool {
    let ends = [".yaml", ".yml", ".json"];
    !name.starts_with('.') && ends.iter().any(|end| name.ends_with(end))
}

fn read(path: &Path) -> anyhow::Result<String> {
    const OTHERS_MAY_WRITE: u32 = 0o002;
    // A pipe of that name must not be waited for.
    let opened = File::options()
        .read(true)
        .custom_flags(nix::libc::O_NONBLOCK)
        .open(path);
    let file = opened.with_context(|| format!("open {}", path.display()))?;
    let found = file
        .metadata()
        .with_context(|| format!("look at {}", path.display()))?;
    let name = path.display();
    ensure!(found.is_file(), "{name} is not a file");
    ensure!(
        found.mode() & OTHERS_MAY_WRITE == 0,
        "{name} may be written by everybody, who would rule the cluster by it: chmod o-w {name}"
    );
    let mut text = String::new();
    let read = file.take(LARGEST + 1).read_to_string(&mut text);
    let read = read.with_context(|| format!("read {name}"))?;
    ensure!(
        read as u64 <= LARGEST,
        "{name} is larger than {LARGEST} bytes"
    );
    Ok(text)
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::fs::{self, Permissions};
    use std::os::unix::fs::PermissionsExt as _;
    use std::time::Duration;

    fn folder() -> (tempfile::TempDir, Folder) {
        let dir = tempfile::tempdir().unwrap();
        let folder = Folder::new(dir.path().to_owned());
        (dir, folder)
    }

    #[test]
    fn only_manifests_are_read_and_a_bad_one_says_why() {
        let (dir, folder) = folder();
        for name in ["a.yaml", "b.json", ".c.yaml", "d.yaml~", "readme"] {
            fs::write(dir.path().join(name), "x").unwrap();
        }
        fs::create_dir(dir.path().join("dir.yaml")).unwrap();
        let open = dir.path().join("open.yml");
        fs::write(&open, "x").unwrap();
        fs::set_permissions(&open, Permissions::from_mode(0o666)).unwrap();
        let files = folder.read().unwrap().unwrap();
        let names: Vec<&str> = files.keys().map(String::as_str).collect();
        assert_eq!(names, ["a.yaml", "b.json", "dir.yaml", "open.yml"]);
        assert_eq!(files["a.yaml"], Text(Ok("x".into())));
        let why = |name: &str| files[name].0.clone().unwrap_err();
        assert!(why("dir.yaml").contains("is not a file"));
        assert!(why("open.yml").contains("chmod o-w"));
    }

    #[test]
    fn a_file_that_is_too_large_is_refused_and_not_kept_in_memory() {
        let (dir, folder) = folder();
        let file = File::create(dir.path().join("large.yaml")).unwrap();
        file.set_len(LARGEST + 1).unwrap();
        let files = folder.read().unwrap().unwrap();
        assert!(
            files["large.yaml"]
                .0
                .clone()
                .unwrap_err()
                .contains("larger than")
        );
    }

    #[test]
    fn a_directory_that_is_not_there_is_not_an_empty_one() {
        let (dir, folder) = folder();
        assert_eq!(folder.read().unwrap(), Some(BTreeMap::new()));
        assert_eq!(Folder::new(dir.path().join("none")).read().unwrap(), None);
    }

    #[tokio::test]
    async fn files_and_the_directory_itself_are_noticed_when_they_come() {
        let (dir, _) = folder();
        let folder = Folder::new(dir.path().join("deep/manifests"));
        let heard = async |changes: &mut Changes| {
            let next = tokio::time::timeout(Duration::from_secs(60), changes.next());
            assert!(next.await.is_ok());
        };
        let mut changes = folder.watch();
        fs::create_dir(dir.path().join("deep")).unwrap();
        heard(&mut changes).await;
        let mut changes = folder.watch();
        fs::create_dir(folder.path()).unwrap();
        heard(&mut changes).await;
        let mut changes = folder.watch();
        fs::write(folder.path().join("a.yaml"), "x").unwrap();
        heard(&mut changes).await;
        let mut changes = folder.watch();
        fs::remove_file(folder.path().join("a.yaml")).unwrap();
        heard(&mut changes).await;
    }
}
