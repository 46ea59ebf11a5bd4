//! What the controllers' queues count, by the names that Kubernetes has for it.

use std::sync::Arc;
use std::time::Duration;

use metrics::{Counter, Family, Gauge, Histogram, SERVER, exponential};
use tokio::time::Instant;

/// From ten nanoseconds to ten seconds.
const BOUNDS: [f64; 10] = exponential(1e-8, 10.0);

static DEPTH: Family<Gauge> = Family::gauge(
    "workqueue_depth",
    "Current depth of workqueue by workqueue: name",
    &["name"],
);
static ADDS: Family<Counter> = Family::counter(
    "workqueue_adds_total",
    "Total number of adds handled by workqueue: name",
    &["name"],
);
static QUEUED: Family<Histogram> = Family::histogram(
    "workqueue_queue_duration_seconds",
    "How long in seconds an item stays in workqueue before being requested.",
    &["name"],
    &BOUNDS,
);
static WORKED: Family<Histogram> = Family::histogram(
    "workqueue_work_duration_seconds",
    "How long in seconds processing an item from workqueue takes.",
    &["name"],
    &BOUNDS,
);
static RETRIES: Family<Counter> = Family::counter(
    "workqueue_retries_total",
    "Total number of retries handled by workqueue: name",
    &["name"],
);

/// Adds the queues to the server's metrics.
pub fn tell() {
    SERVER.add(&[&DEPTH, &ADDS, &QUEUED, &WORKED, &RETRIES]);
}

/// One queue's.
pub struct Workqueue {
    depth: Arc<Gauge>,
    adds: Arc<Counter>,
    queued: Arc<Histogram>,
    worked: Arc<Histogram>,
    retries: Arc<Counter>,
}

impl Workqueue {
    pub fn of(name: &str) -> Self {
        let name = [name];
        Self {
            depth: DEPTH.with(&name),
            adds: ADDS.with(&name),
            queued: QUEUED.with(&name),
            worked: WORKED.with(&name),
            retries: RETRIES.with(&name),
        }
    }

    /// So many keys were added; so many wait now.
    pub fn added(&self, keys: usize, depth: usize) {
        self.adds.add(keys as u64);
        self.depth.set(depth);
    }

    /// A key that was wanted since then was taken; so many wait now.
    pub fn taken(&self, depth: usize, since: Option<Instant>) {
        self.depth.set(depth);
        if let Some(since) = since {
            self.queued.took(since.elapsed());
        }
    }

    pub fn worked(&self, took: Duration) {
        self.worked.took(took);
    }

    pub fn failed(&self) {
        self.retries.inc();
    }
}
