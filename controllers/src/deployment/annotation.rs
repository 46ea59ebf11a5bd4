//! The annotations by which Deployments and their ReplicaSets know one another.

use std::collections::BTreeMap;

use kube::Resource;
use serde_json::{Map, Value};

use super::strategy::slack;
use crate::object::Deployment;

pub const REVISION: &str = "deployment.kubernetes.io/revision";
pub const HISTORY: &str = "deployment.kubernetes.io/revision-history";
pub const DESIRED: &str = "deployment.kubernetes.io/desired-replicas";
pub const MAX: &str = "deployment.kubernetes.io/max-replicas";

/// Those that belong to one object and are not copied to the other.
const OWN: &[&str] = &[
    "kubectl.kubernetes.io/last-applied-configuration",
    REVISION,
    HISTORY,
    DESIRED,
    MAX,
    "deprecated.deployment.rollback.to",
];

pub fn get<'a, K: Resource>(object: &'a K, name: &str) -> Option<&'a str> {
    let annotations: Option<&BTreeMap<String, String>> = object.meta().annotations.as_ref();
    annotations.and_then(|a| a.get(name)).map(String::as_str)
}

pub fn revision<K: Resource>(object: &K) -> i64 {
    let text = get(object, REVISION);
    text.and_then(|text| text.parse().ok()).unwrap_or(0)
}

/// What every ReplicaSet of the Deployment is told of its size.
pub fn size(deployment: &Deployment) -> Map<String, Value> {
    let replicas = deployment.spec.replicas;
    let max = replicas + slack(deployment).surge;
    Map::from_iter([
        (DESIRED.to_owned(), replicas.to_string().into()),
        (MAX.to_owned(), max.to_string().into()),
    ])
}

/// The Deployment's annotations that its ReplicaSets carry too.
pub fn inherited(deployment: &Deployment) -> Map<String, Value> {
    let annotations = deployment.metadata.annotations.iter().flatten();
    annotations
        .filter(|(name, _)| !OWN.contains(&name.as_str()))
        .map(|(name, value)| (name.clone(), value.clone().into()))
        .collect()
}
