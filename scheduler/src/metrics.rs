//! What the scheduler counts, by the names that kube-scheduler has for it.

use std::sync::{Arc, LazyLock};

use metrics::{Collect, Counter, Family, Gauge, Histogram, SERVER, exponential};
use tokio::time::Instant;

use crate::queue::{Counts, Wait};

const FROM_A_MILLISECOND: [f64; 15] = exponential(0.001, 2.0);
const FROM_TEN_MILLISECONDS: [f64; 20] = exponential(0.01, 2.0);
const FROM_ONE: [f64; 5] = exponential(1.0, 2.0);
const TO_64: [f64; 7] = exponential(1.0, 2.0);
/// As many attempts as are told one by one.
const ATTEMPTS_TOLD: u32 = 15;

static ATTEMPTS: Family<Counter> = Family::counter(
    "scheduler_schedule_attempts_total",
    "Number of attempts to schedule pods, by the result. 'unschedulable' means a pod could not be scheduled, while 'error' means an internal scheduler problem.",
    &["profile", "result"],
);
static ATTEMPT_TIME: Family<Histogram> = Family::histogram(
    "scheduler_scheduling_attempt_duration_seconds",
    "Scheduling attempt latency in seconds (scheduling algorithm + binding).",
    &["profile", "result"],
    &FROM_A_MILLISECOND,
);
static ALGORITHM_TIME: Family<Histogram> = Family::histogram(
    "scheduler_scheduling_algorithm_duration_seconds",
    "Scheduling algorithm latency in seconds.",
    &[],
    &FROM_A_MILLISECOND,
);
static PENDING: Family<Gauge> = Family::gauge(
    "scheduler_pending_pods",
    "Number of pending pods, by the queue type.",
    &["queue"],
);
static POD_TIME: Family<Histogram> = Family::histogram(
    "scheduler_pod_scheduling_sli_duration_seconds",
    "E2e latency for a pod being scheduled, from the time the pod enters the scheduling queue, by attempts.",
    &["attempts"],
    &FROM_TEN_MILLISECONDS,
);
static POD_ATTEMPTS: Family<Histogram> = Family::histogram(
    "scheduler_pod_scheduling_attempts",
    "Number of attempts to successfully schedule a pod.",
    &[],
    &FROM_ONE,
);
static PREEMPTIONS: Family<Counter> = Family::counter(
    "scheduler_preemption_attempts_total",
    "Total preemption attempts in the cluster till now.",
    &[],
);
static VICTIMS: Family<Histogram> = Family::histogram(
    "scheduler_preemption_victims",
    "Number of selected preemption victims.",
    &[],
    &TO_64,
);
static CACHE: Family<Gauge> = Family::gauge(
    "scheduler_cache_size",
    "Number of nodes, pods, and assumed (bound) pods in the scheduler cache.",
    &["type"],
);

/// How an attempt ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Outcome {
    Scheduled,
    Unschedulable,
    Error,
}

impl Outcome {
    fn word(self) -> &'static str {
        match self {
            Self::Scheduled => "scheduled",
            Self::Unschedulable => "unschedulable",
            Self::Error => "error",
        }
    }
}

/// The series that are counted with every pod.
pub struct Metrics {
    active: Arc<Gauge>,
    back_off: Arc<Gauge>,
    unschedulable: Arc<Gauge>,
    nodes: Arc<Gauge>,
    algorithm: Arc<Histogram>,
    pod_attempts: Arc<Histogram>,
}

/// Adds what is counted here to the server's metrics.
pub fn tell() -> Metrics {
    static ALL: LazyLock<[&dyn Collect; 9]> = LazyLock::new(|| {
        [
            &ATTEMPTS,
            &ATTEMPT_TIME,
            &ALGORITHM_TIME,
            &PENDING,
            &POD_TIME,
            &POD_ATTEMPTS,
            &PREEMPTIONS,
            &VICTIMS,
            &CACHE,
        ]
    });
    SERVER.add(&*ALL);
    // There from the start, so that a rate over them is.
    PREEMPTIONS.only();
    Metrics {
        active: PENDING.with(&["active"]),
        back_off: PENDING.with(&["backoff"]),
        unschedulable: PENDING.with(&["unschedulable"]),
        nodes: CACHE.with(&["nodes"]),
        algorithm: ALGORITHM_TIME.only(),
        pod_attempts: POD_ATTEMPTS.only(),
    }
}

impl Metrics {
    /// How many pods wait, and how many nodes there are.
    pub fn sizes(&self, waiting: Counts, nodes: usize) {
        self.active.set(waiting.ready);
        self.back_off.set(waiting.backing_off);
        self.unschedulable.set(waiting.parked);
        self.nodes.set(nodes);
    }

    /// A node was looked for since `start`.
    pub fn decided(&self, start: Instant) {
        self.algorithm.took(start.elapsed());
    }

    /// The pod that has waited so is bound.
    pub fn scheduled(&self, profile: &str, wait: Wait) {
        attempted(profile, Outcome::Scheduled, Some(wait));
        self.pod_attempts.observe(f64::from(wait.attempts));
        let attempts = if wait.attempts > ATTEMPTS_TOLD {
            format!("{ATTEMPTS_TOLD}+")
        } else {
            wait.attempts.to_string()
        };
        POD_TIME.with(&[&attempts]).took(wait.added.elapsed());
    }

    pub fn preempting(&self, victims: usize) {
        PREEMPTIONS.only().inc();
        VICTIMS.only().observe(victims as f64);
    }
}

/// The last attempt at a pod that has waited so has ended.
pub fn attempted(profile: &str, outcome: Outcome, wait: Option<Wait>) {
    let labels = [profile, outcome.word()];
    ATTEMPTS.with(&labels).inc();
    if let Some(start) = wait.and_then(|wait| wait.last_attempt) {
        ATTEMPT_TIME.with(&labels).took(start.elapsed());
    }
}
