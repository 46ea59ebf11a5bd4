//! What is served: `/api`, `/apis` and below, and both aggregated in one document.

mod aggregated;

use std::collections::HashMap;

use apimachinery::Status;
use apimachinery::gvk::compare_versions;
use bytes::Bytes;
use http::{HeaderValue, Response, StatusCode, header};
use kinds::Kind;
use serde_json::{Value, json};

use crate::api::{Api, Call};
use crate::body::Body;
use crate::negotiate::Form;
use crate::{form, respond};

/// Documents made once: the built-in kinds never change.
pub struct Discovery {
    documents: HashMap<String, Bytes>,
    core: Bytes,
    groups: Bytes,
    address: String,
}

impl Discovery {
    /// `address` is what clients are told to use, `host:port`.
    pub fn new(kinds: &[&'static Kind], address: String) -> Self {
        let mut documents = HashMap::new();
        let mut put = |path: String, value: &Value| {
            documents.insert(path, Bytes::from(value.to_string()));
        };
        put("/api".into(), &api_versions(&address));
        let groups = groups_of(kinds);
        put(
            "/apis".into(),
            &json!({
                "kind": "APIGroupList", "apiVersion": "v1",
                "groups": groups.iter().filter(|g| !g.name.is_empty()).map(Group::entry).collect::<Vec<_>>(),
            }),
        );
        for group in &groups {
            if !group.name.is_empty() {
                let mut entry = group.entry();
                entry["kind"] = "APIGroup".into();
                entry["apiVersion"] = "v1".into();
                put(format!("/apis/{}", group.name), &entry);
            }
            for version in &group.versions {
                put(
                    path_of(group.name, version),
                    &resource_list(group.name, version, kinds),
                );
            }
        }
        let (core, rest): (Vec<_>, Vec<_>) = groups.iter().partition(|g| g.name.is_empty());
        Self {
            documents,
            core: aggregated::document(&core, kinds),
            groups: aggregated::document(&rest, kinds),
            address,
        }
    }

    pub fn address(&self) -> &str {
        &self.address
    }

    /// Every path that discovery answers.
    pub fn paths(&self) -> Vec<String> {
        let mut paths: Vec<String> = self.documents.keys().cloned().collect();
        paths.push("/apis/".into());
        paths
    }

    pub fn answer(&self, api: &Api, call: &Call, path: &str) -> Result<Response<Body>, Status> {
        let form = Form::of(&call.headers, &call.query);
        if let Some(version) =
            aggregated::wanted(&call.headers).filter(|_| path == "/api" || path == "/apis")
        {
            let document = if path == "/api" {
                &self.core
            } else {
                &self.groups
            };
            let mut response =
                respond::json(StatusCode::OK, aggregated::in_version(document, version));
            let kind = format!(
                "application/json;g=apidiscovery.k8s.io;v={version};as=APIGroupDiscoveryList"
            );
            if let Ok(kind) = HeaderValue::from_str(&kind) {
                response.headers_mut().insert(header::CONTENT_TYPE, kind);
            }
            response
                .headers_mut()
                .insert(header::VARY, HeaderValue::from_static("Accept"));
            return Ok(response);
        }
        match self.documents.get(path) {
            Some(document) => form::encoded(StatusCode::OK, document.clone(), form?),
            None if path.starts_with("/api/") => Err(Status::no_such_resource()),
            None => {
                let group = path
                    .trim_start_matches("/apis/")
                    .split('/')
                    .next()
                    .unwrap_or("");
                if api.resources.has_group(group) {
                    return Err(Status::no_such_resource());
                }
                Ok(respond::page_not_found())
            }
        }
    }
}

/// One group and its versions, the preferred one first.
struct Group {
    name: &'static str,
    versions: Vec<&'static str>,
}

impl Group {
    fn entry(&self) -> Value {
        let version =
            |v: &&str| json!({ "groupVersion": format!("{}/{v}", self.name), "version": v });
        json!({
            "name": self.name,
            "versions": self.versions.iter().map(version).collect::<Vec<_>>(),
            "preferredVersion": self.versions.first().map(version),
        })
    }
}

/// The groups in the order of the table.
fn groups_of(kinds: &[&'static Kind]) -> Vec<Group> {
    let mut groups: Vec<Group> = Vec::new();
    for kind in kinds {
        let at = groups
            .iter()
            .position(|g| g.name == kind.group)
            .unwrap_or_else(|| {
                groups.push(Group {
                    name: kind.group,
                    versions: Vec::new(),
                });
                groups.len() - 1
            });
        if !groups[at].versions.contains(&kind.version) {
            groups[at].versions.push(kind.version);
        }
    }
    for group in &mut groups {
        group.versions.sort_by(|a, b| compare_versions(a, b));
    }
    groups
}

fn path_of(group: &str, version: &str) -> String {
    if group.is_empty() {
        format!("/api/{version}")
    } else {
        format!("/apis/{group}/{version}")
    }
}

fn api_versions(address: &str) -> Value {
    json!({
        "kind": "APIVersions",
        "versions": ["v1"],
        "serverAddressByClientCIDRs": [{ "clientCIDR": "0.0.0.0/0", "serverAddress": address }],
    })
}

fn resource_list(group: &str, version: &str, kinds: &[&'static Kind]) -> Value {
    let group_version = if group.is_empty() {
        version.to_owned()
    } else {
        format!("{group}/{version}")
    };
    let mut resources = Vec::new();
    let mut served: Vec<_> = kinds
        .iter()
        .filter(|k| k.group == group && k.version == version)
        .collect();
    served.sort_by_key(|kind| kind.plural);
    for kind in served {
        resources.push(resource(kind));
        let mut subresources: Vec<_> = kind.subresources.iter().collect();
        subresources.sort_by_key(|sub| sub.name);
        resources.extend(subresources.into_iter().map(|sub| subresource(kind, sub)));
    }
    json!({ "kind": "APIResourceList", "apiVersion": "v1", "groupVersion": group_version, "resources": resources })
}

fn resource(kind: &Kind) -> Value {
    let mut entry = json!({
        "name": kind.plural,
        "singularName": kind.singular,
        "namespaced": kind.is_namespaced(),
        "kind": kind.kind,
        "verbs": kind.verbs,
    });
    if !kind.short_names.is_empty() {
        entry["shortNames"] = json!(kind.short_names);
    }
    if !kind.categories.is_empty() {
        entry["categories"] = json!(kind.categories);
    }
    if let Some(prefix) = kind.prefix() {
        entry["storageVersionHash"] = storage_hash(prefix, kind).into();
    }
    entry
}

/// Changes when the stored version of a kind does; clients only compare it.
fn storage_hash(prefix: &str, kind: &Kind) -> String {
    use base64::Engine as _;
    let stored = kind.conversion().map_or(kind, |c| c.stored);
    let text = format!(
        "{prefix}/{}/{}/{}",
        stored.group, stored.version, stored.kind
    );
    // FNV-1a: small, and the same in every build.
    let hash = text.bytes().fold(0xcbf2_9ce4_8422_2325_u64, |hash, byte| {
        (hash ^ u64::from(byte)).wrapping_mul(0x0100_0000_01b3)
    });
    base64::engine::general_purpose::STANDARD.encode(hash.to_be_bytes())
}

fn subresource(kind: &Kind, sub: &kinds::Subresource) -> Value {
    let mut entry = json!({
        "name": format!("{}/{}", kind.plural, sub.name),
        "singularName": "",
        "namespaced": kind.is_namespaced(),
        "kind": sub.kind,
        "verbs": sub.verbs,
    });
    if sub.group != kind.group || sub.version != kind.version {
        entry["group"] = sub.group.into();
        entry["version"] = sub.version.into();
    }
    entry
}
