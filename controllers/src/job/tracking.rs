//! No pod of a Job is counted twice or lost.
//!
//! A finalizer keeps each pod. When it has ended, its uid is written into the
//! status; then the finalizer is taken off; then the count is raised and the
//! uid taken out, in one write. Wherever this is interrupted, the next look
//! goes on from what is written. Of an indexed Job the index in
//! `completedIndexes` is the count of a success.

use std::collections::HashSet;
use std::sync::Arc;

use k8s_openapi::api::batch::v1::{JobStatus, UncountedTerminatedPods};

use super::counts::{self, Counts, has_succeeded, index_of, uid};
use super::failure_policy::{counts as failure_counts, has_failed};
use super::outcome::{End, Outcome};
use super::plan;
use crate::object::{Pod, is_tracked};

/// More uids than this would make the status too large; the rest follows.
const MOST_UNCOUNTED: usize = 500;

pub struct Noted {
    /// They may go: what they were is in the status.
    pub release: Vec<Arc<Pod>>,
    pub is_all: bool,
}

/// Writes into `status` what has ended, and says whose finalizer is to go.
pub fn note(counts: &Counts, outcome: Option<&Outcome>, status: &mut JobStatus) -> Noted {
    let job = counts.job;
    let held = plan::last_failures(counts);
    let is_released = |pod: &&Arc<Pod>| {
        let is_held = || {
            let index = index_of(job, pod);
            let holder = index.and_then(|index| held.get(&index));
            holder.is_some_and(|holder| uid(holder) == uid(pod))
        };
        job.metadata.deletion_timestamp.is_some()
            || outcome.is_some()
            || has_succeeded(pod)
            || (has_failed(job, pod) && !is_held())
    };
    let tracked = counts.pods.iter().filter(|p| is_tracked(&p.metadata));
    let mut noted = Noted {
        release: Vec::new(),
        is_all: true,
    };
    let mut fresh = Fresh {
        known: counts::uncounted(job),
        ..Fresh::default()
    };
    for pod in tracked.filter(is_released) {
        if fresh.is_full() {
            noted.is_all = false;
            break;
        }
        fresh.take(counts, outcome, pod);
        noted.release.push(pod.clone());
    }
    fresh.write(counts, status);
    noted
}

/// What was not known to the status before.
#[derive(Default)]
struct Fresh<'a> {
    /// The uids that the status has: succeeded, failed.
    known: (HashSet<&'a str>, HashSet<&'a str>),
    indexes: Vec<u32>,
    succeeded: Vec<String>,
    failed: Vec<String>,
}

impl Fresh<'_> {
    fn is_full(&self) -> bool {
        self.indexes.len() + self.succeeded.len() + self.failed.len() >= MOST_UNCOUNTED
    }

    fn take(&mut self, counts: &Counts, outcome: Option<&Outcome>, pod: &Pod) {
        let job = counts.job;
        let (succeeded, failed) = &self.known;
        let index = index_of(job, pod);
        if has_succeeded(pod) && !failed.contains(uid(pod)) {
            if job.is_indexed() {
                self.indexes.extend(index);
            } else if !succeeded.contains(uid(pod)) {
                self.succeeded.push(uid(pod).to_owned());
            }
            return;
        }
        // What still ran when the end came has failed with a Job that fails,
        // and was not needed by one that succeeds.
        let is_failure = match outcome.map(|outcome| outcome.end) {
            Some(End::Failure) => true,
            Some(End::Success) => pod.status.phase.as_deref() == Some("Failed"),
            None => has_failed(job, pod),
        };
        let has_place = !job.is_indexed() || index.is_some();
        if is_failure && has_place && !failed.contains(uid(pod)) && failure_counts(job, pod) {
            self.failed.push(uid(pod).to_owned());
        }
    }

    fn write(self, counts: &Counts, status: &mut JobStatus) {
        let job = counts.job;
        if job.is_indexed() {
            let completed = counts::recorded_indexes(job).with(self.indexes);
            status.succeeded = some(completed.total());
            let text = completed.to_string();
            status.completed_indexes = (!text.is_empty()).then_some(text);
            if job.spec.backoff_limit_per_index.is_some() {
                status.failed_indexes = Some(counts.failed_indexes.to_string());
            }
        }
        let uncounted = uncounted_of(status);
        extend(&mut uncounted.succeeded, self.succeeded);
        extend(&mut uncounted.failed, self.failed);
    }
}

/// Counts those of the uids whose pods have no finalizer any more, or are
/// gone. `tracked` are the uids of all pods that still have it.
pub fn count_released(tracked: &HashSet<String>, status: &mut JobStatus) {
    let uncounted = uncounted_of(status);
    let succeeded = take_released(&mut uncounted.succeeded, tracked);
    let failed = take_released(&mut uncounted.failed, tracked);
    status.succeeded = raised(status.succeeded, succeeded);
    status.failed = raised(status.failed, failed);
}

/// All uids are counted.
pub fn is_settled(status: &JobStatus) -> bool {
    let uncounted = status.uncounted_terminated_pods.as_ref();
    uncounted.is_none_or(|u| u.succeeded.is_none() && u.failed.is_none())
}

fn uncounted_of(status: &mut JobStatus) -> &mut UncountedTerminatedPods {
    status
        .uncounted_terminated_pods
        .get_or_insert_with(UncountedTerminatedPods::default)
}

fn extend(uids: &mut Option<Vec<String>>, more: Vec<String>) {
    if !more.is_empty() {
        uids.get_or_insert_with(Vec::new).extend(more);
    }
}

fn take_released(uids: &mut Option<Vec<String>>, tracked: &HashSet<String>) -> usize {
    let Some(all) = uids else { return 0 };
    let before = all.len();
    all.retain(|uid| tracked.contains(uid));
    let released = before - all.len();
    if all.is_empty() {
        *uids = None;
    }
    released
}

fn raised(count: Option<i32>, by: usize) -> Option<i32> {
    let by = i32::try_from(by).unwrap_or(i32::MAX);
    let count = count.unwrap_or(0).saturating_add(by);
    (count > 0).then_some(count)
}

fn some(count: usize) -> Option<i32> {
    raised(None, count)
}

#[cfg(test)]
mod tests {
    use super::super::fixtures::{indexed, job, job_with, pod};
    use super::*;
    use crate::object::Job;
    use serde_json::json;

    fn ended(name: &str, phase: &str) -> Pod {
        pod(name, json!({}), json!({ "phase": phase }))
    }

    fn note_all(job: &Job, pods: Vec<Pod>, outcome: Option<&Outcome>) -> (Noted, JobStatus) {
        let mut status = job.status.clone();
        let pods = pods.into_iter().map(Arc::new).collect();
        let noted = note(&Counts::of(job, pods), outcome, &mut status);
        (noted, status)
    }

    fn uids(noted: &Noted) -> Vec<&str> {
        noted.release.iter().map(|p| uid(p)).collect()
    }

    #[test]
    fn ended_pods_are_noted_before_they_are_released_and_counted_after() {
        let pods = vec![
            ended("a", "Succeeded"),
            ended("b", "Failed"),
            ended("c", "Running"),
        ];
        let (noted, mut status) = note_all(&job(json!({})), pods, None);
        assert_eq!(uids(&noted), ["a", "b"]);
        assert_eq!((status.succeeded, status.failed), (None, None));
        count_released(&HashSet::from(["b".to_owned()]), &mut status);
        assert_eq!((status.succeeded, status.failed), (Some(1), None));
        assert!(!is_settled(&status));
        count_released(&HashSet::new(), &mut status);
        assert_eq!((status.succeeded, status.failed), (Some(1), Some(1)));
        assert!(is_settled(&status));
        count_released(&HashSet::new(), &mut status);
        assert_eq!((status.succeeded, status.failed), (Some(1), Some(1)));
    }

    #[test]
    fn pod_that_is_noted_already_is_not_noted_again() {
        let job = job_with(
            json!({}),
            json!({ "uncountedTerminatedPods": { "failed": ["a"] } }),
        );
        let (noted, status) = note_all(&job, vec![ended("a", "Failed")], None);
        assert_eq!(uids(&noted), ["a"]);
        assert_eq!(
            status.uncounted_terminated_pods,
            job.status.uncounted_terminated_pods
        );
    }

    #[test]
    fn what_still_runs_when_a_job_fails_has_failed_and_when_it_succeeds_has_not() {
        let failed_of = |end| {
            let outcome = Outcome {
                end,
                reason: String::new(),
                message: String::new(),
            };
            let (noted, status) =
                note_all(&job(json!({})), vec![ended("a", "Running")], Some(&outcome));
            assert_eq!(uids(&noted), ["a"]);
            status.uncounted_terminated_pods.and_then(|u| u.failed)
        };
        assert_eq!(failed_of(End::Failure), Some(vec!["a".to_owned()]));
        assert_eq!(failed_of(End::Success), None);
    }

    #[test]
    fn index_is_its_own_count() {
        let job = job(json!({ "completionMode": "Indexed", "completions": 3 }));
        let pods = vec![
            indexed("a", 0, "Succeeded"),
            indexed("b", 0, "Succeeded"),
            indexed("c", 7, "Succeeded"),
        ];
        let (noted, status) = note_all(&job, pods, None);
        assert_eq!(uids(&noted), ["a", "b", "c"]);
        assert_eq!(
            (status.completed_indexes.as_deref(), status.succeeded),
            (Some("0"), Some(1))
        );
        assert!(is_settled(&status));
    }

    #[test]
    fn failed_pod_of_an_index_is_held_until_another_follows() {
        let job = job(
            json!({ "completionMode": "Indexed", "completions": 3, "backoffLimitPerIndex": 2 }),
        );
        let (noted, _) = note_all(&job, vec![indexed("a", 0, "Failed")], None);
        assert!(noted.release.is_empty());
        let followed = vec![indexed("a", 0, "Failed"), indexed("b", 0, "Running")];
        assert_eq!(uids(&note_all(&job, followed, None).0), ["a"]);
    }

    #[test]
    fn many_pods_are_counted_in_parts() {
        let pods = (0..501)
            .map(|i| ended(&format!("p{i}"), "Succeeded"))
            .collect();
        let (noted, _) = note_all(&job(json!({})), pods, None);
        assert!(noted.release.len() == 500 && !noted.is_all);
    }
}
