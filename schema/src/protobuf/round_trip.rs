//! Objects of every kind, made at random from the schemas, written and read back.

use rand::{Rng, RngExt, SeedableRng, rngs::StdRng};
use serde_json::{Map, Value, json};

use super::alternatives::Alternative;
use super::table::{Target, row};
use super::*;
use crate::node::Object;

/// Deep enough for everything that is not of its own kind again.
const DEEPEST: usize = 9;

/// The JSON fields of a definition that have a number.
fn numbered(definition: &str) -> Vec<&'static str> {
    let mut names = Vec::new();
    for (_, target) in row(definition).into_iter().flatten() {
        match target {
            Target::Field(name) => names.push(*name),
            Target::Embedded(embedded) => names.extend(numbered(embedded)),
        }
    }
    names
}

/// An object with some of its fields, none of them what Go leaves out.
fn object(schema: &Object, depth: usize, rng: &mut StdRng) -> Value {
    let mut out = Map::new();
    let names = numbered(schema.name());
    for field in schema.fields() {
        let name = &*field.name;
        let wanted = names.contains(&name) && rng.random_bool(if depth < 3 { 0.8 } else { 0.4 });
        if !wanted {
            continue;
        }
        let value = match Alternative::of(schema, name) {
            Some(alternative) => Some(either(alternative, schema, depth, rng)),
            None => value(&field.node, depth + 1, rng),
        };
        if let Some(value) = value {
            out.insert(name.to_owned(), value);
        }
    }
    Value::Object(out)
}

/// `None` where the tree would get too deep.
fn value(node: &Node, depth: usize, rng: &mut StdRng) -> Option<Value> {
    if depth > DEEPEST {
        return None;
    }
    Some(match node {
        Node::Object(schema) => object(schema, depth, rng),
        Node::Map(map) => {
            let one = value(&map.values, depth + 1, rng)?;
            json!({ word(rng): one })
        }
        Node::List(list) => {
            let count = rng.random_range(1..3);
            let items = (0..count).map(|_| value(&list.items, depth + 1, rng));
            Value::Array(items.collect::<Option<_>>()?)
        }
        Node::String => word(rng).into(),
        Node::Bytes => "AAECAwT/".into(),
        Node::Integer(crate::Width::Int32) => {
            [1, -1, i32::MAX, i32::MIN][rng.random_range(0..4)].into()
        }
        Node::Integer(crate::Width::Int64) => {
            [1, -1, i64::MAX, i64::MIN][rng.random_range(0..4)].into()
        }
        Node::Number => [json!(0.5), json!(-3), json!(1e300)][rng.random_range(0..3)].clone(),
        Node::Boolean => true.into(),
        Node::IntOrString => [json!(80), json!("http")][rng.random_range(0..2)].clone(),
        Node::Quantity => ["1", "250m", "1Gi"][rng.random_range(0..3)].into(),
        Node::Time => "2026-01-02T03:04:05Z".into(),
        Node::MicroTime => "1965-01-02T03:04:05.678901Z".into(),
        Node::RawObject | Node::Any => json!({ "raw": [1, null, "x"] }),
    })
}

fn either(alternative: Alternative, schema: &Object, depth: usize, rng: &mut StdRng) -> Value {
    let one = |rng: &mut StdRng| {
        if depth > DEEPEST {
            return json!({ "type": "string" });
        }
        object(schema, depth + 2, rng)
    };
    match (alternative, rng.random_bool(0.5)) {
        (Alternative::Empty, _) => json!({}),
        (Alternative::SchemaOrBool, true) => rng.random_bool(0.5).into(),
        (Alternative::SchemaOrList, true) => json!([one(rng), one(rng)]),
        (Alternative::SchemasOrNames, true) => json!({ "a": ["b", "c"] }),
        (Alternative::SchemasOrNames, false) => json!({ "a": one(rng) }),
        _ => one(rng),
    }
}

fn word(rng: &mut impl Rng) -> String {
    let length = [1, 5, 200][rng.random_range(0..3)];
    "aé".chars().cycle().take(length).collect()
}

fn named(group: &str, version: &str) -> String {
    if group.is_empty() {
        return version.to_owned();
    }
    format!("{group}/{version}")
}

fn made(group: &str, version: &str, kind: &str, rng: &mut StdRng) -> Option<Value> {
    let api_version = named(group, version);
    if !is_written(&api_version, kind) {
        return None;
    }
    let Some(Node::Object(schema)) = schema_of(&api_version, kind) else {
        panic!("{kind} is an object");
    };
    let mut made = object(schema, 0, rng);
    made["apiVersion"] = api_version.into();
    made["kind"] = kind.into();
    Some(made)
}

#[test]
fn every_kind_is_read_as_it_was_written() {
    let mut rng = StdRng::seed_from_u64(1);
    let (mut kinds, mut bytes) = (0, 0);
    for (group, version, kind) in crate::kinds() {
        kinds += 1;
        for _ in 0..20 {
            let made = made(group, version, kind, &mut rng);
            let made = made.unwrap_or_else(|| panic!("{group} {kind} has no numbers"));
            let written = write(&made).expect("it fits");
            bytes += written.len();
            let read = read(&written, ("", "")).expect("well formed");
            assert_eq!(read, made);
        }
    }
    assert!(
        kinds > 75 && bytes > 1_000_000,
        "{kinds} kinds, {bytes} bytes"
    );
}

#[test]
fn lists_hold_their_items_without_their_types() {
    let mut rng = StdRng::seed_from_u64(2);
    let mut pods: Vec<Value> = Vec::new();
    for _ in 0..3 {
        pods.extend(made("", "v1", "Pod", &mut rng));
    }
    let metadata = json!({ "resourceVersion": "7", "continue": "c", "remainingItemCount": 5 });
    let list =
        json!({ "apiVersion": "v1", "kind": "PodList", "metadata": metadata, "items": pods });
    let written = write(&list).expect("it fits");
    let envelope = Envelope::read(&written[MAGIC.len()..]).expect("well formed");
    assert_eq!((envelope.api_version, envelope.kind), ("v1", "PodList"));
    let mut items = Vec::new();
    for field in fields(envelope.raw) {
        match field.expect("well formed") {
            (1, Field::Bytes(meta)) => {
                assert_eq!(
                    meta, b"\x12\x017\x1a\x01c\x20\x05",
                    "resourceVersion, continue, 5"
                );
            }
            (2, Field::Bytes(item)) => items.push(item),
            other => panic!("{other:?}"),
        }
    }
    for (item, pod) in items.iter().zip(&pods) {
        let enveloped = [MAGIC, &field_of(2, item)].concat();
        assert_eq!(&read(&enveloped, ("v1", "Pod")).expect("well formed"), pod);
    }
    assert_eq!(items.len(), 3);
}

fn field_of(number: u32, bytes: &[u8]) -> Vec<u8> {
    let mut out = Vec::new();
    wire::put::bytes(number, bytes, &mut out);
    out
}

#[test]
fn an_event_is_its_length_its_type_and_the_object_in_its_envelope() {
    let mut out = Vec::new();
    frame("ADDED", b"k8s\0x", &mut out);
    let event = b"\x0a\x05ADDED\x12\x07\x0a\x05k8s\0x";
    assert_eq!(out, [&[0, 0, 0, 16][..], event].concat());
}

#[test]
fn a_status_is_written_as_go_writes_it() {
    let status = json!({
        "apiVersion": "v1", "kind": "Status", "metadata": {}, "status": "Failure",
        "message": "no", "reason": "NotFound", "details": { "name": "x" }, "code": 404,
    });
    let mut expected = b"k8s\0\x0a\x0c\x0a\x02v1\x12\x06Status\x12\x21".to_vec();
    expected
        .extend(b"\x0a\x00\x12\x07Failure\x1a\x02no\x22\x08NotFound\x2a\x03\x0a\x01x\x30\x94\x03");
    expected.extend(b"\x1a\x00\x22\x00");
    assert_eq!(write(&status).expect("it fits"), expected);
}

#[test]
fn only_metadata_is_written_of_any_kind() {
    let custom = json!({
        "apiVersion": "example.com/v1", "kind": "Thing", "spec": { "size": 1 },
        "metadata": { "name": "x" },
    });
    assert!(matches!(write(&custom), Err(Error::UnknownKind { .. })));
    let written = metadata(&custom).expect("it fits");
    let raw = Envelope::read(&written[MAGIC.len()..]).expect("well formed");
    assert_eq!(
        (raw.api_version, raw.kind),
        ("meta.k8s.io/v1", "PartialObjectMetadata")
    );
    assert_eq!(raw.raw, b"\x0a\x03\x0a\x01x");
}

#[test]
fn what_is_not_of_its_kind_is_told_with_its_path() {
    let pod =
        json!({ "apiVersion": "v1", "kind": "Pod", "spec": { "containers": [{ "name": 7 }] } });
    let error = write(&pod).expect_err("a name is a text").to_string();
    assert!(error.contains(".spec.containers.name"), "{error}");
}

/// Every field that kubectl sends and we read is written with the same number
/// and bytes: what we make of its own objects is a part of what it sent.
#[test]
fn what_kubectl_sends_holds_what_is_written_for_it() {
    for line in include_str!("kubectl-1.32.txt").lines() {
        let sent: Vec<u8> = hex(line.split(' ').next().expect("a column"));
        let object = read(&sent, ("", "")).expect("well formed");
        let written = write(&object).expect("it fits");
        let raw = |bytes: &[u8]| Envelope::read(&bytes[MAGIC.len()..]).map(|e| e.raw.to_vec());
        let (sent, written) = (raw(&sent).expect("sent"), raw(&written).expect("written"));
        assert_part(&written, &sent);
    }
}

fn hex(text: &str) -> Vec<u8> {
    let digit = |at: usize| u8::from_str_radix(&text[at..at + 2], 16).expect("hexadecimal");
    (0..text.len()).step_by(2).map(digit).collect()
}

/// Each field of `part` is in `whole`, in the same order, or is a message of
/// which that holds again.
fn assert_part(part: &[u8], whole: &[u8]) {
    let mut whole = fields(whole).map(|field| field.expect("well formed"));
    for field in fields(part) {
        let (number, field) = field.expect("well formed");
        let found =
            whole.find(|(n, other)| *n == number && (*other == field || holds(*other, field)));
        assert!(found.is_some(), "{number} {field:?} was not sent");
    }
}

fn holds(whole: Field<'_>, part: Field<'_>) -> bool {
    let (Field::Bytes(whole), Field::Bytes(part)) = (whole, part) else {
        return false;
    };
    let all = |bytes| fields(bytes).collect::<Result<Vec<_>, _>>().is_ok();
    if !all(whole) || !all(part) {
        return false;
    }
    assert_part(part, whole);
    true
}
