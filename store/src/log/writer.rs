//! The one thread that writes: takes what waits as a batch, makes it durable
//! with one sync, then visible, then acknowledges it.

use std::{
    io,
    sync::{Arc, atomic::Ordering},
};

use tokio::sync::mpsc;

use super::{
    Shared,
    files::Files,
    format,
    plan::{Plan, Write},
    segment::{Failure, Segment},
    snapshot::Snapshots,
};
use crate::{Change, Error, Revision, disk::Disk};

/// How many writes and, softly, how many bytes go into one batch.
const BATCH_WRITES: usize = 1024;
const BATCH_BYTES: usize = 4 << 20;

#[derive(Debug)]
pub enum Request {
    Write(Write),
    /// Stop once what is queued is written.
    Close,
}

pub struct Writer {
    pub shared: Arc<Shared>,
    pub disk: Arc<dyn Disk>,
    pub files: Files,
    pub segment: Segment,
    pub snapshots: Snapshots,
    /// Why no further write is taken.
    pub poison: Option<Failure>,
    pub buffer: Vec<u8>,
}

impl Writer {
    /// Runs until it is told to close or the log is dropped.
    pub fn run(mut self, mut requests: mpsc::Receiver<Request>) {
        let mut waiting = Vec::with_capacity(BATCH_WRITES);
        while requests.blocking_recv_many(&mut waiting, BATCH_WRITES) > 0 {
            let mut writes = Vec::with_capacity(waiting.len());
            let mut is_closing = false;
            for request in waiting.drain(..) {
                match request {
                    Request::Write(write) => writes.push(write),
                    Request::Close => is_closing = true,
                }
            }
            if is_closing {
                // What is queued already is still written; nothing else is.
                requests.close();
            }
            let count = writes.len();
            self.commit_all(writes);
            self.shared.gathering.wait(&requests, count);
        }
        self.shared.hub.close();
        self.snapshots.stop();
    }

    fn commit_all(&mut self, writes: Vec<Write>) {
        let mut batch = Vec::new();
        let mut size = 0;
        for write in writes {
            size += write.size();
            batch.push(write);
            if size >= BATCH_BYTES {
                self.commit(std::mem::take(&mut batch));
                size = 0;
            }
        }
        if !batch.is_empty() {
            self.commit(batch);
        }
    }

    fn commit(&mut self, writes: Vec<Write>) {
        let (changes, mut answers) = self.plan(writes);
        let is_full = answers
            .iter()
            .any(|(_, answer)| matches!(answer, Err(Error::Quota { .. })));
        let outcome = self.make_durable(&changes);
        match &outcome {
            Ok(()) => self.make_visible(&changes),
            // Everyone is told, also who was refused: what they conflicted
            // with may have been part of this batch.
            Err(failure) => {
                for (_, answer) in &mut answers {
                    *answer = Err(self.segment.error(failure));
                }
            }
        }
        // What was refused for what then failed, was refused for nothing.
        self.watch_quota(is_full && outcome.is_ok());
        for (waiter, answer) in answers {
            // A waiter that has gone away does not want to know.
            let _ = waiter.send(answer);
        }
        if outcome.is_ok() {
            self.rotate_if_due();
        }
    }

    fn plan(&self, writes: Vec<Write>) -> Planned {
        let index = self.shared.index();
        let mut plan = Plan::new(&index, &self.shared.quota, writes.len());
        for write in writes {
            plan.add(write);
        }
        (plan.changes, plan.answers)
    }

    fn make_durable(&mut self, changes: &[Arc<Change>]) -> Result<(), Failure> {
        let Some(first) = changes.first() else {
            return Ok(());
        };
        if let Some(poison) = &self.poison {
            return Err(poison.clone());
        }
        format::begin_batch(&mut self.buffer);
        for change in changes {
            format::put_change(&mut self.buffer, change);
        }
        format::end_batch(&mut self.buffer, first.revision());
        let appended = self.segment.append(&self.buffer);
        self.buffer.shrink_to(BATCH_BYTES / 4);
        if let Err(failure @ Failure::Unknown { .. }) = &appended {
            self.poison(failure.clone());
        }
        appended
    }

    fn make_visible(&self, changes: &[Arc<Change>]) {
        if changes.is_empty() {
            return;
        }
        let mut index = self.shared.index_mut();
        for change in changes {
            index.apply(Arc::clone(change));
        }
        drop(index);
        self.shared.hub.publish(changes);
    }

    /// Before anyone is answered: who is refused finds the alarm raised.
    fn watch_quota(&self, is_full: bool) {
        let live = self.shared.index().live();
        if is_full {
            self.shared.quota.refused(live);
        } else {
            self.shared.quota.settle(live);
        }
    }

    /// Starts a new segment and a snapshot of everything before it.
    fn rotate_if_due(&mut self) {
        // A file that failed stays, to be looked at.
        if self.poison.is_some() || !self.snapshots.is_due(self.segment.size()) {
            return;
        }
        let first = self.shared.index().newest().next();
        match Segment::create(&*self.disk, &self.files, first) {
            Ok(segment) => {
                self.segment = segment;
                self.snapshots.start(&self.shared, &self.disk, &self.files);
            }
            Err(error) => self.give_up_rotation(first, error),
        }
    }

    /// Goes on with the old segment. If the new one cannot be removed, it stays
    /// without a batch in it, and the next start passes over it.
    fn give_up_rotation(&mut self, first: Revision, error: io::Error) {
        self.snapshots.put_off(self.segment.size());
        let path = self.files.segment(first);
        tracing::warn!(path = %path.display(), %error, "cannot start a new log segment, going on with the old one");
        let _ = self.disk.remove(&path);
    }

    fn poison(&mut self, failure: Failure) {
        let error: Error = self.segment.error(&failure);
        tracing::error!(%error, "the store takes no more writes");
        self.poison = Some(failure);
        self.shared.is_stopped.store(true, Ordering::Relaxed);
    }
}

type Planned = (
    Vec<Arc<Change>>,
    Vec<(super::plan::Answer, Result<Arc<Change>, Error>)>,
);
