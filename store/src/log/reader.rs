//! Reads a file's batches, and tells the end that a crash tore from damage.
//!
//! A batch is written only after the one before it is durable. So only the last
//! batch can be torn, and a torn one shows it: the file ends inside it, or a
//! disk sector of it was never written and reads as zeros. Anything else that
//! does not add up is damage to what may have been acknowledged; so is what a
//! single flipped bit explains.

use std::{
    io::{self, Read},
    path::{Path, PathBuf},
};

use crc32c::crc32c;

use super::{
    flipped,
    format::{self, BATCH_HEAD, BadHeader, BatchHead, HEADER, Kind},
};
use crate::{Error, Revision, disk::Disk};

const SECTOR: u64 = 512;

#[derive(Debug)]
pub enum Next {
    /// A whole batch: its first revision and its records.
    Batch(Revision, Vec<u8>),
    /// The end of the file, after a whole batch.
    End,
    /// The file's last batch is torn; it begins at this offset.
    Torn(u64),
}

pub struct Reader {
    bytes: Box<dyn Read + Send>,
    path: PathBuf,
    kind: Kind,
    offset: u64,
    /// The revision in the file's header.
    pub revision: Revision,
}

impl Reader {
    pub fn open(disk: &dyn Disk, path: &Path, kind: Kind) -> Result<Self, Error> {
        let io_error = |source| Error::Io {
            what: "read",
            path: path.to_owned(),
            source,
        };
        let damaged = |what| Error::Damaged {
            path: path.to_owned(),
            offset: 0,
            what,
        };
        let mut bytes = disk.read(path).map_err(io_error)?;
        let mut header = [0; HEADER];
        if fill(&mut bytes, &mut header).map_err(io_error)? < HEADER {
            return Err(damaged("the header is cut off"));
        }
        let revision = format::parse_header(kind, &header).map_err(|bad| match bad {
            BadHeader::Magic => damaged("this is not a file of skiff's store"),
            BadHeader::Checksum => damaged("the header's checksum is wrong"),
            BadHeader::Revision => damaged("the header's revision is out of range"),
            BadHeader::Version(found) => Error::Version {
                path: path.to_owned(),
                found,
                understood: format::VERSION,
            },
        })?;
        Ok(Self {
            bytes,
            path: path.to_owned(),
            kind,
            offset: HEADER as u64,
            revision,
        })
    }

    /// Reads the next batch.
    pub fn next(&mut self) -> Result<Next, Error> {
        let mut head = [0; BATCH_HEAD];
        let length = self.fill(&mut head)?;
        if length == 0 {
            return Ok(Next::End);
        }
        if length < BATCH_HEAD {
            return Ok(Next::Torn(self.offset));
        }
        match format::parse_batch_head(&head) {
            Some(head) => self.records(head),
            None if self.is_torn(&head, self.offset) && !format::is_flipped_head(&head) => {
                self.torn_head()
            }
            None => Err(self.damaged("the checksum of a batch's head is wrong")),
        }
    }

    /// An error at the batch that was read last or is to be read next.
    pub fn damaged(&self, what: &'static str) -> Error {
        Error::Damaged {
            path: self.path.clone(),
            offset: self.offset,
            what,
        }
    }

    fn records(&mut self, head: BatchHead) -> Result<Next, Error> {
        let mut records = vec![0; head.length];
        if self.fill(&mut records)? < head.length {
            return Ok(Next::Torn(self.offset));
        }
        let start = self.offset + BATCH_HEAD as u64;
        if crc32c(&records) == head.crc {
            self.offset = start + head.length as u64;
            return Ok(Next::Batch(head.first, records));
        }
        let is_last = self.fill(&mut [0])? == 0;
        if is_last && self.is_torn(&records, start) && !flipped::is_one_bit(&records, head.crc) {
            return Ok(Next::Torn(self.offset));
        }
        Err(self.damaged("the checksum of a batch's records is wrong"))
    }

    /// A head that was never written says nothing of where its batch ends: it
    /// was the last one if no other head follows.
    fn torn_head(&mut self) -> Result<Next, Error> {
        let mut rest = Vec::new();
        let read = self.bytes.read_to_end(&mut rest);
        read.map_err(|source| self.io_error(source))?;
        let follows = rest
            .windows(BATCH_HEAD)
            .any(|window| window[..4] != [0; 4] && format::parse_batch_head(window).is_some());
        if follows {
            return Err(self.damaged("a batch's head is blank and batches follow"));
        }
        Ok(Next::Torn(self.offset))
    }

    /// Snapshots have their name only once they are whole: they are never torn.
    fn is_torn(&self, bytes: &[u8], offset: u64) -> bool {
        self.kind == Kind::Segment && has_unwritten_sector(bytes, offset)
    }

    fn fill(&mut self, buffer: &mut [u8]) -> Result<usize, Error> {
        fill(&mut self.bytes, buffer).map_err(|source| self.io_error(source))
    }

    fn io_error(&self, source: io::Error) -> Error {
        Error::Io {
            what: "read",
            path: self.path.clone(),
            source,
        }
    }
}

/// Reads until the buffer is full or the file ends.
fn fill(bytes: &mut dyn Read, buffer: &mut [u8]) -> io::Result<usize> {
    let mut filled = 0;
    while filled < buffer.len() {
        match bytes.read(&mut buffer[filled..]) {
            Ok(0) => break,
            Ok(read) => filled += read,
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(error) => return Err(error),
        }
    }
    Ok(filled)
}

/// Whether the part of some sector of the file that `bytes` cover is all zeros.
fn has_unwritten_sector(bytes: &[u8], offset: u64) -> bool {
    let first = (SECTOR - offset % SECTOR) as usize;
    let (first, rest) = bytes.split_at(first.min(bytes.len()));
    std::iter::once(first)
        .chain(rest.chunks(SECTOR as usize))
        .any(|sector| !sector.is_empty() && sector.iter().all(|byte| *byte == 0))
}
