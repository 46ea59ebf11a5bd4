//! A Job and its pods, counted.

use std::collections::HashSet;
use std::sync::Arc;

use super::failure_policy;
use super::indexes::Indexes;
use crate::object::{Job, Pod, is_tracked};

/// What one look at a Job sees.
pub struct Counts<'a> {
    pub job: &'a Job,
    /// All pods of the Job.
    pub pods: Vec<Arc<Pod>>,
    pub active: Vec<Arc<Pod>>,
    pub ready: usize,
    pub terminating: usize,
    /// So far, those not yet in the status's count included.
    pub succeeded: usize,
    pub failed: usize,
    pub completed_indexes: Indexes,
    pub failed_indexes: Indexes,
}

impl<'a> Counts<'a> {
    pub fn of(job: &'a Job, pods: Vec<Arc<Pod>>) -> Self {
        let active: Vec<_> = pods.iter().filter(|p| p.is_active()).cloned().collect();
        let completed_indexes = completed(job, &pods);
        Self {
            job,
            ready: active.iter().filter(|p| p.is_ready()).count(),
            terminating: pods.iter().filter(|p| is_terminating(p)).count(),
            succeeded: if job.is_indexed() {
                completed_indexes.total()
            } else {
                succeeded(job, &pods)
            },
            failed: failed(job, &pods),
            failed_indexes: failed_indexes(job, &pods),
            completed_indexes,
            active,
            pods,
        }
    }
}

/// Asked to end, and not there yet.
pub fn is_terminating(pod: &Pod) -> bool {
    pod.metadata.deletion_timestamp.is_some() && !pod.is_finished()
}

pub fn has_succeeded(pod: &Pod) -> bool {
    pod.status.phase.as_deref() == Some("Succeeded")
}

/// The pod's index, if the Job has such a one.
pub fn index_of(job: &Job, pod: &Pod) -> Option<u32> {
    let index = pod.job.as_ref()?.index?;
    (index < job.indexes()).then_some(index)
}

pub fn uid(pod: &Pod) -> &str {
    pod.metadata.uid.as_deref().unwrap_or_default()
}

/// The status keeps the count of those whose finalizer is gone, and the uids
/// of those that are on their way from one to the other.
fn succeeded(job: &Job, pods: &[Arc<Pod>]) -> usize {
    let uncounted = uncounted(job).0;
    let is_new =
        |p: &&Arc<Pod>| has_succeeded(p) && is_tracked(&p.metadata) && !uncounted.contains(uid(p));
    number(job.status.succeeded) + uncounted.len() + pods.iter().filter(is_new).count()
}

fn failed(job: &Job, pods: &[Arc<Pod>]) -> usize {
    let uncounted = uncounted(job).1;
    let is_new = |p: &&Arc<Pod>| {
        is_tracked(&p.metadata)
            && !uncounted.contains(uid(p))
            && failure_policy::has_failed(job, p)
            && failure_policy::counts(job, p)
    };
    number(job.status.failed) + uncounted.len() + pods.iter().filter(is_new).count()
}

/// The uids that the status has not counted yet: succeeded, failed.
pub fn uncounted(job: &Job) -> (HashSet<&str>, HashSet<&str>) {
    let uncounted = job.status.uncounted_terminated_pods.as_ref();
    let succeeded = uncounted.and_then(|u| u.succeeded.as_ref());
    let failed = uncounted.and_then(|u| u.failed.as_ref());
    (
        succeeded
            .into_iter()
            .flatten()
            .map(String::as_str)
            .collect(),
        failed.into_iter().flatten().map(String::as_str).collect(),
    )
}

/// Those that the status says have succeeded.
pub fn recorded_indexes(job: &Job) -> Indexes {
    let text = job.status.completed_indexes.as_deref();
    Indexes::parse(text.unwrap_or_default(), job.indexes())
}

fn completed(job: &Job, pods: &[Arc<Pod>]) -> Indexes {
    if !job.is_indexed() {
        return Indexes::default();
    }
    let succeeded = pods
        .iter()
        .filter(|p| has_succeeded(p) && is_tracked(&p.metadata));
    recorded_indexes(job).with(succeeded.filter_map(|p| index_of(job, p)))
}

fn failed_indexes(job: &Job, pods: &[Arc<Pod>]) -> Indexes {
    let Some(limit) = job.spec.backoff_limit_per_index else {
        return Indexes::default();
    };
    let text = job.status.failed_indexes.as_deref();
    let recorded = Indexes::parse(text.unwrap_or_default(), job.indexes());
    let limit = u32::try_from(limit).unwrap_or(0);
    let is_given_up = |pod: &&Arc<Pod>| {
        let failures = pod.job.as_ref().map_or(0, |details| details.failures);
        failure_policy::has_failed(job, pod)
            && match failure_policy::meaning(job, pod) {
                failure_policy::Meaning::FailIndex => true,
                failure_policy::Meaning::Ignore => false,
                _ => failures >= limit,
            }
    };
    let failed = pods.iter().filter(is_given_up);
    recorded.with(failed.filter_map(|p| index_of(job, p)))
}

fn number(count: Option<i32>) -> usize {
    usize::try_from(count.unwrap_or(0)).unwrap_or(0)
}

#[cfg(test)]
mod tests {
    use super::super::fixtures::{indexed, job, job_with, pod};
    use super::*;
    use serde_json::json;

    fn arcs(pods: impl IntoIterator<Item = Pod>) -> Vec<Arc<Pod>> {
        pods.into_iter().map(Arc::new).collect()
    }

    #[test]
    fn pod_is_counted_once_on_its_whole_way_into_the_status() {
        let ended = |finalizers: &[&str]| {
            let meta = json!({ "finalizers": finalizers });
            arcs([pod("a", meta, json!({ "phase": "Succeeded" }))])
        };
        let kept = ["batch.kubernetes.io/job-tracking"];
        let on_its_way = json!({ "uncountedTerminatedPods": { "succeeded": ["a"] } });
        let count = |job: &Job, pods| Counts::of(job, pods).succeeded;
        assert_eq!(count(&job(json!({})), ended(&kept)), 1);
        let noted = job_with(json!({}), on_its_way);
        assert_eq!(count(&noted, ended(&kept)), 1);
        assert_eq!(count(&noted, ended(&[])), 1);
        assert_eq!(count(&noted, Vec::new()), 1);
        let counted = job_with(json!({}), json!({ "succeeded": 1 }));
        assert_eq!(count(&counted, ended(&[])), 1);
        assert_eq!(count(&counted, Vec::new()), 1);
    }

    #[test]
    fn index_that_succeeds_twice_counts_once() {
        let job = job_with(
            json!({ "completionMode": "Indexed", "completions": 3 }),
            json!({ "completedIndexes": "0", "succeeded": 1 }),
        );
        let pods = arcs([
            indexed("a", 0, "Succeeded"),
            indexed("b", 2, "Succeeded"),
            indexed("c", 9, "Succeeded"),
        ]);
        let counts = Counts::of(&job, pods);
        assert_eq!(counts.completed_indexes.to_string(), "0,2");
        assert_eq!(counts.succeeded, 2);
    }

    #[test]
    fn index_is_given_up_when_its_pods_failed_once_more_than_its_limit() {
        let job = job(
            json!({ "completionMode": "Indexed", "completions": 3, "backoffLimitPerIndex": 1 }),
        );
        let failed = |name, index: &str, before: &str| {
            let annotations = json!({ "batch.kubernetes.io/job-completion-index": index,
                "batch.kubernetes.io/job-index-failure-count": before });
            pod(
                name,
                json!({ "annotations": annotations }),
                json!({ "phase": "Failed" }),
            )
        };
        let pods = arcs([failed("a", "0", "0"), failed("b", "1", "1")]);
        let counts = Counts::of(&job, pods);
        assert_eq!(counts.failed_indexes.to_string(), "1");
        assert_eq!(counts.failed, 2);
    }
}
