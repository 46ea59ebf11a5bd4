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

/// An envelope around a message.
fn envelope(api_version: &str, kind: &str, raw: &[u8]) -> Vec<u8> {
    let field = |number: u8, body: &[u8]| {
        let length = u8::try_from(body.len()).expect("short");
        [&[number << 3 | 2, length], body].concat()
    };
    let type_meta = [field(1, api_version.as_bytes()), field(2, kind.as_bytes())].concat();
    [MAGIC, &field(1, &type_meta), &field(2, raw)].concat()
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
