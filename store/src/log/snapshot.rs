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
    format::{self, HEADER, Kind, Record},
    reader::{Next, Reader},
};
use crate::{
    Error, Revision,
    disk::{Disk, File},
    index::Index,
};

/// How much is copied out of the index at a time, while writers wait.
const SLICE: usize = 1 << 20;
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
        file.write_all(&format::header(Kind::Snapshot, self.revision))?;
        let (mut size, mut entries, mut unsynced) = (HEADER as u64, 0, 0);
        let mut buffer = Vec::new();
        let mut after: Option<bytes::Bytes> = None;
        loop {
            if self.stop.load(Ordering::Relaxed) {
                return Err(io::ErrorKind::Interrupted.into());
            }
            let index = self.shared.index();
            let slice = index.slice(after.as_deref(), self.revision, SLICE);
            drop(index);
            format::begin_batch(&mut buffer);
            for entry in &slice {
                format::put_kept(&mut buffer, entry);
            }
            entries += slice.len() as u64;
            if slice.is_empty() {
                format::put_end(&mut buffer, entries);
            }
            format::end_batch(&mut buffer, self.revision);
            file.write_all(&buffer)?;
            size += buffer.len() as u64;
            unsynced = sync_if_much(&mut *file, unsynced + buffer.len())?;
            match slice.last() {
                Some(last) => after = Some(last.key.clone()),
                None => break,
            }
        }
        file.sync()?;
        Ok(size)
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
    let mut reader = Reader::open(disk, path, Kind::Snapshot)?;
    if reader.revision != index.newest() {
        return Err(reader.damaged("the header has another revision than the name"));
    }
    let mut entries = 0;
    loop {
        let batch = match reader.next()? {
            Next::Batch(_, batch) => batch,
            Next::End | Next::Torn(_) => return Err(reader.damaged("the snapshot is cut off")),
        };
        let mut records = &batch[..];
        while !records.is_empty() {
            match format::take_record(&mut records) {
                Some(Record::Kept(entry)) => {
                    entries += 1;
                    index.restore(entry);
                }
                Some(Record::End { entries: all }) if all == entries => return Ok(()),
                _ => return Err(reader.damaged("a record does not belong there")),
            }
        }
    }
}
