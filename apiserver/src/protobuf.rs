//! Request bodies in Kubernetes' protobuf, turned into the JSON they stand for.
//!
//! `kubectl create` and Go clients write so. Answers are always JSON, which every
//! client takes. The encoding says of Go's zero values nothing but that they are
//! there, so those of fields that are no pointers in Go are left out again.

mod table;
mod wire;

use apimachinery::Status;
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use serde_json::{Map, Value, json};

use table::{Field, Message, Type};
use wire::{Reader, Wire};

pub const MEDIA_TYPE: &str = "application/vnd.kubernetes.protobuf";
const MAGIC: &[u8] = b"k8s\0";
/// Messages in messages; the deepest real ones are a dozen.
const DEPTH_MAX: usize = 64;

/// Where zero is a value and not the absence of one: pointers in Go.
const ZERO_COUNTS: &[&str] = &[
    "replicas",
    "revisionHistoryLimit",
    "progressDeadlineSeconds",
    "terminationGracePeriodSeconds",
    "activeDeadlineSeconds",
    "ttlSecondsAfterFinished",
    "backoffLimit",
    "completions",
    "parallelism",
    "tolerationSeconds",
    "runAsUser",
    "runAsGroup",
    "fsGroup",
    "defaultMode",
    "mode",
    "partition",
    "priority",
    "expirationSeconds",
    "startingDeadlineSeconds",
    "successfulJobsHistoryLimit",
    "failedJobsHistoryLimit",
    "gracePeriodSeconds",
    "minReplicas",
    "maxRetries",
    "value",
    "stabilizationWindowSeconds",
    "backoffLimitPerIndex",
    "maxFailedIndexes",
    "leaseDurationSeconds",
    "leaseTransitions",
];
const FALSE_COUNTS: &[&str] = &[
    "optional",
    "automountServiceAccountToken",
    "privileged",
    "readOnlyRootFilesystem",
    "allowPrivilegeEscalation",
    "runAsNonRoot",
    "enableServiceLinks",
    "shareProcessNamespace",
    "controller",
    "blockOwnerDeletion",
    "suspend",
    "immutable",
    "allocateLoadBalancerNodePorts",
    "hostUsers",
    "setHostnameAsFQDN",
    "attachRequired",
    "podInfoOnMount",
    "allowVolumeExpansion",
    "orphanDependents",
    "ready",
    "serving",
    "terminating",
    "requiresRepublish",
    "storageCapacity",
    "manualSelector",
    "ignoreStoreReadErrorWithClusterBreakingPotential",
];
const EMPTY_COUNTS: &[&str] = &["storageClassName", "volumeAttributesClassName"];

/// What is wrong with the bytes.
#[derive(Debug, PartialEq, Eq, thiserror::Error)]
pub enum Problem {
    #[error("the bytes do not start as Kubernetes' protobuf does")]
    NoMagic,
    #[error("the message ends in the middle of a field")]
    Truncated,
    #[error("field {0} has a wire type that it cannot have")]
    WireType(u32),
    #[error("messages lie more than {DEPTH_MAX} deep")]
    TooDeep,
    #[error("there is no message for {kind} in {api_version}")]
    UnknownKind { api_version: String, kind: String },
    #[error("a text is no UTF-8")]
    Text,
}

/// The object that the body of a request holds.
///
/// # Errors
/// 400 when it is none.
pub fn decode(body: &[u8]) -> Result<Value, Status> {
    read(body).map_err(|problem| {
        Status::bad_request(format!(
            "the protobuf in the request cannot be read: {problem}"
        ))
    })
}

/// The envelope: `runtime.Unknown` with the type's name and the message's bytes.
fn read(body: &[u8]) -> Result<Value, Problem> {
    let mut reader = Reader::new(body.strip_prefix(MAGIC).ok_or(Problem::NoMagic)?);
    let (mut api_version, mut kind, mut raw) = (String::new(), String::new(), &[][..]);
    while let Some((number, value)) = reader.next()? {
        match (number, value) {
            (1, Wire::Bytes(meta)) => {
                let mut meta = Reader::new(meta);
                while let Some((number, value)) = meta.next()? {
                    match (number, value) {
                        (1, Wire::Bytes(text)) => api_version = as_text(text)?,
                        (2, Wire::Bytes(text)) => kind = as_text(text)?,
                        _ => {}
                    }
                }
            }
            (2, Wire::Bytes(bytes)) => raw = bytes,
            _ => {}
        }
    }
    let message = table::find(&api_version, &kind).ok_or_else(|| Problem::UnknownKind {
        api_version: api_version.clone(),
        kind: kind.clone(),
    })?;
    let mut object = message_to_json(message, raw, 0)?;
    object.insert("apiVersion".into(), api_version.into());
    object.insert("kind".into(), kind.into());
    Ok(Value::Object(object))
}

fn as_text(bytes: &[u8]) -> Result<String, Problem> {
    std::str::from_utf8(bytes)
        .map(str::to_owned)
        .map_err(|_| Problem::Text)
}

fn message_to_json(
    message: &Message,
    bytes: &[u8],
    depth: usize,
) -> Result<Map<String, Value>, Problem> {
    if depth > DEPTH_MAX {
        return Err(Problem::TooDeep);
    }
    let mut out = Map::new();
    let mut reader = Reader::new(bytes);
    while let Some((number, wire)) = reader.next()? {
        // A field that this server does not know is newer than it: passed over.
        let Some(field) = message.field(number) else {
            continue;
        };
        put(&mut out, field, &wire, depth)?;
    }
    Ok(out)
}

fn put(
    out: &mut Map<String, Value>,
    field: &Field,
    wire: &Wire<'_>,
    depth: usize,
) -> Result<(), Problem> {
    let wrong = || Problem::WireType(field.number);
    match &field.of {
        Type::Inline(name) => {
            let bytes = wire.bytes().ok_or_else(wrong)?;
            let Some(message) = table::message(name) else {
                return Ok(());
            };
            out.extend(message_to_json(message, bytes, depth + 1)?);
        }
        Type::List(item) => {
            let list = out.entry(field.name).or_insert_with(|| json!([]));
            if let (Some(list), Some(value)) = (
                list.as_array_mut(),
                scalar(item, wire, depth).ok_or_else(wrong)??,
            ) {
                list.push(value);
            }
        }
        Type::Map(item) => {
            let (key, value) = entry(item, wire.bytes().ok_or_else(wrong)?, depth)?;
            let map = out.entry(field.name).or_insert_with(|| json!({}));
            map[key] = value;
        }
        of => {
            if let Some(value) = scalar(of, wire, depth)
                .ok_or_else(wrong)??
                .filter(|v| counts(field.name, v))
            {
                out.insert(field.name.to_owned(), value);
            }
        }
    }
    Ok(())
}

/// Whether a value of that field was set, rather than zero because Go has no nothing.
fn counts(name: &str, value: &Value) -> bool {
    match value {
        Value::Null => false,
        Value::String(text) => !text.is_empty() || EMPTY_COUNTS.contains(&name),
        Value::Bool(flag) => *flag || FALSE_COUNTS.contains(&name),
        Value::Number(number) => number.as_f64() != Some(0.0) || ZERO_COUNTS.contains(&name),
        Value::Array(_) | Value::Object(_) => true,
    }
}

/// One entry of a map: a message of a key and a value.
fn entry(item: &Type, bytes: &[u8], depth: usize) -> Result<(String, Value), Problem> {
    let (mut key, mut value) = (String::new(), None);
    let mut reader = Reader::new(bytes);
    while let Some((number, wire)) = reader.next()? {
        match number {
            1 => key = as_text(wire.bytes().ok_or(Problem::WireType(1))?)?,
            2 => value = scalar(item, &wire, depth).ok_or(Problem::WireType(2))??,
            _ => {}
        }
    }
    Ok((key, value.unwrap_or_else(|| "".into())))
}

/// None when the wire type does not fit; `Ok(None)` when JSON leaves it out.
fn scalar(of: &Type, wire: &Wire<'_>, depth: usize) -> Option<Result<Option<Value>, Problem>> {
    let json = match of {
        Type::String => as_text(wire.bytes()?).map(|text| Some(text.into())),
        Type::Bytes => Ok(Some(STANDARD.encode(wire.bytes()?).into())),
        Type::Int => Ok(Some(wire.int()?.into())),
        Type::Bool => Ok(Some((wire.int()? != 0).into())),
        Type::Double => Ok(Some(json!(wire.double()?))),
        Type::Message(name) => match table::message(name) {
            Some(message) => {
                message_to_json(message, wire.bytes()?, depth + 1).map(|m| Some(Value::Object(m)))
            }
            None => Ok(None),
        },
        Type::Quantity => first_text(wire.bytes()?).map(|text| Some(text.into())),
        Type::Raw => raw(wire.bytes()?),
        Type::Items => items(wire.bytes()?).map(Some),
        Type::IntOrString => int_or_string(wire.bytes()?).map(Some),
        Type::Time => time(wire.bytes()?, false),
        Type::MicroTime => time(wire.bytes()?, true),
        Type::Duration => {
            numbers(wire.bytes()?).map(|(nanos, _)| Some(format!("{nanos}ns").into()))
        }
        Type::Inline(_) | Type::List(_) | Type::Map(_) => return None,
    };
    Some(json)
}

/// The text in field 1, which is all that a Quantity is.
fn first_text(bytes: &[u8]) -> Result<String, Problem> {
    let mut reader = Reader::new(bytes);
    while let Some((number, wire)) = reader.next()? {
        if let (1, Wire::Bytes(text)) = (number, wire) {
            return as_text(text);
        }
    }
    Ok("0".into())
}

/// JSON in field 1.
fn raw(bytes: &[u8]) -> Result<Option<Value>, Problem> {
    let mut reader = Reader::new(bytes);
    while let Some((number, wire)) = reader.next()? {
        if let (1, Wire::Bytes(json)) = (number, wire) {
            return Ok(serde_json::from_slice(json).ok());
        }
    }
    Ok(None)
}

fn items(bytes: &[u8]) -> Result<Value, Problem> {
    let mut list = Vec::new();
    let mut reader = Reader::new(bytes);
    while let Some((number, wire)) = reader.next()? {
        if let (1, Wire::Bytes(text)) = (number, wire) {
            list.push(as_text(text)?.into());
        }
    }
    Ok(Value::Array(list))
}

fn int_or_string(bytes: &[u8]) -> Result<Value, Problem> {
    let (mut is_text, mut number, mut text) = (false, 0, String::new());
    let mut reader = Reader::new(bytes);
    while let Some((field, wire)) = reader.next()? {
        match (field, wire) {
            (1, wire) => is_text = wire.int().unwrap_or(0) == 1,
            (2, wire) => number = wire.int().unwrap_or(0),
            (3, Wire::Bytes(bytes)) => text = as_text(bytes)?,
            _ => {}
        }
    }
    Ok(if is_text { text.into() } else { number.into() })
}

/// The numbers in fields 1 and 2.
fn numbers(bytes: &[u8]) -> Result<(i64, i64), Problem> {
    let (mut first, mut second) = (0, 0);
    let mut reader = Reader::new(bytes);
    while let Some((field, wire)) = reader.next()? {
        match field {
            1 => first = wire.int().unwrap_or(0),
            2 => second = wire.int().unwrap_or(0),
            _ => {}
        }
    }
    Ok((first, second))
}

/// An empty time is no time.
fn time(bytes: &[u8], micro: bool) -> Result<Option<Value>, Problem> {
    if bytes.is_empty() {
        return Ok(None);
    }
    let (seconds, nanos) = numbers(bytes)?;
    let nanos = i32::try_from(nanos).unwrap_or(0);
    let Ok(time) = jiff::Timestamp::new(seconds, nanos) else {
        return Ok(None);
    };
    let text = if micro {
        apimachinery::time::micro(time)
    } else {
        apimachinery::time::rfc3339(time)
    };
    Ok(Some(text.into()))
}

#[cfg(test)]
mod tests;
