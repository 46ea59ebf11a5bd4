//! Extension API servers' groups among our own.

use std::collections::BTreeMap;

use apimachinery::gvk::compare_versions;
use apimachinery::meta;
use serde_json::{Value, json};

use super::local::priority;
use super::{Remote, Remotes};
use crate::discovery::Group;

/// Adds their groups and versions where their priorities put them.
pub fn merge(groups: &mut Vec<Group>, remotes: &Remotes) {
    for remote in remotes.values() {
        match groups.iter_mut().find(|g| g.name == remote.group) {
            Some(group) if !group.versions.contains(&remote.version) => {
                group.versions.push(remote.version.clone());
            }
            Some(_) => {}
            None => {
                let group = Group {
                    name: remote.group.clone(),
                    versions: vec![remote.version.clone()],
                };
                let rank = group_rank(&group.name, remotes);
                // Among equals the names decide; the aggregator's own group is first.
                let before = groups.iter().skip(1).position(|other| {
                    let others = group_rank(&other.name, remotes);
                    others < rank || others == rank && other.name > group.name
                });
                let at = before.map_or(groups.len(), |at| at + 1);
                groups.insert(at, group);
            }
        }
    }
    for group in groups {
        let name = group.name.clone();
        if remotes.values().any(|remote| remote.group == name) {
            let rank = |version: &String| version_rank(&name, version, remotes);
            group.versions.sort_by(|a, b| {
                let by_priority = rank(b).cmp(&rank(a));
                by_priority.then_with(|| compare_versions(a, b))
            });
        }
    }
}

/// The highest of its versions' counts.
fn group_rank(group: &str, remotes: &Remotes) -> i64 {
    let of_group = remotes.values().filter(|remote| remote.group == group);
    let highest = of_group.map(|remote| remote.group_priority).max();
    highest.unwrap_or_else(|| match group {
        "apiregistration.k8s.io" => i64::MAX,
        group => priority(group, "v1").group,
    })
}

fn version_rank(group: &str, version: &str, remotes: &Remotes) -> i64 {
    match find(remotes, group, version) {
        Some(remote) => remote.version_priority,
        None => priority(group, version).version,
    }
}

pub fn find<'r>(remotes: &'r Remotes, group: &str, version: &str) -> Option<&'r Remote> {
    let mut all = remotes.values();
    let found = all.find(|remote| remote.group == group && remote.version == version);
    found.map(|remote| &**remote)
}

/// A version of a group in an `APIGroupDiscoveryList`, from the list of resources
/// that its server answered last.
pub fn version_item(remote: &Remote) -> Value {
    let list = remote.resources.as_deref();
    let resources = list.map_or_else(Vec::new, |list| resources(list, remote));
    let is_fresh = remote.is_available && list.is_some();
    json!({
        "version": remote.version,
        "resources": resources,
        "freshness": if is_fresh { "Current" } else { "Stale" },
    })
}

fn resources(list: &Value, remote: &Remote) -> Vec<Value> {
    let mut below: BTreeMap<&str, Vec<Value>> = BTreeMap::new();
    let mut found: Vec<(&str, Value)> = Vec::new();
    for item in meta::items(list, "resources") {
        let name = meta::text(item, "name");
        match name.split_once('/') {
            Some((parent, sub)) => below.entry(parent).or_default().push(json!({
                "subresource": sub, "responseKind": kind(item, remote), "verbs": item["verbs"],
            })),
            None => found.push((name, resource(item, remote))),
        }
    }
    let with_subresources = found.into_iter().map(|(name, mut resource)| {
        if let Some(subresources) = below.remove(name) {
            resource["subresources"] = Value::Array(subresources);
        }
        resource
    });
    with_subresources.collect()
}

fn resource(item: &Value, remote: &Remote) -> Value {
    let mut resource = json!({
        "resource": item["name"],
        "responseKind": kind(item, remote),
        "scope": if meta::flag(item, "namespaced") { "Namespaced" } else { "Cluster" },
        "singularResource": meta::text(item, "singularName"),
        "verbs": item["verbs"],
    });
    for field in ["shortNames", "categories"] {
        if item[field].is_array() {
            resource[field] = item[field].clone();
        }
    }
    resource
}

fn kind(item: &Value, remote: &Remote) -> Value {
    let or = |field: &str, otherwise: &str| match meta::text(item, field) {
        "" => otherwise.to_owned(),
        text => text.to_owned(),
    };
    json!({
        "group": or("group", &remote.group), "version": or("version", &remote.version),
        "kind": item["kind"],
    })
}
