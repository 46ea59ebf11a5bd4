//! The process that is killed: it writes and watches as fast as it can, and
//! says on stdout what it was told.
//!
//! ```text
//! open <newest> <oldest>
//! ack <revision> <p|d> <key> <crc of the value> <revision of what it replaced, or ->
//! begin <watcher> <prefix> <from>
//! saw <watcher> <revision> <p|d> <key> <crc of the value> <revision of what was before, or 0>
//! error <what>
//! ```

use std::{io::Write, path::Path, sync::Arc, time::Duration};

use rand::{RngExt, SeedableRng, rngs::StdRng};
use store::{Change, Entry, Error, Expect, Log, Options, Revision, Signal, Store, Value};

/// What the process is told by.
pub const DIR: &str = "SKIFF_CRASH_DIR";
pub const FROM: &str = "SKIFF_CRASH_FROM";
pub const SEED: &str = "SKIFF_CRASH_SEED";

const WRITERS: u64 = 6;
const WATCHERS: [&str; 4] = ["/", "/a/", "/b/", "/a/1"];

/// So little, that snapshots are taken and history is compacted all the time.
pub fn options() -> Options {
    Options {
        snapshot_after: 25_000,
        history_changes: 500,
        ..Options::default()
    }
}

/// Runs until it is killed.
pub async fn run(dir: &Path) {
    let number = |name| std::env::var(name).ok()?.parse().ok();
    let (from, seed) = (number(FROM).unwrap_or(0), number(SEED).unwrap_or(0));
    // A test's own harness may have begun a line.
    say("");
    let log = match Log::open(dir, options()) {
        Ok(log) => log,
        Err(error) => return say(&format!("error open: {error}")),
    };
    say(&format!("open {} {}", log.revision(), log.oldest()));
    for prefix in WATCHERS {
        tokio::spawn(watch(Arc::clone(&log), prefix, Revision(from)));
    }
    for writer in 0..WRITERS {
        tokio::spawn(write(Arc::clone(&log), seed * WRITERS + writer));
    }
    compact(&log, seed).await;
}

async fn compact(log: &Log, seed: u64) {
    let mut rng = StdRng::seed_from_u64(seed);
    loop {
        tokio::time::sleep(Duration::from_millis(rng.random_range(1..20))).await;
        let before = rng.random_range(0..=log.revision().0);
        if let Err(error) = log.compact(Revision(before)).await {
            say(&format!("error compact: {error}"));
        }
    }
}

async fn write(log: Arc<Log>, seed: u64) {
    let mut rng = StdRng::seed_from_u64(seed);
    loop {
        let key = format!(
            "/{}/{}",
            ["a", "b"][rng.random_range(0..2)],
            rng.random_range(0..20)
        );
        if let Err(error) = write_once(&log, &key, &mut rng).await {
            match error {
                Error::Conflict { .. } | Error::NotFound => {}
                error => say(&format!("error write: {error}")),
            }
        }
    }
}

async fn write_once(log: &Log, key: &str, rng: &mut StdRng) -> Result<(), Error> {
    let now = log.get(key.as_bytes()).await?;
    let expect = match (rng.random_range(0..4), now) {
        (0, Some(entry)) => Expect::At(entry.modified),
        (0, None) => Expect::Absent,
        _ => Expect::Any,
    };
    let replaced = match expect {
        Expect::At(revision) => revision.to_string(),
        Expect::Absent => "0".to_owned(),
        Expect::Any => "-".to_owned(),
    };
    if rng.random_bool(0.2) {
        let (before, revision) = log.delete(key.as_bytes(), expect).await?;
        say(&format!("ack {revision} d {key} 0 {}", before.modified));
        return Ok(());
    }
    let length = [0, 10, 300, 2000][rng.random_range(0..4)];
    let value = Value::with_revision_at(vec![b'x'; length], length / 2);
    let entry = log.put(key.as_bytes(), value, expect).await?;
    let (revision, crc) = (entry.modified, crc32c::crc32c(&entry.value));
    say(&format!("ack {revision} p {key} {crc} {replaced}"));
    Ok(())
}

/// Watches from where it was when the process before this one was killed.
async fn watch(log: Arc<Log>, prefix: &'static str, mut from: Revision) {
    loop {
        let mut watch = match log.watch(prefix.as_bytes(), from).await {
            Ok(watch) => watch,
            Err(Error::Compacted { .. }) => {
                from = log.revision();
                continue;
            }
            Err(error) => return say(&format!("error watch: {error}")),
        };
        say(&format!("begin {prefix} {prefix} {from}"));
        while let Some(Ok(signal)) = watch.next().await {
            if let Signal::Change(change) = signal {
                from = change.revision();
                saw(prefix, &change);
            }
        }
    }
}

fn saw(watcher: &str, change: &Change) {
    let (what, crc) = match change {
        Change::Put { entry, .. } => ("p", crc32c::crc32c(&entry.value)),
        Change::Delete { .. } => ("d", 0),
    };
    let before = |entry: &Entry| entry.modified;
    say(&format!(
        "saw {watcher} {} {what} {} {crc} {}",
        change.revision(),
        String::from_utf8_lossy(change.key()),
        change.previous().map_or(Revision(0), before),
    ));
}

fn say(line: &str) {
    // One write a line: what is in the pipe outlives the process.
    let line = format!("{line}\n");
    let told = std::io::stdout().lock().write_all(line.as_bytes());
    told.expect("the checker reads until the end");
}
