//! Many connections that ask one thing after the other.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use tokio::task::LocalSet;

use crate::client::Target;
use crate::histogram::Histogram;

const THREADS: usize = 2;

/// When a load ends.
#[derive(Clone, Copy)]
pub enum Until {
    Requests(u64),
    Time(Duration),
}

/// What came of a load.
#[derive(Default)]
pub struct Outcome {
    pub latencies: Histogram,
    /// Answers of another status than the wanted.
    pub failures: u64,
    pub took: Duration,
}

impl Outcome {
    pub fn per_second(&self) -> f64 {
        self.latencies.total() as f64 / self.took.as_secs_f64()
    }
}

/// Asks `request(number)` over `connections` until the load is done. Answers of
/// another status than `wanted` count as failures.
pub fn run(
    target: &Target,
    connections: usize,
    until: Until,
    wanted: u16,
    request: impl Fn(u64, &mut Vec<u8>) + Send + Sync + 'static,
) -> anyhow::Result<Outcome> {
    let shared = Arc::new(Shared {
        target: target.clone(),
        until,
        wanted,
        request: Box::new(request),
        next: AtomicU64::new(0),
    });
    let start = Arc::new(std::sync::Barrier::new(THREADS + 1));
    let threads: Vec<_> = (0..THREADS)
        .map(|thread| {
            let (shared, start) = (shared.clone(), start.clone());
            let mine = connections / THREADS + usize::from(thread < connections % THREADS);
            std::thread::spawn(move || on_thread(&shared, mine, &start))
        })
        .collect();
    start.wait();
    let begun = Instant::now();
    let mut outcome = Outcome::default();
    for thread in threads {
        let one = thread.join().expect("the load does not panic")?;
        outcome.latencies.merge(&one.latencies);
        outcome.failures += one.failures;
    }
    outcome.took = begun.elapsed();
    Ok(outcome)
}

/// Writes the request of a number.
type Request = dyn Fn(u64, &mut Vec<u8>) + Send + Sync;

struct Shared {
    target: Target,
    until: Until,
    wanted: u16,
    request: Box<Request>,
    next: AtomicU64,
}

fn on_thread(
    shared: &Arc<Shared>,
    connections: usize,
    start: &std::sync::Barrier,
) -> anyhow::Result<Outcome> {
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()?;
    let open = async {
        let mut open = Vec::with_capacity(connections);
        for _ in 0..connections {
            open.push(shared.target.connect().await?);
        }
        anyhow::Ok(open)
    };
    let open = runtime.block_on(open);
    start.wait();
    let deadline = match shared.until {
        Until::Time(time) => Some(Instant::now() + time),
        Until::Requests(_) => None,
    };
    let tasks = LocalSet::new();
    let handles: Vec<_> = open?
        .into_iter()
        .map(|connection| tasks.spawn_local(on_connection(shared.clone(), connection, deadline)))
        .collect();
    runtime.block_on(tasks);
    let mut outcome = Outcome::default();
    for handle in handles {
        let one = runtime.block_on(handle)??;
        outcome.latencies.merge(&one.latencies);
        outcome.failures += one.failures;
    }
    Ok(outcome)
}

async fn on_connection(
    shared: Arc<Shared>,
    mut connection: crate::client::Connection,
    deadline: Option<Instant>,
) -> anyhow::Result<Outcome> {
    let mut outcome = Outcome::default();
    let mut request = Vec::new();
    loop {
        let number = shared.next.fetch_add(1, Ordering::Relaxed);
        let sent = Instant::now();
        let is_done = match shared.until {
            Until::Requests(all) => number >= all,
            Until::Time(_) => deadline.is_some_and(|deadline| sent >= deadline),
        };
        if is_done {
            return Ok(outcome);
        }
        request.clear();
        (shared.request)(number, &mut request);
        let (status, _) = connection.ask(&request).await?;
        outcome.latencies.record(sent.elapsed());
        outcome.failures += u64::from(status != shared.wanted);
    }
}
