//! What extension API servers must know of this one: whose client certificates it
//! takes, and who may name users to them.

use std::sync::Arc;

use serde_json::json;

use super::Aggregator;
use crate::api::Api;
use crate::{Error, bootstrap};

const PATH: &str = "/api/v1/namespaces/kube-system/configmaps/extension-apiserver-authentication";

/// Writes ConfigMap `extension-apiserver-authentication`.
pub async fn publish(
    api: &Arc<Api>,
    client_ca_pem: &str,
    identity: Option<&Aggregator>,
) -> Result<(), Error> {
    let mut data = json!({ "client-ca-file": client_ca_pem });
    if let Some(identity) = identity {
        data["requestheader-client-ca-file"] = identity.ca_pem.as_str().into();
        for (what, header) in [
            ("allowed-names", "front-proxy-client"),
            ("username-headers", "X-Remote-User"),
            ("uid-headers", "X-Remote-Uid"),
            ("group-headers", "X-Remote-Group"),
            ("extra-headers-prefix", "X-Remote-Extra-"),
        ] {
            data[format!("requestheader-{what}")] = json!([header]).to_string().into();
        }
    }
    let map = json!({
        "apiVersion": "v1", "kind": "ConfigMap",
        "metadata": { "name": "extension-apiserver-authentication", "namespace": "kube-system" },
        "data": data,
    });
    bootstrap::put(api, PATH, &map).await
}
