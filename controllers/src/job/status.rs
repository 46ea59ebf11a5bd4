//! What a Job's status says beside the counts of ended pods.

use jiff::Timestamp;
use k8s_openapi::api::batch::v1::{JobCondition, JobStatus};
use k8s_openapi::apimachinery::pkg::apis::meta::v1::Time;

use super::counts::Counts;
use super::outcome::{End, Outcome};
use crate::object::Job;

/// Whether the Job just stopped or went on, which is worth an event.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Turn {
    Suspended,
    Resumed,
}

impl Turn {
    pub fn reason(self) -> &'static str {
        match self {
            Self::Suspended => "Suspended",
            Self::Resumed => "Resumed",
        }
    }

    pub fn message(self) -> &'static str {
        match self {
            Self::Suspended => "Job suspended",
            Self::Resumed => "Job resumed",
        }
    }
}

/// The pods that there are now.
pub fn describe(counts: &Counts, status: &mut JobStatus, now: Timestamp) {
    let number = |count: usize| Some(i32::try_from(count).unwrap_or(i32::MAX));
    status.active = number(counts.active.len()).filter(|count| *count > 0);
    status.ready = number(counts.ready);
    status.terminating = number(counts.terminating);
    if status.start_time.is_none() && !counts.job.spec.suspend {
        status.start_time = Some(Time(now));
    }
}

/// A Job that goes on starts anew: its deadline counts from now.
pub fn turn(job: &Job, status: &mut JobStatus, now: Timestamp) -> Option<Turn> {
    let conditions = status.conditions.get_or_insert_with(Vec::new);
    if job.spec.suspend {
        let condition = condition("Suspended", true, "JobSuspended", "Job suspended", now);
        return ensure(conditions, condition).then_some(Turn::Suspended);
    }
    if conditions.iter().all(|c| c.type_ != "Suspended") {
        status
            .conditions
            .take_if(|conditions| conditions.is_empty());
        return None;
    }
    let condition = condition("Suspended", false, "JobResumed", "Job resumed", now);
    if !ensure(conditions, condition) {
        return None;
    }
    status.start_time = Some(Time(now));
    Some(Turn::Resumed)
}

/// Says to which end the Job has come, while its pods still follow.
pub fn announce(outcome: &Outcome, status: &mut JobStatus, now: Timestamp) {
    set(outcome.end.announced(), outcome, status, now);
}

/// Says that it is over.
pub fn finish(outcome: &Outcome, status: &mut JobStatus, now: Timestamp) {
    set(outcome.end.reached(), outcome, status, now);
    if outcome.end == End::Success {
        status.completion_time = Some(Time(now));
    }
}

fn set(type_: &str, outcome: &Outcome, status: &mut JobStatus, now: Timestamp) {
    let condition = condition(type_, true, &outcome.reason, &outcome.message, now);
    ensure(status.conditions.get_or_insert_with(Vec::new), condition);
}

fn condition(
    type_: &str,
    holds: bool,
    reason: &str,
    message: &str,
    now: Timestamp,
) -> JobCondition {
    let some = |text: &str| (!text.is_empty()).then(|| text.to_owned());
    JobCondition {
        type_: type_.into(),
        status: if holds { "True" } else { "False" }.into(),
        reason: some(reason),
        message: some(message),
        last_probe_time: Some(Time(now)),
        last_transition_time: Some(Time(now)),
    }
}

/// False if it is said already.
fn ensure(conditions: &mut Vec<JobCondition>, fresh: JobCondition) -> bool {
    match conditions.iter_mut().find(|c| c.type_ == fresh.type_) {
        Some(old) if says_the_same(old, &fresh) => return false,
        Some(old) => *old = fresh,
        None => conditions.push(fresh),
    }
    true
}

fn says_the_same(one: &JobCondition, other: &JobCondition) -> bool {
    one.status == other.status && one.reason == other.reason && one.message == other.message
}

#[cfg(test)]
mod tests {
    use super::super::fixtures::{job, job_with};
    use super::*;
    use serde_json::json;

    #[test]
    fn job_is_suspended_once_and_starts_anew_when_it_goes_on() {
        let now = Timestamp::UNIX_EPOCH;
        let mut status = JobStatus::default();
        let suspended = job(json!({ "suspend": true }));
        assert_eq!(turn(&suspended, &mut status, now), Some(Turn::Suspended));
        assert_eq!(turn(&suspended, &mut status, now), None);
        let resumed = job_with(json!({}), json!(status));
        assert_eq!(turn(&resumed, &mut status, now), Some(Turn::Resumed));
        assert_eq!(status.start_time, Some(Time(now)));
        assert_eq!(turn(&resumed, &mut status, now), None);
    }

    #[test]
    fn job_that_never_stopped_says_nothing_of_it() {
        let mut status = JobStatus::default();
        assert_eq!(
            turn(&job(json!({})), &mut status, Timestamp::UNIX_EPOCH),
            None
        );
        assert_eq!(status.conditions, None);
    }
}
