//! Telling the API server where a pod goes, and its volumes before it.

use k8s_openapi::api::core::v1::{PersistentVolume, PersistentVolumeClaim, Pod};
use kube::api::{Patch, PatchParams};
use kube::{Api, Client};
use serde_json::json;

use crate::Error;
use crate::cache::Candidate;
use crate::storage::claim::SELECTED_NODE;
use crate::storage::{Plan, Storage};

/// Creates the pod's binding to `node`.
///
/// # Errors
/// The pod is not bound by this.
pub async fn bind(client: &Client, pod: &Candidate, node: &str) -> Result<(), Error> {
    let (namespace, name) = pod.key.split_once('/').unwrap_or_default();
    let binding = json!({
        "apiVersion": "v1",
        "kind": "Binding",
        // The uid keeps the binding from another pod of the same name.
        "metadata": { "name": name, "namespace": namespace, "uid": pod.uid },
        "target": { "apiVersion": "v1", "kind": "Node", "name": node },
    });
    let api: Api<Pod> = Api::namespaced(client.clone(), namespace);
    let request = kube::core::Request::new(api.resource_url());
    let body = binding.to_string().into_bytes();
    let made = request.create_subresource("binding", name, &Default::default(), body);
    let answer = match made {
        // The answer is of no interest, so it is not read.
        Ok(mut request) => {
            traces::pass_on(request.headers_mut());
            client.request_text(request).await.map(drop)
        }
        Err(error) => Err(kube::Error::BuildRequest(error)),
    };
    answer.map_err(|source| Error::Bind {
        pod: pod.key.to_string(),
        node: node.to_owned(),
        source,
    })
}

/// What a [`Plan`] comes to, as of when it was made.
pub struct Writes {
    volumes: Vec<(String, String, serde_json::Value)>,
    claims: Vec<(String, serde_json::Value)>,
    node: String,
}

impl Writes {
    pub fn of(plan: &Plan, storage: &Storage, node: &str) -> Self {
        let volumes = plan.bind.iter().filter_map(|(volume, key)| {
            let claim = storage.claims.get(key)?;
            let (namespace, name) = key.split_once('/')?;
            let patch = json!({
                "metadata": {
                    "resourceVersion": storage.volumes.get(volume)?.resource_version,
                    "annotations": { "pv.kubernetes.io/bound-by-controller": "yes" },
                },
                "spec": { "claimRef": {
                    "apiVersion": "v1", "kind": "PersistentVolumeClaim", "uid": claim.uid,
                    "namespace": namespace, "name": name,
                    "resourceVersion": claim.resource_version,
                } },
            });
            Some((volume.clone(), key.to_string(), patch))
        });
        let claims = plan.provision.iter().filter_map(|key| {
            let claim = storage.claims.get(key)?;
            let patch = json!({ "metadata": {
                "resourceVersion": claim.resource_version,
                "annotations": { SELECTED_NODE: node },
            } });
            let is_news = claim.selected_node.as_deref() != Some(node);
            is_news.then(|| (key.to_string(), patch))
        });
        Self {
            volumes: volumes.collect(),
            claims: claims.collect(),
            node: node.to_owned(),
        }
    }

    /// # Errors
    /// The first write that was refused; those before it stand.
    pub async fn run(self, client: &Client) -> Result<(), Error> {
        let params = PatchParams::default();
        for (volume, claim, patch) in self.volumes {
            let api: Api<PersistentVolume> = Api::all(client.clone());
            let written = api.patch(&volume, &params, &Patch::Merge(patch)).await;
            written.map_err(|source| Error::Volume {
                volume,
                claim,
                source,
            })?;
        }
        for (claim, patch) in self.claims {
            let (namespace, name) = claim.split_once('/').unwrap_or_default();
            let api: Api<PersistentVolumeClaim> = Api::namespaced(client.clone(), namespace);
            let written = api.patch(name, &params, &Patch::Merge(patch)).await;
            written.map_err(|source| Error::Claim {
                claim: claim.clone(),
                node: self.node.clone(),
                source,
            })?;
        }
        Ok(())
    }
}
