//! Which pods of a Job have failed, and what its `podFailurePolicy` says of it.

use k8s_openapi::api::batch::v1::{
    PodFailurePolicyOnExitCodesRequirement, PodFailurePolicyOnPodConditionsPattern,
    PodFailurePolicyRule,
};

use crate::key::Key;
use crate::object::{Exit, Job, Pod, PodCondition};

/// What a pod's failure means.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Meaning {
    /// One failure more.
    Count,
    /// As if it had not been.
    Ignore,
    /// The pod's index is not tried again.
    FailIndex,
    /// The Job has failed, with this message.
    FailJob(String),
}

/// A pod that is being deleted will not succeed any more, unless its Job wants to wait and see.
pub fn has_failed(job: &Job, pod: &Pod) -> bool {
    match pod.status.phase.as_deref() {
        Some("Failed") => true,
        Some("Succeeded") => false,
        _ => pod.metadata.deletion_timestamp.is_some() && !job.replaces_only_failed(),
    }
}

/// What the failure of `pod` means: the first rule that fits says.
pub fn meaning(job: &Job, pod: &Pod) -> Meaning {
    let policy = job.spec.pod_failure_policy.as_ref();
    let rules = policy.map(|p| p.rules.as_slice()).unwrap_or_default();
    let mut fitting = rules.iter().enumerate().filter_map(|(at, rule)| {
        let why = why_it_fits(rule, pod)?;
        Some((at, rule, why))
    });
    let Some((at, rule, why)) = fitting.next() else {
        return Meaning::Count;
    };
    match rule.action.as_str() {
        "Ignore" => Meaning::Ignore,
        "FailIndex" => Meaning::FailIndex,
        "FailJob" => Meaning::FailJob(format!("{why} matching FailJob rule at index {at}")),
        _ => Meaning::Count,
    }
}

/// The failure counts against the limits.
pub fn counts(job: &Job, pod: &Pod) -> bool {
    meaning(job, pod) != Meaning::Ignore
}

fn why_it_fits(rule: &PodFailurePolicyRule, pod: &Pod) -> Option<String> {
    let details = pod.job.as_deref()?;
    let key = Key::of(pod);
    if let Some(codes) = &rule.on_exit_codes {
        let exit = details.exits.iter().find(|exit| code_fits(codes, exit))?;
        let Exit { container, code } = exit;
        return Some(format!(
            "Container {container} for pod {key} failed with exit code {code}"
        ));
    }
    let patterns = rule.on_pod_conditions.as_deref().unwrap_or_default();
    let mut conditions = details.conditions.iter();
    let condition = conditions.find(|c| patterns.iter().any(|p| condition_fits(p, c)))?;
    Some(format!("Pod {key} has condition {}", condition.type_))
}

fn code_fits(wanted: &PodFailurePolicyOnExitCodesRequirement, exit: &Exit) -> bool {
    let of_container = wanted.container_name.as_ref();
    if exit.code == 0 || of_container.is_some_and(|name| *name != exit.container) {
        return false;
    }
    let is_listed = wanted.values.contains(&exit.code);
    match wanted.operator.as_str() {
        "In" => is_listed,
        "NotIn" => !is_listed,
        _ => false,
    }
}

fn condition_fits(wanted: &PodFailurePolicyOnPodConditionsPattern, is: &PodCondition) -> bool {
    let status = wanted.status.as_deref().unwrap_or("True");
    wanted.type_ == is.type_ && status == is.status
}

#[cfg(test)]
mod tests {
    use super::super::fixtures::{job, pod};
    use super::*;
    use serde_json::json;

    fn policy(rules: serde_json::Value) -> Job {
        job(json!({ "podReplacementPolicy": "Failed", "podFailurePolicy": { "rules": rules } }))
    }

    fn exited(code: i32) -> Pod {
        pod(
            "p",
            json!({}),
            json!({ "phase": "Failed", "containerStatuses": [
            { "name": "c", "restartCount": 0, "state": { "terminated": { "exitCode": code } } }] }),
        )
    }

    #[test]
    fn exit_code_fails_the_job_by_the_first_rule_that_fits() {
        let job = policy(json!([
            { "action": "Ignore", "onExitCodes": { "operator": "In", "values": [3] } },
            { "action": "FailJob", "onExitCodes": { "operator": "NotIn", "values": [4], "containerName": "c" } },
            { "action": "Ignore", "onExitCodes": { "operator": "In", "values": [4, 5] } },
        ]));
        assert_eq!(meaning(&job, &exited(3)), Meaning::Ignore);
        assert_eq!(meaning(&job, &exited(4)), Meaning::Ignore);
        let why =
            "Container c for pod t/p failed with exit code 5 matching FailJob rule at index 1";
        assert_eq!(meaning(&job, &exited(5)), Meaning::FailJob(why.into()));
        assert_eq!(meaning(&job, &exited(0)), Meaning::Count);
    }

    #[test]
    fn disruption_can_be_ignored() {
        let job = policy(
            json!([{ "action": "Ignore", "onPodConditions": [{ "type": "DisruptionTarget", "status": "True" }] }]),
        );
        let status = |status| json!({ "phase": "Failed", "conditions": [{ "type": "DisruptionTarget", "status": status }] });
        let disrupted = pod("p", json!({}), status("True"));
        assert!(!counts(&job, &disrupted));
        assert!(counts(&job, &pod("p", json!({}), status("False"))));
    }

    #[test]
    fn pod_being_deleted_has_failed_unless_the_job_waits_for_its_end() {
        let deleted = json!({ "deletionTimestamp": "2026-01-01T00:00:00Z" });
        let deleted = pod("p", deleted, json!({ "phase": "Running" }));
        assert!(has_failed(&job(json!({})), &deleted));
        assert!(!has_failed(&policy(json!([])), &deleted));
    }
}
