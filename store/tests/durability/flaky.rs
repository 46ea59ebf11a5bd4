//! A disk of which any operation may fail, a watcher, and a model: what is
//! acknowledged is seen and stays, what is refused is seen by nobody.

use std::{collections::BTreeMap, sync::Arc};

use rand::{RngExt, SeedableRng, rngs::StdRng};
use store::{Change, Error, Expect, Log, Options, Range, Revision, Signal, Store, Value, Watch};

use super::fake_disk::{FakeDisk, Flaky};

type State = BTreeMap<String, (u64, usize)>;

#[derive(Default)]
struct Model {
    state: State,
    revision: u64,
    /// What the state is if a write that failed got to the disk after all.
    in_doubt: Option<State>,
    stats: Stats,
}

/// That nothing was tested must not pass for all being well.
#[derive(Debug, Default)]
struct Stats {
    done: usize,
    undone: usize,
    stopped: usize,
    revived: usize,
    failed: usize,
}

fn open(disk: &FakeDisk) -> Result<Arc<Log>, Error> {
    let options = Options {
        snapshot_after: 3000,
        history_changes: 20,
        ..Options::default()
    };
    Log::open_on(Arc::new(disk.clone()), "/store", options)
}

fn make_flaky(disk: &FakeDisk, rng: &mut StdRng, rate: f64) {
    disk.state().flaky = Some(Flaky {
        rng: StdRng::seed_from_u64(rng.random()),
        rate,
        failed: 0,
    });
}

async fn state_of(log: &Log) -> State {
    let page = log.range(Range::prefix("")).await.unwrap();
    let entries = page.entries.into_iter().map(|entry| {
        let key = String::from_utf8(entry.key.to_vec()).unwrap();
        (key, (entry.modified.0, entry.value.len()))
    });
    entries.collect()
}

impl Model {
    /// One write, and what it may come to.
    async fn write(&mut self, log: &Log, rng: &mut StdRng) {
        let key = format!("/{}", rng.random_range(0..6));
        let length = [1, 30, 700][rng.random_range(0..3)];
        let mut after = self.state.clone();
        let (written, holds) = if rng.random_bool(0.75) {
            after.insert(key.clone(), (self.revision + 1, length));
            let value = Value::plain(vec![b'x'; length]);
            let put = log.put(key.as_bytes(), value, Expect::Any).await;
            (put.map(|entry| entry.modified), true)
        } else {
            let holds = after.remove(&key).is_some();
            let deleted = log.delete(key.as_bytes(), Expect::Any).await;
            (deleted.map(|(_, revision)| revision), holds)
        };
        match written {
            Ok(revision) => {
                assert!(holds && revision.0 == self.revision + 1, "{revision}");
                self.stats.done += 1;
                (self.state, self.revision) = (after, revision.0);
            }
            Err(Error::NotFound) => assert!(!holds),
            Err(Error::Full { .. } | Error::Append { .. }) => self.stats.undone += 1,
            Err(Error::Poisoned { .. }) => {
                self.stats.stopped += 1;
                // The first one only: no other is tried.
                self.in_doubt.get_or_insert(after);
            }
            Err(error) => panic!("{error}"),
        }
        assert_eq!(log.revision().0, self.revision, "nobody sees more");
    }

    /// What a start finds.
    async fn check(&mut self, log: &Log) {
        let found = state_of(log).await;
        if log.revision().0 == self.revision + 1 {
            assert_eq!(Some(&found), self.in_doubt.as_ref());
            self.revision += 1;
            self.state = found;
            self.stats.revived += 1;
        }
        assert_eq!(log.revision().0, self.revision);
        assert_eq!(state_of(log).await, self.state);
        self.in_doubt = None;
    }
}

/// The watcher saw exactly the writes that were acknowledged.
async fn check_watch(mut watch: Watch, mut state: State, from: u64, model: &Model) {
    watch.request_progress();
    let mut last = from;
    loop {
        match watch.next().await.unwrap().unwrap() {
            Signal::Progress(revision) => break assert_eq!(revision.0, model.revision),
            Signal::Change(change) => {
                last += 1;
                assert_eq!(change.revision().0, last);
                let key = String::from_utf8(change.key().to_vec()).unwrap();
                match &*change {
                    Change::Put { entry, .. } => state.insert(key, (last, entry.value.len())),
                    Change::Delete { .. } => state.remove(&key),
                };
            }
        }
    }
    assert_eq!(state, model.state);
}

async fn life(seed: u64, model: &mut Model, disk: FakeDisk) -> FakeDisk {
    let mut rng = StdRng::seed_from_u64(seed);
    make_flaky(&disk, &mut rng, 0.03);
    let Ok(log) = open(&disk) else {
        // The operator sees why, and mends it.
        return disk;
    };
    model.check(&log).await;
    let (state, from) = (model.state.clone(), model.revision);
    let watch = log.watch(b"", Revision(from)).await.unwrap();
    for _ in 0..rng.random_range(1..80) {
        model.write(&log, &mut rng).await;
    }
    check_watch(watch, state, from, model).await;
    model.stats.failed += disk.state().flaky.take().map_or(0, |flaky| flaky.failed);
    if rng.random_bool(0.5) {
        return disk.after_crash(&mut rng);
    }
    drop(log);
    disk
}

#[tokio::test]
async fn a_flaky_disk_loses_nothing_acknowledged_and_shows_nothing_refused() {
    let mut stats = Stats::default();
    for seed in 0..300 {
        let mut disk = FakeDisk::default();
        let mut model = Model::default();
        for life_number in 0..5 {
            disk = life(seed * 100 + life_number, &mut model, disk).await;
            disk.state().flaky = None;
        }
        let log = open(&disk).unwrap_or_else(|error| panic!("seed {seed}: {error}"));
        model.check(&log).await;
        for (sum, one) in [
            (&mut stats.done, model.stats.done),
            (&mut stats.undone, model.stats.undone),
            (&mut stats.stopped, model.stats.stopped),
            (&mut stats.revived, model.stats.revived),
            (&mut stats.failed, model.stats.failed),
        ] {
            *sum += one;
        }
    }
    println!("{stats:?}");
    assert!(
        stats.done > 5000 && stats.undone > 100 && stats.stopped > 100 && stats.failed > 500,
        "too tame: {stats:?}"
    );
}
