//! Lets a batch grow before it is written: a sync costs the machine as much as
//! several writes do, however many it makes durable.
//!
//! Who was answered a moment ago likely writes again. So the next batch is taken
//! when as many wait as the last one had, or a moment after that one was
//! answered. A lone writer never waits, nor does the first write after a pause.

use std::{
    sync::atomic::{AtomicUsize, Ordering},
    thread::{self, Thread},
    time::{Duration, Instant},
};

use tokio::sync::mpsc;

/// How long those who were answered have to come again.
pub const PATIENCE: Duration = Duration::from_millis(2);

#[derive(Debug)]
pub struct Gathering {
    patience: Duration,
    /// How many the writer sleeps for; 0 while it does not.
    wanted: AtomicUsize,
}

impl Gathering {
    pub fn new(patience: Duration) -> Self {
        Self {
            patience,
            wanted: AtomicUsize::new(0),
        }
    }

    /// Blocks the writer, which has just answered `last` writes, until as many
    /// wait in the queue or its patience ends.
    pub fn wait<T>(&self, queue: &mpsc::Receiver<T>, last: usize) {
        if last < 2 {
            return;
        }
        let start = Instant::now();
        self.wanted.store(last, Ordering::SeqCst);
        while queue.len() < last && !queue.is_closed() {
            let left = self.patience.saturating_sub(start.elapsed());
            if left.is_zero() {
                break;
            }
            // Woken for nothing, it looks again; not woken, it has lost a moment.
            thread::park_timeout(left);
        }
        self.wanted.store(0, Ordering::SeqCst);
    }

    /// Wakes the writer if it sleeps and enough wait by now.
    pub fn queued<T>(&self, queue: &mpsc::Sender<T>, writer: &Thread) {
        let wanted = self.wanted.load(Ordering::SeqCst);
        if wanted > 0 && queue.max_capacity() - queue.capacity() >= wanted {
            writer.unpark();
        }
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use super::*;

    const FOR_EVER: Duration = Duration::from_secs(1 << 30);

    #[test]
    fn a_lone_writer_is_not_waited_for() {
        let (_sender, queue) = mpsc::channel::<()>(8);
        Gathering::new(FOR_EVER).wait(&queue, 1);
        assert!(queue.is_empty());
    }

    #[test]
    fn a_batch_is_taken_once_as_many_wait_as_the_last_one_had() {
        let gathering = Arc::new(Gathering::new(FOR_EVER));
        let (sender, queue) = mpsc::channel(8);
        let writer = thread::spawn({
            let gathering = Arc::clone(&gathering);
            move || {
                gathering.wait(&queue, 3);
                queue.len()
            }
        });
        for number in 0..3 {
            sender.try_send(number).unwrap();
            gathering.queued(&sender, writer.thread());
        }
        assert_eq!(writer.join().unwrap(), 3);
    }

    #[test]
    fn who_does_not_come_again_is_not_waited_for_long() {
        let (sender, queue) = mpsc::channel(8);
        sender.try_send(()).unwrap();
        Gathering::new(Duration::from_millis(1)).wait(&queue, 2);
        assert_eq!(queue.len(), 1);
    }

    #[test]
    fn nobody_is_waited_for_once_the_last_who_could_come_is_gone() {
        let (sender, queue) = mpsc::channel::<()>(8);
        drop(sender);
        Gathering::new(FOR_EVER).wait(&queue, 2);
        assert!(queue.is_closed());
    }
}
