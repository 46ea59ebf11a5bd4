//! Copies of a store in one file: made while it runs, checked, restored.
//!
//! A backup shows one revision. It is the same file as a snapshot of the log:
//! a header with the format's version, entries in the order of their keys in
//! batches of which each has a checksum, and their number at the end. What is
//! read here may come from anywhere: sizes are bounded, and nothing is believed
//! that is not checked.

mod restore;
mod save;

use std::path::Path;

pub use self::{
    restore::{BUMP, restore},
    save::{Backup, Incoming},
};
use crate::{Error, Revision, disk::Disk, log::kept::Decoder};

/// What a backup holds.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Summary {
    pub revision: Revision,
    pub keys: u64,
    /// The bytes of all keys and values.
    pub size: u64,
}

/// Reads all of a backup and answers what it holds.
///
/// # Errors
/// [`Error::BadBackup`] if it is not as it was written, [`Error::Version`] if a
/// newer skiff wrote it.
pub fn verify(disk: &dyn Disk, path: &Path) -> Result<Summary, Error> {
    let read = || {
        let mut decoder = Decoder::open(disk, path)?;
        let mut size = 0;
        while let Some(entries) = decoder.next()? {
            size += entries.iter().map(crate::Entry::size).sum::<u64>();
        }
        Ok(Summary {
            revision: decoder.revision(),
            keys: decoder.entries(),
            size,
        })
    };
    read().map_err(of_backup)
}

/// A damaged backup needs other advice than a damaged log.
fn of_backup(error: Error) -> Error {
    match error {
        Error::Damaged { path, offset, what } => Error::BadBackup { path, offset, what },
        error => error,
    }
}
