//! All that is live at one revision, as the bytes of a file and back. Snapshots
//! of the log and backups are the same files.

use std::{io, path::Path};

use bytes::Bytes;

use super::{
    MAX_KEY, MAX_VALUE,
    format::{self, Kind, Record},
    reader::{Next, Reader},
};
use crate::{Entry, Error, Revision, disk::Disk};

/// About how many bytes of entries go into a batch.
pub const SLICE: usize = 1 << 20;
/// A hole of a value is filled with at most so many digits.
const MAX_DIGITS: usize = 20;

/// Writes the file: the header, then batches of entries in the order of their
/// keys, then the end.
#[derive(Debug)]
pub struct Encoder {
    revision: Revision,
    entries: u64,
    buffer: Vec<u8>,
}

impl Encoder {
    pub fn new(revision: Revision) -> Self {
        Self {
            revision,
            entries: 0,
            buffer: Vec::new(),
        }
    }

    pub fn header(&self) -> Vec<u8> {
        format::header(Kind::Snapshot, self.revision)
    }

    pub fn batch(&mut self, entries: &[Entry]) -> &[u8] {
        format::begin_batch(&mut self.buffer);
        for entry in entries {
            format::put_kept(&mut self.buffer, entry);
        }
        self.entries += entries.len() as u64;
        format::end_batch(&mut self.buffer, self.revision);
        &self.buffer
    }

    pub fn end(&mut self) -> &[u8] {
        format::begin_batch(&mut self.buffer);
        format::put_end(&mut self.buffer, self.entries);
        format::end_batch(&mut self.buffer, self.revision);
        &self.buffer
    }
}

/// Reads the file, and believes nothing in it.
pub struct Decoder {
    reader: Reader,
    entries: u64,
    last: Option<Bytes>,
    is_at_end: bool,
}

impl Decoder {
    pub fn open(disk: &dyn Disk, path: &Path) -> Result<Self, Error> {
        Ok(Self {
            reader: Reader::open(disk, path, Kind::Snapshot)?,
            entries: 0,
            last: None,
            is_at_end: false,
        })
    }

    /// The revision that the file shows.
    pub fn revision(&self) -> Revision {
        self.reader.revision
    }

    /// How many entries were read.
    pub fn entries(&self) -> u64 {
        self.entries
    }

    pub fn damaged(&self, what: &'static str) -> Error {
        self.reader.damaged(what)
    }

    /// The entries of the next batch; `None` after the last one, when all of
    /// the file was found right.
    pub fn next(&mut self) -> Result<Option<Vec<Entry>>, Error> {
        let next = self.reader.next()?;
        if self.is_at_end {
            return match next {
                Next::End => Ok(None),
                _ => Err(self.damaged("something follows the end")),
            };
        }
        let Next::Batch(first, batch) = next else {
            return Err(self.damaged("the snapshot is cut off"));
        };
        if first != self.revision() {
            return Err(self.damaged("a batch is of another revision"));
        }
        self.records(&batch)
    }

    fn records(&mut self, mut records: &[u8]) -> Result<Option<Vec<Entry>>, Error> {
        let mut entries = Vec::new();
        while !records.is_empty() {
            match format::take_record(&mut records) {
                Some(Record::Kept(entry)) => {
                    self.check(&entry)?;
                    self.entries += 1;
                    self.last = Some(entry.key.clone());
                    entries.push(entry);
                }
                Some(Record::End { entries: all }) if all == self.entries && records.is_empty() => {
                    self.is_at_end = true;
                }
                _ => return Err(self.damaged("a record does not belong there")),
            }
        }
        Ok(Some(entries))
    }

    fn check(&self, entry: &Entry) -> Result<(), Error> {
        let is_bounded = entry.key.len() <= MAX_KEY && entry.value.len() <= MAX_VALUE + MAX_DIGITS;
        let is_next = self.last.as_ref().is_none_or(|last| *last < entry.key);
        let is_dated = entry.created <= entry.modified && entry.modified <= self.revision();
        match (is_bounded, is_next, is_dated) {
            (true, true, true) => Ok(()),
            (false, ..) => Err(self.damaged("a key or value is too long")),
            (_, false, _) => Err(self.damaged("the keys are out of order")),
            _ => Err(self.damaged("an entry is newer than the snapshot")),
        }
    }
}

/// Splits entries into what goes into one batch each.
pub fn slices(entries: &[Entry]) -> impl Iterator<Item = &[Entry]> {
    let mut rest = entries;
    std::iter::from_fn(move || {
        let mut size = 0;
        let fitting = rest.iter().take_while(|entry| {
            let fits = size < SLICE;
            size += cost(entry);
            fits
        });
        let (slice, after) = rest.split_at(fitting.count());
        rest = after;
        (!slice.is_empty()).then_some(slice)
    })
}

/// About the bytes that an entry takes in the file.
pub fn cost(entry: &Entry) -> usize {
    entry.key.len() + entry.value.len() + 64
}

/// Writes all of it to `file`; `slice` gives the entries after a key.
pub fn write(
    encoder: &mut Encoder,
    mut slice: impl FnMut(Option<&[u8]>) -> io::Result<Vec<Entry>>,
    mut write: impl FnMut(&[u8]) -> io::Result<()>,
) -> io::Result<()> {
    write(&encoder.header())?;
    let mut after: Option<Bytes> = None;
    loop {
        let entries = slice(after.as_deref())?;
        let Some(last) = entries.last() else {
            return write(encoder.end());
        };
        write(encoder.batch(&entries))?;
        after = Some(last.key.clone());
    }
}
