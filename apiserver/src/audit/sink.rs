//! The thread that writes.

use std::io::Write;
use std::sync::Mutex;
use std::sync::PoisonError;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::mpsc::{self, Receiver, SyncSender, TrySendError};
use std::thread::JoinHandle;

use super::rotate::File;
use super::{Config, Error};

/// Lines that wait to be written.
const QUEUE: usize = 10_000;
/// Lines that one flush writes at most.
const BATCH: usize = 400;

pub struct Sink {
    queue: Option<SyncSender<Message>>,
    lost: AtomicU64,
    thread: Mutex<Option<JoinHandle<()>>>,
}

enum Message {
    Line(Vec<u8>),
    /// Answered when all before it is written.
    Flush(SyncSender<()>),
}

impl Sink {
    pub fn open(config: &Config) -> Result<Self, Error> {
        let out: Box<dyn Out> = if config.log.as_os_str() == "-" {
            Box::new(std::io::stdout())
        } else {
            Box::new(File::open(config).map_err(|source| Error::Open {
                path: config.log.clone(),
                source,
            })?)
        };
        let (queue, lines) = mpsc::sync_channel(QUEUE);
        let thread = std::thread::Builder::new()
            .name("audit".into())
            .spawn(move || write_all(out, &lines))
            .map_err(|source| Error::Open {
                path: config.log.clone(),
                source,
            })?;
        Ok(Self {
            queue: Some(queue),
            lost: AtomicU64::new(0),
            thread: Mutex::new(Some(thread)),
        })
    }

    /// Takes a line for the writer; one too many is lost, and said to be.
    pub fn write(&self, mut line: Vec<u8>) {
        line.push(b'\n');
        let Some(queue) = &self.queue else { return };
        match queue.try_send(Message::Line(line)) {
            Ok(()) => {}
            Err(TrySendError::Full(_) | TrySendError::Disconnected(_)) => self.lose(),
        }
    }

    fn lose(&self) {
        let before = self.lost.fetch_add(1, Ordering::Relaxed);
        // Once for 1, 2, 4, 8, ...: a full disk must not fill the other log.
        if (before + 1).is_power_of_two() {
            let lost = before + 1;
            tracing::error!(lost, "audit events are lost: the log is written too slowly");
        }
    }

    pub fn lost(&self) -> u64 {
        self.lost.load(Ordering::Relaxed)
    }

    pub fn flush(&self) {
        let (done, written) = mpsc::sync_channel(1);
        let Some(queue) = &self.queue else { return };
        if queue.send(Message::Flush(done)).is_ok() {
            let _ = written.recv();
        }
    }
}

impl Drop for Sink {
    fn drop(&mut self) {
        self.queue = None;
        let mut thread = self.thread.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(thread) = thread.take() {
            let _ = thread.join();
        }
    }
}

/// Where lines go.
pub trait Out: Send {
    /// Writes whole lines.
    fn put(&mut self, lines: &[u8]) -> std::io::Result<()>;
}

impl Out for std::io::Stdout {
    fn put(&mut self, lines: &[u8]) -> std::io::Result<()> {
        self.write_all(lines)?;
        self.flush()
    }
}

fn write_all(mut out: Box<dyn Out>, queue: &Receiver<Message>) {
    let mut is_failing = false;
    while let Ok(first) = queue.recv() {
        let mut lines = Vec::new();
        let mut flushes = Vec::new();
        let more = std::iter::from_fn(|| queue.try_recv().ok());
        for message in std::iter::once(first).chain(more).take(BATCH) {
            match message {
                Message::Line(line) => lines.extend_from_slice(&line),
                Message::Flush(done) => flushes.push(done),
            }
        }
        match out.put(&lines) {
            Ok(()) => is_failing = false,
            Err(error) if !is_failing => {
                is_failing = true;
                tracing::error!(%error, "write the audit log: events are lost until this ends");
            }
            Err(_) => {}
        }
        for done in flushes {
            let _ = done.send(());
        }
    }
}
