//! A DaemonSet's status: on how many nodes its pods should be, and are.

use k8s_openapi::api::apps::v1::DaemonSetStatus;
use kube::Api;
use kube::api::{Patch, PatchParams};
use serde_json::json;

use super::{DaemonSets, Verdict, View};
use crate::error::Error;
use crate::key::Key;
use crate::merge_patch;
use crate::object::DaemonSet;

pub fn of(view: &View, collisions: i32) -> DaemonSetStatus {
    let before = view.set.status.clone().unwrap_or_default();
    let mut status = DaemonSetStatus {
        observed_generation: view.set.metadata.generation,
        collision_count: before.collision_count.or((collisions > 0).then_some(0)),
        conditions: before.conditions,
        ..DaemonSetStatus::default()
    };
    status.collision_count = status.collision_count.map(|count| count.max(collisions));
    let (mut updated, mut available) = (0, 0);
    for place in &view.places {
        match (place.verdict, place.pods.first()) {
            (Verdict::Runs, None) => status.desired_number_scheduled += 1,
            (Verdict::Runs, Some(oldest)) => {
                status.desired_number_scheduled += 1;
                status.current_number_scheduled += 1;
                status.number_ready += i32::from(oldest.is_ready());
                available += i32::from(view.is_available(oldest));
                updated += i32::from(view.is_updated(oldest));
            }
            (Verdict::Keeps | Verdict::Refuses, Some(_)) => status.number_misscheduled += 1,
            (Verdict::Keeps | Verdict::Refuses, None) | (Verdict::NoNode, _) => {}
        }
    }
    status.updated_number_scheduled = some(updated);
    status.number_available = some(available);
    status.number_unavailable = some(status.desired_number_scheduled - available);
    status
}

/// Kubernetes leaves a count of zero out.
fn some(count: i32) -> Option<i32> {
    (count > 0).then_some(count)
}

impl DaemonSets {
    /// Writes the status if it differs from the one on record.
    pub(super) async fn write_status(
        &self,
        key: &Key,
        view: &View,
        collisions: i32,
    ) -> Result<(), Error> {
        let status = of(view, collisions);
        if Some(&status) == view.set.status.as_ref() {
            return Ok(());
        }
        let api: Api<DaemonSet> = Api::namespaced(self.cluster.client.clone(), &key.namespace);
        let changes = merge_patch::between(&json!(view.set.status), &json!(status));
        let uid = &view.set.metadata.uid;
        let patch = json!({ "metadata": { "uid": uid }, "status": changes });
        let written = api
            .patch_status(&key.name, &PatchParams::default(), &Patch::Merge(patch))
            .await;
        match written {
            Ok(set) => {
                self.cluster.daemon_sets.note(set);
                Ok(())
            }
            Err(kube::Error::Api(status)) if status.code == 404 => Ok(()),
            Err(source) => Err(Error::api("write status of", "DaemonSet", key)(source)),
        }
    }
}
