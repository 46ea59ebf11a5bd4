//! Random writes, power lost at every operation of the disk, and a model.

use std::{collections::BTreeMap, sync::Arc};

use futures::future::join_all;
use rand::{Rng, RngExt, SeedableRng, rngs::StdRng};
use store::{Change, Error, Expect, Log, Options, Range, Revision, Signal, Store, Value};

use super::fake_disk::FakeDisk;

type State = BTreeMap<String, (String, u64, u64)>;

/// What the store must show: its state at each revision.
struct Model {
    states: Vec<State>,
    /// No revision up to here may be lost.
    acknowledged: usize,
}

#[derive(Clone, Debug)]
struct Write {
    key: String,
    /// The value without its revision; `None` deletes.
    value: Option<String>,
    expect: Expect,
}

#[derive(Debug, PartialEq)]
enum Outcome {
    Done(u64),
    Conflict(Option<u64>),
    NotFound,
    Crashed,
}

impl Model {
    fn newest(&self) -> &State {
        self.states.last().expect("revision 0 is there")
    }

    fn write(&mut self, write: &Write) -> Outcome {
        let mut state = self.newest().clone();
        let current = state
            .get(&write.key)
            .map(|(_, created, modified)| (*created, *modified));
        if write.value.is_none() && current.is_none() {
            return Outcome::NotFound;
        }
        let holds = match write.expect {
            Expect::Any => true,
            Expect::Absent => current.is_none(),
            Expect::At(at) => current.is_some_and(|(_, modified)| modified == at.0),
        };
        if !holds {
            return Outcome::Conflict(current.map(|(_, modified)| modified));
        }
        let revision = self.states.len() as u64;
        match &write.value {
            Some(value) => {
                let created = current.map_or(revision, |(created, _)| created);
                let value = format!("{value}{revision}!");
                state.insert(write.key.clone(), (value, created, revision));
            }
            None => {
                state.remove(&write.key);
            }
        }
        self.states.push(state);
        Outcome::Done(revision)
    }
}

fn random_write(rng: &mut impl Rng, newest: &State) -> Write {
    let key = format!("/{}/{}", rng.random_range(0..2), rng.random_range(0..5));
    let modified = newest.get(&key).map(|entry| Revision(entry.2));
    let expect = match (rng.random_range(0..4), modified) {
        (0, _) => Expect::Absent,
        (1, Some(at)) => Expect::At(at),
        (2, _) => Expect::At(Revision(rng.random_range(0..20))),
        _ => Expect::Any,
    };
    let length = [0, 1, 20, 1500][rng.random_range(0..4)];
    let value = rng.random_bool(0.7).then(|| "v".repeat(length));
    Write { key, value, expect }
}

async fn perform(log: &Log, write: &Write) -> Outcome {
    let key = write.key.as_bytes();
    let done = match &write.value {
        Some(value) => {
            let value = Value::with_revision_at(format!("{value}!"), value.len());
            let put = log.put(key, value, write.expect).await;
            put.map(|entry| entry.modified.0)
        }
        None => {
            let deleted = log.delete(key, write.expect).await;
            deleted.map(|(_, revision)| revision.0)
        }
    };
    match done {
        Ok(revision) => Outcome::Done(revision),
        Err(Error::Conflict { current }) => {
            Outcome::Conflict(current.map(|entry| entry.modified.0))
        }
        Err(Error::NotFound) => Outcome::NotFound,
        Err(_) => Outcome::Crashed,
    }
}

async fn state_at(log: &Log, at: u64) -> State {
    let page = log.range(Range::prefix("").at(Revision(at))).await.unwrap();
    let entries = page.entries.into_iter().map(|entry| {
        let text = |bytes: &[u8]| String::from_utf8(bytes.to_vec()).unwrap();
        let value = (text(&entry.value), entry.created.0, entry.modified.0);
        (text(&entry.key), value)
    });
    entries.collect()
}

fn open(disk: &FakeDisk) -> Result<Arc<Log>, Error> {
    let options = Options {
        snapshot_after: 3000,
        history_changes: 12,
        ..Options::default()
    };
    Log::open_on(Arc::new(disk.clone()), "/store", options)
}

/// Writes, several at a time, until the power goes.
async fn write_until_crash(log: &Log, model: &mut Model, rng: &mut StdRng) {
    loop {
        let mut writes = Vec::new();
        let mut expected = Vec::new();
        for _ in 0..rng.random_range(1..5) {
            let write = random_write(rng, model.newest());
            expected.push(model.write(&write));
            writes.push(write);
        }
        let outcomes = join_all(writes.iter().map(|write| perform(log, write))).await;
        for (outcome, expected) in outcomes.iter().zip(expected) {
            match outcome {
                Outcome::Crashed => return,
                Outcome::Done(revision) => model.acknowledged = *revision as usize,
                _ => {}
            }
            assert_eq!(*outcome, expected);
        }
        let newest = log.revision().0;
        let at = rng.random_range(log.oldest().0..=newest);
        assert_eq!(
            state_at(log, at).await,
            model.states[at as usize],
            "revision {at}"
        );
    }
}

/// Everything that can be read, watched and written is as the model has it.
async fn check(log: &Log, model: &mut Model) {
    let newest = log.revision().0 as usize;
    assert!(
        newest >= model.acknowledged,
        "{newest} < {}: lost",
        model.acknowledged
    );
    assert!(newest < model.states.len(), "{newest} was never written");
    model.states.truncate(newest + 1);
    model.acknowledged = newest;
    for at in log.oldest().0 as usize..=newest {
        assert_eq!(
            state_at(log, at as u64).await,
            model.states[at],
            "revision {at}"
        );
    }
    let mut watch = log.watch(b"", log.oldest()).await.unwrap();
    watch.request_progress();
    let mut state = model.states[log.oldest().0 as usize].clone();
    loop {
        match watch.next().await.unwrap().unwrap() {
            Signal::Change(change) => replay(&mut state, &change),
            Signal::Progress(revision) => break assert_eq!(revision.0 as usize, newest),
        }
    }
    assert_eq!(state, model.states[newest]);
}

fn replay(state: &mut State, change: &Change) {
    let text = |bytes: &[u8]| String::from_utf8(bytes.to_vec()).unwrap();
    match change {
        Change::Put { entry, .. } => {
            let value = (text(&entry.value), entry.created.0, entry.modified.0);
            state.insert(text(&entry.key), value);
        }
        Change::Delete { key, .. } => {
            state.remove(&text(key));
        }
    }
}

/// Answers how many snapshots were found by a start.
async fn life(seed: u64) -> usize {
    let mut rng = StdRng::seed_from_u64(seed);
    let mut disk = FakeDisk::default();
    let mut model = Model {
        states: vec![State::new()],
        acknowledged: 0,
    };
    let mut snapshots = 0;
    for _ in 0..4 {
        disk.state().crash_at = Some(rng.random_range(1..80));
        if let Ok(log) = open(&disk) {
            check(&log, &mut model).await;
            write_until_crash(&log, &mut model, &mut rng).await;
        }
        assert!(disk.has_crashed(), "seed {seed}: only a crash stops it");
        disk = disk.after_crash(&mut rng);
        snapshots += disk
            .names()
            .iter()
            .filter(|name| name.contains("snapshot-"))
            .count();
    }
    let log = open(&disk).unwrap_or_else(|error| panic!("seed {seed}: {error}"));
    check(&log, &mut model).await;
    snapshots
}

#[tokio::test]
async fn no_crash_loses_what_was_acknowledged_or_shows_what_was_not_written() {
    let mut snapshots = 0;
    for seed in 0..600 {
        snapshots += life(seed).await;
    }
    assert!(
        snapshots > 300,
        "only {snapshots} snapshots: the test is too tame"
    );
}
