//! The bytes on disk, the same in segments of the log and in snapshots:
//!
//! ```text
//! file    = header batch*
//! header  = magic[8] version:u32 revision:u64 crc:u32        (of the 20 bytes before)
//! batch   = length:u32 revision:u64 crc:u32 crc:u32 record*  (of the records; of the 16 bytes before)
//! record  = 1 key:u32 value:u32 key value                    put
//!         | 2 key:u32 key                                    delete
//!         | 3 created:u64 modified:u64 key:u32 value:u32 key value   kept (snapshots)
//!         | 4 entries:u64                                    end (snapshots)
//! ```
//!
//! Numbers are little-endian, checksums CRC-32C. A batch is what one sync made
//! durable; its records have consecutive revisions, the first is in its head.
//! In a segment the header's revision is that of its first write, in a snapshot
//! the one that it shows.

use bytes::Bytes;
use crc32c::crc32c;

use super::flipped;
use crate::{Change, Entry, Revision};

/// The version this skiff writes, and the only one it understands.
pub const VERSION: u32 = 1;
pub const HEADER: usize = 24;
pub const BATCH_HEAD: usize = 20;
/// No revision is greater: there is always a next one, also after a restore.
pub const MAX_REVISION: u64 = 1 << 62;
/// No batch is longer: one of the writer's is as long as its soft limit and
/// one record more.
pub const MAX_BATCH: usize = 32 << 20;

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    Segment,
    Snapshot,
}

impl Kind {
    fn magic(self) -> &'static [u8; 8] {
        match self {
            Self::Segment => b"SKIFFLOG",
            Self::Snapshot => b"SKIFFSNP",
        }
    }
}

#[derive(Debug, PartialEq, Eq)]
pub enum BadHeader {
    Magic,
    Version(u32),
    Checksum,
    Revision,
}

pub fn header(kind: Kind, revision: Revision) -> Vec<u8> {
    let mut bytes = kind.magic().to_vec();
    bytes.extend(VERSION.to_le_bytes());
    bytes.extend(revision.0.to_le_bytes());
    bytes.extend(crc32c(&bytes).to_le_bytes());
    bytes
}

pub fn parse_header(kind: Kind, bytes: &[u8; HEADER]) -> Result<Revision, BadHeader> {
    let mut fields = Fields(&bytes[8..]);
    let damaged = BadHeader::Checksum;
    let (Some(version), Some(revision), Some(crc)) = (fields.u32(), fields.u64(), fields.u32())
    else {
        return Err(damaged);
    };
    if &bytes[..8] != kind.magic() {
        return Err(BadHeader::Magic);
    }
    if version != VERSION {
        // Before the checksum: another version may have its header otherwise.
        return Err(BadHeader::Version(version));
    }
    if crc != crc32c(&bytes[..HEADER - 4]) {
        return Err(damaged);
    }
    if revision > MAX_REVISION {
        return Err(BadHeader::Revision);
    }
    Ok(Revision(revision))
}

/// Starts a batch in `buffer`; records follow, then [`end_batch`].
pub fn begin_batch(buffer: &mut Vec<u8>) {
    buffer.clear();
    buffer.resize(BATCH_HEAD, 0);
}

pub fn end_batch(buffer: &mut [u8], first: Revision) {
    let length = u32::try_from(buffer.len() - BATCH_HEAD).expect("batches are bounded");
    let crc = crc32c(&buffer[BATCH_HEAD..]);
    buffer[..4].copy_from_slice(&length.to_le_bytes());
    buffer[4..12].copy_from_slice(&first.0.to_le_bytes());
    buffer[12..16].copy_from_slice(&crc.to_le_bytes());
    let head_crc = crc32c(&buffer[..16]);
    buffer[16..20].copy_from_slice(&head_crc.to_le_bytes());
}

#[derive(Clone, Copy, Debug)]
pub struct BatchHead {
    pub length: usize,
    pub first: Revision,
    pub crc: u32,
}

/// `None`: these are not the bytes that were written.
pub fn parse_batch_head(bytes: &[u8]) -> Option<BatchHead> {
    let mut fields = Fields(bytes);
    let (length, first) = (fields.u32()?, fields.u64()?);
    let (crc, head_crc) = (fields.u32()?, fields.u32()?);
    let length = usize::try_from(length).ok()?;
    let is_whole = head_crc == crc32c(bytes.get(..16)?) && length <= MAX_BATCH;
    is_whole.then_some(BatchHead {
        length,
        first: Revision(first),
        crc,
    })
}

/// Whether one flipped bit keeps the head from being one.
pub fn is_flipped_head(head: &[u8; BATCH_HEAD]) -> bool {
    let (bytes, crc) = head.split_at(BATCH_HEAD - 4);
    let crc = crc.try_into().map(u32::from_le_bytes);
    crc.is_ok_and(|crc| flipped::is_one_bit(bytes, crc))
}

pub fn put_change(buffer: &mut Vec<u8>, change: &Change) {
    match change {
        Change::Put { entry, .. } => {
            buffer.push(1);
            put_length(buffer, &entry.key);
            put_length(buffer, &entry.value);
            buffer.extend_from_slice(&entry.key);
            buffer.extend_from_slice(&entry.value);
        }
        Change::Delete { key, .. } => {
            buffer.push(2);
            put_length(buffer, key);
            buffer.extend_from_slice(key);
        }
    }
}

pub fn put_kept(buffer: &mut Vec<u8>, entry: &Entry) {
    buffer.push(3);
    buffer.extend(entry.created.0.to_le_bytes());
    buffer.extend(entry.modified.0.to_le_bytes());
    put_length(buffer, &entry.key);
    put_length(buffer, &entry.value);
    buffer.extend_from_slice(&entry.key);
    buffer.extend_from_slice(&entry.value);
}

pub fn put_end(buffer: &mut Vec<u8>, entries: u64) {
    buffer.push(4);
    buffer.extend(entries.to_le_bytes());
}

fn put_length(buffer: &mut Vec<u8>, bytes: &[u8]) {
    let length = u32::try_from(bytes.len()).expect("keys and values are bounded");
    buffer.extend(length.to_le_bytes());
}

#[derive(Debug, PartialEq, Eq)]
pub enum Record {
    Put { key: Bytes, value: Bytes },
    Delete { key: Bytes },
    Kept(Entry),
    End { entries: u64 },
}

/// Takes the next record off a batch's records. Keys and values are copied, so
/// that none keeps the batch in memory. `None`: it is not a record.
pub fn take_record(records: &mut &[u8]) -> Option<Record> {
    let mut fields = Fields(records);
    let record = match fields.take(1)?[0] {
        1 => {
            let (key, value) = fields.key_and_value()?;
            Record::Put { key, value }
        }
        2 => {
            let length = fields.u32()?;
            let key = Bytes::copy_from_slice(fields.take(length as usize)?);
            Record::Delete { key }
        }
        3 => {
            let (created, modified) = (Revision(fields.u64()?), Revision(fields.u64()?));
            let (key, value) = fields.key_and_value()?;
            Record::Kept(Entry {
                key,
                value,
                created,
                modified,
            })
        }
        4 => Record::End {
            entries: fields.u64()?,
        },
        _ => return None,
    };
    *records = fields.0;
    Some(record)
}

struct Fields<'a>(&'a [u8]);

impl<'a> Fields<'a> {
    fn take(&mut self, length: usize) -> Option<&'a [u8]> {
        let (taken, rest) = self.0.split_at_checked(length)?;
        self.0 = rest;
        Some(taken)
    }

    fn u32(&mut self) -> Option<u32> {
        let bytes = self.take(4)?.try_into().ok()?;
        Some(u32::from_le_bytes(bytes))
    }

    fn u64(&mut self) -> Option<u64> {
        let bytes = self.take(8)?.try_into().ok()?;
        Some(u64::from_le_bytes(bytes))
    }

    fn key_and_value(&mut self) -> Option<(Bytes, Bytes)> {
        let (key, value) = (self.u32()? as usize, self.u32()? as usize);
        let key = Bytes::copy_from_slice(self.take(key)?);
        let value = Bytes::copy_from_slice(self.take(value)?);
        Some((key, value))
    }
}
