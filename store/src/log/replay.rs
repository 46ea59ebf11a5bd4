//! From the files in the directory to the index as it was.

use std::sync::Arc;

use super::{
    files::{Files, Found},
    format::{self, HEADER, Kind, Record},
    reader::{Next, Reader},
    segment::Segment,
    snapshot,
};
use crate::{
    Change, Entry, Error, Revision,
    disk::Disk,
    index::{Bounds, Index},
};

/// What a start finds.
#[derive(Debug)]
pub struct Replayed {
    pub index: Index,
    /// The last segment, to go on with.
    pub segment: Segment,
    /// The size of the snapshot, if there is one.
    pub snapshot: u64,
}

pub fn replay(disk: &dyn Disk, files: &Files, bounds: Bounds) -> Result<Replayed, Error> {
    let mut found = files.find(disk)?;
    let base = found.snapshots.last().copied().unwrap_or_default();
    let mut index = Index::new(base, bounds);
    let mut snapshot = 0;
    if base > Revision(0) {
        let path = files.snapshot(base);
        snapshot::load(disk, &path, &mut index)?;
        snapshot = size(disk, &path)?;
    }
    // Only with a good snapshot in hand may anything be thrown away.
    for path in &found.unfinished {
        remove(disk, path)?;
    }
    snapshot::remove_superseded(disk, files, base);
    found.segments.retain(|first| *first > base);
    drop_unused(disk, files, &mut found)?;
    let segment = if found.segments.is_empty() && base == Revision(0) {
        create(disk, files)?
    } else {
        replay_segments(disk, files, &found.segments, &mut index)?
    };
    sync_dir(disk, files)?;
    Ok(Replayed {
        index,
        segment,
        snapshot,
    })
}

/// Passes over segments that a crash or a full disk left without a batch. One
/// stays if it is all there is: what comes after a snapshot.
fn drop_unused(disk: &dyn Disk, files: &Files, found: &mut Found) -> Result<(), Error> {
    let mut used = Vec::new();
    for first in &found.segments {
        if size(disk, &files.segment(*first))? > HEADER as u64 {
            used.push(*first);
        }
    }
    let is_first_start_cut_short = used.is_empty() && found.snapshots.is_empty();
    if used.is_empty() && !is_first_start_cut_short {
        used.extend(found.segments.first());
    }
    for first in &found.segments {
        if !used.contains(first) {
            remove(disk, &files.segment(*first))?;
        }
    }
    found.segments = used;
    Ok(())
}

fn replay_segments(
    disk: &dyn Disk,
    files: &Files,
    segments: &[Revision],
    index: &mut Index,
) -> Result<Segment, Error> {
    let mut end = 0;
    for (at, first) in segments.iter().enumerate() {
        if *first != index.newest().next() {
            return Err(missing(files, index));
        }
        let is_last = at + 1 == segments.len();
        end = replay_segment(disk, files, *first, index, is_last)?;
    }
    let Some(last) = segments.last() else {
        return Err(missing(files, index));
    };
    let path = files.segment(*last);
    Segment::reopen(disk, path.clone(), end).map_err(|source| Error::Io {
        what: "go on with",
        path,
        source,
    })
}

/// Answers where the segment's whole batches end.
fn replay_segment(
    disk: &dyn Disk,
    files: &Files,
    first: Revision,
    index: &mut Index,
    is_last: bool,
) -> Result<u64, Error> {
    let path = files.segment(first);
    let mut reader = Reader::open(disk, &path, Kind::Segment)?;
    if reader.revision != first {
        return Err(reader.damaged("the header has another revision than the name"));
    }
    loop {
        let next = reader.next()?;
        match next {
            Next::Batch(first, batch) => replay_batch(&reader, first, &batch, index)?,
            Next::End => return size(disk, &path),
            Next::Torn(offset) if is_last => {
                tracing::warn!(path = %path.display(), offset, "cut off a torn write that nobody was told of");
                return Ok(offset);
            }
            Next::Torn(_) => return Err(reader.damaged("a batch is torn and a segment follows")),
        }
    }
}

fn replay_batch(
    reader: &Reader,
    first: Revision,
    batch: &[u8],
    index: &mut Index,
) -> Result<(), Error> {
    if first != index.newest().next() {
        return Err(reader.damaged("the revisions are out of order before this"));
    }
    let mut records = batch;
    while !records.is_empty() {
        let record = format::take_record(&mut records);
        let change = record.and_then(|record| change(record, index));
        let change = change.ok_or_else(|| reader.damaged("a record before this makes no sense"))?;
        index.apply(Arc::new(change));
    }
    Ok(())
}

fn change(record: Record, index: &Index) -> Option<Change> {
    let revision = index.newest().next();
    match record {
        Record::Put { key, value } => {
            let previous = index.get(&key);
            let entry = Entry {
                key: previous.as_ref().map_or(key, |entry| entry.key.clone()),
                value,
                created: previous.as_ref().map_or(revision, |entry| entry.created),
                modified: revision,
            };
            Some(Change::Put { entry, previous })
        }
        Record::Delete { key } => Some(Change::Delete {
            previous: index.get(&key)?,
            key,
            revision,
        }),
        Record::Kept(_) | Record::End { .. } => None,
    }
}

fn create(disk: &dyn Disk, files: &Files) -> Result<Segment, Error> {
    let first = Revision(1);
    Segment::create(disk, files, first).map_err(|source| Error::Io {
        what: "create",
        path: files.segment(first),
        source,
    })
}

fn missing(files: &Files, index: &Index) -> Error {
    Error::Missing {
        dir: files.dir().to_owned(),
        revision: index.newest().next(),
    }
}

fn size(disk: &dyn Disk, path: &std::path::Path) -> Result<u64, Error> {
    disk.size(path).map_err(|source| Error::Io {
        what: "look at",
        path: path.to_owned(),
        source,
    })
}

fn remove(disk: &dyn Disk, path: &std::path::Path) -> Result<(), Error> {
    disk.remove(path).map_err(|source| Error::Io {
        what: "remove",
        path: path.to_owned(),
        source,
    })
}

fn sync_dir(disk: &dyn Disk, files: &Files) -> Result<(), Error> {
    disk.sync_dir(files.dir()).map_err(|source| Error::Io {
        what: "sync",
        path: files.dir().to_owned(),
        source,
    })
}
