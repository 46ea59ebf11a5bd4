//! `APIGroupDiscoveryList`: all of discovery in one answer (KEP-3352).

use bytes::Bytes;
use http::{HeaderMap, HeaderValue, Response, StatusCode, header};
use kinds::Subresource;
use serde_json::{Value, json};

use super::Group;
use crate::aggregation::Remotes;
use crate::aggregation::discovery::{find, version_item};
use crate::body::Body;
use crate::respond;
use crate::served::Served;

const V2: &str = "v2";
const V2_BETA: &str = "v2beta1";

/// The version of the document that the client asks for, if it does.
pub fn wanted(headers: &HeaderMap) -> Option<&'static str> {
    let accept = headers.get(header::ACCEPT)?.to_str().ok()?;
    accept.split(',').find_map(|clause| {
        let parts: Vec<&str> = clause.split(';').map(str::trim).collect();
        let is_list =
            parts.contains(&"as=APIGroupDiscoveryList") && parts.contains(&"g=apidiscovery.k8s.io");
        if !is_list || parts.first() != Some(&"application/json") {
            return None;
        }
        [V2, V2_BETA]
            .into_iter()
            .find(|v| parts.contains(&format!("v={v}").as_str()))
    })
}

pub fn answer(document: &Bytes, version: &str) -> Response<Body> {
    let mut response = respond::json(StatusCode::OK, in_version(document, version));
    let kind =
        format!("application/json;g=apidiscovery.k8s.io;v={version};as=APIGroupDiscoveryList");
    let headers = response.headers_mut();
    if let Ok(kind) = HeaderValue::from_str(&kind) {
        headers.insert(header::CONTENT_TYPE, kind);
    }
    headers.insert(header::VARY, HeaderValue::from_static("Accept"));
    response
}

/// The document in the wanted version; the two differ in nothing else.
fn in_version(document: &Bytes, version: &str) -> Bytes {
    if version == V2 {
        return document.clone();
    }
    let text = String::from_utf8_lossy(document);
    Bytes::from(text.replacen(
        "apidiscovery.k8s.io/v2\"",
        "apidiscovery.k8s.io/v2beta1\"",
        1,
    ))
}

pub fn document(groups: &[&Group], kinds: &[Served], remotes: &Remotes) -> Bytes {
    let items: Vec<Value> = groups
        .iter()
        .map(|group| group_item(group, kinds, remotes))
        .collect();
    let list = json!({
        "kind": "APIGroupDiscoveryList",
        "apiVersion": "apidiscovery.k8s.io/v2",
        "metadata": {},
        "items": items,
    });
    Bytes::from(list.to_string())
}

fn group_item(group: &Group, kinds: &[Served], remotes: &Remotes) -> Value {
    let versions = group.versions.iter().map(|version| {
        if let Some(remote) = find(remotes, &group.name, version) {
            return version_item(remote);
        }
        let served = kinds
            .iter()
            .filter(|k| k.group() == group.name && k.version() == *version);
        json!({
            "version": version,
            "resources": served.map(resource).collect::<Vec<_>>(),
            "freshness": "Current",
        })
    });
    let mut metadata = json!({ "creationTimestamp": null });
    if !group.name.is_empty() {
        metadata["name"] = group.name.as_str().into();
    }
    json!({ "metadata": metadata, "versions": versions.collect::<Vec<_>>() })
}

fn resource(kind: &Served) -> Value {
    let mut entry = json!({
        "resource": kind.plural(),
        "responseKind": { "group": kind.group(), "version": kind.version(), "kind": kind.kind() },
        "scope": if kind.is_namespaced() { "Namespaced" } else { "Cluster" },
        "singularResource": kind.singular(),
        "verbs": kind.verbs(),
    });
    if !kind.short_names().is_empty() {
        entry["shortNames"] = json!(kind.short_names());
    }
    if !kind.categories().is_empty() {
        entry["categories"] = json!(kind.categories());
    }
    let subresources = kind.subresources();
    if !subresources.is_empty() {
        entry["subresources"] = subresources.iter().map(subresource).collect();
    }
    entry
}

fn subresource(sub: &Subresource<'_>) -> Value {
    json!({
        "subresource": sub.name,
        "responseKind": { "group": sub.group, "version": sub.version, "kind": sub.kind },
        "verbs": sub.verbs,
    })
}
