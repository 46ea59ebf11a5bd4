//! Whether a Job has come to its end, and to which.

use std::time::Duration;

use jiff::{SignedDuration, Timestamp};

use super::counts::Counts;
use super::failure_policy::{self, Meaning};
use super::indexes::Indexes;
use crate::object::Job;

/// The end that a Job has come to; its pods may still have to follow.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Outcome {
    pub end: End,
    pub reason: String,
    pub message: String,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum End {
    Success,
    Failure,
}

impl End {
    /// The condition that says what the end will be, before the pods are gone.
    pub fn announced(self) -> &'static str {
        match self {
            Self::Success => "SuccessCriteriaMet",
            Self::Failure => "FailureTarget",
        }
    }

    /// The condition of a Job that has ended.
    pub fn reached(self) -> &'static str {
        match self {
            Self::Success => "Complete",
            Self::Failure => "Failed",
        }
    }
}

fn outcome(end: End, reason: &str, message: impl Into<String>) -> Outcome {
    Outcome {
        end,
        reason: reason.into(),
        message: message.into(),
    }
}

/// Decides. An end that was announced stands, whatever happens after.
pub fn decide(counts: &Counts, now: Timestamp) -> Option<Outcome> {
    announced(counts.job)
        .or_else(|| failed_by_policy(counts))
        .or_else(|| failed_too_often(counts))
        .or_else(|| failed_by_deadline(counts.job, now))
        .or_else(|| failed_by_indexes(counts))
        .or_else(|| succeeded_by_policy(counts))
        .or_else(|| succeeded(counts))
}

fn announced(job: &Job) -> Option<Outcome> {
    [End::Success, End::Failure].into_iter().find_map(|end| {
        let condition = job.condition(end.announced())?;
        Some(Outcome {
            end,
            reason: condition.reason.clone().unwrap_or_default(),
            message: condition.message.clone().unwrap_or_default(),
        })
    })
}

fn failed_by_policy(counts: &Counts) -> Option<Outcome> {
    let job = counts.job;
    job.spec.pod_failure_policy.as_ref()?;
    let mut failed = counts
        .pods
        .iter()
        .filter(|p| failure_policy::has_failed(job, p));
    failed.find_map(|pod| match failure_policy::meaning(job, pod) {
        Meaning::FailJob(why) => Some(outcome(End::Failure, "PodFailurePolicy", why)),
        _ => None,
    })
}

fn failed_too_often(counts: &Counts) -> Option<Outcome> {
    let limit = usize::try_from(counts.job.backoff_limit()).unwrap_or(0);
    let is_over = counts.failed > limit || restarted_too_often(counts, limit);
    is_over.then(|| {
        let message = "Job has reached the specified backoff limit";
        outcome(End::Failure, "BackoffLimitExceeded", message)
    })
}

/// Containers that are started again on the spot count by their restarts.
fn restarted_too_often(counts: &Counts, limit: usize) -> bool {
    let template = &counts.job.spec.template;
    if template
        .pointer("/spec/restartPolicy")
        .and_then(|p| p.as_str())
        != Some("OnFailure")
    {
        return false;
    }
    let restarts = counts.active.iter().filter_map(|pod| pod.job.as_ref());
    let restarts: i64 = restarts.map(|details| i64::from(details.restarts)).sum();
    let restarts = usize::try_from(restarts).unwrap_or(0);
    restarts > 0 && restarts >= limit
}

/// How long the Job may still run; nothing for those without a deadline.
pub fn time_left(job: &Job, now: Timestamp) -> Option<Duration> {
    let deadline = job.spec.active_deadline_seconds?;
    let start = job.status.start_time.as_ref()?.0;
    if job.spec.suspend {
        return None;
    }
    let left = SignedDuration::from_secs(deadline) - now.duration_since(start);
    Some(Duration::try_from(left).unwrap_or_default())
}

fn failed_by_deadline(job: &Job, now: Timestamp) -> Option<Outcome> {
    let is_over = time_left(job, now)?.is_zero();
    is_over.then(|| {
        let message = "Job was active longer than specified deadline";
        outcome(End::Failure, "DeadlineExceeded", message)
    })
}

fn failed_by_indexes(counts: &Counts) -> Option<Outcome> {
    let failed = counts.failed_indexes.total();
    let most = counts.job.spec.max_failed_indexes;
    if most.is_some_and(|most| failed > usize::try_from(most).unwrap_or(0)) {
        let message = "Job has exceeded the specified maximal number of failed indexes";
        return Some(outcome(End::Failure, "MaxFailedIndexesExceeded", message));
    }
    let over = counts.failed_indexes.and(&counts.completed_indexes);
    let is_over = failed > 0 && over.total() >= counts.job.indexes() as usize;
    is_over.then(|| outcome(End::Failure, "FailedIndexes", "Job has failed indexes"))
}

fn succeeded_by_policy(counts: &Counts) -> Option<Outcome> {
    let policy = counts.job.spec.success_policy.as_ref()?;
    let fits = policy.rules.iter().position(|rule| {
        let count = rule
            .succeeded_count
            .map(|c| usize::try_from(c).unwrap_or(0));
        match (&rule.succeeded_indexes, count) {
            (Some(wanted), count) => {
                let wanted = Indexes::parse(wanted, counts.job.indexes());
                counts.completed_indexes.shared(&wanted) >= count.unwrap_or(wanted.total())
            }
            (None, Some(count)) => counts.completed_indexes.total() >= count,
            (None, None) => false,
        }
    })?;
    Some(outcome(
        End::Success,
        "SuccessPolicy",
        format!("Matched rules at index {fits}"),
    ))
}

/// A Job that does not say how many are to succeed is done when one has, and
/// no other runs any more.
fn succeeded(counts: &Counts) -> Option<Outcome> {
    let is_done = match counts.job.spec.completions {
        Some(wanted) => counts.succeeded >= usize::try_from(wanted).unwrap_or(0),
        None => counts.succeeded > 0 && counts.active.is_empty(),
    };
    is_done.then(|| {
        let message = "Reached expected number of succeeded pods";
        outcome(End::Success, "CompletionsReached", message)
    })
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use super::super::fixtures::{indexed, job, job_with, pod};
    use super::*;
    use crate::object::Pod;
    use serde_json::{Value, json};

    fn reason(job: &Job, pods: Vec<Pod>) -> Option<String> {
        let pods = pods.into_iter().map(Arc::new).collect();
        let now = "2026-01-01T00:01:00Z".parse().unwrap();
        decide(&Counts::of(job, pods), now).map(|outcome| outcome.reason)
    }

    fn failed(name: &str) -> Pod {
        pod(name, json!({}), json!({ "phase": "Failed" }))
    }

    fn many(spec: Value) -> Job {
        let mut whole = json!({ "completionMode": "Indexed", "completions": 4 });
        for (key, value) in spec.as_object().unwrap() {
            whole[key] = value.clone();
        }
        job(whole)
    }

    #[test]
    fn one_failure_more_than_the_limit_ends_the_job() {
        let job = job(json!({ "backoffLimit": 1, "completions": 1 }));
        assert_eq!(reason(&job, vec![failed("a")]), None);
        let twice = reason(&job, vec![failed("a"), failed("b")]);
        assert_eq!(twice.as_deref(), Some("BackoffLimitExceeded"));
    }

    #[test]
    fn restarts_on_the_spot_count_too() {
        let template = json!({ "spec": { "restartPolicy": "OnFailure" } });
        let job = job(json!({ "backoffLimit": 2, "template": template }));
        let restarted = |count| {
            pod(
                "a",
                json!({}),
                json!({ "phase": "Running", "containerStatuses": [
                { "name": "c", "restartCount": count }] }),
            )
        };
        assert_eq!(reason(&job, vec![restarted(1)]), None);
        let often = reason(&job, vec![restarted(2)]);
        assert_eq!(often.as_deref(), Some("BackoffLimitExceeded"));
    }

    #[test]
    fn deadline_runs_from_the_start_and_not_while_suspended() {
        let at = |suspend, seconds| {
            job_with(
                json!({ "activeDeadlineSeconds": seconds, "suspend": suspend }),
                json!({ "startTime": "2026-01-01T00:00:00Z" }),
            )
        };
        assert_eq!(
            reason(&at(false, 60), vec![]).as_deref(),
            Some("DeadlineExceeded")
        );
        assert_eq!(reason(&at(false, 61), vec![]), None);
        assert_eq!(reason(&at(true, 60), vec![]), None);
    }

    #[test]
    fn enough_successes_end_the_job_and_without_a_number_the_last_pod_does() {
        let done = |name| pod(name, json!({}), json!({ "phase": "Succeeded" }));
        let two = job(json!({ "completions": 2 }));
        assert_eq!(reason(&two, vec![done("a")]), None);
        let both = reason(&two, vec![done("a"), done("b")]);
        assert_eq!(both.as_deref(), Some("CompletionsReached"));
        let any = job(json!({ "parallelism": 2 }));
        let running = pod("b", json!({}), json!({ "phase": "Running" }));
        assert_eq!(reason(&any, vec![done("a"), running]), None);
        assert_eq!(
            reason(&any, vec![done("a")]).as_deref(),
            Some("CompletionsReached")
        );
    }

    #[test]
    fn success_policy_is_met_by_the_indexes_it_names() {
        let rules = json!({ "rules": [{ "succeededIndexes": "0,2", "succeededCount": 1 }] });
        let job = many(json!({ "successPolicy": rules }));
        assert_eq!(reason(&job, vec![indexed("a", 1, "Succeeded")]), None);
        let met = reason(&job, vec![indexed("a", 2, "Succeeded")]);
        assert_eq!(met.as_deref(), Some("SuccessPolicy"));
    }

    #[test]
    fn job_with_a_limit_an_index_fails_when_all_are_over_or_too_many_failed() {
        let limits =
            json!({ "backoffLimit": i32::MAX, "backoffLimitPerIndex": 0, "maxFailedIndexes": 1 });
        let job = many(limits);
        let gone = |name, index| indexed(name, index, "Failed");
        assert_eq!(reason(&job, vec![gone("a", 0)]), None);
        let many = reason(&job, vec![gone("a", 0), gone("b", 1)]);
        assert_eq!(many.as_deref(), Some("MaxFailedIndexesExceeded"));
        let mut all = vec![gone("a", 0)];
        all.extend((1..4).map(|i| indexed(&format!("s{i}"), i, "Succeeded")));
        assert_eq!(reason(&job, all).as_deref(), Some("FailedIndexes"));
    }

    #[test]
    fn announced_end_stands() {
        let condition = json!({ "type": "FailureTarget", "status": "True", "reason": "DeadlineExceeded", "message": "m" });
        let job = job_with(
            json!({ "completions": 1 }),
            json!({ "conditions": [condition] }),
        );
        let done = pod("a", json!({}), json!({ "phase": "Succeeded" }));
        assert_eq!(
            reason(&job, vec![done]).as_deref(),
            Some("DeadlineExceeded")
        );
    }
}
