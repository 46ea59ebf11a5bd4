//! The end of a definition: its objects first, then itself.

use std::collections::BTreeSet;
use std::time::Duration;

use apimachinery::{Status, meta, time};
use http::{Method, Request};
use jiff::Timestamp;
use serde_json::Value;
use std::sync::Arc;
use store::{Expect, Range};

use super::{Family, PLURAL, write_status};
use crate::api::Api;
use crate::keys;
use crate::registry::store_failure;
use crate::user::User;

/// Pause before what failed, or left something behind, is tried again.
const RETRY: Duration = Duration::from_secs(5);

/// Deletes every object of the definition, waits until the last is gone, and lets the
/// definition go.
pub async fn run(api: &Arc<Api>, family: &Family) {
    loop {
        match once(api, family).await {
            Ok(()) => return,
            Err(why) => {
                let name = &family.definition.name;
                tracing::warn!(name, why = %why.message, "the objects of a definition cannot be deleted");
            }
        }
        tokio::time::sleep(RETRY).await;
    }
}

async fn once(api: &Arc<Api>, family: &Family) -> Result<(), Status> {
    change(api, family, |definition, now| {
        let (reason, message) = (
            "InstanceDeletionInProgress",
            "CustomResource deletion is in progress",
        );
        custom::acceptance::set_condition(definition, "Terminating", true, reason, message, now);
    })
    .await?;
    empty(api, family).await?;
    change(api, family, |definition, _| {
        let kept: Vec<Value> = meta::finalizers(definition)
            .filter(|name| *name != custom::acceptance::CLEANUP)
            .map(Value::from)
            .collect();
        meta::set_meta(definition, "finalizers", kept);
    })
    .await
}

/// Deletes until nothing is left. Once is not enough: a create that was under way when
/// the definition began to end may be stored after all others were deleted.
async fn empty(api: &Arc<Api>, family: &Family) -> Result<(), Status> {
    let prefix = keys::kind(&family.definition.prefix());
    loop {
        let all = api.store.range(Range::prefix(&prefix)).await;
        let all = all.map_err(store_failure)?.entries;
        delete_all(api, family, &prefix, &all).await?;
        if let Ok(done) = tokio::time::timeout(RETRY, until_empty(api, &prefix)).await {
            return done;
        }
    }
}

async fn delete_all(
    api: &Arc<Api>,
    family: &Family,
    prefix: &[u8],
    entries: &[store::Entry],
) -> Result<(), Status> {
    let definition = &family.definition;
    let mut versions: Vec<_> = definition.versions.iter().filter(|v| v.is_served).collect();
    versions.sort_by_key(|version| !version.is_storage);
    let is_served = definition.stage != custom::Stage::Pending;
    let Some(version) = versions.first().filter(|_| is_served) else {
        return delete_unserved(api, entries).await;
    };
    let base = format!("/apis/{}/{}", definition.group, version.name);
    let plural = &definition.names.plural;
    let mut paths = BTreeSet::new();
    for entry in entries {
        let rest = String::from_utf8_lossy(&entry.key[prefix.len()..]).into_owned();
        match rest.split_once('/').filter(|_| definition.is_namespaced) {
            Some((namespace, _)) => paths.insert(format!("{base}/namespaces/{namespace}/{plural}")),
            None => paths.insert(format!("{base}/{plural}")),
        };
    }
    for path in paths {
        delete_collection(api, &path).await?;
    }
    Ok(())
}

/// No version answers requests: what finalizers wait for could not be done any more.
async fn delete_unserved(api: &Api, entries: &[store::Entry]) -> Result<(), Status> {
    for entry in entries {
        match api.store.delete(&entry.key, Expect::Any).await {
            Ok(_) | Err(store::Error::NotFound) => {}
            Err(error) => return Err(store_failure(error)),
        }
    }
    Ok(())
}

async fn delete_collection(api: &Arc<Api>, path: &str) -> Result<(), Status> {
    let request = Request::builder()
        .method(Method::DELETE)
        .uri(path)
        .body(crate::webhook::full(bytes::Bytes::new()))
        .map_err(Status::internal)?;
    let user = Arc::new(User::admin("system:apiserver"));
    let response = api.answer_as(request, Ok(user)).await;
    if response.status().is_success() || response.status() == http::StatusCode::NOT_FOUND {
        return Ok(());
    }
    Err(Status::internal(format!(
        "DELETE {path} answered {}",
        response.status()
    )))
}

/// Objects with finalizers take as long as their finalizers do.
async fn until_empty(api: &Api, prefix: &[u8]) -> Result<(), Status> {
    loop {
        let page = api
            .store
            .range(Range::prefix(prefix).limit(1))
            .await
            .map_err(store_failure)?;
        if page.entries.is_empty() {
            return Ok(());
        }
        let mut watch = api
            .store
            .watch(prefix, page.revision)
            .await
            .map_err(store_failure)?;
        match watch.next().await {
            Some(signal) => drop(signal.map_err(store_failure)?),
            None => return Ok(()),
        }
    }
}

/// Changes the definition, again when somebody else did meanwhile.
async fn change(api: &Api, family: &Family, make: impl Fn(&mut Value, &str)) -> Result<(), Status> {
    let key = keys::object(PLURAL, None, &family.definition.name);
    loop {
        let Some(entry) = api.store.get(&key).await.map_err(store_failure)? else {
            return Ok(());
        };
        let old: Value = serde_json::from_slice(&entry.value).map_err(Status::internal)?;
        if meta::deletion_timestamp(&old).is_none() {
            return Ok(());
        }
        let mut new = old.clone();
        make(&mut new, &time::rfc3339(Timestamp::now()));
        if new == old || write_status(api, &old, new, entry.modified).await? {
            return Ok(());
        }
    }
}
