//! From a running store to a file.

use std::{
    fmt, io,
    path::{Path, PathBuf},
    sync::Arc,
    vec,
};

use super::{Summary, verify};
use crate::{
    Entry, Error, Range, Revision, Store,
    disk::{Disk, File},
    log::kept::{self, Encoder},
};

/// Entries asked of the store at a time.
const PAGE: usize = 2000;
/// How often it is begun again because a page was compacted away.
const TRIES: usize = 3;

/// All of a store at one revision, on its way out. The values are shared with
/// the store, so it costs little more than what is overwritten meanwhile.
#[derive(Debug)]
pub struct Backup {
    encoder: Encoder,
    revision: Revision,
    next: Next,
}

#[derive(Debug)]
enum Next {
    Header(Vec<Entry>),
    Entries(vec::IntoIter<Entry>),
    Done,
}

impl Backup {
    /// Takes hold of all there is now.
    ///
    /// # Errors
    /// Those of [`Store::range`].
    pub async fn of<S: Store + ?Sized>(store: &S) -> Result<Self, Error> {
        let mut tries = 1;
        loop {
            match collect(store).await {
                Err(Error::Compacted { .. }) if tries < TRIES => tries += 1,
                Err(error) => return Err(error),
                Ok((revision, entries)) => {
                    return Ok(Self {
                        encoder: Encoder::new(revision),
                        revision,
                        next: Next::Header(entries),
                    });
                }
            }
        }
    }

    pub fn revision(&self) -> Revision {
        self.revision
    }
}

async fn collect<S: Store + ?Sized>(store: &S) -> Result<(Revision, Vec<Entry>), Error> {
    let mut page = store.range(Range::prefix("").limit(PAGE)).await?;
    let revision = page.revision;
    let mut entries = std::mem::take(&mut page.entries);
    while page.more {
        let Some(last) = entries.last() else { break };
        let rest = Range::prefix("").limit(PAGE).after(&last.key).at(revision);
        page = store.range(rest).await?;
        entries.append(&mut page.entries);
    }
    Ok((revision, entries))
}

/// The pieces of the file.
impl Iterator for Backup {
    type Item = Vec<u8>;

    fn next(&mut self) -> Option<Vec<u8>> {
        match std::mem::replace(&mut self.next, Next::Done) {
            Next::Header(entries) => {
                self.next = Next::Entries(entries.into_iter());
                Some(self.encoder.header())
            }
            Next::Entries(mut rest) => {
                let Some(slice) = kept::slices(rest.as_slice()).next() else {
                    return Some(self.encoder.end().to_vec());
                };
                let (piece, taken) = (self.encoder.batch(slice).to_vec(), slice.len());
                // What was sent need not be held any more.
                rest.by_ref().take(taken).for_each(drop);
                self.next = Next::Entries(rest);
                Some(piece)
            }
            Next::Done => None,
        }
    }
}

/// A backup that is being received into a file. The file has its name, and the
/// whole content, only once [`Incoming::finish`] has found it right.
pub struct Incoming {
    disk: Arc<dyn Disk>,
    file: Option<Box<dyn File>>,
    unfinished: PathBuf,
    path: PathBuf,
}

impl fmt::Debug for Incoming {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Incoming")
            .field("path", &self.path)
            .finish()
    }
}

impl Incoming {
    /// Begins a file beside `path`, readable by its owner only.
    ///
    /// # Errors
    /// [`Error::Io`]
    pub fn create(disk: Arc<dyn Disk>, path: &Path) -> Result<Self, Error> {
        let name = path.file_name().unwrap_or_default().to_string_lossy();
        let unfinished = path.with_file_name(format!(".{name}.{}.unfinished", std::process::id()));
        let file = disk.create(&unfinished);
        let file = file.map_err(|source| failed("create", &unfinished, source))?;
        Ok(Self {
            disk,
            file: Some(file),
            unfinished,
            path: path.to_owned(),
        })
    }

    /// # Errors
    /// [`Error::Io`]
    pub fn write(&mut self, bytes: &[u8]) -> Result<(), Error> {
        let file = self.file.as_mut().expect("it is there until the end");
        let written = file.write_all(bytes);
        written.map_err(|source| failed("write", &self.unfinished, source))
    }

    /// Makes it durable, reads it back and gives it its name, in place of what
    /// may have had it.
    ///
    /// # Errors
    /// [`Error::BadBackup`] if it is not whole; nothing is left of it then.
    pub fn finish(mut self) -> Result<Summary, Error> {
        let mut file = self.file.take().expect("it is there until the end");
        let synced = file.sync();
        synced.map_err(|source| failed("sync", &self.unfinished, source))?;
        drop(file);
        let summary = verify(&*self.disk, &self.unfinished)?;
        let renamed = self.disk.rename(&self.unfinished, &self.path);
        renamed.map_err(|source| failed("rename to", &self.path, source))?;
        // A bare name is in the directory `.`, which has no name to open.
        let dir = match self.path.parent() {
            Some(dir) if !dir.as_os_str().is_empty() => dir,
            _ => Path::new("."),
        };
        let synced = self.disk.sync_dir(dir);
        synced.map_err(|source| failed("sync", dir, source))?;
        Ok(summary)
    }
}

impl Drop for Incoming {
    fn drop(&mut self) {
        // It is not there if it was given its name.
        let _ = self.disk.remove(&self.unfinished);
    }
}

fn failed(what: &'static str, path: &Path, source: io::Error) -> Error {
    Error::Io {
        what,
        path: path.to_owned(),
        source,
    }
}
