//! Changes of ConfigMaps, and how long until every watcher has them.
//!
//! ConfigMaps, because they are small: an event is some 350 bytes, as that of a
//! Lease, of which a large cluster has most. Each carries the time it was sent at;
//! a watcher looks for that in each event and does nothing else with it.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::{Duration, Instant};

use anyhow::ensure;
use memchr::memmem::Finder;
use tokio::task::LocalSet;
use tokio_util::sync::CancellationToken;

use super::Options;
use crate::client::Target;
use crate::histogram::Histogram;
use crate::report::{Line, millis, number};
use crate::server::Server;

const PATH: &str = "/api/v1/namespaces/default/configmaps";
/// Changed in turn.
const OBJECTS: u64 = 100;
const WRITERS: usize = 32;
const THREADS: usize = 2;
/// At most so long the last events may take to arrive.
const DRAIN: Duration = Duration::from_secs(10);

struct Shared {
    target: Target,
    began: Instant,
    watching: AtomicU64,
    seen: AtomicU64,
    /// Only what is sent from here on counts.
    is_counting: AtomicBool,
    stop: CancellationToken,
}

pub fn run(server: &Server, options: &Options) -> anyhow::Result<()> {
    make_objects(server)?;
    let shared = Arc::new(Shared {
        target: server.target.clone(),
        began: Instant::now(),
        watching: AtomicU64::new(0),
        seen: AtomicU64::new(0),
        is_counting: AtomicBool::new(false),
        stop: CancellationToken::new(),
    });
    let watchers: Vec<_> = (0..THREADS)
        .map(|thread| {
            let mine =
                options.watchers / THREADS + usize::from(thread < options.watchers % THREADS);
            let shared = shared.clone();
            std::thread::spawn(move || watch_all(&shared, mine))
        })
        .collect();
    while shared.watching.load(Ordering::Acquire) < options.watchers as u64 {
        let is_over = watchers.iter().any(std::thread::JoinHandle::is_finished);
        ensure!(!is_over, "a watch could not be opened");
        std::thread::sleep(Duration::from_millis(10));
    }
    let resident = server.usage()?.resident_kib / 1024;
    let before = server.usage()?;
    shared.is_counting.store(true, Ordering::Release);
    let begun = Instant::now();
    let sent = write(&shared, options.events, options.time())?;
    let rate = sent as f64 / begun.elapsed().as_secs_f64();
    let wanted = sent * options.watchers as u64;
    wait_for(&shared, wanted);
    let took = begun.elapsed();
    let cpu = server.usage()?.cpu - before.cpu;
    shared.stop.cancel();
    let mut latencies = Histogram::default();
    for thread in watchers {
        latencies.merge(&thread.join().expect("the watchers do not panic")?);
    }
    Line {
        what: "watch",
        measured: format!(
            "{} watchers saw {} of {} events ({}/s each, {}/s in all): p50 {}, p99 {}, longest {}; all were there {} after the first; {:.0} % of a core in the server, {resident} MB before",
            number(options.watchers as f64),
            number(latencies.total() as f64),
            number(wanted as f64),
            number(rate),
            number(rate * options.watchers as f64),
            millis(latencies.percentile(50.0)),
            millis(latencies.percentile(99.0)),
            millis(latencies.longest()),
            millis(took),
            cpu.as_secs_f64() / took.as_secs_f64() * 100.0,
        ),
        peer: None,
        goal: "1,000 watchers, 1,000/s each, p99 under 1 s",
    }
    .print();
    Ok(())
}

fn body(number: u64, sent_at: u64) -> String {
    format!(
        r#"{{"apiVersion":"v1","kind":"ConfigMap","metadata":{{"name":"watched-{number}"}},"data":{{"sent":"@{sent_at:016}"}}}}"#
    )
}

fn make_objects(server: &Server) -> anyhow::Result<()> {
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()?;
    runtime.block_on(async {
        let mut connection = server.target.connect().await?;
        for number in 0..OBJECTS {
            let request = server.target.request("POST", PATH, &body(number, 0));
            let (status, _) = connection.ask(&request).await?;
            ensure!(status == 201, "a ConfigMap was answered with {status}");
        }
        Ok(())
    })
}

/// Changes `rate` objects a second for `time`; how many it changed.
fn write(shared: &Arc<Shared>, rate: u32, time: Duration) -> anyhow::Result<u64> {
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()?;
    let sent = Arc::new(AtomicU64::new(0));
    let all = u64::from(rate) * time.as_secs();
    let tasks = LocalSet::new();
    let begun = tokio::time::Instant::now();
    let writers: Vec<_> = (0..WRITERS)
        .map(|_| {
            let (shared, sent) = (shared.clone(), sent.clone());
            tasks.spawn_local(async move {
                let mut connection = shared.target.connect().await?;
                loop {
                    let number = sent.fetch_add(1, Ordering::Relaxed);
                    if number >= all {
                        return anyhow::Ok(());
                    }
                    let due = begun + Duration::from_secs_f64(number as f64 / f64::from(rate));
                    tokio::time::sleep_until(due).await;
                    let now = shared.began.elapsed().as_micros();
                    let object = number % OBJECTS;
                    let body = body(object, u64::try_from(now)?);
                    let path = format!("{PATH}/watched-{object}");
                    let (status, _) = connection
                        .ask(&shared.target.request("PUT", &path, &body))
                        .await?;
                    ensure!(status == 200, "a change was answered with {status}");
                }
            })
        })
        .collect();
    runtime.block_on(tasks);
    for writer in writers {
        runtime.block_on(writer)??;
    }
    Ok(all)
}

/// Waits until all events came.
fn wait_for(shared: &Shared, wanted: u64) {
    let begun = Instant::now();
    while shared.seen.load(Ordering::Relaxed) < wanted && begun.elapsed() < DRAIN {
        std::thread::sleep(Duration::from_millis(1));
    }
}

/// The watchers of one thread.
fn watch_all(shared: &Arc<Shared>, watchers: usize) -> anyhow::Result<Histogram> {
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()?;
    let tasks = LocalSet::new();
    let watching: Vec<_> = (0..watchers)
        .map(|_| tasks.spawn_local(watch(shared.clone())))
        .collect();
    runtime.block_on(tasks);
    let mut latencies = Histogram::default();
    for one in watching {
        latencies.merge(&runtime.block_on(one)??);
    }
    Ok(latencies)
}

async fn watch(shared: Arc<Shared>) -> anyhow::Result<Histogram> {
    let mut connection = shared.target.connect().await?;
    let request = shared.target.request("GET", &format!("{PATH}?watch=true&resourceVersion=0&sendInitialEvents=false&resourceVersionMatch=NotOlderThan"), "");
    let mut seen = Seen::default();
    let begun = || {
        shared.watching.fetch_add(1, Ordering::AcqRel);
    };
    let streaming = connection.stream(&request, begun, |data| {
        let before = seen.latencies.total();
        seen.look(data, &shared);
        let new = seen.latencies.total() - before;
        shared.seen.fetch_add(new, Ordering::Relaxed);
    });
    if let Some(ended) = shared.stop.run_until_cancelled(streaming).await {
        ended?;
        anyhow::bail!("a watch ended");
    }
    Ok(seen.latencies)
}

#[derive(Default)]
struct Seen {
    latencies: Histogram,
    /// The end of the data before, where a mark may begin.
    rest: Vec<u8>,
}

/// `"sent":"@` and sixteen digits.
const MARK: &[u8] = b"\"sent\":\"@";
const DIGITS: usize = 16;

impl Seen {
    fn look(&mut self, data: &[u8], shared: &Shared) {
        if !shared.is_counting.load(Ordering::Relaxed) {
            return;
        }
        let now = u64::try_from(shared.began.elapsed().as_micros()).unwrap_or(u64::MAX);
        let keep = MARK.len() + DIGITS - 1;
        if !self.rest.is_empty() {
            // The few bytes over which the border may be crossed.
            self.rest.extend_from_slice(&data[..data.len().min(keep)]);
            let border = std::mem::take(&mut self.rest);
            self.count(&border, now);
            if data.len() < keep {
                self.rest = border;
            }
        }
        self.count(data, now);
        let tail = data.len().saturating_sub(keep);
        self.rest.extend_from_slice(&data[tail..]);
    }

    fn count(&mut self, data: &[u8], now: u64) {
        for at in Finder::new(MARK).find_iter(data) {
            let digits = data.get(at + MARK.len()..at + MARK.len() + DIGITS);
            let sent =
                digits.and_then(|digits| std::str::from_utf8(digits).ok()?.parse::<u64>().ok());
            if let Some(sent) = sent {
                self.latencies.record_micros(now.saturating_sub(sent));
            }
        }
    }
}
