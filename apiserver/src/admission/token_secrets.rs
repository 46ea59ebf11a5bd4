//! A Secret of type `kubernetes.io/service-account-token` gets the token of the
//! account that its annotation names, which holds as long as the Secret does.

use apimachinery::{Status, meta};
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use pki::BoundObject;
use serde_json::{Value, json};

use crate::keys;
use crate::registry::{Registry, store_failure};

const TYPE: &str = "kubernetes.io/service-account-token";
const ACCOUNT: &str = "kubernetes.io/service-account.name";
const ACCOUNT_UID: &str = "kubernetes.io/service-account.uid";
const ROOT_CA: &str = "kube-root-ca.crt";

/// Does nothing for other Secrets, for an account that is not there, and for
/// data that the client brought.
pub async fn fill(registry: &Registry<'_>, secret: &mut Value) -> Result<(), Status> {
    if meta::text(secret, "type") != TYPE {
        return Ok(());
    }
    let Some(name) = meta::annotation(secret, ACCOUNT).map(str::to_owned) else {
        return Ok(());
    };
    let Some(account) = read(registry, "serviceaccounts", &name).await? else {
        return Ok(());
    };
    let uid = meta::uid(&account).to_owned();
    if meta::annotation(secret, ACCOUNT_UID).is_some_and(|wanted| wanted != uid) {
        return Ok(());
    }
    let namespace = registry.namespace.unwrap_or("");
    let bound = BoundObject {
        name,
        uid: uid.clone(),
    };
    let verifier = registry.api.authn.service_accounts();
    let token = verifier.issue_for_secret(namespace, bound, meta::name(secret));
    let token = token.map_err(Status::internal)?;
    meta::set_annotation(secret, ACCOUNT_UID, &uid);
    set(secret, "token", &token);
    set(secret, "namespace", namespace);
    if let Some(map) = read(registry, "configmaps", ROOT_CA).await?
        && let Some(pem) = map["data"]["ca.crt"].as_str()
    {
        set(secret, "ca.crt", pem);
    }
    Ok(())
}

fn set(secret: &mut Value, key: &str, text: &str) {
    let data = meta::entry(secret, "data");
    if data.get(key).is_none() {
        data[key] = json!(STANDARD.encode(text));
    }
}

async fn read(registry: &Registry<'_>, prefix: &str, name: &str) -> Result<Option<Value>, Status> {
    if name.is_empty() || name.contains('/') {
        return Ok(None);
    }
    let key = keys::object(prefix, registry.namespace, name);
    let found = registry.api.store.get(&key).await.map_err(store_failure)?;
    found
        .map(|entry| serde_json::from_slice(&entry.value).map_err(Status::internal))
        .transpose()
}
