//! The few things the log asks of a disk, so that tests can break it.

mod local;

use std::{
    fmt,
    io::{self, Read},
    path::Path,
};

pub use self::local::Local;

pub trait Disk: fmt::Debug + Send + Sync + 'static {
    /// Makes the directory, and those above it, readable by the owner only.
    fn make_dir(&self, dir: &Path) -> io::Result<()>;
    fn lock(&self, path: &Path) -> io::Result<Lock>;
    /// The names of the files in a directory.
    fn list(&self, dir: &Path) -> io::Result<Vec<String>>;
    fn size(&self, path: &Path) -> io::Result<u64>;
    fn read(&self, path: &Path) -> io::Result<Box<dyn Read + Send>>;
    /// Makes an empty file, in place of one that is there.
    fn create(&self, path: &Path) -> io::Result<Box<dyn File>>;
    /// Opens a file that is there, to write at its end.
    fn append(&self, path: &Path) -> io::Result<Box<dyn File>>;
    fn rename(&self, from: &Path, to: &Path) -> io::Result<()>;
    fn remove(&self, path: &Path) -> io::Result<()>;
    /// Makes the names in a directory durable.
    fn sync_dir(&self, dir: &Path) -> io::Result<()>;
}

pub trait File: fmt::Debug + Send {
    /// Writes some of the bytes at the end; answers how many.
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize>;
    /// Makes everything written durable (`fdatasync`).
    fn sync(&mut self) -> io::Result<()>;
    fn truncate(&mut self, size: u64) -> io::Result<()>;
}

impl dyn File + '_ {
    pub(crate) fn write_all(&mut self, mut bytes: &[u8]) -> io::Result<()> {
        while !bytes.is_empty() {
            match self.write(bytes) {
                Ok(0) => return Err(io::ErrorKind::WriteZero.into()),
                Ok(written) => bytes = &bytes[written..],
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error) => return Err(error),
            }
        }
        Ok(())
    }
}

/// The outcome of an attempt to be the only one in a directory.
#[derive(Debug)]
pub enum Lock {
    /// Until this is dropped.
    Held(Box<dyn fmt::Debug + Send>),
    /// By somebody else.
    Taken { holder: String },
}
