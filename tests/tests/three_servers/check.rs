//! Whether what clients saw can be: every list, read and acknowledgment is held
//! against the one history that the watchers were told.
//!
//! Revisions order all writes. A read that begins when revision `n` is known to
//! anybody must show the state of `n` or of a later revision; a list must be
//! exactly the state of the revision that it names, and that none older than `n`.

#[cfg(test)]
mod tests;

use std::collections::{BTreeMap, BTreeSet};

use crate::record::{Event, Kept, List, Outcome, Read, Watched, What, Write};

/// Keys that several clients count up: each version holds one more than the last.
pub const COUNTERS: &str = "count-";

/// What cannot be; empty if all is well. `start` is the list that all watchers
/// began from.
pub fn flaws(start: &List, kept: &Kept) -> Vec<String> {
    let mut flaws = kept.flaws.clone();
    let history = History::of(start, kept, &mut flaws);
    history.check_watchers(kept, &mut flaws);
    history.check_writes(&kept.writes, &mut flaws);
    history.check_counters(&mut flaws);
    let reads = kept.reads.iter();
    flaws.extend(reads.filter_map(|read| history.flaw_of_read(read)));
    let lists = kept.lists.iter();
    flaws.extend(lists.filter_map(|list| history.flaw_of_list(list)));
    flaws
}

/// Each key's versions, in order: its revision, and the event that made it.
struct History<'a> {
    events: BTreeMap<u64, &'a Event>,
    keys: BTreeMap<&'a str, Vec<(u64, Option<&'a Event>)>>,
}

impl<'a> History<'a> {
    /// What any watcher was told; two may not be told different things.
    fn of(start: &'a List, kept: &'a Kept, flaws: &mut Vec<String>) -> Self {
        let mut history = Self {
            events: BTreeMap::new(),
            keys: BTreeMap::new(),
        };
        for (key, at) in &start.items {
            history.keys.insert(key, vec![(*at, None)]);
        }
        for event in kept.watched.iter().flatten().flat_map(|w| &w.events) {
            let known = history.events.entry(event.at).or_insert(event);
            if *known != event {
                flaws.push(format!("of one revision {known:?} and {event:?} are told"));
            }
        }
        for event in history.events.values().copied() {
            let versions = history.keys.entry(event.key.as_str()).or_default();
            versions.push((event.at, Some(event)));
        }
        history
    }

    /// Each watcher is told of each change once, in order, and of all of them.
    fn check_watchers(&self, kept: &Kept, flaws: &mut Vec<String>) {
        for (watcher, series) in kept.watched.iter().enumerate() {
            for watched in series {
                let order = watched.events.windows(2);
                for pair in order.filter(|pair| pair[0].at >= pair[1].at) {
                    flaws.push(format!(
                        "watcher {watcher} is told {:?} and then {:?}",
                        pair[0], pair[1]
                    ));
                }
                self.check_complete(watcher, watched, flaws);
            }
        }
    }

    fn check_complete(&self, watcher: usize, watched: &Watched, flaws: &mut Vec<String>) {
        let told: BTreeSet<u64> = watched.events.iter().map(|event| event.at).collect();
        let outside = told.iter().find(|at| **at <= watched.from);
        if let Some(at) = outside {
            flaws.push(format!("watcher {watcher} is told of {at} again"));
        }
        if watched.to < watched.from {
            return;
        }
        for at in self.events.range(watched.from + 1..=watched.to) {
            if !told.contains(at.0) {
                flaws.push(format!("watcher {watcher} is not told of {:?}", at.1));
            }
        }
    }

    fn check_writes(&self, writes: &[Write], flaws: &mut Vec<String>) {
        let mut by_op: BTreeMap<u64, Vec<&Event>> = BTreeMap::new();
        for event in self.events.values().filter(|event| !event.is_delete) {
            by_op.entry(event.op).or_default().push(event);
        }
        let attempts: BTreeMap<u64, &Write> = writes.iter().map(|w| (w.op, w)).collect();
        for (op, events) in &by_op {
            match attempts.get(op) {
                None => flaws.push(format!("nobody wrote {:?}", events[0])),
                Some(write) if matches!(write.outcome, Outcome::Refused(_)) => {
                    flaws.push(format!("{write:?} was made: {:?}", events[0]));
                }
                Some(_) => {}
            }
            if events.len() > 1 {
                flaws.push(format!("made more than once: {events:?}"));
            }
        }
        for write in writes {
            let made = by_op.get(&write.op).and_then(|events| events.first());
            flaws.extend(self.flaw_of_write(write, made.copied()));
        }
    }

    fn flaw_of_write(&self, write: &Write, made: Option<&Event>) -> Option<String> {
        let Outcome::Done(at) = write.outcome else {
            return made.and_then(|made| self.flaw_of_order(write, made));
        };
        if let What::Delete(of) = write.what {
            let next = self.index(&write.key, of).map(|at| at + 1);
            let versions = self.keys.get(write.key.as_str())?;
            let deleted = next.and_then(|next| versions.get(next)?.1);
            return match deleted {
                Some(event) if event.is_delete => None,
                other => Some(format!("lost: {write:?}, after it comes {other:?}")),
            };
        }
        match made {
            Some(made) if Some(made.at) == at && made.key == write.key => {
                self.flaw_of_order(write, made)
            }
            made => Some(format!("lost: {write:?}, there is {made:?}")),
        }
    }

    /// A write comes after all that was known when it began, and on top of what it
    /// was meant for.
    fn flaw_of_order(&self, write: &Write, made: &Event) -> Option<String> {
        if made.at <= write.floor {
            return Some(format!("{write:?} was made at {} already", made.at));
        }
        let versions = self.keys.get(made.key.as_str())?;
        let at = self.index(&made.key, made.at)?;
        let before = at.checked_sub(1).map(|before| versions[before]);
        let is_right = match (write.what, before) {
            (What::Create, None) => true,
            (What::Create, Some((_, event))) => event.is_some_and(|event| event.is_delete),
            (What::Update(of), Some((at, _))) => at == of,
            (What::Update(_) | What::Delete(_), _) => false,
        };
        (!is_right).then(|| format!("{write:?} was made on top of {before:?}"))
    }

    /// Which of the key's versions is of this revision.
    fn index(&self, key: &str, at: u64) -> Option<usize> {
        let versions = self.keys.get(key)?;
        versions.binary_search_by_key(&at, |(at, _)| *at).ok()
    }

    fn check_counters(&self, flaws: &mut Vec<String>) {
        let counters = self
            .keys
            .iter()
            .filter(|(key, _)| key.starts_with(COUNTERS));
        for (_, versions) in counters {
            let events = versions.iter().filter_map(|(_, event)| *event);
            for (expected, event) in events.enumerate() {
                if event.number != expected as u64 {
                    flaws.push(format!("{event:?} should be number {expected}"));
                    break;
                }
            }
        }
    }

    /// Some state that was current after the read began has what it found.
    fn flaw_of_read(&self, read: &Read) -> Option<String> {
        let none = Vec::new();
        let versions = self.keys.get(read.key.as_str()).unwrap_or(&none);
        // The version at the floor, and all after it.
        let first = versions.partition_point(|(at, _)| *at <= read.floor);
        let current = &versions[first.saturating_sub(1)..];
        let is_gone = |event: &Option<&Event>| event.is_some_and(|event| event.is_delete);
        let is_right = match read.found {
            Some(found) => self
                .index(&read.key, found)
                .is_some_and(|at| at + 1 >= first && !is_gone(&versions[at].1)),
            None => first == 0 || current.iter().any(|(_, event)| is_gone(event)),
        };
        let told = &current[..current.len().min(3)];
        (!is_right).then(|| format!("stale or never there: {read:?}, there was {told:?}"))
    }

    fn flaw_of_list(&self, list: &List) -> Option<String> {
        if list.at < list.floor {
            let (at, floor) = (list.at, list.floor);
            return Some(format!("a list of {at} when {floor} was known"));
        }
        let mut expected = BTreeMap::new();
        for (key, versions) in &self.keys {
            let until = versions.partition_point(|(at, _)| *at <= list.at);
            let Some((at, event)) = until.checked_sub(1).map(|last| versions[last]) else {
                continue;
            };
            if !event.is_some_and(|event| event.is_delete) {
                expected.insert(*key, at);
            }
        }
        let items = list.items.iter().map(|(key, at)| (key.as_str(), *at));
        let items: BTreeMap<&str, u64> = items.collect();
        if items == expected && items.len() == list.items.len() {
            return None;
        }
        let odd: Vec<_> = items
            .iter()
            .filter(|item| expected.get(*item.0) != Some(item.1))
            .collect();
        let lacking = expected
            .iter()
            .filter(|item| items.get(*item.0) != Some(item.1));
        let lacking: Vec<_> = lacking.collect();
        Some(format!(
            "the list of {} has {odd:?} and lacks {lacking:?}",
            list.at
        ))
    }
}
