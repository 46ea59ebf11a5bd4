//! A Deployment's status, and how far its rollout is.

use k8s_openapi::api::apps::v1::{DeploymentCondition, DeploymentStatus};
use kube::Api;
use kube::api::{Patch, PatchParams};
use serde_json::json;

use super::conditions::{self, AVAILABLE, PROGRESSING, REPLICA_FAILURE, condition};
use super::strategy::slack;
use super::{Deployments, Rollout, available, sum};
use crate::error::Error;
use crate::object::Deployment;

/// All replicas are of the new template, and available.
pub fn is_complete(rollout: &Rollout) -> bool {
    let wanted = rollout.replicas();
    let updated = rollout.new.as_ref().map_or(0, |set| set.status.replicas);
    updated == wanted
        && sum(rollout.all(), |set| set.status.replicas) == wanted
        && sum(rollout.all(), available) == wanted
}

impl Deployments {
    /// Writes the status if it differs from the one on record.
    pub(super) async fn write_status(&self, rollout: &Rollout) -> Result<(), Error> {
        let status = status(rollout, jiff::Timestamp::now());
        if status == rollout.deployment.status {
            return Ok(());
        }
        self.put_status(rollout, status).await.map(drop)
    }

    /// Notes progress at once, so that the deadline counts from here.
    pub(super) async fn set_progressing(
        &self,
        rollout: &mut Rollout,
        status: &str,
        reason: &str,
        message: String,
    ) -> Result<(), Error> {
        let mut new = rollout.deployment.status.clone();
        let now = jiff::Timestamp::now();
        let conditions = new.conditions.get_or_insert_default();
        conditions::set(
            conditions,
            condition(PROGRESSING, status, reason, message, now),
        );
        if new != rollout.deployment.status {
            rollout.deployment = self.put_status(rollout, new).await?.into();
        }
        Ok(())
    }

    /// A pause stops the clock of the deadline; its end starts it anew.
    pub(super) async fn note_pause(&self, rollout: &mut Rollout) -> Result<(), Error> {
        if rollout.deployment.spec.progress_deadline_seconds.is_none() {
            return Ok(());
        }
        let condition = conditions::progressing(&rollout.deployment);
        let was_paused = condition.and_then(|c| c.reason.as_deref()) == Some("DeploymentPaused");
        let timed_out =
            condition.and_then(|c| c.reason.as_deref()) == Some("ProgressDeadlineExceeded");
        match (rollout.deployment.spec.paused, was_paused) {
            (true, false) if !timed_out => {
                let message = "Deployment is paused".to_owned();
                self.set_progressing(rollout, "Unknown", "DeploymentPaused", message)
                    .await
            }
            (false, true) => {
                let message = "Deployment is resumed".to_owned();
                self.set_progressing(rollout, "Unknown", "DeploymentResumed", message)
                    .await
            }
            _ => Ok(()),
        }
    }

    async fn put_status(
        &self,
        rollout: &Rollout,
        status: DeploymentStatus,
    ) -> Result<Deployment, Error> {
        let key = &rollout.key;
        let api: Api<Deployment> = Api::namespaced(self.cluster.client.clone(), &key.namespace);
        let patch = json!({
            "metadata": { "uid": rollout.deployment.metadata.uid },
            "status": with_nulls(&status),
        });
        let written = api
            .patch_status(&key.name, &PatchParams::default(), &Patch::Merge(patch))
            .await
            .map_err(Error::api("write status of", "Deployment", key))?;
        self.cluster.deployments.note(written.clone());
        Ok(written)
    }
}

/// In a merge patch, a count that is left out would stay as it was.
fn with_nulls(status: &DeploymentStatus) -> serde_json::Value {
    let mut value = json!(status);
    for count in [
        "replicas",
        "updatedReplicas",
        "readyReplicas",
        "availableReplicas",
        "unavailableReplicas",
        "terminatingReplicas",
    ] {
        if value.get(count).is_none() {
            value[count] = serde_json::Value::Null;
        }
    }
    value
}

fn status(rollout: &Rollout, now: jiff::Timestamp) -> DeploymentStatus {
    let known = &rollout.deployment.status;
    let some = |count: i32| (count > 0).then_some(count);
    let available = sum(rollout.all(), available);
    let wanted = sum(rollout.all(), |set| set.spec.replicas);
    let mut status = DeploymentStatus {
        observed_generation: rollout.deployment.metadata.generation,
        replicas: some(sum(rollout.all(), |set| set.status.replicas)),
        updated_replicas: some(rollout.new.as_ref().map_or(0, |set| set.status.replicas)),
        ready_replicas: some(sum(rollout.all(), |set| {
            set.status.ready_replicas.unwrap_or(0)
        })),
        available_replicas: some(available),
        unavailable_replicas: some((wanted - available).max(0)),
        collision_count: known.collision_count,
        terminating_replicas: known.terminating_replicas,
        conditions: known.conditions.clone(),
    };
    let conditions = status.conditions.get_or_insert_default();
    conditions::set(conditions, availability(rollout, available, now));
    copy_failure(rollout, conditions);
    let progress = progress(rollout, &status, now);
    if let (Some(progress), Some(conditions)) = (progress, &mut status.conditions) {
        conditions::set(conditions, progress);
    }
    status
}

fn availability(rollout: &Rollout, available: i32, now: jiff::Timestamp) -> DeploymentCondition {
    let needed = rollout.replicas() - slack(&rollout.deployment).unavailable;
    if available >= needed {
        let message = "Deployment has minimum availability.".to_owned();
        condition(AVAILABLE, "True", "MinimumReplicasAvailable", message, now)
    } else {
        let message = "Deployment does not have minimum availability.".to_owned();
        condition(
            AVAILABLE,
            "False",
            "MinimumReplicasUnavailable",
            message,
            now,
        )
    }
}

fn copy_failure(rollout: &Rollout, conditions: &mut Vec<DeploymentCondition>) {
    let failures = |set: &std::sync::Arc<crate::object::ReplicaSet>| {
        let conditions = set.status.conditions.clone().unwrap_or_default();
        conditions
            .into_iter()
            .find(|c| c.type_.as_deref() == Some(REPLICA_FAILURE))
    };
    let failure = rollout.new.iter().chain(&rollout.old).find_map(failures);
    match failure {
        None => conditions.retain(|c| c.type_.as_deref() != Some(REPLICA_FAILURE)),
        Some(failure) => {
            let since = failure
                .last_transition_time
                .map_or_else(jiff::Timestamp::now, |t| t.0);
            let reason = failure.reason.unwrap_or_default();
            let message = failure.message.unwrap_or_default();
            conditions::set(
                conditions,
                condition(REPLICA_FAILURE, "True", &reason, message, since),
            );
        }
    }
}

fn progress(
    rollout: &Rollout,
    status: &DeploymentStatus,
    now: jiff::Timestamp,
) -> Option<DeploymentCondition> {
    let deployment = &rollout.deployment;
    deployment.spec.progress_deadline_seconds?;
    let known = conditions::progressing(deployment);
    let reason = known.and_then(|c| c.reason.as_deref());
    if deployment.spec.paused {
        return None;
    }
    let name = rollout.new.as_ref().and_then(|s| s.metadata.name.clone());
    let subject = match name {
        Some(name) => format!("ReplicaSet \"{name}\""),
        None => format!("Deployment \"{}\"", rollout.key.name),
    };
    let is_settled =
        status.replicas == status.updated_replicas && reason == Some("NewReplicaSetAvailable");
    if is_complete(rollout) && !(is_settled && rollout.new.is_none()) {
        let message = format!("{subject} has successfully progressed.");
        return Some(condition(
            PROGRESSING,
            "True",
            "NewReplicaSetAvailable",
            message,
            now,
        ));
    }
    if is_settled {
        return None;
    }
    if has_progressed(&deployment.status, status) {
        let message = format!("{subject} is progressing.");
        return Some(condition(
            PROGRESSING,
            "True",
            "ReplicaSetUpdated",
            message,
            now,
        ));
    }
    if known.is_some()
        && conditions::until_deadline(rollout, now) == Some(std::time::Duration::ZERO)
    {
        let message = format!("{subject} has timed out progressing.");
        return Some(condition(
            PROGRESSING,
            "False",
            "ProgressDeadlineExceeded",
            message,
            now,
        ));
    }
    None
}

fn has_progressed(before: &DeploymentStatus, now: &DeploymentStatus) -> bool {
    let count = |count: Option<i32>| count.unwrap_or(0);
    let old = |s: &DeploymentStatus| count(s.replicas) - count(s.updated_replicas);
    count(now.updated_replicas) > count(before.updated_replicas)
        || old(now) < old(before)
        || count(now.ready_replicas) > count(before.ready_replicas)
        || count(now.available_replicas) > count(before.available_replicas)
}
