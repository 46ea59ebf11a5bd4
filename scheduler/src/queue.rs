//! The pods that wait for a node.
//!
//! A pod is ready (to be looked at now), backing off (until a time), or parked
//! (until something in the cluster happens that could help it).

use std::cmp::Reverse;
use std::collections::{BTreeSet, BinaryHeap, HashMap};
use std::sync::Arc;
use std::time::Duration;

use tokio::time::Instant;

use crate::cache::Candidate;
use crate::happened::Happened;
use crate::plugins::Set;

mod early;
mod parked;

use early::Allowance;
use parked::Parked;

/// A parked pod is looked at again after this long, whatever happened.
const LONGEST_PARK: Duration = Duration::from_secs(300);

/// How long a pod waits after it did not fit: doubled each time.
#[derive(Debug, Clone, Copy)]
pub struct BackOff {
    pub first: Duration,
    pub longest: Duration,
}

impl Default for BackOff {
    fn default() -> Self {
        Self {
            first: Duration::from_secs(1),
            longest: Duration::from_secs(10),
        }
    }
}

impl BackOff {
    fn after(self, attempts: u32) -> Duration {
        let doubled = self
            .first
            .saturating_mul(1 << attempts.saturating_sub(1).min(16));
        doubled.min(self.longest)
    }
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum State {
    Ready,
    /// It did not fit, something happened that may help, and it is early yet.
    Helped {
        until: Instant,
    },
    /// Something went wrong that may pass by itself.
    Failed {
        until: Instant,
    },
    Parked {
        refused_by: Set,
        since: Instant,
    },
    /// Taken out by `pop`; comes back by `retry` or `park`, or is removed.
    Taken,
}

struct Waiting {
    candidate: Candidate,
    sequence: u64,
    added: Instant,
    attempts: u32,
    last_attempt: Option<Instant>,
    state: State,
}

/// Pods by what they wait for. Higher priority first, then first come first served.
#[derive(Default)]
pub struct Queue {
    pods: HashMap<Arc<str>, Waiting>,
    ready: BTreeSet<(Reverse<i32>, u64, Arc<str>)>,
    helped: BTreeSet<(Instant, Arc<str>)>,
    parked: Parked,
    timers: BinaryHeap<Reverse<(Instant, Arc<str>)>>,
    /// How many are `Failed`.
    failed: usize,
    early: Allowance,
    back_off: BackOff,
    next_sequence: u64,
}

/// How many pods wait, and for what.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Counts {
    pub ready: usize,
    pub backing_off: usize,
    pub parked: usize,
}

/// How a pod has waited so far.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Wait {
    pub added: Instant,
    pub attempts: u32,
    pub last_attempt: Option<Instant>,
}

impl Queue {
    pub fn new(back_off: BackOff) -> Self {
        Self {
            back_off,
            ..Self::default()
        }
    }

    /// Adds a pod, or takes over its changed spec and looks at it afresh.
    pub fn add(&mut self, candidate: Candidate) {
        let key = candidate.key.clone();
        if let Some(known) = self.pods.get_mut(&key)
            && known.candidate.uid == candidate.uid
        {
            // A status written by us comes back as a change; only a changed
            // template is a reason to look again.
            if Arc::ptr_eq(&known.candidate.template, &candidate.template) {
                return;
            }
            let is_waiting = known.state != State::Taken;
            self.leave(&key);
            if let Some(known) = self.pods.get_mut(&key) {
                known.candidate = candidate;
            }
            if is_waiting {
                self.make_ready(&key);
            }
            return;
        }
        self.remove(&key);
        self.next_sequence += 1;
        let waiting = Waiting {
            candidate,
            sequence: self.next_sequence,
            added: Instant::now(),
            attempts: 0,
            last_attempt: None,
            state: State::Taken,
        };
        self.pods.insert(key.clone(), waiting);
        self.make_ready(&key);
    }

    pub fn remove(&mut self, key: &str) -> Option<Candidate> {
        self.leave(key);
        self.pods.remove(key).map(|waiting| waiting.candidate)
    }

    pub fn get(&self, key: &str) -> Option<&Candidate> {
        self.pods.get(key).map(|waiting| &waiting.candidate)
    }

    pub fn counts(&self) -> Counts {
        Counts {
            ready: self.ready.len(),
            backing_off: self.helped.len() + self.failed,
            parked: self.parked.len(),
        }
    }

    pub fn wait_of(&self, key: &str) -> Option<Wait> {
        self.pods.get(key).map(|waiting| Wait {
            added: waiting.added,
            attempts: waiting.attempts,
            last_attempt: waiting.last_attempt,
        })
    }

    pub fn keys(&self) -> Vec<Arc<str>> {
        self.pods.keys().cloned().collect()
    }

    /// Notes the node that is being cleared for the pod.
    pub fn nominate(&mut self, key: &str, node: Option<Arc<str>>) -> Option<&Candidate> {
        let waiting = self.pods.get_mut(key)?;
        waiting.candidate.nominated = node;
        Some(&waiting.candidate)
    }

    /// Takes the first ready pod out; if there is none, one that was helped but
    /// is early, as long as those are few.
    pub fn pop(&mut self, now: Instant) -> Option<Candidate> {
        let first = self.ready.first().map(|(_, _, key)| key.clone());
        let key = first.or_else(|| {
            let (_, key) = self.helped.first()?;
            self.early.take(now).then(|| key.clone())
        })?;
        self.leave(&key);
        let waiting = self.pods.get_mut(&key)?;
        waiting.attempts += 1;
        waiting.last_attempt = Some(now);
        Some(waiting.candidate.clone())
    }

    /// The pod did not fit: waits until something happens that helps one of
    /// those that refused it.
    pub fn park(&mut self, key: &str, refused_by: Set, now: Instant) {
        if let Some(waiting) = self.pods.get_mut(key) {
            waiting.state = State::Parked {
                refused_by,
                since: now,
            };
            self.parked.add(&waiting.candidate, refused_by);
            let key = waiting.candidate.key.clone();
            self.timers.push(Reverse((now + LONGEST_PARK, key)));
        }
    }

    /// Something went wrong that may pass by itself: looks again after a back-off.
    pub fn retry(&mut self, pod: &Candidate, now: Instant) {
        // By now another pod of this name may wait.
        let taken = self
            .pods
            .get(&pod.key)
            .filter(|waiting| waiting.state == State::Taken && waiting.candidate.uid == pod.uid);
        if taken.is_some()
            && let Some(until) = self.until(&pod.key)
        {
            self.wait(&pod.key, until, now, State::Failed { until });
        }
    }

    /// The pod is where it was to go.
    pub fn done(&mut self, pod: &Candidate) {
        if self.get(&pod.key).is_some_and(|known| known.uid == pod.uid) {
            self.remove(&pod.key);
        }
    }

    /// Parked pods that this may help are looked at again, after what is left
    /// of their back-off.
    pub fn wake(&mut self, happened: &Happened<'_>, now: Instant) {
        for key in self.parked.take_helped(happened) {
            if let Some(until) = self.until(&key) {
                self.wait(&key, until, now, State::Helped { until });
            }
        }
    }

    fn until(&self, key: &str) -> Option<Instant> {
        let waiting = self.pods.get(key)?;
        Some(waiting.last_attempt? + self.back_off.after(waiting.attempts))
    }

    fn wait(&mut self, key: &str, until: Instant, now: Instant, state: State) {
        let Some(waiting) = self.pods.get_mut(key).filter(|_| until > now) else {
            return self.make_ready(key);
        };
        waiting.state = state;
        let key = waiting.candidate.key.clone();
        match state {
            State::Helped { .. } => drop(self.helped.insert((until, key.clone()))),
            State::Failed { .. } => self.failed += 1,
            State::Ready | State::Parked { .. } | State::Taken => {}
        }
        self.timers.push(Reverse((until, key)));
    }

    /// When `tick` is next worth calling.
    pub fn next_timer(&self) -> Option<Instant> {
        self.timers.peek().map(|Reverse((at, _))| *at)
    }

    /// Makes pods ready whose back-off or longest park has passed.
    pub fn tick(&mut self, now: Instant) {
        while let Some(Reverse((at, _))) = self.timers.peek()
            && *at <= now
        {
            let Some(Reverse((_, key))) = self.timers.pop() else {
                return;
            };
            let due = self.pods.get(&key).is_some_and(|w| match w.state {
                State::Helped { until } | State::Failed { until } => until <= now,
                State::Parked { since, .. } => since + LONGEST_PARK <= now,
                State::Ready | State::Taken => false,
            });
            if due {
                self.leave(&key);
                self.make_ready(&key);
            }
        }
    }

    fn make_ready(&mut self, key: &str) {
        if let Some(waiting) = self.pods.get_mut(key) {
            waiting.state = State::Ready;
            self.ready.insert(ready_key(waiting));
        }
    }

    /// Takes the pod out of what its state has it in.
    fn leave(&mut self, key: &str) {
        let Some(waiting) = self.pods.get_mut(key) else {
            return;
        };
        let candidate = &waiting.candidate;
        match waiting.state {
            State::Ready => drop(self.ready.remove(&ready_key(waiting))),
            State::Helped { until } => drop(self.helped.remove(&(until, candidate.key.clone()))),
            State::Parked { refused_by, .. } => self.parked.remove(candidate, refused_by),
            State::Failed { .. } => self.failed -= 1,
            State::Taken => {}
        }
        waiting.state = State::Taken;
    }
}

fn ready_key(waiting: &Waiting) -> (Reverse<i32>, u64, Arc<str>) {
    (
        Reverse(waiting.candidate.priority()),
        waiting.sequence,
        waiting.candidate.key.clone(),
    )
}

#[cfg(test)]
mod tests;
