//! Saying in a pod's status that it is taken away by the cluster, and why.

use kube::api::{Patch, PatchParams};
use kube::{Api, Client};
use serde_json::json;

use crate::error::Error;
use crate::key::Key;
use crate::object::Pod;

pub struct Reason {
    pub reason: &'static str,
    pub message: &'static str,
    /// The pod's last phase, where nobody else will tell it any more.
    pub phase: Option<&'static str>,
}

/// Writes the condition; a pod that is gone needs none.
pub async fn announce(
    client: &Client,
    key: &Key,
    uid: Option<&str>,
    reason: &Reason,
) -> Result<(), Error> {
    let mut status = json!({ "conditions": [{
        "type": "DisruptionTarget",
        "status": "True",
        "reason": reason.reason,
        "message": reason.message,
        "lastTransitionTime": jiff::Timestamp::now(),
    }] });
    if let Some(phase) = reason.phase {
        status["phase"] = phase.into();
    }
    let patch = json!({ "metadata": { "uid": uid }, "status": status });
    let api: Api<Pod> = Api::namespaced(client.clone(), &key.namespace);
    let params = PatchParams::default();
    match api
        .patch_status(&key.name, &params, &Patch::Strategic(patch))
        .await
    {
        Ok(_) => Ok(()),
        Err(kube::Error::Api(status)) if status.code == 404 => Ok(()),
        Err(source) => Err(Error::api("write status of", "Pod", key)(source)),
    }
}
