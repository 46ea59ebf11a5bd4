//! Making and removing a ReplicaSet's pods.

use std::sync::Arc;

use futures::future::join_all;
use kube::Api;
use kube::api::{DeleteParams, PostParams};
use serde_json::{Value, json};

use super::{ReplicaSets, rank};
use crate::error::Error;
use crate::key::Key;
use crate::object::{Pod, ReplicaSet};
use crate::owner;

/// Pods made or removed by one reconcile.
const MOST_AT_ONCE: usize = 500;

impl ReplicaSets {
    /// Makes missing pods, or removes those that are too many.
    pub(super) async fn scale(
        &self,
        key: &Key,
        set: &ReplicaSet,
        active: &[Arc<Pod>],
    ) -> Result<(), Error> {
        let wanted = usize::try_from(set.spec.replicas).unwrap_or(0);
        if active.len() < wanted {
            let missing = (wanted - active.len()).min(MOST_AT_ONCE);
            self.create(key, set, missing).await
        } else {
            let surplus = (active.len() - wanted).min(MOST_AT_ONCE);
            self.remove(set, active, surplus).await
        }
    }

    /// Batches double from one, so that a pod that cannot be made fails once
    /// and not five hundred times.
    async fn create(&self, key: &Key, set: &ReplicaSet, count: usize) -> Result<(), Error> {
        let pod = pod_of(set);
        let (mut left, mut batch) = (count, 1);
        while left > 0 {
            let size = batch.min(left);
            let made = join_all((0..size).map(|_| self.create_one(key, set, &pod))).await;
            match made.into_iter().collect::<Result<Vec<()>, Error>>() {
                Err(Error::Api { source, .. }) if is_ending_namespace(&source) => return Ok(()),
                made => made?,
            };
            left -= size;
            batch *= 2;
        }
        Ok(())
    }

    async fn create_one(&self, key: &Key, set: &ReplicaSet, pod: &Value) -> Result<(), Error> {
        let made = create(&self.cluster.client, &key.namespace, pod).await;
        match made {
            Ok(pod) => {
                let note = format!("Created pod: {}", Key::of(&pod).name);
                self.cluster.pods.note(pod);
                self.recorder.normal(set, "SuccessfulCreate", note);
                Ok(())
            }
            Err(source) => {
                if !is_ending_namespace(&source) {
                    let note = format!("Error creating: {}", words(&source));
                    self.recorder.warning(set, "FailedCreate", note);
                }
                Err(Error::api("create a pod of", "ReplicaSet", key)(source))
            }
        }
    }

    async fn remove(
        &self,
        set: &ReplicaSet,
        active: &[Arc<Pod>],
        count: usize,
    ) -> Result<(), Error> {
        let mut pods = active.to_vec();
        rank::by_loss(&mut pods);
        let removed = join_all(pods.iter().take(count).map(|pod| self.remove_one(set, pod))).await;
        removed.into_iter().collect()
    }

    async fn remove_one(&self, set: &ReplicaSet, pod: &Pod) -> Result<(), Error> {
        let key = Key::of(pod);
        let api: Api<Pod> = Api::namespaced(self.cluster.client.clone(), &key.namespace);
        let params = DeleteParams::default().preconditions(kube::api::Preconditions {
            uid: pod.metadata.uid.clone(),
            resource_version: None,
        });
        match api.delete(&key.name, &params).await {
            Ok(answer) => {
                if let Some(deleting) = answer.left() {
                    self.cluster.pods.note(deleting);
                }
                let note = format!("Deleted pod: {}", key.name);
                self.recorder.normal(set, "SuccessfulDelete", note);
                Ok(())
            }
            Err(kube::Error::Api(status)) if status.code == 404 => Ok(()),
            Err(source) => {
                let note = format!("Error deleting: {}", words(&source));
                self.recorder.warning(set, "FailedDelete", note);
                Err(Error::api("delete", "Pod", &key)(source))
            }
        }
    }
}

/// The body goes out as the JSON it is; the answer is read as our small Pod.
async fn create(client: &kube::Client, namespace: &str, pod: &Value) -> Result<Pod, kube::Error> {
    let path = format!("/api/v1/namespaces/{namespace}/pods");
    let body = serde_json::to_vec(pod).map_err(kube::Error::SerdeError)?;
    let request = kube::core::Request::new(path)
        .create(&PostParams::default(), body)
        .map_err(kube::Error::BuildRequest)?;
    client.request(request).await
}

/// The pod that the set's template describes.
fn pod_of(set: &ReplicaSet) -> Value {
    let template = &set.spec.template;
    let prefix = format!("{}-", set.metadata.name.as_deref().unwrap_or_default());
    let mut metadata = json!({
        "generateName": prefix,
        "ownerReferences": [owner::reference(set)],
    });
    for part in ["labels", "annotations", "finalizers"] {
        if let Some(value) = template.pointer(&format!("/metadata/{part}")) {
            metadata[part] = value.clone();
        }
    }
    json!({ "apiVersion": "v1", "kind": "Pod", "metadata": metadata, "spec": template["spec"] })
}

/// Nothing can be made in a namespace that is being deleted; nobody need be told.
fn is_ending_namespace(error: &kube::Error) -> bool {
    matches!(error, kube::Error::Api(status)
        if status.code == 403 && status.message.contains("because it is being terminated"))
}

fn words(error: &kube::Error) -> String {
    match error {
        kube::Error::Api(status) => status.message.clone(),
        other => other.to_string(),
    }
}
