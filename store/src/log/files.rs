//! The names in the store's directory:
//! `log-<first revision>`, `snapshot-<revision>`, `lock`.

use std::path::{Path, PathBuf};

use crate::{Error, Revision, disk::Disk};

/// Revisions in names have all the digits of `u64::MAX`, so that a listing
/// sorts by revision.
const DIGITS: usize = 20;

#[derive(Clone, Debug)]
pub struct Files {
    dir: PathBuf,
}

/// What is there; both sorted, oldest first.
#[derive(Debug, Default)]
pub struct Found {
    /// By the revision of their first write.
    pub segments: Vec<Revision>,
    pub snapshots: Vec<Revision>,
    /// Snapshots that were never finished.
    pub unfinished: Vec<PathBuf>,
}

impl Files {
    pub fn new(dir: &Path) -> Self {
        Self {
            dir: dir.to_owned(),
        }
    }

    pub fn dir(&self) -> &Path {
        &self.dir
    }

    pub fn lock(&self) -> PathBuf {
        self.dir.join("lock")
    }

    pub fn segment(&self, first: Revision) -> PathBuf {
        self.dir.join(format!("log-{:0DIGITS$}", first.0))
    }

    pub fn snapshot(&self, revision: Revision) -> PathBuf {
        self.dir.join(format!("snapshot-{:0DIGITS$}", revision.0))
    }

    /// Where a snapshot is until it is whole.
    pub fn unfinished_snapshot(&self, revision: Revision) -> PathBuf {
        self.snapshot(revision).with_extension("unfinished")
    }

    pub fn find(&self, disk: &dyn Disk) -> Result<Found, Error> {
        let names = disk.list(&self.dir).map_err(|source| Error::Io {
            what: "list",
            path: self.dir.clone(),
            source,
        })?;
        let mut found = Found::default();
        for name in names {
            if let Some(first) = revision_of(&name, "log-") {
                found.segments.push(first);
            } else if let Some(revision) = revision_of(&name, "snapshot-") {
                found.snapshots.push(revision);
            } else if name.starts_with("snapshot-") && name.ends_with(".unfinished") {
                found.unfinished.push(self.dir.join(name));
            }
        }
        found.segments.sort_unstable();
        found.snapshots.sort_unstable();
        Ok(found)
    }
}

fn revision_of(name: &str, prefix: &str) -> Option<Revision> {
    let digits = name.strip_prefix(prefix)?;
    let is_ours = digits.len() == DIGITS && digits.bytes().all(|byte| byte.is_ascii_digit());
    is_ours.then(|| digits.parse().ok().map(Revision))?
}
