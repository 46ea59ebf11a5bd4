//! Requests whose answers nobody reads.

use kube::Client;
use kube::core::Request;
use kube::core::params::{DeleteParams, Patch, PatchParams, PostParams};
use serde_json::{Value, json};

pub async fn create(client: &Client, collection: &str, object: &Value) -> kube::Result<()> {
    let body = object.to_string().into_bytes();
    let request = Request::new(collection).create(&PostParams::default(), body);
    send(client, request).await
}

/// Merges into the object's status, conditions by their type.
pub async fn patch_status(
    client: &Client,
    collection: &str,
    name: &str,
    status: Value,
) -> kube::Result<()> {
    let patch = Patch::Strategic(json!({ "status": status }));
    let request =
        Request::new(collection).patch_subresource("status", name, &PatchParams::default(), &patch);
    send(client, request).await
}

pub async fn merge(
    client: &Client,
    collection: &str,
    name: &str,
    patch: Value,
) -> kube::Result<()> {
    let request =
        Request::new(collection).patch(name, &PatchParams::default(), &Patch::Merge(patch));
    send(client, request).await
}

/// Deletes it now, whatever its grace period, if it is the one meant.
pub async fn delete_now(
    client: &Client,
    collection: &str,
    name: &str,
    uid: &str,
) -> kube::Result<()> {
    let now = DeleteParams::default().grace_period(0);
    let meant = kube::api::Preconditions {
        uid: Some(uid.to_owned()),
        resource_version: None,
    };
    let request = Request::new(collection).delete(name, &now.preconditions(meant));
    send(client, request).await
}

type Built = Result<http::Request<Vec<u8>>, kube::core::request::Error>;

async fn send(client: &Client, request: Built) -> kube::Result<()> {
    let request = request.map_err(kube::Error::BuildRequest)?;
    client.request_text(request).await.map(drop)
}

pub fn is_code(error: &kube::Error, code: u16) -> bool {
    matches!(error, kube::Error::Api(status) if status.code == code)
}
