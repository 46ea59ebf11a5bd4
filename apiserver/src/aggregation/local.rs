//! APIServices of what this server serves itself, as clients that list them expect.

use std::collections::BTreeMap;
use std::sync::Arc;

use apimachinery::{meta, random, time};
use jiff::Timestamp;
use serde_json::{Value, json};
use store::{Expect, Range};
use tokio_util::sync::CancellationToken;

use crate::api::Api;
use crate::resources::Table;
use crate::{bytes_json, keys};

const MANAGED: &str = "kube-aggregator.kubernetes.io/automanaged";
/// What CustomResourceDefinitions bring: low among groups.
const CUSTOM: Priority = Priority {
    group: 1000,
    version: 100,
};

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Priority {
    pub group: i64,
    pub version: i64,
}

/// How Kubernetes ranks its own groups.
const GROUPS: &[(&str, i64)] = &[
    ("", 18000),
    ("apps", 17800),
    ("events.k8s.io", 17750),
    ("authentication.k8s.io", 17700),
    ("authorization.k8s.io", 17600),
    ("autoscaling", 17500),
    ("batch", 17400),
    ("certificates.k8s.io", 17300),
    ("networking.k8s.io", 17200),
    ("policy", 17100),
    ("rbac.authorization.k8s.io", 17000),
    ("storage.k8s.io", 16800),
    ("apiextensions.k8s.io", 16700),
    ("admissionregistration.k8s.io", 16700),
    ("scheduling.k8s.io", 16600),
    ("coordination.k8s.io", 16500),
    ("node.k8s.io", 16300),
    ("discovery.k8s.io", 16200),
    ("resource.k8s.io", 16200),
    ("flowcontrol.apiserver.k8s.io", 16100),
    ("storagemigration.k8s.io", 16000),
    ("internal.apiserver.k8s.io", 16000),
];

/// How a group and version rank among all. A group that Kubernetes does not have
/// is a custom one.
pub fn priority(group: &str, version: &str) -> Priority {
    let known = GROUPS.iter().find(|(name, _)| *name == group);
    let Some((_, group_priority)) = known else {
        return CUSTOM;
    };
    let version = match (group, version) {
        ("", _) => 1,
        ("autoscaling", "v2") => 30,
        ("flowcontrol.apiserver.k8s.io", "v1") => 21,
        (_, version) if version.contains("beta") => 9,
        (_, version) if version.contains("alpha") => 1,
        _ => 15,
    };
    Priority {
        group: *group_priority,
        version,
    }
}

/// Keeps them what the served kinds are, until `stop`.
pub async fn run(api: Arc<Api>, stop: CancellationToken) {
    loop {
        let changed = api.resources.changed();
        if let Err(error) = settle(&api).await {
            tracing::warn!(%error, "write the APIServices of what is served here");
        }
        tokio::select! {
            () = stop.cancelled() => return,
            () = changed => {}
        }
    }
}

/// Creates those that are missing, and removes those of definitions that went.
async fn settle(api: &Api) -> Result<(), store::Error> {
    let wanted = wanted(&api.resources.table());
    let prefix = keys::kind("apiservices");
    let page = api.store.range(Range::prefix(&prefix)).await?;
    let mut there: BTreeMap<String, (Value, _)> = BTreeMap::new();
    for entry in &page.entries {
        if let Ok(object) = serde_json::from_slice::<Value>(&entry.value) {
            there.insert(meta::name(&object).to_owned(), (object, entry.modified));
        }
    }
    for (name, object) in &wanted {
        if there.contains_key(name) {
            continue;
        }
        let key = keys::object("apiservices", None, name);
        if let Value::Object(fields) = object {
            let value = bytes_json::encode(fields);
            ignore_races(api.store.put(&key, value, Expect::Absent).await.map(drop))?;
        }
    }
    for (name, (object, modified)) in &there {
        if meta::label(object, MANAGED) == Some("true") && !wanted.contains_key(name) {
            let key = keys::object("apiservices", None, name);
            let deleted = api.store.delete(&key, Expect::At(*modified)).await;
            ignore_races(deleted.map(drop))?;
        }
    }
    Ok(())
}

/// Somebody else wrote it: another server of the cluster, or an administrator.
fn ignore_races(done: Result<(), store::Error>) -> Result<(), store::Error> {
    match done {
        Err(store::Error::Conflict { .. } | store::Error::NotFound) => Ok(()),
        other => other,
    }
}

fn wanted(table: &Table) -> BTreeMap<String, Value> {
    let mut all = BTreeMap::new();
    let now = time::rfc3339(Timestamp::now());
    for kind in table.all() {
        let (group, version) = (kind.group(), kind.version());
        // The group of APIServices is the aggregator's own.
        if group == "apiregistration.k8s.io" {
            continue;
        }
        let name = format!("{version}.{group}");
        all.entry(name).or_insert_with_key(|name| {
            let managed = if kind.is_built_in() {
                "onstart"
            } else {
                "true"
            };
            object(name, group, version, managed, &now)
        });
    }
    all
}

fn object(name: &str, group: &str, version: &str, managed: &str, now: &str) -> Value {
    let priority = priority(group, version);
    let mut spec = json!({
        "version": version,
        "groupPriorityMinimum": priority.group,
        "versionPriority": priority.version,
    });
    if !group.is_empty() {
        spec["group"] = group.into();
    }
    json!({
        "kind": "APIService", "apiVersion": "apiregistration.k8s.io/v1",
        "metadata": {
            "name": name, "uid": random::uid(), "creationTimestamp": now,
            "labels": { MANAGED: managed },
        },
        "spec": spec,
        "status": { "conditions": [{
            "type": "Available", "status": "True", "reason": "Local",
            "message": "Local APIServices are always available", "lastTransitionTime": now,
        }] },
    })
}
