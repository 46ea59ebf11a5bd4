//! Messages, field by field, into JSON objects.

use apimachinery::time;
use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use jiff::Timestamp;
use serde_json::{Map, Value};

use super::Error;
use super::alternatives::Alternative;
use super::table::{Row, Target, row};
use super::wire::{self, Field, fields, varint};
use crate::node::{self, Node, Object};

/// No built-in kind nests deeper.
const MAX_DEPTH: usize = 64;

/// Numbers that Go holds by value, where zero means that nobody set them. All
/// numbers of a status are such, too.
const BY_VALUE: &[(&str, &str)] = &[
    ("AWSElasticBlockStoreVolumeSource", "partition"),
    ("ContainerPort", "hostPort"),
    ("CustomResourceColumnDefinition", "priority"),
    ("DaemonSetSpec", "minReadySeconds"),
    ("DeploymentSpec", "minReadySeconds"),
    ("Event", "count"),
    ("EventSeries", "count"),
    ("FlowSchemaSpec", "matchingPrecedence"),
    ("GCEPersistentDiskVolumeSource", "partition"),
    ("ObjectMeta", "generation"),
    ("Probe", "failureThreshold"),
    ("Probe", "initialDelaySeconds"),
    ("Probe", "periodSeconds"),
    ("Probe", "successThreshold"),
    ("Probe", "timeoutSeconds"),
    ("QueuingConfiguration", "handSize"),
    ("QueuingConfiguration", "queueLengthLimit"),
    ("QueuingConfiguration", "queues"),
    ("ReplicaSetSpec", "minReadySeconds"),
    ("ReplicationControllerSpec", "minReadySeconds"),
    ("ServicePort", "nodePort"),
    ("ServicePort", "targetPort"),
    ("ServiceSpec", "healthCheckNodePort"),
    ("StatefulSetSpec", "minReadySeconds"),
];

/// Booleans that Go holds by pointer, where false is not the same as unset.
const POINTERS: &[&str] = &[
    "adminAccess",
    "allNodes",
    "allocateLoadBalancerNodePorts",
    "allowMultipleAllocations",
    "allowPrivilegeEscalation",
    "allowVolumeExpansion",
    "attachRequired",
    "automountServiceAccountToken",
    "bindsToNode",
    "blockOwnerDeletion",
    "controller",
    "enableServiceLinks",
    "hostProcess",
    "hostUsers",
    "ignoreStoreReadErrorWithClusterBreakingPotential",
    "immutable",
    "manualSelector",
    "optional",
    "optionalOldSelf",
    "orphanDependents",
    "perDeviceNodeSelection",
    "podInfoOnMount",
    "privileged",
    "readOnlyRootFilesystem",
    "ready",
    "requiresRepublish",
    "runAsNonRoot",
    "seLinuxMount",
    "serviceAccountTokenInSecrets",
    "serving",
    "setHostnameAsFQDN",
    "shareProcessNamespace",
    "started",
    "storageCapacity",
    "suspend",
    "terminating",
    "userNamespaces",
    "x-kubernetes-preserve-unknown-fields",
];

/// Reads a message into `out`. Fields that the table or the schema lacks are passed over.
pub(super) fn message(
    row_of: &Row,
    object: &Object,
    bytes: &[u8],
    out: &mut Map<String, Value>,
    depth: usize,
) -> Result<(), Error> {
    if depth > MAX_DEPTH {
        return Err(Error::Malformed);
    }
    for read in fields(bytes) {
        let (number, wire) = read?;
        let target = row_of
            .iter()
            .find(|(n, _)| *n == number)
            .map(|(_, target)| *target);
        match (target, wire) {
            (Some(Target::Embedded(definition)), Field::Bytes(inner)) => {
                let embedded = row(definition).ok_or(Error::Malformed)?;
                message(embedded, object, inner, out, depth + 1)?;
            }
            (Some(Target::Field(name)), wire) => {
                if let Some(field) = object.field(name) {
                    add(object, field, wire, out, depth)?;
                }
            }
            _ => {}
        }
    }
    Ok(())
}

fn add(
    object: &Object,
    field: &node::Field,
    wire: Field<'_>,
    out: &mut Map<String, Value>,
    depth: usize,
) -> Result<(), Error> {
    if let (Some(alternative), Field::Bytes(bytes)) = (Alternative::of(object, &field.name), wire) {
        return alternative.add(object, &field.name, bytes, out, depth);
    }
    let name = || field.name.to_string();
    match (&field.node, wire) {
        (Node::List(_), wire) if is_list_type(object, &field.name) => {
            out.extend(value(&field.node, wire, depth)?.map(|list| (name(), list)));
        }
        (Node::List(list), wire) => {
            let items = out
                .entry(name())
                .or_insert_with(|| Value::Array(Vec::new()));
            if let Value::Array(items) = items {
                item(&list.items, wire, items, depth)?;
            }
        }
        (Node::Map(map), Field::Bytes(pair)) => {
            let (key, value) = entry(&map.values, pair, depth)?;
            let map = out
                .entry(name())
                .or_insert_with(|| Value::Object(Map::new()));
            if let Value::Object(map) = map {
                map.insert(key, value);
            }
        }
        (node, wire) => {
            let value = value(node, wire, depth)?;
            if let Some(value) = value.filter(|v| !is_unset(object, field, v)) {
                out.insert(name(), value);
            }
        }
    }
    Ok(())
}

/// Go has a type of its own for these lists, and for that a message.
pub(super) fn is_list_type(object: &Object, field: &str) -> bool {
    field == "verbs" && object.name().ends_with(".meta.v1.APIResource")
}

/// One item of a list, or several packed numbers.
fn item(node: &Node, wire: Field<'_>, items: &mut Vec<Value>, depth: usize) -> Result<(), Error> {
    match (node, wire) {
        (Node::Integer(_), Field::Bytes(mut packed)) => {
            while !packed.is_empty() {
                let number = varint(&mut packed).ok_or(Error::Malformed)?;
                items.push(number.cast_signed().into());
            }
        }
        (node, wire) => items.extend(value(node, wire, depth)?),
    }
    Ok(())
}

/// Key and value of one entry of a map.
fn entry(node: &Node, pair: &[u8], depth: usize) -> Result<(String, Value), Error> {
    let mut key = String::new();
    let mut found = None;
    for read in fields(pair) {
        match read? {
            (1, Field::Bytes(text)) => wire::text(text)?.clone_into(&mut key),
            (2, wire) => found = value(node, wire, depth)?,
            _ => {}
        }
    }
    let empty = || match node {
        Node::String | Node::Bytes => Value::String(String::new()),
        Node::Quantity => "0".into(),
        _ => Value::Null,
    };
    Ok((key, found.unwrap_or_else(empty)))
}

/// One value; `None` where protobuf has a message for something unset.
fn value(node: &Node, wire: Field<'_>, depth: usize) -> Result<Option<Value>, Error> {
    let value = match (node, wire) {
        (Node::String, Field::Bytes(bytes)) => wire::text(bytes)?.into(),
        (Node::Bytes, Field::Bytes(bytes)) => STANDARD.encode(bytes).into(),
        (Node::Integer(_), Field::Varint(number)) => number.cast_signed().into(),
        (Node::Boolean, Field::Varint(number)) => Value::Bool(number != 0),
        (Node::Number, Field::Fixed64(bytes)) => number(f64::from_le_bytes(bytes)),
        (Node::Number, Field::Fixed32(bytes)) => number(f32::from_le_bytes(bytes).into()),
        (Node::IntOrString, Field::Bytes(bytes)) => int_or_string(bytes)?,
        (Node::Quantity, Field::Bytes(bytes)) => quantity(bytes)?,
        (Node::Time, Field::Bytes(bytes)) => return timestamp(bytes, time::rfc3339),
        (Node::MicroTime, Field::Bytes(bytes)) => return timestamp(bytes, time::micro),
        (Node::RawObject | Node::Any, Field::Bytes(bytes)) => return raw_json(bytes),
        (Node::Object(object), Field::Bytes(bytes)) => {
            let mut out = Map::new();
            if let Some(row) = row(object.name()) {
                message(row, object, bytes, &mut out, depth + 1)?;
            }
            Value::Object(out)
        }
        // A list inside a map is a message of its own: `ExtraValue`.
        (Node::List(list), Field::Bytes(bytes)) => {
            let mut items = Vec::new();
            for read in fields(bytes) {
                if let (1, wire) = read? {
                    item(&list.items, wire, &mut items, depth + 1)?;
                }
            }
            Value::Array(items)
        }
        _ => return Err(Error::Malformed),
    };
    Ok(Some(value))
}

/// Whole numbers are written without a fraction, as Go writes them.
fn number(value: f64) -> Value {
    /// The largest up to which every whole number is one of these.
    const EXACT: f64 = 9_007_199_254_740_992.0;
    if value.fract() == 0.0 && value.abs() <= EXACT {
        #[expect(clippy::cast_possible_truncation, reason = "it is whole and in range")]
        let whole = value as i64;
        return whole.into();
    }
    value.into()
}

/// `{ type, intVal, strVal }`.
fn int_or_string(bytes: &[u8]) -> Result<Value, Error> {
    let (mut is_text, mut number, mut text) = (false, 0, "");
    for read in fields(bytes) {
        match read? {
            (1, Field::Varint(kind)) => is_text = kind == 1,
            (2, Field::Varint(value)) => number = value.cast_signed(),
            (3, Field::Bytes(bytes)) => text = wire::text(bytes)?,
            _ => {}
        }
    }
    Ok(if is_text { text.into() } else { number.into() })
}

/// `{ string }`.
fn quantity(bytes: &[u8]) -> Result<Value, Error> {
    let mut text = "0";
    for read in fields(bytes) {
        if let (1, Field::Bytes(bytes)) = read?
            && !bytes.is_empty()
        {
            text = wire::text(bytes)?;
        }
    }
    Ok(text.into())
}

/// `{ seconds, nanos }`; empty for a time that is not set.
fn timestamp(bytes: &[u8], print: fn(Timestamp) -> String) -> Result<Option<Value>, Error> {
    if bytes.is_empty() {
        return Ok(None);
    }
    let (mut seconds, mut nanos) = (0, 0);
    for read in fields(bytes) {
        match read? {
            (1, Field::Varint(value)) => seconds = value.cast_signed(),
            (2, Field::Varint(value)) => nanos = i32::try_from(value).unwrap_or(0),
            _ => {}
        }
    }
    let time = Timestamp::new(seconds, nanos).map_err(|_| Error::Malformed)?;
    Ok(Some(print(time).into()))
}

/// `{ raw }`, JSON inside.
fn raw_json(bytes: &[u8]) -> Result<Option<Value>, Error> {
    let mut raw: &[u8] = &[];
    for read in fields(bytes) {
        if let (1, Field::Bytes(bytes)) = read? {
            raw = bytes;
        }
    }
    if raw.is_empty() {
        return Ok(None);
    }
    serde_json::from_slice(raw)
        .map(Some)
        .map_err(|_| Error::Malformed)
}

/// Go writes every field that it holds by value, set or not; in JSON the unset
/// ones are left out.
fn is_unset(object: &Object, field: &node::Field, value: &Value) -> bool {
    let definition = object.name().rsplit('.').next().unwrap_or_default();
    let name = &*field.name;
    match value {
        _ if field.required => false,
        Value::String(text) => {
            let names_none = ["storageClassName", "volumeAttributesClassName"].contains(&name);
            text.is_empty() && !(definition == "PersistentVolumeClaimSpec" && names_none)
        }
        Value::Bool(value) => !value && !POINTERS.contains(&name),
        Value::Number(number) => {
            let by_value = BY_VALUE.binary_search(&(definition, name)).is_ok();
            number.as_i64() == Some(0) && (by_value || definition.ends_with("Status"))
        }
        _ => false,
    }
}
