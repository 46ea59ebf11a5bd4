//! Ending pods for one of higher priority, and telling where that one will go.

use k8s_openapi::api::core::v1::Pod;
use kube::api::{DeleteParams, Patch, PatchParams, Preconditions};
use kube::{Api, Client};
use serde_json::json;

use crate::Error;

/// A pod that has to go.
#[derive(Debug, Clone)]
pub struct Victim {
    pub key: String,
    pub uid: String,
}

/// Says on the pod why it ends, and ends it.
///
/// # Errors
/// The pod stays. One that is gone already is none.
pub async fn evict(client: &Client, victim: &Victim, scheduler: &str) -> Result<(), Error> {
    let (namespace, name) = victim.key.split_once('/').unwrap_or_default();
    let api: Api<Pod> = Api::namespaced(client.clone(), namespace);
    let now = jiff::Timestamp::now().strftime("%Y-%m-%dT%H:%M:%SZ");
    let condition = json!({
        "type": "DisruptionTarget", "status": "True", "reason": "PreemptionByScheduler",
        "message": format!("{scheduler}: preempting to accommodate a higher priority pod"),
        "lastTransitionTime": now.to_string(),
    });
    let patch =
        json!({ "metadata": { "uid": victim.uid }, "status": { "conditions": [condition] } });
    let patched = api
        .patch_status(name, &PatchParams::default(), &Patch::Strategic(patch))
        .await;
    let delete = DeleteParams {
        preconditions: Some(Preconditions {
            uid: Some(victim.uid.clone()),
            resource_version: None,
        }),
        ..DeleteParams::default()
    };
    let ended = match patched {
        Ok(_) => api.delete(name, &delete).await.map(drop),
        Err(error) => Err(error),
    };
    match ended {
        Err(kube::Error::Api(status)) if status.code == 404 => Ok(()),
        Err(source) => Err(Error::Preempt {
            pod: victim.key.clone(),
            source,
        }),
        Ok(()) => Ok(()),
    }
}

/// Writes the node that is being cleared for the pod, or that none is.
///
/// # Errors
/// The pod's status says something else.
pub async fn nominate(client: &Client, key: &str, node: Option<&str>) -> Result<(), Error> {
    let (namespace, name) = key.split_once('/').unwrap_or_default();
    let api: Api<Pod> = Api::namespaced(client.clone(), namespace);
    let patch = json!({ "status": { "nominatedNodeName": node } });
    let written = api
        .patch_status(name, &PatchParams::default(), &Patch::Merge(patch))
        .await;
    match written {
        Err(kube::Error::Api(status)) if status.code == 404 => Ok(()),
        Err(source) => Err(Error::Nominate {
            pod: key.to_owned(),
            source,
        }),
        Ok(_) => Ok(()),
    }
}
