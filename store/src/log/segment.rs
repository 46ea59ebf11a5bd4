//! The file that writes go to, and what it takes to never lie about it.

use std::{io, path::PathBuf, time::Instant};

use metrics::{Family, Histogram, exponential};

use super::{
    files::Files,
    format::{self, HEADER, Kind},
};
use crate::{
    Error, Revision,
    disk::{Disk, File},
};

const FROM_A_MILLISECOND: [f64; 14] = exponential(0.001, 2.0);

/// etcd's name for the same.
pub static SYNC: Family<Histogram> = Family::histogram(
    "etcd_disk_wal_fsync_duration_seconds",
    "The latency distributions of fsync called by WAL.",
    &[],
    &FROM_A_MILLISECOND,
);

#[derive(Debug)]
pub struct Segment {
    file: Box<dyn File>,
    path: PathBuf,
    /// Everything up to here is whole and durable.
    size: u64,
}

/// Why a batch was not written.
#[derive(Clone, Debug)]
pub enum Failure {
    /// The file is as it was before; another try may succeed.
    Undone(crate::error::SharedIo),
    /// Nobody knows what the disk holds; no further try is safe.
    Unknown {
        what: &'static str,
        source: crate::error::SharedIo,
    },
}

impl Segment {
    /// Makes the segment for the write `first` and those after it.
    pub fn create(disk: &dyn Disk, files: &Files, first: Revision) -> io::Result<Self> {
        let path = files.segment(first);
        let mut file = disk.create(&path)?;
        file.write_all(&format::header(Kind::Segment, first))?;
        file.sync()?;
        disk.sync_dir(files.dir())?;
        Ok(Self {
            file,
            path,
            size: HEADER as u64,
        })
    }

    /// Goes on after the `size` bytes that were found whole. What was found may
    /// only be in the machine's memory yet, so it is synced before anyone sees
    /// it.
    pub fn reopen(disk: &dyn Disk, path: PathBuf, size: u64) -> io::Result<Self> {
        let mut file = disk.append(&path)?;
        if disk.size(&path)? > size {
            file.truncate(size)?;
        }
        file.sync()?;
        Ok(Self { file, path, size })
    }

    pub fn size(&self) -> u64 {
        self.size
    }

    /// Makes a batch durable, or undoes it.
    pub fn append(&mut self, batch: &[u8]) -> Result<(), Failure> {
        if let Err(error) = self.file.write_all(batch) {
            return Err(self.undo(error));
        }
        let synced = Instant::now();
        if let Err(error) = self.file.sync() {
            // The kernel may have dropped what it could not write and may say
            // nothing the next time (fsyncgate, PostgreSQL 2018): never retry.
            // Cutting the batch off keeps a restart from reading it back from
            // memory as though it were on the disk; it is only a best effort.
            let _ = self.file.truncate(self.size);
            return Err(unknown("sync of", error));
        }
        SYNC.only().took(synced.elapsed());
        self.size += batch.len() as u64;
        Ok(())
    }

    fn undo(&mut self, error: io::Error) -> Failure {
        let undone = self.file.truncate(self.size);
        // Synced, or the refused batch could come back after a power loss.
        match undone.and_then(|()| self.file.sync()) {
            Ok(()) => Failure::Undone(error.into()),
            Err(error) => unknown("undoing a write to", error),
        }
    }

    /// What the writers of the batch are told.
    pub fn error(&self, failure: &Failure) -> Error {
        let path = self.path.clone();
        match failure {
            Failure::Undone(source) if is_full(source.kind()) => Error::Full { path },
            Failure::Undone(source) => Error::Append {
                path,
                source: source.clone(),
            },
            Failure::Unknown { what, source } => Error::Poisoned {
                what,
                path,
                source: source.clone(),
            },
        }
    }
}

fn unknown(what: &'static str, error: io::Error) -> Failure {
    Failure::Unknown {
        what,
        source: error.into(),
    }
}

fn is_full(kind: io::ErrorKind) -> bool {
    use io::ErrorKind::{FileTooLarge, QuotaExceeded, StorageFull, WriteZero};
    matches!(kind, StorageFull | QuotaExceeded | FileTooLarge | WriteZero)
}
