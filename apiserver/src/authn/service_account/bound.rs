//! Whether what a token is bound to is still there.

use apimachinery::{meta, time};
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use jiff::{SignedDuration, Timestamp};
use pki::{BoundObject, KubernetesClaims, LegacyClaims};
use serde_json::Value;
use store::Store;

use crate::authn::same;
use crate::keys;

/// An object counts as gone so long after its `deletionTimestamp`, which for a
/// pod is the end of its grace: it may talk to the server until then.
const LEEWAY: SignedDuration = SignedDuration::from_secs(60);
const TOKEN_TYPE: &str = "kubernetes.io/service-account-token";

/// None when the account, or the pod, Secret or node that the token is bound to,
/// is gone or another of the same name.
pub async fn check(store: &dyn Store, claims: &KubernetesClaims) -> Option<()> {
    let namespace = Some(claims.namespace.as_str());
    is_there(store, "serviceaccounts", namespace, &claims.serviceaccount).await?;
    if let Some(secret) = &claims.secret {
        is_there(store, "secrets", namespace, secret).await?;
    }
    match (&claims.pod, &claims.node) {
        // The node of a pod is told, not bound to: the pod ends with it.
        (Some(pod), _) => is_there(store, "pods", namespace, pod).await.map(drop),
        (None, Some(node)) => is_there(store, "nodes", None, node).await.map(drop),
        (None, None) => Some(()),
    }
}

/// None unless the Secret is there and holds this very token.
pub async fn check_legacy(store: &dyn Store, token: &str, claims: &LegacyClaims) -> Option<()> {
    let namespace = Some(claims.namespace.as_str());
    let secret = read(store, "secrets", namespace, &claims.secret).await?;
    let held = meta::text(&secret, "data.token");
    let held = STANDARD.decode(held).unwrap_or_default();
    let is_its = meta::text(&secret, "type") == TOKEN_TYPE
        && meta::deletion_timestamp(&secret).is_none()
        && same(&held, token.as_bytes());
    let account = BoundObject {
        name: claims.account.clone(),
        uid: claims.account_uid.clone(),
    };
    is_there(store, "serviceaccounts", namespace, &account).await?;
    is_its.then_some(())
}

async fn is_there(
    store: &dyn Store,
    prefix: &str,
    namespace: Option<&str>,
    object: &BoundObject,
) -> Option<Value> {
    let found = read(store, prefix, namespace, &object.name).await?;
    let is_same = meta::uid(&found) == object.uid && !object.uid.is_empty();
    (is_same && !is_gone(&found)).then_some(found)
}

async fn read(
    store: &dyn Store,
    prefix: &str,
    namespace: Option<&str>,
    name: &str,
) -> Option<Value> {
    // A name is a claim: it must not reach into another kind or namespace.
    if name.is_empty() || name.contains('/') || namespace.is_some_and(|n| n.contains('/')) {
        return None;
    }
    let key = keys::object(prefix, namespace, name);
    match store.get(&key).await {
        Ok(entry) => serde_json::from_slice(&entry?.value).ok(),
        Err(error) => {
            tracing::warn!(%error, "read what a token is bound to");
            None
        }
    }
}

fn is_gone(object: &Value) -> bool {
    let Some(end) = meta::deletion_timestamp(object) else {
        return false;
    };
    time::parse(end).is_none_or(|end| end < Timestamp::now() - LEEWAY)
}
