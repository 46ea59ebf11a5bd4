//! Everything that can go wrong with a store, and who should act on it.

use std::{io, path::PathBuf};

use crate::{Entry, Revision};

#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The reader is too slow or comes too late; it must list again, then watch.
    #[error("revision {wanted} was compacted; the oldest kept is {oldest}")]
    Compacted { wanted: Revision, oldest: Revision },
    /// The reader asks for what nobody wrote yet.
    #[error("revision {wanted} is in the future; the newest is {newest}")]
    Future { wanted: Revision, newest: Revision },
    /// What the writer expected does not hold; it should read again and retry.
    #[error("the key is not as expected: {}", describe(.current.as_ref()))]
    Conflict { current: Option<Entry> },
    #[error("there is no such key to delete")]
    NotFound,
    /// The watcher did not keep up; it must list again, then watch.
    #[error("the watcher fell more than {queue} changes behind")]
    Slow { queue: usize },
    /// The caller must send less.
    #[error("{what} of {size} bytes is over the limit of {limit}")]
    TooLarge {
        what: &'static str,
        size: usize,
        limit: usize,
    },
    /// The store holds as much as it may; the operator makes room or raises the
    /// quota. Reads and deletes go on.
    #[error(
        "the store is full: {used} of {quota} bytes are used; delete what is not needed, or restart skiff with a higher --store-quota"
    )]
    Quota { used: u64, quota: u64 },
    /// A layer above the store does not understand what is stored; its source
    /// says who should do what.
    #[error("read {key}")]
    Unreadable {
        key: String,
        source: Box<dyn std::error::Error + Send + Sync>,
    },
    /// No server of the datastore could be asked; nothing was written. The
    /// operator should look at the network and the datastore.
    #[error(
        "the datastore at {endpoints} cannot be reached: check that it runs and that this machine reaches it"
    )]
    Unreachable {
        endpoints: String,
        source: Box<dyn std::error::Error + Send + Sync>,
    },
    /// A write was sent and no answer came: it may have happened or may still
    /// happen. The writer should read before it writes again.
    #[error("the datastore at {endpoints} did not answer a write: it may have been made or not")]
    Unanswered {
        endpoints: String,
        source: Box<dyn std::error::Error + Send + Sync>,
    },
    /// The datastore answered that it will not; nothing was written. The
    /// operator should do what its message says.
    #[error("the datastore at {endpoints} refuses")]
    Refused {
        endpoints: String,
        source: Box<dyn std::error::Error + Send + Sync>,
    },
    /// The writer leads no longer: another server has taken over. Nothing was
    /// written; the writer should stop.
    #[error(
        "another server has taken over, as {} says: nothing was written",
        String::from_utf8_lossy(office)
    )]
    Deposed { office: bytes::Bytes },
    /// Somebody else wrote there; the operator should remove the key or choose
    /// another prefix.
    #[error(
        "the value of {key} was not written by skiff: remove it, or choose another --datastore-prefix"
    )]
    Foreign { key: String },
    /// A mistake of the caller.
    #[error("the key {key:?} does not begin with a slash")]
    BadKey { key: String },
    /// A flag says what cannot be used.
    #[error("{what}")]
    Datastore {
        what: String,
        source: Box<dyn std::error::Error + Send + Sync>,
    },
    /// A mistake of the caller.
    #[error("revision hole at {at} of a value of {size} bytes")]
    BadHole { at: usize, size: usize },
    /// The store was closed by its owner.
    #[error("the store in {} is closed", dir.display())]
    Closed { dir: PathBuf },

    /// The write was refused and undone; the operator should free space. The
    /// store goes on and takes writes again once there is space.
    #[error("no space to append to {}: the write was refused; free space on that disk", path.display())]
    Full { path: PathBuf },
    /// The disk refused the bytes; the write was undone.
    #[error("append to {}", path.display())]
    Append {
        path: PathBuf,
        #[source]
        source: SharedIo,
    },
    /// After a failed sync or a failed undo nobody knows what the disk holds.
    /// Reads go on, writes do not; the operator should look at the disk and
    /// restart, which reads back what is really there.
    #[error("writes stopped because {what} {} failed; check the disk, then restart skiff", path.display())]
    Poisoned {
        what: &'static str,
        path: PathBuf,
        #[source]
        source: SharedIo,
    },

    /// Another process has the directory open.
    #[error("{} is in use by another skiff (process {holder}); stop that one or choose another data directory", dir.display())]
    InUse { dir: PathBuf, holder: String },
    /// Reading or preparing the directory failed.
    #[error("{what} {}", path.display())]
    Io {
        what: &'static str,
        path: PathBuf,
        source: io::Error,
    },
    /// The bytes are not those that were written; the operator should restore
    /// a backup or the machine's disk.
    #[error("{} is damaged at offset {offset}: {what}; restore the data directory from a backup", path.display())]
    Damaged {
        path: PathBuf,
        offset: u64,
        what: &'static str,
    },
    /// The file is no backup, or not as it was made; the operator should use
    /// another one.
    #[error("{} is not a whole snapshot: {what}, at offset {offset}; use another one, or make one with `skiff snapshot save`", path.display())]
    BadBackup {
        path: PathBuf,
        offset: u64,
        what: &'static str,
    },
    /// Nothing is restored over what is there.
    #[error("{} holds a store already: nothing was changed; restore into an empty data directory, or move this one away", dir.display())]
    NotEmpty { dir: PathBuf },
    /// The restored store would begin at no revision there can be.
    #[error("revision {revision} of {} cannot go up by {bump}: give --bump-revision another number", path.display())]
    BadBump {
        path: PathBuf,
        revision: Revision,
        bump: u64,
    },
    /// A part of the log is not there.
    #[error("{} lacks the log of revision {revision}; restore the data directory from a backup", dir.display())]
    Missing { dir: PathBuf, revision: Revision },
    /// Another skiff wrote it.
    #[error("{} has format version {found}, this skiff understands {understood}; use the skiff that wrote it or another data directory", path.display())]
    Version {
        path: PathBuf,
        found: u32,
        understood: u32,
    },
}

/// An `io::Error` that all writers of one batch are told.
#[derive(Clone, Debug, thiserror::Error)]
#[error(transparent)]
pub struct SharedIo(std::sync::Arc<io::Error>);

impl From<io::Error> for SharedIo {
    fn from(error: io::Error) -> Self {
        Self(std::sync::Arc::new(error))
    }
}

impl SharedIo {
    pub fn kind(&self) -> io::ErrorKind {
        self.0.kind()
    }
}

fn describe(current: Option<&Entry>) -> String {
    match current {
        Some(entry) => format!("it was last written at revision {}", entry.modified),
        None => "it does not exist".to_owned(),
    }
}
