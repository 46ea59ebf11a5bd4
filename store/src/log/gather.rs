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

/// How long those who were answered have to come again: the more they are, the
/// longer, as then a sync saved is worth more and nobody waits for one alone.
#[derive(Clone, Copy, Debug)]
pub struct Patience {
    pub each: Duration,
    pub most: Duration,
}

impl Default for Patience {
    fn default() -> Self {
        Self {
            each: Duration::from_micros(100),
            most: Duration::from_millis(4),
        }
    }
}

impl Patience {
    fn with(self, count: usize) -> Duration {
        let count = u32::try_from(count).unwrap_or(u32::MAX);
        self.each.saturating_mul(count).min(self.most)
    }
}

#[derive(Debug)]
pub struct Gathering {
    patience: Patience,
    /// How many the writer sleeps for; 0 while it does not.
    wanted: AtomicUsize,
}

impl Gathering {
    pub fn new(patience: Patience) -> Self {
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
        let (start, patience) = (Instant::now(), self.patience.with(last));
        self.wanted.store(last, Ordering::SeqCst);
        while queue.len() < last && !queue.is_closed() {
            let left = patience.saturating_sub(start.elapsed());
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

    const FOR_EVER: Patience = Patience {
        each: Duration::from_secs(1 << 30),
        most: Duration::from_secs(1 << 30),
    };

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
        Gathering::new(Patience::default()).wait(&queue, 2);
        assert_eq!(queue.len(), 1);
    }

    #[test]
    fn two_are_waited_for_less_long_than_many_and_all_for_no_longer_than_the_most() {
        let patience = Patience::default();
        assert!(patience.with(2) < patience.with(20));
        assert_eq!(patience.with(1024), patience.most);
    }

    #[test]
    fn nobody_is_waited_for_once_the_last_who_could_come_is_gone() {
        let (sender, queue) = mpsc::channel::<()>(8);
        drop(sender);
        Gathering::new(FOR_EVER).wait(&queue, 2);
        assert!(queue.is_closed());
    }
}
