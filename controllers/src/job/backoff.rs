//! How long a Job waits before it tries again after failures.
//!
//! Read from the pods that are there, and not remembered: a controller started
//! anew waits as the one before would have.

use std::sync::Arc;
use std::time::Duration;

use jiff::{SignedDuration, Timestamp};

use super::counts::has_succeeded;
use super::failure_policy::has_failed;
use crate::object::{Job, Pod};

const FIRST: Duration = Duration::from_secs(10);
const LONGEST: Duration = Duration::from_secs(600);

/// What is left of the wait after so many failures, of which the last was at `last`.
pub fn left(failures: u32, last: Timestamp, now: Timestamp) -> Duration {
    let Some(doublings) = failures.checked_sub(1) else {
        return Duration::ZERO;
    };
    let wait = FIRST.saturating_mul(1u32.checked_shl(doublings).unwrap_or(u32::MAX));
    let passed = now.duration_since(last).max(SignedDuration::ZERO);
    wait.min(LONGEST)
        .saturating_sub(Duration::try_from(passed).unwrap_or_default())
}

/// The wait of the whole Job: failures since the last success count.
pub fn of_job(job: &Job, pods: &[Arc<Pod>], now: Timestamp) -> Duration {
    let ends = |is_it: &dyn Fn(&Pod) -> bool| -> Vec<Timestamp> {
        let pods = pods.iter().filter(|p| is_it(p));
        pods.map(|p| finished_at(p)).collect()
    };
    let success = ends(&has_succeeded).into_iter().max();
    let mut failures = ends(&|pod| has_failed(job, pod));
    failures.retain(|at| success.is_none_or(|success| *at > success));
    let count = u32::try_from(failures.len()).unwrap_or(u32::MAX);
    failures
        .into_iter()
        .max()
        .map_or(Duration::ZERO, |last| left(count, last, now))
}

pub fn finished_at(pod: &Pod) -> Timestamp {
    let details = pod.job.as_ref();
    details.map_or(Timestamp::UNIX_EPOCH, |details| details.finished_at)
}

#[cfg(test)]
mod tests {
    use super::super::fixtures::{job, pod};
    use super::*;
    use serde_json::json;

    fn ended(name: &str, phase: &str, at: &str) -> Arc<Pod> {
        let end = json!({ "exitCode": 1, "finishedAt": at });
        Arc::new(pod(
            name,
            json!({}),
            json!({ "phase": phase, "containerStatuses": [
            { "name": "c", "restartCount": 0, "state": { "terminated": end } }] }),
        ))
    }

    #[test]
    fn wait_doubles_up_to_ten_minutes() {
        let now = Timestamp::UNIX_EPOCH;
        let waits = [0, 1, 2, 3, 7, 40].map(|failures| left(failures, now, now).as_secs());
        assert_eq!(waits, [0, 10, 20, 40, 600, 600]);
    }

    #[test]
    fn success_forgives_the_failures_before_it() {
        let pods = [
            ended("a", "Failed", "2026-01-01T00:00:00Z"),
            ended("b", "Succeeded", "2026-01-01T00:00:05Z"),
            ended("c", "Failed", "2026-01-01T00:00:10Z"),
        ];
        let now = "2026-01-01T00:00:13Z".parse().unwrap();
        let wait = |pods| of_job(&job(json!({})), pods, now).as_secs();
        assert_eq!((wait(&pods), wait(&pods[..2]), wait(&pods[..1])), (7, 0, 0));
    }
}
