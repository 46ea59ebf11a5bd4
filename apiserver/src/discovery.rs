//! What is served: `/api`, `/apis` and below, and both aggregated in one document.

mod aggregated;

use std::collections::HashMap;
use std::sync::{Arc, PoisonError, RwLock};

use apimachinery::Status;
use apimachinery::gvk::compare_versions;
use bytes::Bytes;
use http::{Response, StatusCode};
use serde_json::{Value, json};

use crate::aggregation::Remotes;
use crate::aggregation::discovery::merge;
use crate::api::{Api, Call};
use crate::body::Body;
use crate::negotiate::Form;
use crate::resources::Table;
use crate::served::Served;
use crate::{form, respond};

/// Answers of discovery.
pub struct Discovery {
    cached: RwLock<Option<Cached>>,
    address: String,
}

/// What the documents were made of, and the documents.
struct Cached {
    table: Arc<Table>,
    remotes: Arc<Remotes>,
    documents: Arc<Documents>,
}

struct Documents {
    by_path: HashMap<String, Bytes>,
    core: Bytes,
    groups: Bytes,
}

impl Documents {
    fn new(kinds: &[Served], remotes: &Remotes, address: &str) -> Self {
        let mut by_path = HashMap::new();
        let mut put = |path: String, value: &Value| {
            by_path.insert(path, Bytes::from(value.to_string()));
        };
        put("/api".into(), &api_versions(address));
        let mut groups = groups_of(kinds);
        merge(&mut groups, remotes);
        put("/apis".into(), &group_list(&groups));
        for group in &groups {
            if !group.name.is_empty() {
                put(format!("/apis/{}", group.name), &group.document());
            }
            for version in &group.versions {
                let list = resource_list(&group.name, version, kinds);
                put(path_of(&group.name, version), &list);
            }
        }
        let (core, rest): (Vec<_>, Vec<_>) = groups.iter().partition(|g| g.name.is_empty());
        Self {
            by_path,
            core: aggregated::document(&core, kinds, remotes),
            groups: aggregated::document(&rest, kinds, remotes),
        }
    }
}

impl Discovery {
    /// `address` is what clients are told to use, `host:port`.
    pub fn new(address: String) -> Self {
        Self {
            cached: RwLock::default(),
            address,
        }
    }

    pub fn address(&self) -> &str {
        &self.address
    }

    fn documents(&self, api: &Api) -> Arc<Documents> {
        let (table, remotes) = (api.resources.table(), api.aggregation.remotes());
        if let Some(cached) = &*self.cached.read().unwrap_or_else(PoisonError::into_inner)
            && Arc::ptr_eq(&cached.table, &table)
            && Arc::ptr_eq(&cached.remotes, &remotes)
        {
            return cached.documents.clone();
        }
        let documents = Arc::new(Documents::new(table.all(), &remotes, &self.address));
        let made = Cached {
            table,
            remotes,
            documents: documents.clone(),
        };
        *self.cached.write().unwrap_or_else(PoisonError::into_inner) = Some(made);
        documents
    }

    /// Every path that discovery answers.
    pub fn paths(&self, api: &Api) -> Vec<String> {
        let mut paths: Vec<String> = self.documents(api).by_path.keys().cloned().collect();
        paths.push("/apis/".into());
        paths
    }

    pub fn answer(&self, api: &Api, call: &Call, path: &str) -> Result<Response<Body>, Status> {
        let form = Form::of(&call.headers, &call.query);
        let documents = self.documents(api);
        let aggregated = match path {
            "/api" => Some(&documents.core),
            "/apis" => Some(&documents.groups),
            _ => None,
        };
        if let (Some(document), Some(version)) = (aggregated, aggregated::wanted(&call.headers)) {
            return Ok(aggregated::answer(document, version));
        }
        match documents.by_path.get(path) {
            Some(document) => form::encoded(StatusCode::OK, document.clone(), form?),
            None if path.starts_with("/api/") => Err(Status::no_such_resource()),
            None => {
                let path = path.trim_start_matches("/apis/");
                let group = path.split('/').next().unwrap_or("");
                if api.resources.has_group(group) {
                    return Err(Status::no_such_resource());
                }
                Ok(respond::page_not_found())
            }
        }
    }
}

/// One group and its versions, the preferred one first.
pub struct Group {
    pub name: String,
    pub versions: Vec<String>,
}

impl Group {
    fn entry(&self) -> Value {
        let version =
            |v: &String| json!({ "groupVersion": format!("{}/{v}", self.name), "version": v });
        json!({
            "name": self.name,
            "versions": self.versions.iter().map(version).collect::<Vec<_>>(),
            "preferredVersion": self.versions.first().map(version),
        })
    }

    fn document(&self) -> Value {
        let mut document = self.entry();
        document["kind"] = "APIGroup".into();
        document["apiVersion"] = "v1".into();
        document
    }
}

fn group_list(groups: &[Group]) -> Value {
    let named = groups.iter().filter(|group| !group.name.is_empty());
    let entries: Vec<Value> = named.map(Group::entry).collect();
    json!({ "kind": "APIGroupList", "apiVersion": "v1", "groups": entries })
}

/// The groups in the order of the table.
fn groups_of(kinds: &[Served]) -> Vec<Group> {
    let mut groups: Vec<Group> = Vec::new();
    for kind in kinds {
        let at = groups
            .iter()
            .position(|g| g.name == kind.group())
            .unwrap_or_else(|| {
                groups.push(Group {
                    name: kind.group().to_owned(),
                    versions: Vec::new(),
                });
                groups.len() - 1
            });
        let versions = &mut groups[at].versions;
        if !versions.iter().any(|version| version == kind.version()) {
            versions.push(kind.version().to_owned());
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

fn resource_list(group: &str, version: &str, kinds: &[Served]) -> Value {
    let group_version = if group.is_empty() {
        version.to_owned()
    } else {
        format!("{group}/{version}")
    };
    let mut resources = Vec::new();
    let mut served: Vec<_> = kinds
        .iter()
        .filter(|k| k.group() == group && k.version() == version)
        .collect();
    served.sort_by(|a, b| a.plural().cmp(b.plural()));
    for kind in served {
        resources.push(resource(kind));
        let mut subresources = kind.subresources();
        if !kind.is_custom() {
            subresources.sort_by(|a, b| a.name.cmp(b.name));
        }
        resources.extend(subresources.iter().map(|sub| subresource(kind, sub)));
    }
    json!({ "kind": "APIResourceList", "apiVersion": "v1", "groupVersion": group_version, "resources": resources })
}

fn resource(kind: &Served) -> Value {
    let mut entry = json!({
        "name": kind.plural(),
        "singularName": kind.singular(),
        "namespaced": kind.is_namespaced(),
        "kind": kind.kind(),
        "verbs": kind.verbs(),
    });
    if !kind.short_names().is_empty() {
        entry["shortNames"] = json!(kind.short_names());
    }
    if !kind.categories().is_empty() {
        entry["categories"] = json!(kind.categories());
    }
    if let Some(prefix) = kind.prefix() {
        entry["storageVersionHash"] = storage_hash(prefix, kind).into();
    }
    entry
}

/// Changes when the stored version of a kind does; clients only compare it.
fn storage_hash(prefix: &str, kind: &Served) -> String {
    use base64::Engine as _;
    let (group, version, name) = match kind.conversion() {
        Some(conversion) => {
            let stored = conversion.stored;
            (stored.group, stored.version, stored.kind)
        }
        None => (kind.group(), kind.version(), kind.kind()),
    };
    let text = format!("{prefix}/{group}/{version}/{name}");
    // FNV-1a: small, and the same in every build.
    let hash = text.bytes().fold(0xcbf2_9ce4_8422_2325_u64, |hash, byte| {
        (hash ^ u64::from(byte)).wrapping_mul(0x0100_0000_01b3)
    });
    base64::engine::general_purpose::STANDARD.encode(hash.to_be_bytes())
}

fn subresource(kind: &Served, sub: &kinds::Subresource<'_>) -> Value {
    let mut entry = json!({
        "name": format!("{}/{}", kind.plural(), sub.name),
        "singularName": "",
        "namespaced": kind.is_namespaced(),
        "kind": sub.kind,
        "verbs": sub.verbs,
    });
    if sub.group != kind.group() || sub.version != kind.version() {
        entry["group"] = sub.group.into();
        entry["version"] = sub.version.into();
    }
    entry
}
