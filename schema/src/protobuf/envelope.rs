//! What stands around written messages: `runtime.Unknown`, lists, watch events.

use serde_json::{Map, Value};

use super::table::row;
use super::wire::put;
use super::write::message;
use super::{Error, MAGIC, schema_of};
use crate::node::{Node, Object};

const OBJECT_META: &str = "apimachinery.pkg.apis.meta.v1.ObjectMeta";
const LIST_META: &str = "apimachinery.pkg.apis.meta.v1.ListMeta";
const PARTIAL: (&str, &str) = ("meta.k8s.io/v1", "PartialObjectMetadata");

/// Whether objects of the kind have a protobuf form.
pub fn is_written(api_version: &str, kind: &str) -> bool {
    object_of(api_version, kind).is_ok()
}

/// Writes an object or a list, by the `apiVersion` and `kind` it says it is of.
///
/// # Errors
/// [`Error::UnknownKind`] if the kind has no protobuf form, [`Error::Unfit`] if
/// the object is not of its kind.
pub fn write(object: &Value) -> Result<Vec<u8>, Error> {
    let text = |name: &str| object[name].as_str().unwrap_or_default();
    // `APIVersions` alone does not say of which version it is.
    let api_version = Some(text("apiVersion")).filter(|version| !version.is_empty());
    let (api_version, kind) = (api_version.unwrap_or("v1"), text("kind"));
    if let Some(items) = object.get("items").and_then(Value::as_array) {
        let mut list = List::new(api_version, kind, &object["metadata"])?;
        items.iter().try_for_each(|item| list.push(item))?;
        return Ok(list.finish());
    }
    if (api_version, kind) == PARTIAL {
        return metadata(object);
    }
    let raw = raw(api_version, kind, object)?;
    Ok(enveloped(api_version, kind, &raw))
}

/// Writes the `PartialObjectMetadata` of any object, of a custom kind too.
///
/// # Errors
/// [`Error::Unfit`]
pub fn metadata(object: &Value) -> Result<Vec<u8>, Error> {
    let (api_version, kind) = PARTIAL;
    Ok(enveloped(api_version, kind, &partial(object)?))
}

/// One event of a watch; `object` is what [`write`] made. The length goes before
/// it, as four bytes, and there is no magic around it.
pub fn frame(what: &str, object: &[u8], out: &mut Vec<u8>) {
    let mut extension = Vec::with_capacity(object.len() + 6);
    put::bytes(1, object, &mut extension);
    let mut event = Vec::with_capacity(extension.len() + what.len() + 8);
    put::bytes(1, what.as_bytes(), &mut event);
    put::bytes(2, &extension, &mut event);
    let length = u32::try_from(event.len()).expect("an object is a few megabytes at most");
    out.extend(length.to_be_bytes());
    out.extend(event);
}

/// A list that grows item by item, so that its JSON need not be there at once.
#[derive(Debug)]
pub struct List {
    api_version: String,
    kind: String,
    item: Item,
    raw: Vec<u8>,
}

#[derive(Debug)]
enum Item {
    Partial,
    Of { api_version: String, kind: String },
}

impl List {
    /// `kind` is that of the list (`PodList`), `metadata` its own.
    ///
    /// # Errors
    /// [`Error::UnknownKind`], [`Error::Unfit`]
    pub fn new(api_version: &str, kind: &str, metadata: &Value) -> Result<Self, Error> {
        let of = kind.strip_suffix("List").unwrap_or_default();
        let item = if (api_version, of) == PARTIAL {
            Item::Partial
        } else {
            object_of(api_version, of)?;
            Item::Of {
                api_version: api_version.to_owned(),
                kind: of.to_owned(),
            }
        };
        let mut raw = Vec::new();
        put::bytes(1, &list_meta(metadata)?, &mut raw);
        Ok(Self {
            api_version: api_version.to_owned(),
            kind: kind.to_owned(),
            item,
            raw,
        })
    }

    /// # Errors
    /// [`Error::Unfit`]
    pub fn push(&mut self, object: &Value) -> Result<(), Error> {
        let item = match &self.item {
            Item::Partial => partial(object)?,
            Item::Of { api_version, kind } => raw(api_version, kind, object)?,
        };
        put::bytes(2, &item, &mut self.raw);
        Ok(())
    }

    pub fn finish(self) -> Vec<u8> {
        enveloped(&self.api_version, &self.kind, &self.raw)
    }
}

/// `runtime.Unknown`, as Go writes it: its two last fields are there and empty.
fn enveloped(api_version: &str, kind: &str, raw: &[u8]) -> Vec<u8> {
    let mut type_meta = Vec::new();
    put::bytes(1, api_version.as_bytes(), &mut type_meta);
    put::bytes(2, kind.as_bytes(), &mut type_meta);
    let mut out = Vec::with_capacity(raw.len() + type_meta.len() + 24);
    out.extend_from_slice(MAGIC);
    put::bytes(1, &type_meta, &mut out);
    put::bytes(2, raw, &mut out);
    put::bytes(3, b"", &mut out);
    put::bytes(4, b"", &mut out);
    out
}

fn raw(api_version: &str, kind: &str, object: &Value) -> Result<Vec<u8>, Error> {
    let schema = object_of(api_version, kind)?;
    let row = row(schema.name()).ok_or_else(|| unknown(api_version, kind))?;
    let object = as_object(object)?;
    let mut out = Vec::new();
    message(row, schema, object, &mut out)?;
    Ok(out)
}

/// The schema of a kind that has field numbers.
fn object_of(api_version: &str, kind: &str) -> Result<&'static Object, Error> {
    match schema_of(api_version, kind) {
        Some(Node::Object(object)) if row(object.name()).is_some() => Ok(object),
        _ => Err(unknown(api_version, kind)),
    }
}

fn partial(object: &Value) -> Result<Vec<u8>, Error> {
    let pod = object_of("v1", "Pod")?;
    let mut out = Vec::new();
    put::bytes(1, &meta(pod, OBJECT_META, &object["metadata"])?, &mut out);
    Ok(out)
}

fn list_meta(metadata: &Value) -> Result<Vec<u8>, Error> {
    meta(object_of("v1", "Status")?, LIST_META, metadata)
}

/// The `metadata` that `owner` has, too.
fn meta(owner: &Object, definition: &str, value: &Value) -> Result<Vec<u8>, Error> {
    let mut out = Vec::new();
    let field = owner.field("metadata").map(|field| &field.node);
    if let (Some(Node::Object(schema)), Some(row)) = (field, row(definition))
        && !value.is_null()
    {
        message(row, schema, as_object(value)?, &mut out)?;
    }
    Ok(out)
}

fn as_object(value: &Value) -> Result<&Map<String, Value>, Error> {
    value.as_object().ok_or_else(|| Error::Unfit {
        path: String::new(),
        wanted: "an object".to_owned(),
    })
}

fn unknown(api_version: &str, kind: &str) -> Error {
    Error::UnknownKind {
        api_version: api_version.to_owned(),
        kind: kind.to_owned(),
    }
}
