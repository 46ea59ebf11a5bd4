//! OpenAPI documents of what is served, generated on demand; the caller caches.
//!
//! Three forms of one description: version 2 in JSON, version 2 as gnostic's
//! protobuf message (client-go asks for nothing else), and version 3, one document
//! a group and version. They are written definition by definition, so that making
//! one costs little more memory than it has bytes.

mod custom;
mod definitions;
mod names;
mod operations;
mod parameters;
mod paths;
mod protobuf;

use serde_json::{Value, json};

/// One served resource, as discovery lists it.
#[derive(Clone, Debug)]
pub struct Resource<'a> {
    pub group: &'a str,
    pub version: &'a str,
    pub kind: &'a str,
    pub plural: &'a str,
    pub namespaced: bool,
    /// `get`, `list`, `watch`, `create`, `update`, `patch`, `delete`, `deletecollection`.
    pub verbs: Vec<&'a str>,
    pub subresources: Vec<Subresource<'a>>,
    /// The OpenAPI v3 schema of a kind that is not built in.
    pub custom: Option<&'a Value>,
}

/// One subresource and the kind that it speaks.
#[derive(Clone, Debug)]
pub struct Subresource<'a> {
    pub name: &'a str,
    pub group: &'a str,
    pub version: &'a str,
    pub kind: &'a str,
    pub verbs: Vec<&'a str>,
}

/// The two versions of OpenAPI, which put the same things in different places.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Dialect {
    V2,
    V3,
}

/// Takes the parts of a document as they are made.
trait Sink {
    fn path(&mut self, path: &str, item: &Value);
    fn definition(&mut self, name: &str, schema: &Value);
}

/// `/openapi/v2` in JSON.
pub fn v2(server_version: &str, resources: &[Resource<'_>]) -> Vec<u8> {
    let mut parts = JsonParts::default();
    emit(Dialect::V2, resources, &mut parts);
    let mut document = Vec::new();
    document.extend(br#"{"swagger":"2.0","info":"#);
    write(&mut document, &info(server_version));
    document.extend(br#","security":[{"BearerToken":[]}],"securityDefinitions":"#);
    write(&mut document, &security());
    document.extend(br#","paths":{"#);
    document.extend(&parts.paths);
    document.extend(br#"},"definitions":{"#);
    document.extend(&parts.definitions);
    document.extend(b"}}");
    document
}

/// `/openapi/v2` as gnostic's protobuf message, which client-go asks for
/// (`application/com.github.proto-openapi.spec.v2.v1.0+protobuf`).
pub fn v2_protobuf(server_version: &str, resources: &[Resource<'_>]) -> Vec<u8> {
    let mut document = protobuf::Document::default();
    emit(Dialect::V2, resources, &mut document);
    document.finish(&info(server_version), &security())
}

/// `/openapi/v3/api/v1` or `/openapi/v3/apis/<group>/<version>` in JSON: the
/// document of the resources of one group and version.
pub fn v3(server_version: &str, group: &str, version: &str, resources: &[Resource<'_>]) -> Vec<u8> {
    let of_version = |r: &&Resource<'_>| r.group == group && r.version == version;
    let resources: Vec<_> = resources.iter().filter(of_version).cloned().collect();
    let mut parts = JsonParts::default();
    emit(Dialect::V3, &resources, &mut parts);
    let mut document = Vec::new();
    document.extend(br#"{"openapi":"3.0.0","info":"#);
    write(&mut document, &info(server_version));
    document.extend(br#","paths":{"#);
    document.extend(&parts.paths);
    document.extend(br#"},"components":{"securitySchemes":"#);
    write(&mut document, &security());
    document.extend(br#","schemas":{"#);
    document.extend(&parts.definitions);
    document.extend(b"}}}");
    document
}

/// `/openapi/v3`: where the documents are. `hashes` are of paths such as
/// `apis/apps/v1`; a client keeps a document until its hash changes.
pub fn v3_index(hashes: &[(String, String)]) -> Vec<u8> {
    let entry = |(path, hash): &(String, String)| {
        let url = format!("/openapi/v3/{path}?hash={hash}");
        (path.clone(), json!({"serverRelativeURL": url}))
    };
    let paths: serde_json::Map<_, _> = hashes.iter().map(entry).collect();
    let mut document = Vec::new();
    write(&mut document, &json!({"paths": paths}));
    document
}

fn emit(dialect: Dialect, resources: &[Resource<'_>], sink: &mut impl Sink) {
    definitions::emit(dialect, resources, sink);
    paths::emit(dialect, resources, sink);
}

fn info(server_version: &str) -> Value {
    json!({"title": "Kubernetes", "version": server_version})
}

fn security() -> Value {
    json!({"BearerToken": {
        "description": "Bearer Token authentication",
        "type": "apiKey",
        "name": "authorization",
        "in": "header",
    }})
}

#[derive(Default)]
struct JsonParts {
    paths: Vec<u8>,
    definitions: Vec<u8>,
}

impl Sink for JsonParts {
    fn path(&mut self, path: &str, item: &Value) {
        write_entry(&mut self.paths, path, item);
    }

    fn definition(&mut self, name: &str, schema: &Value) {
        write_entry(&mut self.definitions, name, schema);
    }
}

fn write_entry(out: &mut Vec<u8>, key: &str, value: &Value) {
    if !out.is_empty() {
        out.push(b',');
    }
    write(out, &Value::String(key.to_owned()));
    out.push(b':');
    write(out, value);
}

fn write(out: &mut Vec<u8>, value: &Value) {
    serde_json::to_writer(out, value).expect("a JSON value is written to memory");
}

#[cfg(test)]
mod tests;
