//! From a file to a store's directory.

use std::{io, path::Path};

use super::{Summary, of_backup};
use crate::{
    Entry, Error, Revision,
    disk::{Disk, File},
    log::{
        self,
        files::Files,
        format::{HEADER, MAX_REVISION},
        kept::{Decoder, Encoder},
        segment::Segment,
    },
};

/// How far revisions go up in a restore, if nobody says otherwise: further than
/// a cluster gets between a backup and its loss.
pub const BUMP: u64 = 1_000_000_000;

/// Fills the directory of a store with what a backup holds.
///
/// Clients remember revisions that the lost store gave after the backup was
/// made. Were these given again, a client would watch from one of them and miss
/// what happened before it. So the store goes on `bump` revisions later, and its
/// history begins there: whoever watches from before is told that it is
/// compacted, and lists again.
///
/// It is all there or nothing: until the last step a start finds an empty store.
///
/// # Errors
/// [`Error::NotEmpty`] if there is a store already, [`Error::InUse`] if it is
/// open; [`Error::BadBackup`] and [`Error::Version`] as [`super::verify`].
pub fn restore(disk: &dyn Disk, path: &Path, dir: &Path, bump: u64) -> Result<Summary, Error> {
    // All of it is read before anything is touched.
    let found = super::verify(disk, path)?;
    let revision = bumped(path, found.revision, bump)?;
    let files = Files::new(dir);
    let _lock = log::claim(disk, &files)?;
    check_empty(disk, &files)?;
    let unfinished = files.unfinished_snapshot(revision);
    let written = write(disk, path, &unfinished, revision);
    if written.is_err() {
        // What is left would only be removed by the next start.
        let _ = disk.remove(&unfinished);
    }
    written?;
    finish(disk, &files, revision).map_err(|source| failed("restore into", dir, source))?;
    Ok(Summary { revision, ..found })
}

fn bumped(path: &Path, revision: Revision, bump: u64) -> Result<Revision, Error> {
    let bumped = revision.0.checked_add(bump).filter(|r| *r <= MAX_REVISION);
    // Zero is the empty store's, which has no snapshot.
    let bumped = bumped.filter(|revision| *revision > 0);
    bumped.map(Revision).ok_or_else(|| Error::BadBump {
        path: path.to_owned(),
        revision,
        bump,
    })
}

/// A store that was opened but never written to counts as empty.
fn check_empty(disk: &dyn Disk, files: &Files) -> Result<(), Error> {
    let found = files.find(disk)?;
    let not_empty = || Error::NotEmpty {
        dir: files.dir().to_owned(),
    };
    if !found.snapshots.is_empty() {
        return Err(not_empty());
    }
    for first in &found.segments {
        let segment = files.segment(*first);
        let size = disk.size(&segment);
        if size.map_err(|source| failed("look at", &segment, source))? > HEADER as u64 {
            return Err(not_empty());
        }
    }
    let segments = found.segments.iter().map(|first| files.segment(*first));
    for unused in segments.chain(found.unfinished) {
        let removed = disk.remove(&unused);
        removed.map_err(|source| failed("remove", &unused, source))?;
    }
    Ok(())
}

fn write(disk: &dyn Disk, from: &Path, to: &Path, revision: Revision) -> Result<(), Error> {
    let wrong = |source| failed("write", to, source);
    let mut decoder = Decoder::open(disk, from).map_err(of_backup)?;
    let mut encoder = Encoder::new(revision);
    let mut file = disk.create(to).map_err(wrong)?;
    file.write_all(&encoder.header()).map_err(wrong)?;
    while let Some(entries) = decoder.next().map_err(of_backup)? {
        write_batch(&mut *file, &mut encoder, &entries).map_err(wrong)?;
    }
    file.write_all(encoder.end()).map_err(wrong)?;
    file.sync().map_err(wrong)
}

fn write_batch(file: &mut dyn File, encoder: &mut Encoder, entries: &[Entry]) -> io::Result<()> {
    if entries.is_empty() {
        return Ok(());
    }
    file.write_all(encoder.batch(entries))
}

/// The order is the design: without the snapshot a log of its own is no store,
/// while the snapshot without its log is a damaged one.
fn finish(disk: &dyn Disk, files: &Files, revision: Revision) -> io::Result<()> {
    Segment::create(disk, files, revision.next())?;
    disk.rename(
        &files.unfinished_snapshot(revision),
        &files.snapshot(revision),
    )?;
    disk.sync_dir(files.dir())
}

fn failed(what: &'static str, path: &Path, source: io::Error) -> Error {
    Error::Io {
        what,
        path: path.to_owned(),
        source,
    }
}
