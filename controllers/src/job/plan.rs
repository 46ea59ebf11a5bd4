//! Which pods a Job is to delete and to make next.

use std::collections::{HashMap, HashSet};
use std::sync::Arc;
use std::time::Duration;

use jiff::Timestamp;

use super::backoff;
use super::counts::{Counts, index_of, is_terminating};
use super::failure_policy::{counts as failure_counts, has_failed};
use crate::object::{Job, Pod};
use crate::replicaset::rank;

/// Pods made or deleted by one reconcile.
const MOST_AT_ONCE: usize = 500;

/// Either of the two: never both in one go.
#[derive(Debug, Default)]
pub struct Plan {
    pub delete: Vec<Arc<Pod>>,
    pub make: Vec<NewPod>,
    /// Failures are to be waited out so long before more is made.
    pub wait: Option<Duration>,
}

#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct NewPod {
    pub index: Option<u32>,
    /// Of a Job with a limit an index: how often this one has failed.
    pub failures: Option<Failures>,
}

#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Failures {
    pub counted: u32,
    pub ignored: u32,
}

pub fn plan(counts: &Counts, now: Timestamp) -> Plan {
    let wanted = if counts.job.spec.suspend {
        0
    } else {
        wanted(counts)
    };
    let mut delete = surplus(counts, counts.active.len().saturating_sub(wanted));
    if !delete.is_empty() {
        delete.truncate(MOST_AT_ONCE);
        return Plan {
            delete,
            ..Plan::default()
        };
    }
    let waited_for = if counts.job.replaces_only_failed() {
        counts.terminating
    } else {
        0
    };
    let missing = wanted.saturating_sub(waited_for + counts.active.len());
    match missing.min(MOST_AT_ONCE) {
        0 => Plan::default(),
        missing if counts.job.spec.backoff_limit_per_index.is_some() => {
            plan_by_index(counts, missing, now)
        }
        missing => plan_together(counts, missing, now),
    }
}

/// How many pods are to run.
fn wanted(counts: &Counts) -> usize {
    let job = counts.job;
    match job.spec.completions {
        // One has succeeded: those that still run may end, none follows.
        None if counts.succeeded > 0 => counts.active.len(),
        None => job.parallelism(),
        Some(completions) => {
            let completions = usize::try_from(completions).unwrap_or(0);
            let left = completions.saturating_sub(counts.succeeded);
            left.min(job.parallelism())
        }
    }
}

/// At least `fewest` of the active pods: those of no index, or of one that
/// another pod has, and then those whose loss hurts least.
fn surplus(counts: &Counts, fewest: usize) -> Vec<Arc<Pod>> {
    let mut pods = counts.active.clone();
    rank::by_loss(&mut pods);
    let (mut surplus, mut rest) = (Vec::new(), Vec::new());
    if counts.job.is_indexed() {
        let mut seen = HashSet::new();
        // The best come last, and keep their index.
        for pod in pods.into_iter().rev() {
            match index_of(counts.job, &pod) {
                Some(index) if seen.insert(index) => rest.push(pod),
                _ => surplus.push(pod),
            }
        }
        rest.reverse();
    } else {
        rest = pods;
    }
    let more = fewest.saturating_sub(surplus.len());
    surplus.extend(rest.into_iter().take(more));
    surplus
}

/// All failures of the Job hold up all its pods.
fn plan_together(counts: &Counts, missing: usize, now: Timestamp) -> Plan {
    let wait = backoff::of_job(counts.job, &counts.pods, now);
    if !wait.is_zero() {
        return Plan {
            wait: Some(wait),
            ..Plan::default()
        };
    }
    let make = if counts.job.is_indexed() {
        let indexes = pending(counts, missing).into_iter();
        let of_index = |index| NewPod {
            index: Some(index),
            failures: None,
        };
        indexes.map(of_index).collect()
    } else {
        vec![NewPod::default(); missing]
    };
    Plan {
        make,
        ..Plan::default()
    }
}

/// Each index has failures and waits of its own.
fn plan_by_index(counts: &Counts, missing: usize, now: Timestamp) -> Plan {
    let last = last_failures(counts);
    let mut plan = Plan::default();
    for index in pending(counts, counts.job.indexes() as usize) {
        if plan.make.len() == missing {
            break;
        }
        let failures = last.get(&index).map(|pod| failures_after(counts.job, pod));
        let failures = failures.unwrap_or_default();
        let wait = last.get(&index).map_or(Duration::ZERO, |pod| {
            let count = failures.counted.saturating_add(failures.ignored);
            backoff::left(count, backoff::finished_at(pod), now)
        });
        if wait.is_zero() {
            plan.make.push(NewPod {
                index: Some(index),
                failures: Some(failures),
            });
        } else {
            plan.wait = Some(plan.wait.map_or(wait, |soonest| soonest.min(wait)));
        }
    }
    plan
}

/// The first indexes for which a pod is to be made.
fn pending(counts: &Counts, count: usize) -> Vec<u32> {
    let job = counts.job;
    let mut there: Vec<&Arc<Pod>> = counts.active.iter().collect();
    if job.replaces_only_failed() {
        there.extend(counts.pods.iter().filter(|p| is_terminating(p)));
    }
    let taken = there.into_iter().filter_map(|p| index_of(job, p));
    let done = counts.completed_indexes.and(&counts.failed_indexes);
    done.with(taken).missing(count, job.indexes())
}

/// The failed pod of each index that its next pod follows. Such a pod keeps
/// its finalizer until then: it carries the count of failures.
pub fn last_failures(counts: &Counts) -> HashMap<u32, Arc<Pod>> {
    let job = counts.job;
    let mut last: HashMap<u32, Arc<Pod>> = HashMap::new();
    if job.spec.backoff_limit_per_index.is_none() {
        return last;
    }
    let active = counts.active.iter().filter_map(|p| index_of(job, p));
    let active: HashSet<u32> = active.collect();
    for pod in counts.pods.iter().filter(|p| has_failed(job, p)) {
        let Some(index) = index_of(job, pod) else {
            continue;
        };
        let is_over = counts.completed_indexes.contains(index)
            || counts.failed_indexes.contains(index)
            || active.contains(&index);
        let order = |pod: &Pod| (failures_before(pod), backoff::finished_at(pod));
        if !is_over && last.get(&index).is_none_or(|l| order(l) <= order(pod)) {
            last.insert(index, pod.clone());
        }
    }
    last
}

fn failures_before(pod: &Pod) -> u32 {
    let details = pod.job.as_ref();
    details.map_or(0, |d| d.failures.saturating_add(d.ignored_failures))
}

fn failures_after(job: &Job, pod: &Pod) -> Failures {
    let details = pod.job.as_ref();
    let mut failures = details.map_or(Failures::default(), |d| Failures {
        counted: d.failures,
        ignored: d.ignored_failures,
    });
    if failure_counts(job, pod) {
        failures.counted = failures.counted.saturating_add(1);
    } else {
        failures.ignored = failures.ignored.saturating_add(1);
    }
    failures
}

#[cfg(test)]
mod tests {
    use super::super::fixtures::{indexed, job, pod};
    use super::*;
    use serde_json::{Value, json};

    fn plan_of(job: &Job, pods: Vec<Pod>, now: &str) -> Plan {
        let pods = pods.into_iter().map(Arc::new).collect();
        plan(&Counts::of(job, pods), now.parse().unwrap())
    }

    const NOW: &str = "2026-01-01T00:00:10Z";

    fn in_phase(name: &str, phase: &str) -> Pod {
        pod(name, json!({}), json!({ "phase": phase }))
    }

    fn names(pods: &[Arc<Pod>]) -> Vec<&str> {
        pods.iter()
            .map(|p| p.metadata.name.as_deref().unwrap())
            .collect()
    }

    fn indexed_job(more: Value) -> Job {
        let mut spec = json!({ "completionMode": "Indexed", "completions": 4, "parallelism": 4 });
        for (key, value) in more.as_object().unwrap() {
            spec[key] = value.clone();
        }
        job(spec)
    }

    #[test]
    fn no_more_pods_run_than_are_still_to_succeed() {
        let job = job(json!({ "parallelism": 3, "completions": 4 }));
        let running = in_phase("r", "Running");
        assert_eq!(plan_of(&job, vec![running.clone()], NOW).make.len(), 2);
        let mut pods: Vec<Pod> = ["a", "b", "c"].map(|n| in_phase(n, "Succeeded")).into();
        pods.push(running);
        assert!(plan_of(&job, pods.clone(), NOW).make.is_empty());
        pods.push(in_phase("p", "Pending"));
        assert_eq!(names(&plan_of(&job, pods, NOW).delete), ["p"]);
    }

    #[test]
    fn work_queue_takes_no_more_pods_after_its_first_success() {
        let job = job(json!({ "parallelism": 3 }));
        assert_eq!(plan_of(&job, vec![], NOW).make.len(), 3);
        let pods = vec![in_phase("a", "Succeeded"), in_phase("b", "Running")];
        let plan = plan_of(&job, pods, NOW);
        assert!(plan.make.is_empty() && plan.delete.is_empty());
    }

    #[test]
    fn suspended_job_runs_nothing() {
        let job = job(json!({ "parallelism": 2, "completions": 2, "suspend": true }));
        let plan = plan_of(&job, vec![in_phase("a", "Running")], NOW);
        assert_eq!(names(&plan.delete), ["a"]);
        assert!(plan_of(&job, vec![], NOW).make.is_empty());
    }

    #[test]
    fn the_first_missing_indexes_are_made_and_doubles_removed() {
        let job = indexed_job(json!({ "parallelism": 3 }));
        let pods = vec![indexed("a", 0, "Succeeded"), indexed("b", 2, "Running")];
        let made: Vec<_> = plan_of(&job, pods.clone(), NOW).make;
        let indexes: Vec<_> = made.iter().filter_map(|new| new.index).collect();
        assert_eq!(indexes, [1, 3]);
        let mut pods = pods;
        pods.push(indexed("c", 2, "Pending"));
        assert_eq!(names(&plan_of(&job, pods, NOW).delete), ["c"]);
    }

    #[test]
    fn failure_is_waited_out() {
        let job = job(json!({ "completions": 1 }));
        let failed = |at| {
            pod(
                "a",
                json!({ "creationTimestamp": at }),
                json!({ "phase": "Failed" }),
            )
        };
        let soon = plan_of(&job, vec![failed("2026-01-01T00:00:04Z")], NOW);
        assert_eq!(
            (soon.wait, soon.make.len()),
            (Some(Duration::from_secs(4)), 0)
        );
        let later = plan_of(&job, vec![failed("2026-01-01T00:00:00Z")], NOW);
        assert_eq!((later.wait, later.make.len()), (None, 1));
    }

    #[test]
    fn failure_of_one_index_holds_up_no_other() {
        let job = indexed_job(json!({ "backoffLimitPerIndex": 3 }));
        let meta = json!({ "creationTimestamp": "2026-01-01T00:00:05Z", "annotations": {
            "batch.kubernetes.io/job-completion-index": "1",
            "batch.kubernetes.io/job-index-failure-count": "1" } });
        let failed = pod("a", meta, json!({ "phase": "Failed" }));
        let plan = plan_of(&job, vec![failed.clone()], NOW);
        let indexes: Vec<_> = plan.make.iter().filter_map(|new| new.index).collect();
        assert_eq!(
            (indexes, plan.wait),
            (vec![0, 2, 3], Some(Duration::from_secs(15)))
        );
        let plan = plan_of(&job, vec![failed], "2026-01-01T00:00:25Z");
        let again = plan.make.iter().find(|new| new.index == Some(1)).unwrap();
        assert_eq!(
            again.failures,
            Some(Failures {
                counted: 2,
                ignored: 0
            })
        );
    }

    #[test]
    fn ending_pod_is_replaced_at_once_or_when_it_has_failed() {
        let ending = json!({ "deletionTimestamp": "2026-01-01T00:00:00Z", "deletionGracePeriodSeconds": 30 });
        let ending = || vec![pod("a", ending.clone(), json!({ "phase": "Running" }))];
        let at_once = job(json!({ "completions": 1 }));
        assert_eq!(
            plan_of(&at_once, ending(), "2026-01-01T01:00:00Z")
                .make
                .len(),
            1
        );
        let waits = job(json!({ "completions": 1, "podReplacementPolicy": "Failed" }));
        assert_eq!(
            plan_of(&waits, ending(), "2026-01-01T01:00:00Z").make.len(),
            0
        );
    }
}
