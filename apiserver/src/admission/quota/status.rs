//! What of each quota is used, as its status shows it.
//!
//! Nothing that decides: creates count for themselves. While there are quotas, one
//! watch of the store says in which of their namespaces something changed; without
//! any there is no such watch.

use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::Duration;

use apimachinery::{Quantity, meta};
use serde_json::{Map, Value};
use store::{Change, Expect, Range, Revision, Signal, Watch};
use tokio_util::sync::CancellationToken;

use super::usage::{self, Usage};
use crate::api::Api;
use crate::registry::versions;
use crate::{bytes_json, keys};

const QUOTAS: &str = "resourcequotas";
const EVERYTHING: &[u8] = b"/registry/";
/// Changes of so long are looked at together.
const GATHER: Duration = Duration::from_millis(100);
/// Pause after the store failed or a watch fell behind.
const RETRY: Duration = Duration::from_secs(1);

/// Keeps all quotas' status until `stop`.
pub async fn run(api: Arc<Api>, stop: CancellationToken) {
    loop {
        let round = async {
            if let Err(error) = follow(&api).await {
                tracing::debug!(%error, "what quotas have used is counted anew");
                tokio::time::sleep(RETRY).await;
            }
        };
        tokio::select! {
            () = stop.cancelled() => return,
            () = round => {}
        }
    }
}

/// Until there are no quotas any more, or the watch breaks.
async fn follow(api: &Api) -> Result<(), store::Error> {
    let (mut dirty, revision) = quota_namespaces(api).await?;
    if dirty.is_empty() {
        let mut quotas = api.store.watch(&keys::kind(QUOTAS), revision).await?;
        return quotas
            .next()
            .await
            .map_or(Ok(()), |signal| signal.map(drop));
    }
    let mut all = api.store.watch(EVERYTHING, revision).await?;
    loop {
        for namespace in &dirty {
            settle(api, namespace).await?;
        }
        let (with_quotas, _) = quota_namespaces(api).await?;
        if with_quotas.is_empty() {
            return Ok(());
        }
        dirty = changed(&mut all, &with_quotas).await?;
    }
}

async fn quota_namespaces(api: &Api) -> Result<(BTreeSet<String>, Revision), store::Error> {
    let prefix = keys::kind(QUOTAS);
    let page = api.store.range(Range::prefix(&prefix)).await?;
    let namespaces = page.entries.iter().filter_map(|entry| {
        let name = std::str::from_utf8(entry.key.strip_prefix(&prefix[..])?).ok()?;
        Some(name.split_once('/')?.0.to_owned())
    });
    Ok((namespaces.collect(), page.revision))
}

/// Waits for a change in one of the namespaces, and gathers those close behind.
async fn changed(
    all: &mut Watch,
    namespaces: &BTreeSet<String>,
) -> Result<BTreeSet<String>, store::Error> {
    let mut dirty = BTreeSet::new();
    let mut until = None;
    loop {
        let signal = match until {
            None => all.next().await,
            Some(until) => match tokio::time::timeout_at(until, all.next()).await {
                Ok(signal) => signal,
                Err(_) => return Ok(dirty),
            },
        };
        // A store that is closed says no more: whoever waits is stopped.
        let Some(signal) = signal else {
            return std::future::pending().await;
        };
        let Signal::Change(change) = signal? else {
            continue;
        };
        let key = match &*change {
            Change::Put { entry, .. } => &entry.key,
            Change::Delete { key, .. } => key,
        };
        let segments = std::str::from_utf8(key).unwrap_or("").split('/');
        let found: Vec<_> = segments.filter(|s| namespaces.contains(*s)).collect();
        // A quota is what may bring a namespace in.
        let is_quota = key.starts_with(&keys::kind(QUOTAS));
        if found.is_empty() && !is_quota {
            continue;
        }
        dirty.extend(found.into_iter().map(str::to_owned));
        if is_quota && let Some(namespace) = quota_namespace(key) {
            dirty.insert(namespace);
        }
        until.get_or_insert_with(|| tokio::time::Instant::now() + GATHER);
    }
}

fn quota_namespace(key: &[u8]) -> Option<String> {
    let name = key.strip_prefix(&keys::kind(QUOTAS)[..])?;
    let (namespace, _) = std::str::from_utf8(name).ok()?.split_once('/')?;
    Some(namespace.to_owned())
}

/// Counts what the quotas of one namespace limit.
async fn settle(api: &Api, namespace: &str) -> Result<(), store::Error> {
    let prefix = keys::collection(QUOTAS, Some(namespace));
    for entry in api.store.range(Range::prefix(prefix)).await?.entries {
        let Ok(mut quota) = serde_json::from_slice::<Value>(&entry.value) else {
            continue;
        };
        let hard = meta::map(&quota, "spec.hard").cloned().unwrap_or_default();
        let used = used(api, namespace, &quota, &hard).await?;
        let status = status(&hard, &used);
        if quota["status"] == status {
            continue;
        }
        quota["status"] = status;
        if let Value::Object(fields) = &quota {
            let value = bytes_json::encode(fields);
            let put = api.store.put(&entry.key, value, Expect::At(entry.modified));
            match put.await {
                // Whoever wrote it brings us here again.
                Ok(_) | Err(store::Error::Conflict { .. } | store::Error::NotFound) => {}
                Err(error) => return Err(error),
            }
        }
    }
    Ok(())
}

async fn used(
    api: &Api,
    namespace: &str,
    quota: &Value,
    hard: &Map<String, Value>,
) -> Result<Usage, store::Error> {
    let mut used = Usage::new();
    let mut seen = BTreeSet::new();
    let table = api.resources.table();
    for kind in table.all().iter().filter(|kind| kind.is_namespaced()) {
        let Some(prefix) = kind.prefix() else {
            continue;
        };
        let is_counted = hard.keys().any(|name| usage::counts(kind, name));
        if !is_counted || !seen.insert(prefix.to_owned()) {
            continue;
        }
        let range = Range::prefix(keys::collection(prefix, Some(namespace)));
        for entry in api.store.range(range).await?.entries {
            let Ok(object) = versions::value(kind, &entry.value) else {
                continue;
            };
            for (name, amount) in usage::of_object(kind, &object, quota) {
                *used.entry(name).or_default() += amount;
            }
        }
    }
    Ok(used)
}

fn status(hard: &Map<String, Value>, used: &Usage) -> Value {
    let none = Quantity::default();
    let used: Map<String, Value> = hard
        .keys()
        .map(|name| {
            let amount = used.get(name).unwrap_or(&none);
            (name.clone(), amount.to_string().into())
        })
        .collect();
    serde_json::json!({ "hard": hard, "used": used })
}
