//! Objects as rows for people, and objects cut down to their metadata.

use apimachinery::Status;
use bytes::Bytes;
use jiff::Timestamp;
use serde_json::{Value, json};

use crate::bytes_json;
use crate::query::Query;
use crate::registry::versions;
use crate::served::Served;

const META: &str = "meta.k8s.io/v1";

/// How much of the object a row carries.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Include {
    None,
    Metadata,
    Object,
}

impl Include {
    pub fn read(query: &Query) -> Self {
        match query.get("includeObject") {
            Some("None") => Self::None,
            Some("Object") => Self::Object,
            _ => Self::Metadata,
        }
    }
}

/// `object` reduced to `PartialObjectMetadata`.
pub fn partial_metadata(object: &Bytes) -> Bytes {
    let metadata = bytes_json::metadata(object).unwrap_or_else(|| Bytes::from_static(b"{}"));
    let mut out = Vec::with_capacity(metadata.len() + 80);
    out.extend_from_slice(
        b"{\"kind\":\"PartialObjectMetadata\",\"apiVersion\":\"meta.k8s.io/v1\",\"metadata\":",
    );
    out.extend_from_slice(&metadata);
    out.push(b'}');
    out.into()
}

/// The list of the objects' metadata.
pub fn partial_metadata_list<'a>(
    objects: impl Iterator<Item = &'a Bytes>,
    metadata: &Value,
) -> Bytes {
    let mut out = format!(
        "{{\"kind\":\"PartialObjectMetadataList\",\"apiVersion\":\"{META}\",\"metadata\":{metadata},\"items\":["
    )
    .into_bytes();
    for (at, object) in objects.enumerate() {
        if at > 0 {
            out.push(b',');
        }
        out.extend_from_slice(&partial_metadata(object));
    }
    out.extend_from_slice(b"]}");
    out.into()
}

/// A table of one row.
pub fn of_one(
    kind: &Served,
    object: &Bytes,
    include: Include,
    now: Timestamp,
) -> Result<Bytes, Status> {
    let revision = bytes_json::scalar_at(object, &["metadata", "resourceVersion"]);
    let metadata = json!({ "resourceVersion": revision });
    of_many(kind, std::iter::once(object), &metadata, include, now)
}

pub fn of_many<'a>(
    kind: &Served,
    objects: impl Iterator<Item = &'a Bytes>,
    metadata: &Value,
    include: Include,
    now: Timestamp,
) -> Result<Bytes, Status> {
    let columns: Vec<Value> = kind.columns().iter().map(column).collect();
    let mut out = format!(
        "{{\"kind\":\"Table\",\"apiVersion\":\"{META}\",\"metadata\":{metadata},\"columnDefinitions\":{},\"rows\":[",
        Value::Array(columns)
    )
    .into_bytes();
    for (at, object) in objects.enumerate() {
        if at > 0 {
            out.push(b',');
        }
        push_row(&mut out, kind, object, include, now)?;
    }
    out.extend_from_slice(b"]}");
    Ok(out.into())
}

fn push_row(
    out: &mut Vec<u8>,
    kind: &Served,
    object: &Bytes,
    include: Include,
    now: Timestamp,
) -> Result<(), Status> {
    let value: Value = serde_json::from_slice(object).map_err(Status::internal)?;
    let cells = Value::Array(kind.row(&value, now));
    out.extend_from_slice(format!("{{\"cells\":{cells},\"object\":").as_bytes());
    match include {
        Include::None => out.extend_from_slice(b"null"),
        Include::Metadata => out.extend_from_slice(&partial_metadata(object)),
        Include::Object => out.extend_from_slice(object),
    }
    out.push(b'}');
    Ok(())
}

fn column(column: &kinds::Column<'_>) -> Value {
    json!({
        "name": column.name,
        "type": column.data_type,
        "format": column.format,
        "description": column.description,
        "priority": column.priority,
    })
}

/// A stored entry as the client's version, for tables of lists.
pub fn served(kind: &Served, entries: &[store::Entry]) -> Result<Vec<Bytes>, Status> {
    entries
        .iter()
        .map(|entry| versions::bytes(kind, entry))
        .collect()
}
