//! The keys a controller has to look at.
//!
//! A key is in the queue once, however often it is added, and is worked on by
//! one worker at a time; added while worked on, it comes again afterwards.

use std::collections::{BTreeSet, HashMap, HashSet, VecDeque};
use std::sync::{Arc, Mutex, MutexGuard, OnceLock, PoisonError};
use std::time::Duration;

use tokio::sync::Notify;
use tokio::time::Instant;

use crate::key::Key;
use crate::metrics::Workqueue;

const FIRST_RETRY: Duration = Duration::from_millis(5);
/// Beyond this many, those that have rested are forgotten.
const RESTING: usize = 1024;
const LONGEST_RETRY: Duration = Duration::from_secs(300);

#[derive(Default)]
pub struct Queue {
    state: Mutex<State>,
    changed: Notify,
    /// Counted by the queue's name once it has one.
    metrics: OnceLock<Workqueue>,
}

#[derive(Default)]
struct State {
    ready: VecDeque<Key>,
    /// In `ready`, or to be put there when its worker is done; and since when.
    wanted: HashMap<Key, Instant>,
    working: HashSet<Key>,
    /// Keys to come later, soonest first; each key once.
    delayed: BTreeSet<(Instant, Key)>,
    due: HashMap<Key, Instant>,
    /// Keys that are not to come before this.
    resting: HashMap<Key, Instant>,
    failures: HashMap<Key, u32>,
}

impl Queue {
    pub fn new() -> Arc<Self> {
        Arc::default()
    }

    /// From now on the queue is counted as `name`.
    pub fn name(&self, name: &str) {
        self.metrics.get_or_init(|| Workqueue::of(name));
    }

    pub fn add(&self, key: Key) {
        let mut state = self.lock();
        state.add(key, Instant::now());
        self.count(|metrics| metrics.added(1, state.ready.len()));
        drop(state);
        self.changed.notify_one();
    }

    /// Adds the key once `wait` has passed, or sooner if that was asked before.
    pub fn add_after(&self, key: Key, wait: Duration) {
        self.lock().delay(key, Instant::now() + wait);
        self.changed.notify_one();
    }

    /// Waits for the next key and takes it; `done` must follow.
    pub async fn take(&self) -> Key {
        loop {
            let timer = {
                let mut state = self.lock();
                let due = state.promote(Instant::now());
                self.count(|metrics| metrics.added(due, state.ready.len()));
                if let Some((key, since)) = state.take() {
                    if !state.ready.is_empty() {
                        self.changed.notify_one();
                    }
                    self.count(|metrics| metrics.taken(state.ready.len(), since));
                    return key;
                }
                state.delayed.first().map(|(at, _)| *at)
            };
            match timer {
                None => self.changed.notified().await,
                Some(at) => {
                    let _ = tokio::time::timeout_at(at, self.changed.notified()).await;
                }
            }
        }
    }

    /// The key was dealt with, and is not to come again before `rest` has
    /// passed; its failures are forgotten.
    pub fn done(&self, key: &Key, rest: Duration) {
        let mut state = self.lock();
        state.failures.remove(key);
        state.rest(key, Instant::now(), rest);
        state.finish(key);
        drop(state);
        self.changed.notify_one();
    }

    /// The key comes back after a back-off that doubles with each failure.
    pub fn failed(&self, key: &Key) {
        let wait = {
            let mut state = self.lock();
            let failures = state.failures.entry(key.clone()).or_default();
            *failures += 1;
            let wait = retry_after(*failures);
            state.finish(key);
            wait
        };
        self.count(Workqueue::failed);
        self.add_after(key.clone(), wait);
    }

    /// A key was worked on for so long.
    pub fn worked(&self, took: Duration) {
        self.count(|metrics| metrics.worked(took));
    }

    fn count(&self, count: impl FnOnce(&Workqueue)) {
        if let Some(metrics) = self.metrics.get() {
            count(metrics);
        }
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl State {
    fn want(&mut self, key: Key, now: Instant) {
        if self.wanted.contains_key(&key) {
            return;
        }
        self.wanted.insert(key.clone(), now);
        if !self.working.contains(&key) {
            self.ready.push_back(key);
        }
    }

    fn add(&mut self, key: Key, now: Instant) {
        match self.resting.get(&key) {
            Some(until) if *until > now => self.delay(key.clone(), *until),
            _ => self.want(key, now),
        }
    }

    fn rest(&mut self, key: &Key, now: Instant, rest: Duration) {
        if rest.is_zero() {
            return;
        }
        if self.resting.len() >= RESTING {
            self.resting.retain(|_, until| *until > now);
        }
        self.resting.insert(key.clone(), now + rest);
        if self.wanted.remove(key).is_some() {
            self.delay(key.clone(), now + rest);
        }
    }

    /// The first key, and since when it was wanted.
    fn take(&mut self) -> Option<(Key, Option<Instant>)> {
        let key = self.ready.pop_front()?;
        let since = self.wanted.remove(&key);
        self.working.insert(key.clone());
        Some((key, since))
    }

    fn finish(&mut self, key: &Key) {
        self.working.remove(key);
        if self.wanted.contains_key(key) {
            self.ready.push_back(key.clone());
        }
    }

    fn delay(&mut self, key: Key, at: Instant) {
        if let Some(due) = self.due.get(&key) {
            if *due <= at {
                return;
            }
            self.delayed.remove(&(*due, key.clone()));
        }
        self.due.insert(key.clone(), at);
        self.delayed.insert((at, key));
    }

    /// Makes ready what is due; answers how many that are.
    fn promote(&mut self, now: Instant) -> usize {
        let mut promoted = 0;
        while self.delayed.first().is_some_and(|(at, _)| *at <= now) {
            if let Some((_, key)) = self.delayed.pop_first() {
                self.due.remove(&key);
                self.want(key, now);
                promoted += 1;
            }
        }
        promoted
    }
}

fn retry_after(failures: u32) -> Duration {
    let doubled = FIRST_RETRY.saturating_mul(1 << failures.saturating_sub(1).min(20));
    doubled.min(LONGEST_RETRY)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn key(name: &str) -> Key {
        Key::new("d", name)
    }

    #[tokio::test]
    async fn key_added_twice_comes_once() {
        let queue = Queue::new();
        queue.add(key("a"));
        queue.add(key("a"));
        queue.add(key("b"));
        assert_eq!(queue.take().await, key("a"));
        assert_eq!(queue.take().await, key("b"));
    }

    #[tokio::test(start_paused = true)]
    async fn key_added_while_worked_on_waits_for_its_worker() {
        let queue = Queue::new();
        queue.add(key("a"));
        let taken = queue.take().await;
        queue.add(key("a"));
        let soon = tokio::time::timeout(Duration::from_secs(1), queue.take()).await;
        assert!(soon.is_err());
        queue.done(&taken, Duration::ZERO);
        assert_eq!(queue.take().await, key("a"));
    }

    #[tokio::test(start_paused = true)]
    async fn key_delayed_twice_comes_once_at_the_sooner_time() {
        let queue = Queue::new();
        let start = Instant::now();
        queue.add_after(key("a"), Duration::from_secs(9));
        queue.add_after(key("a"), Duration::from_secs(3));
        queue.add_after(key("a"), Duration::from_secs(5));
        let taken = queue.take().await;
        assert_eq!(start.elapsed().as_secs(), 3);
        queue.done(&taken, Duration::ZERO);
        let again = tokio::time::timeout(Duration::from_secs(60), queue.take()).await;
        assert!(again.is_err());
    }

    #[tokio::test(start_paused = true)]
    async fn resting_key_comes_once_when_it_has_rested() {
        let queue = Queue::new();
        let start = Instant::now();
        queue.add(key("a"));
        let taken = queue.take().await;
        queue.add(key("a"));
        queue.done(&taken, Duration::from_secs(2));
        queue.add(key("a"));
        let taken = queue.take().await;
        assert_eq!(start.elapsed().as_secs(), 2);
        queue.done(&taken, Duration::ZERO);
        let again = tokio::time::timeout(Duration::from_secs(60), queue.take()).await;
        assert!(again.is_err());
    }

    #[tokio::test(start_paused = true)]
    async fn failed_key_comes_back_later_each_time() {
        let queue = Queue::new();
        queue.add(key("a"));
        let mut waits = Vec::new();
        for _ in 0..4 {
            let before = Instant::now();
            let taken = queue.take().await;
            waits.push(before.elapsed().as_millis());
            queue.failed(&taken);
        }
        // The paused clock moves in whole milliseconds, upwards.
        assert!(waits.windows(2).all(|w| w[1] > w[0]), "{waits:?}");
    }

    #[tokio::test(start_paused = true)]
    async fn named_queue_counts_its_keys() {
        let told = || {
            let mut text = metrics::Text::new();
            metrics::SERVER.collect(&mut text);
            let of_this = |line: &&str| line.contains("name=\"counted\"");
            let lines: Vec<String> = text
                .as_str()
                .lines()
                .filter(of_this)
                .map(Into::into)
                .collect();
            lines
        };
        crate::metrics::tell();
        let queue = Queue::new();
        queue.name("counted");
        queue.add(key("a"));
        queue.add(key("b"));
        let taken = queue.take().await;
        queue.failed(&taken);
        let lines = told();
        for line in [
            "workqueue_adds_total{name=\"counted\"} 2",
            "workqueue_depth{name=\"counted\"} 1",
            "workqueue_retries_total{name=\"counted\"} 1",
            "workqueue_queue_duration_seconds_count{name=\"counted\"} 1",
        ] {
            assert!(lines.iter().any(|told| told == line), "{line}: {lines:?}");
        }
    }
}
