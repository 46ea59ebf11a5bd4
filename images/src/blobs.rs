//! Content by digest: manifests and configurations for good, layers until they are unpacked.

use std::{
    fs::{self, File},
    io::{self, Read, Write},
    path::PathBuf,
};

use tempfile::NamedTempFile;

use crate::{Digest, Error, Result, content, disk::Disk};

/// The verified blobs of a store.
#[derive(Debug, Clone)]
pub struct Blobs {
    disk: Disk,
}

impl Blobs {
    pub fn new(disk: Disk) -> Self {
        Self { disk }
    }

    pub fn path(&self, digest: &Digest) -> PathBuf {
        self.disk.blobs().join(digest.hex())
    }

    pub fn has(&self, digest: &Digest) -> bool {
        self.path(digest).exists()
    }

    pub fn open(&self, digest: &Digest) -> Result<File> {
        let path = self.path(digest);
        File::open(&path).map_err(Error::disk("open", path))
    }

    /// A whole small blob, checked again: disks do rot.
    pub fn read(&self, digest: &Digest, limit: u64, what: &'static str) -> Result<Vec<u8>> {
        let bytes = content::read_document(self.open(digest)?, limit, what)?;
        content::check(digest, Digest::of(&bytes))?;
        Ok(bytes)
    }

    /// Keeps a small blob, after checking it against `expected`.
    pub fn write(&self, expected: &Digest, bytes: &[u8]) -> Result<()> {
        content::check(expected, Digest::of(bytes))?;
        let mut file = self.disk.staged_file()?;
        file.write_all(bytes)
            .map_err(Error::disk("write", file.path()))?;
        self.adopt(expected, file)
    }

    /// Keeps a file whose content the caller has checked to be `digest`.
    pub fn adopt(&self, digest: &Digest, file: NamedTempFile) -> Result<()> {
        let path = self.path(digest);
        file.persist(&path)
            .map_err(|error| Error::disk("keep", path)(error.error))?;
        Ok(())
    }

    pub fn remove(&self, digest: &Digest) -> Result<()> {
        let path = self.path(digest);
        match fs::remove_file(&path) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => {
                Err(Error::disk("remove", path)(error))
            }
            _ => Ok(()),
        }
    }
}

/// A reader that hands on `source` only if it turns out to be `expected`; ask [`Verified::finish`] in the end.
pub struct Verified<R> {
    inner: content::Hashing<R>,
    expected: Digest,
}

impl<R: Read> Verified<R> {
    pub fn new(source: R, expected: Digest, limit: u64) -> Self {
        Self {
            inner: content::Hashing::new(source, limit),
            expected,
        }
    }

    pub fn finish(self) -> Result<u64> {
        let (actual, length) = self.inner.finish().map_err(Error::Tar)?;
        content::check(&self.expected, actual)?;
        Ok(length)
    }
}

impl<R: Read> Read for Verified<R> {
    fn read(&mut self, buf: &mut [u8]) -> io::Result<usize> {
        self.inner.read(buf)
    }
}
