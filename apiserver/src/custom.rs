//! CustomResourceDefinitions at work: what they define is served as soon as they stand in
//! the store, and their objects go with them.
//!
//! One task follows the definitions ([`follow`]): it compiles each once a change, accepts
//! names, serves what is established and hands ending ones to [`cleanup`]. What a
//! definition says is the crate `custom`'s; this is where it meets the store.

mod cleanup;
mod conversion;
mod follow;
mod kind;
mod read;

pub use follow::start;
pub use kind::Family;

use apimachinery::{Status, meta, time};
use jiff::Timestamp;
use patch::Writer;
use serde_json::Value;
use store::{Expect, Revision};

use crate::api::Api;
use crate::keys;
use crate::registry::{store_failure, versions};
use crate::served::Served;

const GROUP: &str = "apiextensions.k8s.io";
const PLURAL: &str = "customresourcedefinitions";

/// Marks a definition that is to be deleted: its objects go first.
pub fn mark_ending(kind: &Served, definition: &mut Value, finalizers: &mut Vec<String>) {
    let is_new = meta::deletion_timestamp(definition).is_none();
    if !kind.is(GROUP, PLURAL) || !is_new {
        return;
    }
    if !finalizers
        .iter()
        .any(|known| known == custom::acceptance::CLEANUP)
    {
        finalizers.push(custom::acceptance::CLEANUP.to_owned());
    }
    custom::acceptance::set_condition(
        definition,
        "Terminating",
        true,
        "InstanceDeletionPending",
        "CustomResourceDefinition marked for deletion; CustomResource deletion will begin soon",
        &time::rfc3339(Timestamp::now()),
    );
}

/// Stores a definition whose status the server itself changed; false when somebody else
/// changed it meanwhile.
async fn write_status(
    api: &Api,
    old: &Value,
    mut new: Value,
    at: Revision,
) -> Result<bool, Status> {
    let Some(served) = api.resources.find(GROUP, "v1", PLURAL) else {
        return Ok(false);
    };
    if let Some(node) = served.node() {
        let writer = Writer {
            manager: "kube-apiserver",
            api_version: "apiextensions.k8s.io/v1",
            subresource: "status",
            time: &time::rfc3339(Timestamp::now()),
            reset: &[&["spec"]],
        };
        patch::managed::update(Some(old), &mut new, &writer, node);
    }
    let key = keys::object(PLURAL, None, meta::name(old));
    let ends = meta::deletion_timestamp(&new).is_some() && meta::finalizers(&new).next().is_none();
    let done = if ends {
        api.store.delete(&key, Expect::At(at)).await.map(drop)
    } else {
        let value = versions::to_stored(&served, &new)?;
        api.store.put(&key, value, Expect::At(at)).await.map(drop)
    };
    match done {
        Ok(()) => Ok(true),
        Err(store::Error::Conflict { .. } | store::Error::NotFound) => Ok(false),
        Err(error) => Err(store_failure(error)),
    }
}
