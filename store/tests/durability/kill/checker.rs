//! Kills a writing process over and over, and holds what is found afterwards
//! against all that anyone was told before.
//!
//! * Every acknowledged write, and every change that a watcher saw, is there
//!   with the same revision, key and value.
//! * Every watcher saw the changes under its prefix in order, without a gap
//!   and without a double, also across restarts.
//! * A write that expected a revision replaced that very one.
//!
//! What is expected of the past is kept as far back as the store can still
//! tell: a snapshot takes the place of what came before it.

use std::{
    collections::BTreeMap,
    fs::OpenOptions,
    io::{BufRead, BufReader, Read, Write},
    os::unix::process::ExitStatusExt,
    path::Path,
    process::{Command, Stdio},
    time::{Duration, Instant},
};

use rand::{RngExt, SeedableRng, rngs::StdRng};
use store::{Change, Log, Range, Revision, Signal, Store};

use super::child::{self, DIR, FROM, SEED};

/// The length of a segment without a write.
const HEADER: u64 = 24;

/// What is known of one write.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Fact {
    key: String,
    /// The checksum of the value; `None` deletes.
    value: Option<u32>,
}

/// The state of one key: its last write and the checksum of its value.
type Keys = BTreeMap<String, (u64, Option<u32>)>;

/// One watcher's life.
#[derive(Debug)]
struct Watcher {
    prefix: String,
    from: u64,
    seen: Vec<u64>,
}

/// How hard it was.
#[derive(Clone, Copy, Debug, Default)]
pub struct Stats {
    pub rounds: usize,
    pub acknowledged: usize,
    pub seen: usize,
    /// Watches that went on across a restart.
    pub resumed: usize,
    /// Kills amid a snapshot.
    pub amid_snapshot: usize,
    /// Kills after which the log ended in a write that got lost half way.
    pub torn: usize,
    /// Kills before the store was open.
    pub amid_start: usize,
    /// Writes that were found after a kill, and nobody had been told of.
    pub untold: usize,
}

#[derive(Debug, Default)]
pub struct Checker {
    /// All keys as of `base_revision`.
    base: Keys,
    base_revision: u64,
    /// The writes after it that somebody was told of.
    known: BTreeMap<u64, Fact>,
    watchers: BTreeMap<String, Watcher>,
    ended: Vec<Watcher>,
    /// The last revision that the watcher of everything saw.
    last_seen: u64,
    pub stats: Stats,
}

/// Runs `rounds` lives of the process that `command` starts, on the store in
/// `dir`. Panics at the first thing that is not as it was told.
pub async fn run(rounds: usize, seed: u64, dir: &Path, command: impl Fn() -> Command) -> Stats {
    let mut rng = StdRng::seed_from_u64(seed);
    let mut checker = Checker::default();
    for round in 0..rounds {
        let mut command = command();
        command
            .env(DIR, dir)
            .env(FROM, checker.last_seen.to_string())
            .env(SEED, (seed + round as u64).to_string());
        let life = Duration::from_millis(rng.random_range(3..70));
        let output = live_and_die(&mut command, life);
        checker.read(&output);
        checker.stats.rounds += 1;
        checker.stats.amid_snapshot += usize::from(has_unfinished(dir));
        if rng.random_bool(0.3) {
            checker.stats.torn += usize::from(tear(dir, rng.random_range(1..700)));
        }
        // Sometimes the next process has to recover by itself.
        if rng.random_bool(0.7) || round + 1 == rounds {
            checker.check(dir).await;
        }
    }
    checker.stats
}

/// Answers what the process said until it was killed.
fn live_and_die(command: &mut Command, life: Duration) -> Vec<String> {
    let start = Instant::now();
    let mut child = command
        .stdout(Stdio::piped())
        .spawn()
        .expect("the process starts");
    let output = child.stdout.take().expect("stdout is piped");
    let reader = std::thread::spawn(move || lines(output));
    std::thread::sleep(life.saturating_sub(start.elapsed()));
    child.kill().expect("it is ours to kill");
    let status = child.wait().expect("it is ours to wait for");
    let lines = reader.join().expect("reading does not panic");
    assert_eq!(status.signal(), Some(9), "it died by itself: {lines:?}");
    lines
}

/// All whole lines.
fn lines(output: impl Read) -> Vec<String> {
    let mut output = BufReader::new(output);
    let mut lines = Vec::new();
    let mut line = String::new();
    while output.read_line(&mut line).is_ok_and(|read| read > 0) {
        if let Some(whole) = line.strip_suffix('\n') {
            lines.push(whole.to_owned());
        }
        line.clear();
    }
    lines
}

fn has_unfinished(dir: &Path) -> bool {
    let names = std::fs::read_dir(dir).expect("the directory is there");
    names.filter_map(Result::ok).any(|entry| {
        entry
            .path()
            .extension()
            .is_some_and(|is| is == "unfinished")
    })
}

/// What a killed process cannot leave behind and a power loss can: a log that
/// is longer than what was written of it. The next start cuts that off, and may
/// be killed while it does.
fn tear(dir: &Path, length: usize) -> bool {
    let names = std::fs::read_dir(dir).expect("the directory is there");
    let segments = names
        .filter_map(|entry| Some(entry.ok()?.path()))
        .filter(|path| path.display().to_string().contains("/log-"));
    let Some(last) = segments.max() else {
        return false;
    };
    let is_used = std::fs::metadata(&last).is_ok_and(|file| file.len() > HEADER);
    if is_used {
        let mut file = OpenOptions::new().append(true).open(last);
        let file = file.as_mut().expect("it can be written");
        file.write_all(&vec![0; length]).expect("there is space");
    }
    is_used
}

impl Checker {
    fn read(&mut self, lines: &[String]) {
        let (mut is_open, mut claims) = (false, Vec::new());
        for line in lines {
            let words: Vec<&str> = line.split(' ').collect();
            match words[..] {
                ["open", newest, _] => {
                    is_open = true;
                    self.opened(number(newest));
                }
                ["ack", revision, what, key, crc, replaced] => {
                    self.stats.acknowledged += 1;
                    self.learn(number(revision), fact(what, key, crc), line);
                    if replaced != "-" {
                        claims.push((number(revision), key.to_owned(), number(replaced)));
                    }
                }
                ["begin", watcher, prefix, from] => self.begin(watcher, prefix, number(from)),
                ["saw", watcher, revision, what, key, crc, before] => {
                    self.saw(watcher, number(revision));
                    self.learn(number(revision), fact(what, key, crc), line);
                    claims.push((number(revision), key.to_owned(), number(before)));
                }
                ["error", ..] => panic!("the process says: {line}"),
                // The test harness' own words.
                _ => {}
            }
        }
        self.stats.amid_start += usize::from(!is_open);
        // Only now all is known that any of them was told.
        claims.iter().for_each(|claim| self.check_claim(claim));
        let ended = std::mem::take(&mut self.ended);
        let watchers = std::mem::take(&mut self.watchers).into_values();
        for watcher in ended.into_iter().chain(watchers) {
            self.check_watcher(&watcher);
        }
    }

    /// No revision that anyone was told of may be gone.
    fn opened(&mut self, newest: u64) {
        let told = self.known.last_key_value().map_or(0, |(last, _)| *last);
        assert!(newest >= told, "{told} was told, {newest} is the newest");
    }

    fn learn(&mut self, revision: u64, fact: Fact, line: &str) {
        if revision <= self.base_revision {
            return;
        }
        let known = self.known.entry(revision).or_insert_with(|| fact.clone());
        assert_eq!(*known, fact, "{revision} was something else: {line}");
    }

    /// The write before `revision` of the same key was `before`; 0: there was
    /// none, or it was a delete.
    fn check_claim(&self, (revision, key, before): &(u64, String, u64)) {
        let mut earlier = self.known.range(..revision).rev();
        let last = earlier.find(|(_, fact)| fact.key == *key);
        let Some((last, fact)) = last.filter(|(last, _)| **last > *before) else {
            return;
        };
        // A delete that nobody was told of may have come between.
        let is_untold = |at: &u64| *at > self.base_revision && !self.known.contains_key(at);
        let is_possible = *before == 0
            && (fact.value.is_none() || (last + 1..*revision).any(|at| is_untold(&at)));
        assert!(
            is_possible,
            "{revision} of {key} was told to replace {before}, but there is {last}: {fact:?}"
        );
    }

    fn begin(&mut self, watcher: &str, prefix: &str, from: u64) {
        self.stats.resumed += usize::from(from > 0 && from == self.last_seen);
        self.ended.extend(self.watchers.remove(watcher));
        let begun = Watcher {
            prefix: prefix.to_owned(),
            from,
            seen: Vec::new(),
        };
        self.watchers.insert(watcher.to_owned(), begun);
    }

    fn saw(&mut self, watcher: &str, revision: u64) {
        self.stats.seen += 1;
        let watcher = self.watchers.get_mut(watcher).expect("it began");
        watcher.seen.push(revision);
        if watcher.prefix == "/" {
            self.last_seen = revision;
        }
    }

    /// A watcher saw all changes there are from where it began to where it got.
    fn check_watcher(&self, watcher: &Watcher) {
        let Some(last) = watcher.seen.last() else {
            return;
        };
        let from = watcher.from.max(self.base_revision);
        let all = self.known.range(from + 1..=(*last).max(from + 1));
        let due = all.filter(|(at, fact)| *at <= last && fact.key.starts_with(&watcher.prefix));
        let due: Vec<u64> = due.map(|(at, _)| *at).collect();
        let seen = watcher.seen.iter().copied();
        let seen: Vec<u64> = seen.filter(|revision| *revision > from).collect();
        assert_eq!(seen, due, "what {watcher:?} saw, and what there was");
        if watcher.prefix == "/" {
            assert_eq!(seen, Vec::from_iter(from + 1..=*last), "{watcher:?}");
        }
    }

    /// Opens the store and compares.
    async fn check(&mut self, dir: &Path) {
        let log = Log::open(dir, child::options());
        let log = log.unwrap_or_else(|error| panic!("after a kill: {error}"));
        let (oldest, newest) = (log.oldest().0, log.revision().0);
        self.opened(newest);
        let then = keys(&log, oldest).await;
        self.compare(&then, oldest);
        let mut state = then.clone();
        self.follow(&log, &mut state).await;
        assert_eq!(state, keys(&log, newest).await, "the history leads here");
        self.known = self.known.split_off(&(oldest + 1));
        self.base = then;
        self.base_revision = oldest;
        log.close().await;
    }

    /// Compares all keys as of `at` with what is known to have led there. A
    /// difference must come from a write that nobody was told of.
    fn compare(&mut self, found: &Keys, at: u64) {
        assert!(at >= self.base_revision, "history came back");
        let mut expected = self.base.clone();
        for (revision, fact) in self.known.range(..=at) {
            expected.insert(fact.key.clone(), (*revision, fact.value));
        }
        let is_known = |revision: &u64| self.known.contains_key(revision);
        let untold: Vec<u64> = (self.base_revision + 1..=at)
            .filter(|revision| !is_known(revision))
            .collect();
        self.stats.untold += untold.len();
        for key in expected.keys().chain(found.keys()) {
            let told = expected.get(key).copied().unwrap_or((0, None));
            match found.get(key).copied() {
                Some(there) if there == told => {}
                Some((there, _)) if untold.contains(&there) && there > told.0 => {}
                None if told.1.is_none() || untold.iter().any(|at| *at > told.0) => {}
                there => panic!("as of {at}, {key} was told to be {told:?} and is {there:?}"),
            }
        }
    }

    /// Reads the history there is, and adds what nobody was told of yet: from
    /// now on it must stay.
    async fn follow(&mut self, log: &Log, state: &mut Keys) {
        let from = log.oldest();
        let watch = log.watch(b"", from).await;
        let mut watch = watch.expect("the oldest revision can be watched from");
        watch.request_progress();
        let mut last = from.0;
        while let Some(Ok(Signal::Change(change))) = watch.next().await {
            assert_eq!(change.revision().0, last + 1, "revisions are dense");
            last += 1;
            let fact = fact_of(&change);
            let key = fact.key.clone();
            match fact.value {
                Some(_) => state.insert(key, (last, fact.value)),
                None => state.remove(&key),
            };
            self.stats.untold += usize::from(!self.known.contains_key(&last));
            self.learn(last, fact, "the history after a kill");
        }
        assert_eq!(last, log.revision().0);
    }
}

async fn keys(log: &Log, at: u64) -> Keys {
    let page = log.range(Range::prefix("").at(Revision(at))).await;
    let page = page.expect("the revision is kept");
    let entries = page.entries.iter().map(|entry| {
        let crc = crc32c::crc32c(&entry.value);
        (text(&entry.key), (entry.modified.0, Some(crc)))
    });
    entries.collect()
}

fn fact_of(change: &Change) -> Fact {
    Fact {
        key: text(change.key()),
        value: match change {
            Change::Put { entry, .. } => Some(crc32c::crc32c(&entry.value)),
            Change::Delete { .. } => None,
        },
    }
}

fn fact(what: &str, key: &str, crc: &str) -> Fact {
    Fact {
        key: key.to_owned(),
        value: (what == "p").then(|| number(crc) as u32),
    }
}

fn number(text: &str) -> u64 {
    text.parse()
        .unwrap_or_else(|_| panic!("{text:?} is no number"))
}

fn text(bytes: &[u8]) -> String {
    String::from_utf8_lossy(bytes).into_owned()
}
