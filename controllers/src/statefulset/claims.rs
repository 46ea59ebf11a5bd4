//! A StatefulSet's claims: made before its pods, and kept or left to the
//! garbage collector as the set's retention policy says, by who owns them.

use std::sync::Arc;

use k8s_openapi::apimachinery::pkg::apis::meta::v1::OwnerReference;
use kube::Api;
use kube::api::{Patch, PatchParams};
use serde_json::json;

use super::{StatefulSets, View, identity};
use crate::cluster::Cluster;
use crate::error::Error;
use crate::key::Key;
use crate::object::{PersistentVolumeClaim, Pod, StatefulSet};
use crate::owner;
use crate::queue::Queue;
use crate::workload;

/// A claim that is gone at last may be what a set waits for.
pub fn notice(cluster: &Cluster, queue: &Arc<Queue>) {
    let (queue, sets) = (queue.clone(), cluster.stateful_sets.clone());
    cluster.claims.on_change(move |old, new| {
        if let (Some(claim), None) = (old, new) {
            let namespace = claim.metadata.namespace.as_deref().unwrap_or_default();
            let mut sets = sets.in_namespace(namespace);
            sets.retain(|set| !set.spec.volume_claim_templates.is_empty());
            sets.iter().for_each(|set| queue.add(Key::of(&**set)));
        }
    });
}

/// Whether claims of the place's last pod go with it, and are still there.
pub fn is_awaited(cluster: &Cluster, set: &StatefulSet, ordinal: i64) -> bool {
    let pod = identity::name(set, ordinal);
    let claims = keys(set, ordinal).filter_map(|key| cluster.claims.get(&key));
    set.goes_when_scaled()
        && claims
            .flat_map(|claim| claim.metadata.owner_references.clone().unwrap_or_default())
            .any(|owner| owner.kind == "Pod" && owner.name == pod)
}

fn keys(set: &StatefulSet, ordinal: i64) -> impl Iterator<Item = Key> {
    let namespace = set.metadata.namespace.as_deref().unwrap_or_default();
    let templates = set.spec.volume_claim_templates.iter();
    templates.map(move |t| Key::new(namespace, &identity::claim_name(set, t, ordinal)))
}

impl StatefulSet {
    fn goes_when_scaled(&self) -> bool {
        let policy = &self.spec.persistent_volume_claim_retention_policy;
        policy.when_scaled.as_deref() == Some("Delete")
    }

    fn goes_when_deleted(&self) -> bool {
        let policy = &self.spec.persistent_volume_claim_retention_policy;
        policy.when_deleted.as_deref() == Some("Delete")
    }
}

impl StatefulSets {
    /// Makes the claims of a place that are not there.
    pub(super) async fn make_claims(&self, set: &StatefulSet, ordinal: i64) -> Result<(), Error> {
        for (key, template) in keys(set, ordinal).zip(&set.spec.volume_claim_templates) {
            match self.cluster.claims.get(&key) {
                Some(claim) if claim.metadata.deletion_timestamp.is_some() => {
                    return Err(Error::ClaimEnding { key });
                }
                Some(_) => continue,
                None => {}
            }
            let mut claim = identity::claim(set, template, ordinal);
            if set.goes_when_deleted() {
                claim["metadata"]["ownerReferences"] = json!([owner::reference(set)]);
            }
            let path = format!(
                "/api/v1/namespaces/{}/persistentvolumeclaims",
                key.namespace
            );
            let made = workload::post(&self.cluster.client, path, &claim).await;
            let made = match made {
                Ok(claim) => {
                    self.cluster.claims.note(claim);
                    Ok(())
                }
                Err(kube::Error::Api(status)) if status.reason == "AlreadyExists" => continue,
                Err(source) => Err(Error::api("create", "PersistentVolumeClaim", &key)(source)),
            };
            self.tell_of_claim(set, &key, ordinal, &made);
            made?;
        }
        Ok(())
    }

    fn tell_of_claim(
        &self,
        set: &StatefulSet,
        claim: &Key,
        ordinal: i64,
        made: &Result<(), Error>,
    ) {
        let pod = identity::name(set, ordinal);
        let (claim, set_name) = (&claim.name, Key::of(set).name);
        match made {
            Ok(()) => {
                let note =
                    format!("create Claim {claim} Pod {pod} in StatefulSet {set_name} success");
                self.recorder.normal(set, "SuccessfulCreate", note);
            }
            Err(error) if error.is_ending_namespace() => {}
            Err(error) => {
                let note = format!(
                    "create Claim {claim} for Pod {pod} in StatefulSet {set_name} failed error: {}",
                    error.words()
                );
                self.recorder.warning(set, "FailedCreate", note);
            }
        }
    }

    /// Has the claims owned by whom they are to go with, if anybody; makes
    /// those that a waiting pod has lost.
    pub(super) async fn keep_claims(&self, view: &View) -> Result<(), Error> {
        let set = &*view.set;
        if set.spec.volume_claim_templates.is_empty() {
            return Ok(());
        }
        for pod in &view.pods {
            let Some(ordinal) = identity::ordinal(set, pod) else {
                continue;
            };
            let is_wanted = set.ordinals().contains(&ordinal);
            if is_wanted && pod.is_active() && pod.status.phase.as_deref() == Some("Pending") {
                self.make_claims(set, ordinal).await?;
            }
            for key in keys(set, ordinal) {
                if let Some(claim) = self.cluster.claims.get(&key) {
                    self.keep_claim(set, pod, is_wanted, &claim).await?;
                }
            }
        }
        Ok(())
    }

    async fn keep_claim(
        &self,
        set: &StatefulSet,
        pod: &Pod,
        is_wanted: bool,
        claim: &PersistentVolumeClaim,
    ) -> Result<(), Error> {
        let Some(owners) = changed_owners(set, pod, is_wanted, claim) else {
            return Ok(());
        };
        let key = Key::of(claim);
        let api: Api<PersistentVolumeClaim> =
            Api::namespaced(self.cluster.client.clone(), &key.namespace);
        let version = &claim.metadata.resource_version;
        let patch =
            json!({ "metadata": { "resourceVersion": version, "ownerReferences": owners } });
        let patched = api
            .patch(&key.name, &PatchParams::default(), &Patch::Merge(patch))
            .await
            .map_err(Error::api("patch owner of", "PersistentVolumeClaim", &key))?;
        self.cluster.claims.note(patched);
        Ok(())
    }
}

/// Who should own the claim, where others do now. What another controller
/// owns is left to it.
fn changed_owners(
    set: &StatefulSet,
    pod: &Pod,
    is_wanted: bool,
    claim: &PersistentVolumeClaim,
) -> Option<Vec<OwnerReference>> {
    let wanted = if !is_wanted && set.goes_when_scaled() {
        Some(owner::reference(pod))
    } else if set.goes_when_deleted() {
        Some(owner::reference(set))
    } else {
        None
    };
    let (set_name, pod_name) = (&set.metadata.name, &pod.metadata.name);
    let is_ours = |o: &OwnerReference| {
        let is =
            |kind: &str, name: &Option<String>| o.kind == kind && Some(&o.name) == name.as_ref();
        is("StatefulSet", set_name) || is("Pod", pod_name)
    };
    let now = claim.metadata.owner_references.clone().unwrap_or_default();
    let mut owners: Vec<_> = now.iter().filter(|o| !is_ours(o)).cloned().collect();
    if owners.iter().any(|o| o.controller == Some(true)) {
        return None;
    }
    owners.extend(wanted);
    (owners != now).then_some(owners)
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::Value;

    fn set(when_deleted: &str, when_scaled: &str) -> StatefulSet {
        serde_json::from_value(json!({ "metadata": { "name": "db", "uid": "set" },
            "spec": { "selector": {}, "template": {}, "persistentVolumeClaimRetentionPolicy":
                { "whenDeleted": when_deleted, "whenScaled": when_scaled } } }))
        .unwrap()
    }

    fn owners(set: &StatefulSet, is_wanted: bool, now: Value) -> Option<Vec<String>> {
        let pod = json!({ "metadata": { "name": "db-0", "uid": "pod" } });
        let pod: Pod = serde_json::from_value(pod).unwrap();
        let claim = json!({ "metadata": { "ownerReferences": now } });
        let claim: PersistentVolumeClaim = serde_json::from_value(claim).unwrap();
        let owners = changed_owners(set, &pod, is_wanted, &claim)?;
        Some(owners.into_iter().map(|o| o.uid).collect())
    }

    fn owner(kind: &str, name: &str, controller: bool) -> Value {
        json!([{ "apiVersion": "v1", "kind": kind, "name": name, "uid": "x", "controller": controller }])
    }

    #[test]
    fn claim_is_owned_by_whom_it_goes_with() {
        let expected: [(_, _, _, Option<&[&str]>); 8] = [
            ("Retain", "Retain", true, None),
            ("Retain", "Retain", false, None),
            ("Delete", "Retain", true, Some(&["set"])),
            ("Delete", "Retain", false, Some(&["set"])),
            ("Retain", "Delete", true, None),
            ("Retain", "Delete", false, Some(&["pod"])),
            ("Delete", "Delete", true, Some(&["set"])),
            ("Delete", "Delete", false, Some(&["pod"])),
        ];
        for (deleted, scaled, is_wanted, expected) in expected {
            let found = owners(&set(deleted, scaled), is_wanted, json!([]));
            let found: Option<Vec<&str>> = found
                .as_ref()
                .map(|uids| uids.iter().map(String::as_str).collect());
            assert_eq!(found.as_deref(), expected, "{deleted} {scaled} {is_wanted}");
        }
    }

    #[test]
    fn owners_that_the_policy_no_longer_asks_for_are_taken_away() {
        let keep = set("Retain", "Retain");
        assert_eq!(
            owners(&keep, true, owner("StatefulSet", "db", true)),
            Some(vec![])
        );
        assert_eq!(owners(&keep, true, owner("Other", "x", false)), None);
    }

    #[test]
    fn claim_of_another_controller_is_left_to_it() {
        let delete = set("Delete", "Delete");
        assert_eq!(owners(&delete, true, owner("Other", "x", true)), None);
        let both = owners(&delete, true, owner("Other", "x", false));
        assert_eq!(both, Some(vec!["x".to_owned(), "set".to_owned()]));
    }
}
