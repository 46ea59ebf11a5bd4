//! Snapshots: all that is live at one revision, so that the log before it can
//! go. Written in the background, beside the last one, and renamed when whole.

use std::{
    io,
    path::Path,
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    thread::{self, JoinHandle},
};

use super::{
    Shared,
    files::Files,
    format::HEADER,
    kept::{self, Decoder, Encoder},
};
use crate::{
    Entry, Error, Revision,
    disk::{Disk, File},
    index::Index,
};

/// How much is written between two syncs, so that the log's own syncs do not
/// have to wait for all of a snapshot.
const SYNC_EVERY: usize = 8 << 20;

/// When to take snapshots, and the one that is being taken.
#[derive(Debug)]
pub struct Snapshots {
    /// A segment this long is due.
    threshold: u64,
    after: u64,
    running: Option<JoinHandle<Option<u64>>>,
    stop: Arc<AtomicBool>,
}

impl Snapshots {
    /// `last` is the size of the snapshot there is.
    pub fn new(after: u64, last: u64) -> Self {
        Self {
            threshold: after.max(last),
            after,
            running: None,
            stop: Arc::new(AtomicBool::new(false)),
        }
    }

    pub fn is_due(&mut self, segment: u64) -> bool {
        if segment <= HEADER as u64 || segment < self.threshold {
            return false;
        }
        match self.running.take_if(|running| running.is_finished()) {
            Some(finished) => {
                let size = finished.join().ok().flatten().unwrap_or(0);
                // As much log as snapshot: a start reads twice what is live at
                // most, and a byte is written twice at most.
                self.threshold = self.after.max(size);
                segment >= self.threshold
            }
            None => self.running.is_none(),
        }
    }

    /// Asks again when the segment has grown by a good part.
    pub fn put_off(&mut self, segment: u64) {
        self.threshold = segment + self.after / 4;
    }

    /// Takes a snapshot of what is visible now; the log's last segment must
    /// begin right after it.
    pub fn start(&mut self, shared: &Arc<Shared>, disk: &Arc<dyn Disk>, files: &Files) {
        let task = Task {
            revision: shared.index_mut().pin(),
            shared: Arc::clone(shared),
            disk: Arc::clone(disk),
            files: files.clone(),
            stop: Arc::clone(&self.stop),
        };
        let shared = Arc::clone(shared);
        let thread = thread::Builder::new().name("store-snapshot".into());
        match thread.spawn(move || task.run()) {
            Ok(running) => self.running = Some(running),
            Err(error) => {
                shared.index_mut().unpin();
                tracing::warn!(%error, "cannot start a thread for a snapshot");
            }
        }
    }

    /// Abandons the snapshot that is being taken.
    pub fn stop(&mut self) {
        self.stop.store(true, Ordering::Relaxed);
        if let Some(running) = self.running.take() {
            // A panic was printed by its own thread; the log does without.
            let _ = running.join();
        }
    }
}

struct Task {
    shared: Arc<Shared>,
    disk: Arc<dyn Disk>,
    files: Files,
    revision: Revision,
    stop: Arc<AtomicBool>,
}

impl Task {
    /// Answers the snapshot's size.
    fn run(self) -> Option<u64> {
        let unfinished = self.files.unfinished_snapshot(self.revision);
        let written = self.write(&unfinished);
        self.shared.index_mut().unpin();
        match written.and_then(|size| self.finish(&unfinished).map(|()| size)) {
            Ok(size) => {
                tracing::debug!(revision = %self.revision, size, "took a snapshot");
                remove_superseded(&*self.disk, &self.files, self.revision);
                Some(size)
            }
            Err(error) => {
                let _ = self.disk.remove(&unfinished);
                if !self.stop.load(Ordering::Relaxed) {
                    tracing::warn!(path = %unfinished.display(), %error, "cannot take a snapshot; the log goes on growing");
                }
                None
            }
        }
    }

    fn write(&self, path: &Path) -> io::Result<u64> {
        let mut file = self.disk.create(path)?;
        let (mut size, mut unsynced) = (0, 0);
        kept::write(
            &mut Encoder::new(self.revision),
            |after| self.slice(after),
            |bytes| {
                file.write_all(bytes)?;
                size += bytes.len() as u64;
                unsynced = sync_if_much(&mut *file, unsynced + bytes.len())?;
                Ok(())
            },
        )?;
        file.sync()?;
        Ok(size)
    }

    fn slice(&self, after: Option<&[u8]>) -> io::Result<Vec<Entry>> {
        if self.stop.load(Ordering::Relaxed) {
            return Err(io::ErrorKind::Interrupted.into());
        }
        let index = self.shared.index();
        Ok(index.slice(after, self.revision, kept::SLICE))
    }

    fn finish(&self, unfinished: &Path) -> io::Result<()> {
        let finished = self.files.snapshot(self.revision);
        self.disk.rename(unfinished, &finished)?;
        self.disk.sync_dir(self.files.dir())
    }
}

fn sync_if_much(file: &mut dyn File, unsynced: usize) -> io::Result<usize> {
    if unsynced < SYNC_EVERY {
        return Ok(unsynced);
    }
    file.sync()?;
    Ok(0)
}

/// Removes what the snapshot at `revision` makes needless. What cannot be
/// removed now is tried again at the next snapshot or start.
pub fn remove_superseded(disk: &dyn Disk, files: &Files, revision: Revision) {
    let Ok(found) = files.find(disk) else { return };
    let segments = found.segments.iter().filter(|first| **first <= revision);
    let snapshots = found.snapshots.iter().filter(|other| **other < revision);
    let paths = segments
        .map(|first| files.segment(*first))
        .chain(snapshots.map(|other| files.snapshot(*other)));
    for path in paths {
        if let Err(error) = disk.remove(&path) {
            tracing::warn!(path = %path.display(), %error, "cannot remove a superseded file of the store");
        }
    }
}

/// Reads a snapshot into an empty index.
pub fn load(disk: &dyn Disk, path: &Path, index: &mut Index) -> Result<(), Error> {
    let mut decoder = Decoder::open(disk, path)?;
    if decoder.revision() != index.newest() {
        return Err(decoder.damaged("the header has another revision than the name"));
    }
    while let Some(entries) = decoder.next()? {
        entries.into_iter().for_each(|entry| index.restore(entry));
    }
    Ok(())
}
