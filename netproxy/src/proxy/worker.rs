//! The threads that forward: each runs an event loop of its own, so that a
//! connection never changes threads, and a busy agent does not delay it.

use std::thread::JoinHandle;

use nix::sys::resource::{Resource, getrlimit, setrlimit};
use tokio::runtime::{Builder, Handle};
use tokio_util::sync::CancellationToken;

use crate::{Error, Result};

const MOST: usize = 4;

/// The forwarding threads; dropped or closed, they end what they forward.
pub struct Workers {
    handles: Vec<Handle>,
    threads: Vec<JoinHandle<()>>,
    stop: CancellationToken,
    turn: usize,
}

impl Workers {
    pub fn start(count: Option<usize>) -> Result<Self> {
        let processors = std::thread::available_parallelism().map_or(1, usize::from);
        let stop = CancellationToken::new();
        let mut workers = Self {
            handles: Vec::new(),
            threads: Vec::new(),
            stop,
            turn: 0,
        };
        for _ in 0..count.unwrap_or(processors.min(MOST)).max(1) {
            workers.add().map_err(|source| Error::Worker { source })?;
        }
        Ok(workers)
    }

    fn add(&mut self) -> std::io::Result<()> {
        let runtime = Builder::new_current_thread().enable_all().build()?;
        self.handles.push(runtime.handle().clone());
        let stop = self.stop.clone();
        let thread = std::thread::Builder::new()
            .name("skiff-proxy".to_owned())
            .spawn(move || runtime.block_on(stop.cancelled()))?;
        self.threads.push(thread);
        Ok(())
    }

    pub fn all(&self) -> &[Handle] {
        &self.handles
    }

    /// One thread, the next each time.
    pub fn next(&mut self) -> &Handle {
        self.turn = (self.turn + 1) % self.handles.len();
        &self.handles[self.turn]
    }

    /// Stops the threads and waits until they are gone.
    pub async fn close(mut self) {
        self.stop.cancel();
        let threads = std::mem::take(&mut self.threads);
        let joined = tokio::task::spawn_blocking(move || {
            for thread in threads {
                // A panic of a thread was reported when it happened.
                let _ = thread.join();
            }
        });
        let _ = joined.await;
    }
}

impl Drop for Workers {
    fn drop(&mut self) {
        self.stop.cancel();
    }
}

/// A forwarded connection takes two descriptors, a UDP client one: the usual
/// soft limit of 1024 is soon reached.
pub fn raise_descriptor_limit() {
    let raised = getrlimit(Resource::RLIMIT_NOFILE)
        .and_then(|(_, hard)| setrlimit(Resource::RLIMIT_NOFILE, hard, hard));
    if let Err(error) = raised {
        tracing::warn!(%error, "the limit of open files stays low: fewer connections can be forwarded");
    }
}
