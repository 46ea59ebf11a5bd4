//! A Deployment's conditions: is it available, does it make progress.

use std::time::Duration;

use k8s_openapi::api::apps::v1::DeploymentCondition;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::Time;

use super::{Rollout, status};
use crate::object::Deployment;

pub const AVAILABLE: &str = "Available";
pub const PROGRESSING: &str = "Progressing";
pub const REPLICA_FAILURE: &str = "ReplicaFailure";

pub fn progressing(deployment: &Deployment) -> Option<&DeploymentCondition> {
    let conditions = deployment.status.conditions.as_deref().unwrap_or_default();
    conditions
        .iter()
        .find(|c| c.type_.as_deref() == Some(PROGRESSING))
}

pub fn condition(
    type_: &str,
    status: &str,
    reason: &str,
    message: String,
    now: jiff::Timestamp,
) -> DeploymentCondition {
    DeploymentCondition {
        type_: Some(type_.into()),
        status: Some(status.into()),
        reason: Some(reason.into()),
        message: Some(message),
        last_update_time: Some(Time(now)),
        last_transition_time: Some(Time(now)),
    }
}

/// Replaces the condition of the same type; one that says the same stays as it
/// is, one that keeps its status keeps its time of transition.
pub fn set(conditions: &mut Vec<DeploymentCondition>, mut new: DeploymentCondition) {
    let at = conditions.iter().position(|c| c.type_ == new.type_);
    let Some(at) = at else {
        conditions.push(new);
        return;
    };
    let old = &conditions[at];
    if old.status == new.status
        && old.reason == new.reason
        && new.reason.as_deref() != Some("ReplicaSetUpdated")
    {
        return;
    }
    if old.status == new.status {
        new.last_transition_time
            .clone_from(&old.last_transition_time);
    }
    conditions.remove(at);
    conditions.push(new);
}

/// What is left until the rollout, standing still, has failed. None where it
/// is complete, has failed already, or may take forever.
pub fn until_deadline(rollout: &Rollout, now: jiff::Timestamp) -> Option<Duration> {
    let deployment = &rollout.deployment;
    let seconds = deployment.spec.progress_deadline_seconds?;
    if seconds == i32::MAX || deployment.spec.paused || status::is_complete(rollout) {
        return None;
    }
    let condition = progressing(deployment)?;
    if condition.reason.as_deref() == Some("ProgressDeadlineExceeded") {
        return None;
    }
    let since = condition.last_update_time.as_ref()?.0;
    let due = since + jiff::SignedDuration::from_secs(seconds.into());
    Some(Duration::try_from(due.duration_since(now)).unwrap_or_default())
}
