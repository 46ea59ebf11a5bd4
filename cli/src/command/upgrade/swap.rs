//! One file in the place of another, and back, each in one `rename`: at any
//! moment the name is there and holds a whole program.

use std::ffi::OsString;
use std::fs::{self, File};
use std::io;
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::{Path, PathBuf};

use anyhow::{Context, anyhow};
use nix::fcntl::{Flock, FlockArg};

use crate::service::kept_beside;

pub struct Swap {
    target: PathBuf,
    staged: PathBuf,
    kept: PathBuf,
    /// Held while this upgrade goes on.
    dir: Flock<File>,
}

impl Swap {
    /// Copies `file` beside `target`; nobody else can upgrade it meanwhile.
    ///
    /// # Errors
    /// Another upgrade goes on, or the file cannot be copied.
    pub fn stage(file: &Path, target: &Path) -> anyhow::Result<Self> {
        // What is a link stays one: the file that it names is replaced.
        let target =
            fs::canonicalize(target).with_context(|| format!("find {}", target.display()))?;
        let parent = target.parent().unwrap_or(Path::new("/"));
        let opened = File::open(parent).with_context(|| format!("open {}", parent.display()))?;
        let dir = Flock::lock(opened, FlockArg::LockExclusiveNonblock)
            .map_err(|_| anyhow!("another upgrade of {} goes on", target.display()))?;
        let swap = Self {
            staged: staged_beside(&target),
            kept: kept_beside(&target),
            target,
            dir,
        };
        let copied = copy(file, &swap.staged);
        copied.with_context(|| format!("copy {} to {}", file.display(), swap.staged.display()))?;
        Ok(swap)
    }

    /// The file that is replaced, where no link leads any further.
    pub fn target(&self) -> &Path {
        &self.target
    }

    pub fn staged(&self) -> &Path {
        &self.staged
    }

    /// The one that was there before.
    pub fn kept(&self) -> &Path {
        &self.kept
    }

    /// Puts the new one in the place of the old one, which is kept.
    pub fn put(&self) -> anyhow::Result<()> {
        self.link(&self.target, &self.kept)?;
        self.rename(&self.staged, &self.target)
    }

    /// Puts the old one back.
    pub fn back(&self) -> anyhow::Result<()> {
        self.link(&self.kept, &self.staged)?;
        self.rename(&self.staged, &self.target)
    }

    /// Removes what was not needed.
    pub fn clean(&self) {
        // It is there only if it was not put in its place.
        let _ = fs::remove_file(&self.staged);
    }

    /// Another name for a file; what has that name is replaced.
    fn link(&self, file: &Path, name: &Path) -> anyhow::Result<()> {
        let made = match fs::remove_file(name) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => Err(error),
            _ => fs::hard_link(file, name),
        };
        made.with_context(|| format!("keep {} as {}", file.display(), name.display()))
    }

    fn rename(&self, from: &Path, to: &Path) -> anyhow::Result<()> {
        let renamed = fs::rename(from, to).and_then(|()| self.dir.sync_all());
        renamed.with_context(|| format!("rename {} to {}", from.display(), to.display()))
    }
}

fn staged_beside(target: &Path) -> PathBuf {
    let mut name = OsString::from(target);
    name.push(".new");
    name.into()
}

fn copy(from: &Path, to: &Path) -> io::Result<()> {
    match fs::remove_file(to) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
        _ => {}
    }
    let mut from = File::open(from)?;
    let mut file = File::options()
        .write(true)
        .create_new(true)
        .mode(0o755)
        .open(to)?;
    io::copy(&mut from, &mut file)?;
    file.sync_all()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn files() -> (tempfile::TempDir, PathBuf, PathBuf) {
        let dir = tempfile::tempdir().unwrap();
        let (old, new) = (dir.path().join("skiff"), dir.path().join("download"));
        fs::write(&old, "old").unwrap();
        fs::write(&new, "new").unwrap();
        (dir, old, new)
    }

    fn text(path: &Path) -> String {
        fs::read_to_string(path).unwrap()
    }

    #[test]
    fn the_new_file_takes_the_place_and_the_old_one_can_come_back() {
        let (dir, target, new) = files();
        let swap = Swap::stage(&new, &target).unwrap();
        assert_eq!(text(&target), "old");
        swap.put().unwrap();
        assert_eq!(
            (text(&target), text(swap.kept())),
            ("new".into(), "old".into())
        );
        swap.back().unwrap();
        swap.clean();
        assert_eq!(text(&target), "old");
        assert_eq!(fs::read_dir(dir.path()).unwrap().count(), 3);
    }

    #[test]
    fn an_upgrade_that_was_killed_does_not_keep_the_next_from_its_work() {
        let (dir, target, new) = files();
        fs::write(dir.path().join("skiff.new"), "half").unwrap();
        fs::write(dir.path().join("skiff.old"), "older").unwrap();
        let swap = Swap::stage(&new, &target).unwrap();
        swap.put().unwrap();
        assert_eq!(
            (text(&target), text(swap.kept())),
            ("new".into(), "old".into())
        );
    }

    #[test]
    fn two_upgrades_at_once_are_one_too_many() {
        let (_dir, target, new) = files();
        let first = Swap::stage(&new, &target).unwrap();
        let second = Swap::stage(&new, &target).err().unwrap();
        assert!(second.to_string().contains("another upgrade"), "{second}");
        drop(first);
        Swap::stage(&new, &target).unwrap();
    }

    #[test]
    fn a_link_goes_on_naming_the_file_that_is_replaced() {
        let (dir, target, new) = files();
        let link = dir.path().join("link");
        std::os::unix::fs::symlink(&target, &link).unwrap();
        Swap::stage(&new, &link).unwrap().put().unwrap();
        assert!(link.is_symlink());
        assert_eq!(text(&target), "new");
    }
}
