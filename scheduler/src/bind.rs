//! Telling the API server where a pod goes.

use k8s_openapi::api::core::v1::Pod;
use kube::api::PostParams;
use kube::{Api, Client};
use serde_json::{Value, json};

use crate::Error;
use crate::cache::Candidate;

/// Creates the pod's binding to `node`.
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
    let answer: Result<Value, kube::Error> = api
        .create_subresource("binding", name, &PostParams::default(), &binding)
        .await;
    answer.map(drop).map_err(|source| Error::Bind {
        pod: pod.key.to_string(),
        node: node.to_owned(),
        source,
    })
}
