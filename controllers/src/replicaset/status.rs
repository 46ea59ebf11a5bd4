//! A ReplicaSet's status: what is there.

use std::sync::Arc;

use k8s_openapi::api::apps::v1::ReplicaSetCondition;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::Time;
use kube::Api;
use kube::api::{Patch, PatchParams};
use serde_json::{Value, json};

use super::{ReplicaSets, Replicated};
use crate::error::Error;
use crate::key::Key;
use crate::object::Pod;
use crate::workload;

impl<K: Replicated> ReplicaSets<K> {
    /// Writes the status if it differs from the one on record.
    pub(super) async fn write_status(
        &self,
        key: &Key,
        set: &K,
        active: &[Arc<Pod>],
        failure: Option<&Error>,
    ) -> Result<(), Error> {
        let status = status(set, active, failure, jiff::Timestamp::now());
        if status == recorded(set) {
            return Ok(());
        }
        let api: Api<K> = Api::namespaced(self.cluster.client.clone(), &key.namespace);
        let patch = json!({ "metadata": { "uid": set.meta().uid }, "status": status });
        let written = api
            .patch_status(&key.name, &PatchParams::default(), &Patch::Merge(patch))
            .await;
        match written {
            Ok(set) => {
                self.sets.note(set);
                Ok(())
            }
            Err(kube::Error::Api(status)) if status.code == 404 => Ok(()),
            Err(source) => Err(Error::api("write status of", workload::kind::<K>(), key)(
                source,
            )),
        }
    }
}

fn status(
    set: &impl Replicated,
    active: &[Arc<Pod>],
    failure: Option<&Error>,
    now: jiff::Timestamp,
) -> Value {
    let count = |is_counted: &dyn Fn(&Pod) -> bool| active.iter().filter(|p| is_counted(p)).count();
    let labels = set.spec().template.pointer("/metadata/labels");
    let min_ready = jiff::SignedDuration::from_secs(set.spec().min_ready_seconds.into());
    json!({
        "replicas": active.len(),
        "fullyLabeledReplicas": some(count(&|p| has_labels(p, labels))),
        "readyReplicas": some(count(&Pod::is_ready)),
        "availableReplicas": some(count(&|p| p.ready_since().is_some_and(|t| t + min_ready <= now))),
        "observedGeneration": set.meta().generation,
        "conditions": conditions(set, failure, now),
    })
}

/// The recorded status in the form that `status` makes.
fn recorded(set: &impl Replicated) -> Value {
    let status = set.status();
    json!({
        "replicas": status.replicas,
        "fullyLabeledReplicas": status.fully_labeled_replicas,
        "readyReplicas": status.ready_replicas,
        "availableReplicas": status.available_replicas,
        "observedGeneration": status.observed_generation,
        "conditions": status.conditions,
    })
}

/// Kubernetes leaves a count of zero out.
fn some(count: usize) -> Option<usize> {
    (count > 0).then_some(count)
}

fn has_labels(pod: &Pod, labels: Option<&Value>) -> bool {
    let wanted = labels.and_then(Value::as_object).into_iter().flatten();
    wanted
        .into_iter()
        .all(|(key, value)| pod.labels.get(key) == value.as_str())
}

fn conditions(
    set: &impl Replicated,
    failure: Option<&Error>,
    now: jiff::Timestamp,
) -> Option<Vec<ReplicaSetCondition>> {
    let known = set.status().conditions.clone().unwrap_or_default();
    let (mut kept, old): (Vec<_>, Vec<_>) = known
        .into_iter()
        .partition(|c| c.type_.as_deref() != Some("ReplicaFailure"));
    if let Some(failure) = failure {
        let fresh = ReplicaSetCondition {
            type_: Some("ReplicaFailure".into()),
            status: Some("True".into()),
            reason: Some(reason(failure).into()),
            message: Some(message(failure)),
            last_transition_time: Some(Time(now)),
        };
        let same = |c: &ReplicaSetCondition| c.reason == fresh.reason;
        kept.push(old.into_iter().find(same).unwrap_or(fresh));
    }
    (!kept.is_empty()).then_some(kept)
}

fn reason(failure: &Error) -> &'static str {
    match failure {
        Error::Api { verb: "delete", .. } => "FailedDelete",
        _ => "FailedCreate",
    }
}

fn message(failure: &Error) -> String {
    match failure {
        Error::Api {
            source: kube::Error::Api(status),
            ..
        } => status.message.clone(),
        other => other.to_string(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::object::ReplicaSet;

    fn set(min_ready: i32) -> ReplicaSet {
        serde_json::from_value(json!({
            "metadata": { "name": "s", "generation": 2 },
            "spec": { "replicas": 2, "minReadySeconds": min_ready, "selector": {},
                "template": { "metadata": { "labels": { "app": "a" } } } },
        }))
        .unwrap()
    }

    fn pod(label: &str, ready_at: &str) -> Arc<Pod> {
        Arc::new(
            serde_json::from_value(json!({
                "metadata": { "labels": { "app": label } },
                "status": { "conditions": [{ "type": "Ready", "status": "True", "lastTransitionTime": ready_at }] },
            }))
            .unwrap(),
        )
    }

    #[test]
    fn ready_pod_is_available_only_after_min_ready_seconds() {
        let now: jiff::Timestamp = "2026-01-01T00:00:10Z".parse().unwrap();
        let pods = [
            pod("a", "2026-01-01T00:00:00Z"),
            pod("b", "2026-01-01T00:00:09Z"),
        ];
        let status = status(&set(5), &pods, None, now);
        assert_eq!(status["replicas"], 2);
        assert_eq!(status["readyReplicas"], 2);
        assert_eq!(status["availableReplicas"], 1);
        assert_eq!(status["fullyLabeledReplicas"], 1);
        assert_eq!(status["observedGeneration"], 2);
    }

    #[test]
    fn status_without_pods_leaves_zero_counts_out() {
        let now = jiff::Timestamp::UNIX_EPOCH;
        let status = status(&set(0), &[], None, now);
        assert_eq!(status["replicas"], 0);
        assert_eq!(status["readyReplicas"], Value::Null);
    }
}
