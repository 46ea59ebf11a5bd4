//! Nothing is created in a namespace that is not there or is going away.

use std::sync::Arc;

use apimachinery::{Status, meta, status};
use serde_json::Value;

use super::Admission;
use crate::keys;
use crate::registry::{Registry, store_failure};

impl Admission {
    pub(super) async fn check_namespace(
        &self,
        registry: &Registry<'_>,
        object: &Value,
    ) -> Result<(), Status> {
        let Some(name) = registry.namespace else {
            return Ok(());
        };
        if let Some(namespace) = self.namespaces.get(name) {
            return check_live(registry, &namespace, meta::name(object));
        }
        // The mirror may not have seen it yet.
        let key = keys::object("namespaces", None, name);
        let found = registry.api.store.get(&key).await.map_err(store_failure)?;
        let Some(entry) = found else {
            return Err(Status::not_found(
                status::Resource::new("", "namespaces"),
                name,
            ));
        };
        let namespace: Value = serde_json::from_slice(&entry.value).map_err(Status::internal)?;
        check_live(registry, &namespace, meta::name(object))
    }
}

impl Admission {
    /// The Namespace that the request is in; empty when it is gone.
    pub(super) async fn live_namespace(
        &self,
        registry: &Registry<'_>,
    ) -> Result<Arc<Value>, Status> {
        let name = registry.namespace.unwrap_or("");
        if let Some(known) = self.namespaces.get(name) {
            return Ok(known);
        }
        let key = keys::object("namespaces", None, name);
        let found = registry.api.store.get(&key).await.map_err(store_failure)?;
        let parsed = found.map(|entry| serde_json::from_slice(&entry.value));
        let parsed = parsed.transpose().map_err(Status::internal)?;
        Ok(Arc::new(parsed.unwrap_or_default()))
    }
}

fn check_live(registry: &Registry<'_>, namespace: &Value, object: &str) -> Result<(), Status> {
    if meta::deletion_timestamp(namespace).is_none() {
        return Ok(());
    }
    let name = meta::name(namespace);
    let why =
        format!("unable to create new content in namespace {name} because it is being terminated");
    let mut refusal = Status::forbidden(registry.resource(), object, &why);
    if let Some(details) = &mut refusal.details {
        details.causes.push(status::Cause {
            reason: "NamespaceTerminating".into(),
            message: format!("namespace {name} is being terminated"),
            field: "metadata.namespace".into(),
        });
    }
    Err(refusal)
}
