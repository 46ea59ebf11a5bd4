//! The ReplicaSet of today's template: found, or made.

use std::sync::Arc;

use kube::Api;
use kube::api::{Patch, PatchParams, PostParams};
use serde_json::{Map, Value, json};

use super::{Deployments, Rollout, annotation, conditions, rolling};
use crate::error::Error;
use crate::hash;
use crate::key::Key;
use crate::object::{Deployment, ReplicaSet};
use crate::owner;

const HASH_LABEL: &str = "pod-template-hash";

/// Whether the set's template is this one, but for the hash label.
pub fn is_of_template(set: &ReplicaSet, template: &Value) -> bool {
    without_hash(set.spec.template.clone()) == without_hash(template.clone())
}

fn without_hash(mut template: Value) -> Value {
    if let Some(labels) = template.pointer_mut("/metadata/labels")
        && let Some(labels) = labels.as_object_mut()
    {
        labels.remove(HASH_LABEL);
    }
    template
}

impl Deployments {
    /// Brings the new set's revision and annotations up to date, if there is one.
    pub(super) async fn revise_existing(&self, rollout: &mut Rollout) -> Result<(), Error> {
        let Some(set) = rollout.new.clone() else {
            return Ok(());
        };
        let newest_old = rollout.old.iter().map(|s| annotation::revision(&**s)).max();
        let revision = annotation::revision(&*set).max(newest_old.unwrap_or(0) + 1);
        let annotations = changed_annotations(&rollout.deployment, &set, revision);
        let min_ready = rollout.deployment.spec.min_ready_seconds;
        if !annotations.is_empty() || set.spec.min_ready_seconds != min_ready {
            let patch = json!({
                "metadata": { "annotations": annotations },
                "spec": { "minReadySeconds": min_ready },
            });
            rollout.new = Some(self.patch_set(&set, &Patch::Merge(patch)).await?);
        }
        self.set_revision(rollout, revision).await
    }

    /// Makes sure that the new set exists.
    pub(super) async fn ensure_new_set(&self, rollout: &mut Rollout) -> Result<(), Error> {
        if let Some(set) = rollout.new.clone() {
            self.revise_existing(rollout).await?;
            return self.note_found(rollout, &set).await;
        }
        let newest_old = rollout.old.iter().map(|s| annotation::revision(&**s)).max();
        let revision = newest_old.unwrap_or(0) + 1;
        let set = self.create_set(rollout, revision).await?;
        let name = set.metadata.name.clone().unwrap_or_default();
        if set.spec.replicas > 0 {
            let note = format!(
                "Scaled up replica set {name} from 0 to {}",
                set.spec.replicas
            );
            self.recorder
                .normal(&*rollout.deployment, "ScalingReplicaSet", note);
        }
        rollout.new = Some(set);
        self.set_revision(rollout, revision).await?;
        let message = format!("Created new replica set \"{name}\"");
        self.set_progressing(rollout, "True", "NewReplicaSetCreated", message)
            .await
    }

    async fn note_found(&self, rollout: &mut Rollout, set: &ReplicaSet) -> Result<(), Error> {
        if conditions::progressing(&rollout.deployment).is_some() {
            return Ok(());
        }
        let name = set.metadata.name.as_deref().unwrap_or_default();
        let message = format!("Found new replica set \"{name}\"");
        self.set_progressing(rollout, "True", "FoundNewReplicaSet", message)
            .await
    }

    async fn create_set(
        &self,
        rollout: &mut Rollout,
        revision: i64,
    ) -> Result<Arc<ReplicaSet>, Error> {
        let deployment = rollout.deployment.clone();
        let collisions = deployment.status.collision_count;
        let hash = hash::of_template(&deployment.spec.template, collisions);
        let replicas = rolling::replicas_of_new_set(rollout);
        let set = describe_set(&deployment, &hash, replicas, revision);
        let api: Api<ReplicaSet> =
            Api::namespaced(self.cluster.client.clone(), &rollout.key.namespace);
        let key = Key::of(&set);
        match api.create(&PostParams::default(), &set).await {
            Ok(set) => {
                self.cluster.replica_sets.note(set.clone());
                Ok(Arc::new(set))
            }
            Err(source) => {
                if matches!(&source, kube::Error::Api(status) if status.code == 409) {
                    self.resolve_collision(rollout, &api, &key).await?;
                } else {
                    self.report_failed_creation(rollout, &key, &source).await?;
                }
                Err(Error::api("create", "ReplicaSet", &key)(source))
            }
        }
    }

    /// The name is taken: by our own set that the watch has not shown yet, or
    /// by another template of the same hash, which calls for another name.
    async fn resolve_collision(
        &self,
        rollout: &Rollout,
        api: &Api<ReplicaSet>,
        key: &Key,
    ) -> Result<(), Error> {
        let Ok(taken) = api.get(&key.name).await else {
            return Ok(());
        };
        let owner_uid = owner::controller(&taken.metadata).map(|o| &o.uid);
        let deployment = &rollout.deployment;
        let is_ours = owner_uid == deployment.metadata.uid.as_ref()
            && is_of_template(&taken, &deployment.spec.template);
        self.cluster.replica_sets.note(taken);
        if is_ours {
            return Ok(());
        }
        let collisions = deployment.status.collision_count.unwrap_or(0) + 1;
        let patch = json!({ "status": { "collisionCount": collisions } });
        let api: Api<Deployment> = Api::namespaced(self.cluster.client.clone(), &key.namespace);
        let patched = api
            .patch_status(
                &rollout.key.name,
                &PatchParams::default(),
                &Patch::Merge(patch),
            )
            .await
            .map_err(Error::api("write status of", "Deployment", &rollout.key))?;
        self.cluster.deployments.note(patched);
        Ok(())
    }

    async fn report_failed_creation(
        &self,
        rollout: &mut Rollout,
        key: &Key,
        source: &kube::Error,
    ) -> Result<(), Error> {
        let why = match source {
            kube::Error::Api(status) => status.message.clone(),
            other => other.to_string(),
        };
        let note = format!("Failed to create new replica set \"{}\": {why}", key.name);
        self.recorder
            .warning(&*rollout.deployment, "ReplicaSetCreateError", note.clone());
        self.set_progressing(rollout, "False", "ReplicaSetCreateError", note)
            .await
    }

    async fn set_revision(&self, rollout: &mut Rollout, revision: i64) -> Result<(), Error> {
        if annotation::revision(&*rollout.deployment) == revision {
            return Ok(());
        }
        let annotations = json!({ "annotations": { annotation::REVISION: revision.to_string() } });
        self.patch_deployment(rollout, annotations).await
    }
}

fn describe_set(deployment: &Deployment, hash: &str, replicas: i32, revision: i64) -> ReplicaSet {
    let name = deployment.metadata.name.as_deref().unwrap_or_default();
    let mut template = deployment.spec.template.clone();
    template["metadata"]["labels"][HASH_LABEL] = hash.into();
    let mut selector = deployment.spec.selector.clone();
    selector["matchLabels"][HASH_LABEL] = hash.into();
    let mut annotations = annotation::inherited(deployment);
    annotations.extend(annotation::size(deployment));
    annotations.insert(annotation::REVISION.into(), revision.to_string().into());
    let set = json!({
        "metadata": {
            "name": format!("{name}-{hash}"),
            "namespace": deployment.metadata.namespace,
            "labels": template["metadata"]["labels"],
            "annotations": annotations,
            "ownerReferences": [owner::reference(deployment)],
        },
        "spec": {
            "replicas": replicas,
            "minReadySeconds": deployment.spec.min_ready_seconds,
            "selector": selector,
            "template": template,
        },
    });
    serde_json::from_value(set).expect("the set is made of a valid Deployment's parts")
}

/// The annotations that the set should have and has not.
fn changed_annotations(
    deployment: &Deployment,
    set: &ReplicaSet,
    revision: i64,
) -> Map<String, Value> {
    let mut wanted = annotation::inherited(deployment);
    let before = annotation::revision(set);
    if before != revision {
        wanted.insert(annotation::REVISION.into(), revision.to_string().into());
        if before > 0 {
            let mut history: Vec<String> = annotation::get(set, annotation::HISTORY)
                .into_iter()
                .flat_map(|text| text.split(','))
                .map(str::to_owned)
                .collect();
            history.push(before.to_string());
            wanted.insert(annotation::HISTORY.into(), history.join(",").into());
        }
    }
    wanted.retain(|name, value| annotation::get(set, name) != value.as_str());
    wanted
}
