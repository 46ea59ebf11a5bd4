//! A StatefulSet's status: what is there, and how far a rollout is.

use std::sync::Arc;

use jiff::{SignedDuration, Timestamp};
use k8s_openapi::api::apps::v1::StatefulSetStatus;
use kube::Api;
use kube::api::{Patch, PatchParams};
use serde_json::json;

use super::{StatefulSets, is_ending};
use crate::error::Error;
use crate::key::Key;
use crate::merge_patch;
use crate::object::{Pod, StatefulSet};
use crate::revision;

/// Running, and ready for long enough.
pub fn is_available(set: &StatefulSet, pod: &Pod, now: Timestamp) -> bool {
    let min_ready = SignedDuration::from_secs(set.spec.min_ready_seconds.into());
    is_ready(pod)
        && pod
            .ready_since()
            .is_none_or(|since| since + min_ready <= now)
}

fn is_ready(pod: &Pod) -> bool {
    pod.status.phase.as_deref() == Some("Running") && pod.is_ready()
}

/// The revisions that the status names.
pub fn recorded_revisions(set: &StatefulSet) -> (&str, &str) {
    let status = &set.status;
    (
        status.current_revision.as_deref().unwrap_or_default(),
        status.update_revision.as_deref().unwrap_or_default(),
    )
}

pub fn of(
    set: &StatefulSet,
    pods: &[Arc<Pod>],
    current: &str,
    update: &str,
    now: Timestamp,
) -> StatefulSetStatus {
    let count = |is_counted: &dyn Fn(&Pod) -> bool| {
        let count = pods.iter().filter(|p| is_counted(p)).count();
        i32::try_from(count).unwrap_or(i32::MAX)
    };
    let is_of = |pod: &Pod, name: &str| !is_ending(pod) && revision::of_pod(pod) == Some(name);
    let (replicas, ready) = (count(&|_| true), count(&is_ready));
    let updated = count(&|p| is_of(p, update));
    let wanted = set.spec.replicas;
    let is_through = !set.is_on_delete() && [replicas, ready, updated] == [wanted; 3];
    let current = if is_through { update } else { current };
    StatefulSetStatus {
        replicas,
        ready_replicas: some(ready),
        available_replicas: Some(count(&|p| is_available(set, p, now))),
        current_replicas: some(count(&|p| is_of(p, current))),
        updated_replicas: some(updated),
        current_revision: Some(current.to_owned()).filter(|name| !name.is_empty()),
        update_revision: Some(update.to_owned()).filter(|name| !name.is_empty()),
        observed_generation: set.metadata.generation,
        collision_count: set.status.collision_count,
        conditions: set.status.conditions.clone(),
    }
}

/// Kubernetes leaves a count of zero out.
fn some(count: i32) -> Option<i32> {
    (count > 0).then_some(count)
}

impl StatefulSets {
    /// Writes the status if it differs from the one on record.
    pub(super) async fn write_status(
        &self,
        key: &Key,
        set: &StatefulSet,
        status: StatefulSetStatus,
    ) -> Result<(), Error> {
        if status == set.status {
            return Ok(());
        }
        let api: Api<StatefulSet> = Api::namespaced(self.cluster.client.clone(), &key.namespace);
        let changes = merge_patch::between(&json!(set.status), &json!(status));
        let patch = json!({ "metadata": { "uid": set.metadata.uid }, "status": changes });
        let written = api
            .patch_status(&key.name, &PatchParams::default(), &Patch::Merge(patch))
            .await;
        match written {
            Ok(set) => {
                self.cluster.stateful_sets.note(set);
                Ok(())
            }
            Err(kube::Error::Api(status)) if status.code == 404 => Ok(()),
            Err(source) => Err(Error::api("write status of", "StatefulSet", key)(source)),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn set(replicas: i32) -> StatefulSet {
        serde_json::from_value(json!({ "metadata": { "name": "s", "generation": 2 },
            "spec": { "replicas": replicas, "minReadySeconds": 5, "selector": {}, "template": {} } }))
        .unwrap()
    }

    fn pod(revision: &str, ready_at: &str) -> Arc<Pod> {
        let pod = json!({ "metadata": { "labels": { "controller-revision-hash": revision } },
            "status": { "phase": "Running", "conditions": [
                { "type": "Ready", "status": "True", "lastTransitionTime": ready_at }] } });
        Arc::new(serde_json::from_value(pod).unwrap())
    }

    #[test]
    fn rollout_under_way_counts_both_revisions() {
        let now = "2026-01-01T00:00:10Z".parse().unwrap();
        let pods = [
            pod("s-1", "2026-01-01T00:00:00Z"),
            pod("s-2", "2026-01-01T00:00:09Z"),
        ];
        let status = of(&set(2), &pods, "s-1", "s-2", now);
        assert_eq!((status.replicas, status.ready_replicas), (2, Some(2)));
        assert_eq!(status.available_replicas, Some(1));
        assert_eq!(status.current_replicas, Some(1));
        assert_eq!(status.updated_replicas, Some(1));
        assert_eq!(status.current_revision.as_deref(), Some("s-1"));
    }

    #[test]
    fn current_revision_moves_on_only_when_every_replica_is_updated_and_ready() {
        let now = "2026-01-01T00:00:10Z".parse().unwrap();
        let pods = [pod("s-2", "2026-01-01T00:00:00Z")];
        let partly = of(&set(2), &pods, "s-1", "s-2", now);
        assert_eq!(partly.current_revision.as_deref(), Some("s-1"));
        assert_eq!(partly.current_replicas, None);
        let through = of(&set(1), &pods, "s-1", "s-2", now);
        assert_eq!(through.current_revision.as_deref(), Some("s-2"));
        assert_eq!(through.current_replicas, Some(1));
    }
}
