use serde_json::json;

use super::*;

/// What kubectl 1.32 sends for its `create` commands, in hexadecimal, and what it
/// shows for the same command with `--dry-run=client -o json`.
const SENT: &str = include_str!("kubectl-1.32.txt");

fn bytes(hex: &str) -> Vec<u8> {
    let digits = hex.as_bytes().chunks(2);
    let byte = |pair: &[u8]| u8::from_str_radix(std::str::from_utf8(pair).expect("ascii"), 16);
    digits
        .map(|pair| byte(pair).expect("hexadecimal"))
        .collect()
}

fn fit(mut value: Value) -> Value {
    let text = |name: &str| value[name].as_str().unwrap_or_default().to_owned();
    let (api_version, kind) = (text("apiVersion"), text("kind"));
    let node = schema_of(&api_version, &kind).expect("built in");
    assert_eq!(crate::decode(node, &mut value), []);
    // Nobody creates a status; Go shows its zeros all the same.
    value.as_object_mut().map(|v| v.remove("status"));
    value
}

/// A field of bytes; numbers above 15 have tags of two bytes.
fn field(number: u16, body: &[u8]) -> Vec<u8> {
    let varint = |value: usize| match u8::try_from(value) {
        Ok(byte) if byte < 128 => vec![byte],
        _ => vec![
            u8::try_from(value & 0x7f).expect("seven bits") | 0x80,
            u8::try_from(value >> 7).expect("short"),
        ],
    };
    [
        varint(usize::from(number) << 3 | 2),
        varint(body.len()),
        body.to_vec(),
    ]
    .concat()
}

/// An envelope around a message.
fn envelope(api_version: &str, kind: &str, raw: &[u8]) -> Vec<u8> {
    let type_meta = [field(1, api_version.as_bytes()), field(2, kind.as_bytes())].concat();
    [MAGIC.to_vec(), field(1, &type_meta), field(2, raw)].concat()
}

#[test]
fn what_kubectl_creates_is_read_as_the_json_that_it_shows() {
    assert!(SENT.lines().count() > 10);
    for line in SENT.lines() {
        let (sent, shown) = line.split_once(' ').expect("two columns");
        let read = read(&bytes(sent), ("", "")).expect("well formed");
        let shown: Value = serde_json::from_str(shown).expect("JSON");
        assert_eq!(fit(read), fit(shown));
    }
}

#[test]
fn zero_is_kept_where_it_is_not_the_same_as_unset() {
    // spec (2) { replicas (1): 0, paused (7): false, minReadySeconds (5): 0 }
    let raw = [0x12, 6, 0x08, 0, 0x38, 0, 0x28, 0];
    let read = read(&envelope("apps/v1", "Deployment", &raw), ("", "")).expect("well formed");
    assert_eq!(read["spec"], json!({"replicas": 0}));
}

#[test]
fn secrets_are_base64_and_labels_a_map() {
    let pair = |key: &[u8], value: &[u8]| [field(1, key), field(2, value)].concat();
    let metadata = field(11, &pair(b"a", b"b"));
    let raw = [field(1, &metadata), field(2, &pair(b"k", b"\xff\x00"))].concat();
    let read = read(&envelope("v1", "Secret", &raw), ("", "")).expect("well formed");
    assert_eq!(read["metadata"]["labels"], json!({"a": "b"}));
    assert_eq!(read["data"], json!({"k": "/wA="}));
}

/// The object that a CustomResourceDefinition with one version of this schema is read as.
fn definition(schema: &[u8]) -> Value {
    let subresources = field(1, b"");
    let version = [
        field(1, b"v1"),
        field(4, &field(1, schema)),
        field(5, &subresources),
        field(6, &[field(1, b"Age"), vec![5 << 3, 0]].concat()),
    ]
    .concat();
    let raw = field(2, &[field(1, b"example.com"), field(7, &version)].concat());
    let body = envelope("apiextensions.k8s.io/v1", "CustomResourceDefinition", &raw);
    read(&body, ("", "")).expect("well formed")
}

#[test]
fn custom_resource_definitions_are_read_with_their_schemas() {
    let text = field(5, b"string");
    let size = [
        field(5, b"integer"),
        [vec![11 << 3 | 1], 5_f64.to_le_bytes().to_vec()].concat(),
        field(8, &field(1, b"1")),
        field(20, &field(1, b"null")),
    ]
    .concat();
    let property =
        |name: &[u8], schema: &[u8]| field(29, &[field(1, name), field(2, schema)].concat());
    let read = definition(
        &[
            field(5, b"object"),
            property(b"size", &size),
            property(b"text", &text),
        ]
        .concat(),
    );
    let version = &read["spec"]["versions"][0];
    assert_eq!(
        version["schema"]["openAPIV3Schema"],
        json!({"type": "object", "properties": {
            "size": {"type": "integer", "minimum": 5, "default": 1, "enum": [null]},
            "text": {"type": "string"},
        }})
    );
    assert_eq!(version["subresources"], json!({"status": {}}));
    assert_eq!(
        version["additionalPrinterColumns"],
        json!([{"name": "Age"}])
    );
}

#[test]
fn schemas_hold_a_schema_or_something_else_where_they_may() {
    let text = field(5, b"string");
    let pair = |key: &[u8], value: &[u8]| [field(1, key), field(2, value)].concat();
    let schema = [
        field(24, &field(1, &text)),
        field(30, &[8, 0]),
        field(33, &[vec![8, 1], field(2, &text)].concat()),
        field(32, &pair(b"a", &[field(2, b"b"), field(2, b"c")].concat())),
        field(32, &pair(b"d", &field(1, &text))),
        // $ref, and a pointer to false.
        field(3, b"x"),
        vec![0xb0, 0x02, 0],
    ]
    .concat();
    let read = definition(&schema);
    assert_eq!(
        read["spec"]["versions"][0]["schema"]["openAPIV3Schema"],
        json!({
            "items": {"type": "string"},
            "additionalProperties": false,
            "additionalItems": {"type": "string"},
            "dependencies": {"a": ["b", "c"], "d": {"type": "string"}},
            "$ref": "x",
            "x-kubernetes-preserve-unknown-fields": false,
        })
    );
    let several = definition(&field(24, &[field(2, &text), field(2, &text)].concat()));
    assert_eq!(
        several["spec"]["versions"][0]["schema"]["openAPIV3Schema"]["items"],
        json!([{"type": "string"}, {"type": "string"}])
    );
}

#[test]
fn schemas_that_nest_too_deep_are_refused() {
    let mut schema = Vec::new();
    for _ in 0..100 {
        schema = field(24, &field(1, &schema));
    }
    let version = field(4, &field(1, &schema));
    let raw = field(2, &field(7, &version));
    let body = envelope("apiextensions.k8s.io/v1", "CustomResourceDefinition", &raw);
    assert_eq!(read(&body, ("", "")), Err(Error::Malformed));
}

#[test]
fn an_envelope_without_a_kind_takes_the_fallback() {
    let read = read(&envelope("", "", &[]), ("v1", "Pod")).expect("well formed");
    assert_eq!(read, json!({"apiVersion": "v1", "kind": "Pod"}));
}

#[test]
fn delete_options_are_read_in_every_version() {
    // gracePeriodSeconds (1): 0
    let body = envelope("policy/v1", "DeleteOptions", &[0x08, 0]);
    let read = read(&body, ("", "")).expect("well formed");
    assert_eq!(read["gracePeriodSeconds"], 0);
}

#[test]
fn broken_bodies_are_refused() {
    let sent = bytes(SENT.split(' ').next().expect("a row"));
    assert_eq!(read(b"{}", ("", "")), Err(Error::NoMagic));
    assert!(matches!(
        read(&envelope("v1", "Zig", &[]), ("", "")),
        Err(Error::UnknownKind { .. })
    ));
    // No cut or flipped byte may panic; a cut of the object itself is told.
    for end in MAGIC.len()..sent.len() {
        let _ = read(&sent[..end], ("", ""));
        let mut flipped = sent.clone();
        flipped[end] ^= 0xff;
        let _ = read(&flipped, ("", ""));
    }
    assert_eq!(
        // The envelope ends with two empty fields of two bytes.
        read(&sent[..sent.len() - 5], ("", "")),
        Err(Error::Malformed)
    );
}
