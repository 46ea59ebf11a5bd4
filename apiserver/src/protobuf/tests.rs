use super::*;

fn field(number: u8, bytes: &[u8]) -> Vec<u8> {
    let mut out = vec![number << 3 | 2, u8::try_from(bytes.len()).unwrap()];
    out.extend_from_slice(bytes);
    out
}

fn number(field: u8, value: u8) -> Vec<u8> {
    vec![field << 3, value]
}

fn envelope(api_version: &str, kind: &str, raw: &[u8]) -> Vec<u8> {
    let meta = [field(1, api_version.as_bytes()), field(2, kind.as_bytes())].concat();
    [
        MAGIC.to_vec(),
        field(1, &meta),
        field(2, raw),
        field(3, b""),
        field(4, b""),
    ]
    .concat()
}

#[test]
fn what_kubectl_sends_for_a_namespace_reads_without_its_empty_fields() {
    // Name, empty generateName and namespace, an empty creationTimestamp.
    let metadata = [field(1, b"kk"), field(2, b""), field(3, b""), field(8, b"")].concat();
    let raw = [field(1, &metadata), field(2, b""), field(3, &field(1, b""))].concat();
    let got = read(&envelope("v1", "Namespace", &raw)).unwrap();
    assert_eq!(
        got,
        json!({ "apiVersion": "v1", "kind": "Namespace", "metadata": { "name": "kk" }, "spec": {}, "status": {} })
    );
}

#[test]
fn zero_replicas_are_told_from_none() {
    let none = read(&envelope("apps/v1", "Deployment", &field(2, &[]))).unwrap();
    assert_eq!(none["spec"], json!({}));
    let zero = read(&envelope("apps/v1", "Deployment", &field(2, &number(1, 0)))).unwrap();
    assert_eq!(zero["spec"], json!({ "replicas": 0 }));
}

#[test]
fn secrets_are_base64_and_labels_a_map() {
    let pair = |key: &[u8], value: &[u8]| [field(1, key), field(2, value)].concat();
    let metadata = field(11, &pair(b"a", b"b"));
    let raw = [field(1, &metadata), field(2, &pair(b"k", b"\xff\x00"))].concat();
    let got = read(&envelope("v1", "Secret", &raw)).unwrap();
    assert_eq!(got["metadata"]["labels"], json!({ "a": "b" }));
    assert_eq!(got["data"], json!({ "k": "/wA=" }));
}

#[test]
fn bytes_that_are_no_message_are_refused_whatever_they_are() {
    assert_eq!(read(b"{}"), Err(Problem::NoMagic));
    assert_eq!(read(b"k8s\0\x0a\xff"), Err(Problem::Truncated));
    let huge = [b"k8s\0\x12".as_slice(), &[0xff; 9], &[1]].concat();
    assert_eq!(read(&huge), Err(Problem::Truncated));
    assert!(matches!(
        read(&envelope("v9", "Pod", b"")),
        Err(Problem::UnknownKind { .. })
    ));
}
