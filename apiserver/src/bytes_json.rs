//! Objects as stored bytes: written with a hole for the revision, and looked
//! into without parsing the whole.

use std::borrow::Cow;
use std::ops::Range;

use bytes::Bytes;
use serde::de::{DeserializeSeed, Error as _, IgnoredAny, MapAccess, Visitor};
use serde::{Deserialize, Deserializer};
use serde_json::value::RawValue;
use serde_json::{Map, Value};

/// Room for a pod as large as most.
const ROOM: usize = 4096;

/// Serializes an object; the store fills in `metadata.resourceVersion`.
pub fn encode(object: &Map<String, Value>) -> store::Value {
    // The store copies what has a hole: only then may this be too large.
    let mut out = Vec::with_capacity(ROOM);
    let mut hole = None;
    out.push(b'{');
    for (key, value) in object {
        push_key(&mut out, key);
        match value {
            Value::Object(metadata) if key == "metadata" => {
                out.extend_from_slice(b"{\"resourceVersion\":\"");
                hole = Some(out.len());
                out.push(b'"');
                for (key, value) in metadata.iter().filter(|(k, _)| *k != "resourceVersion") {
                    push_key(&mut out, key);
                    push(&mut out, value);
                }
                out.push(b'}');
            }
            _ => push(&mut out, value),
        }
    }
    out.push(b'}');
    if hole.is_none() {
        out.shrink_to_fit();
    }
    store::Value {
        bytes: out.into(),
        revision_at: hole,
    }
}

fn push_key(out: &mut Vec<u8>, key: &str) {
    if out.last() != Some(&b'{') {
        out.push(b',');
    }
    serde_json::to_writer(&mut *out, key).expect("a Vec takes every write");
    out.push(b':');
}

fn push(out: &mut Vec<u8>, value: &Value) {
    serde_json::to_writer(out, value).expect("a Vec takes every write");
}

#[derive(Deserialize)]
struct Outer<'a> {
    #[serde(borrow)]
    metadata: &'a RawValue,
}

/// The bytes of `metadata`.
pub fn metadata(object: &Bytes) -> Option<Bytes> {
    let outer: Outer<'_> = serde_json::from_slice(object).ok()?;
    Some(object.slice_ref(outer.metadata.get().as_bytes()))
}

/// Where the text of `metadata.resourceVersion` stands, without its quotes.
fn revision_span(object: &[u8]) -> Option<Range<usize>> {
    #[derive(Deserialize)]
    #[serde(rename_all = "camelCase")]
    struct Meta<'a> {
        #[serde(borrow)]
        resource_version: &'a RawValue,
    }
    let outer: Outer<'_> = serde_json::from_slice(object).ok()?;
    let meta: Meta<'_> = serde_json::from_str(outer.metadata.get()).ok()?;
    let raw = meta.resource_version.get();
    let start = raw.as_ptr() as usize - object.as_ptr() as usize;
    (raw.len() >= 2).then(|| start + 1..start + raw.len() - 1)
}

/// The same object with another `metadata.resourceVersion`.
pub fn with_revision(object: &[u8], revision: store::Revision) -> Bytes {
    let Some(span) = revision_span(object) else {
        return Bytes::copy_from_slice(object);
    };
    let digits = revision.to_string();
    let mut out = Vec::with_capacity(object.len() + digits.len());
    out.extend_from_slice(&object[..span.start]);
    out.extend_from_slice(digits.as_bytes());
    out.extend_from_slice(&object[span.end..]);
    out.into()
}

/// The scalar at a path of field names, as text; empty when absent, as field
/// selectors want it. Skips over everything else without building it.
pub fn scalar_at(object: &[u8], path: &[&str]) -> String {
    let mut found = String::new();
    let step = Step {
        path,
        found: &mut found,
    };
    // Ends early, with an error, where the path ends.
    let _ = step.deserialize(&mut serde_json::Deserializer::from_slice(object));
    found
}

/// Goes down a path of field names.
struct Step<'a> {
    path: &'a [&'a str],
    found: &'a mut String,
}

impl<'de> DeserializeSeed<'de> for Step<'_> {
    type Value = ();

    fn deserialize<D: Deserializer<'de>>(self, from: D) -> Result<(), D::Error> {
        if !self.path.is_empty() {
            return from.deserialize_map(self);
        }
        *self.found = match Value::deserialize(from)? {
            Value::String(text) => text,
            Value::Bool(flag) => flag.to_string(),
            Value::Number(number) => number.to_string(),
            _ => String::new(),
        };
        Err(D::Error::custom(""))
    }
}

impl<'de> Visitor<'de> for Step<'_> {
    type Value = ();

    fn expecting(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("an object")
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<(), A::Error> {
        let Some((name, rest)) = self.path.split_first() else {
            return Ok(());
        };
        while let Some(Name(key)) = map.next_key()? {
            if key == *name {
                let found = self.found;
                return map.next_value_seed(Step { path: rest, found });
            }
            map.next_value::<IgnoredAny>()?;
        }
        Ok(())
    }
}

/// A key, borrowed where it has no escapes.
#[derive(Deserialize)]
struct Name<'a>(#[serde(borrow)] Cow<'a, str>);

/// The labels of an object.
pub fn labels(object: &[u8]) -> Option<Map<String, Value>> {
    #[derive(Deserialize)]
    struct Meta {
        labels: Option<Map<String, Value>>,
    }
    #[derive(Deserialize)]
    struct Labelled {
        metadata: Meta,
    }
    let read: Labelled = serde_json::from_slice(object).ok()?;
    read.metadata.labels
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn stored(object: &Value) -> (Vec<u8>, usize) {
        let value = encode(object.as_object().unwrap());
        (value.bytes.to_vec(), value.revision_at.unwrap())
    }

    #[test]
    fn the_hole_is_in_the_objects_own_metadata() {
        let object = json!({"involvedObject": {"metadata": {"resourceVersion": ""}, "resourceVersion": ""},
            "kind": "Event", "metadata": {"name": "e", "resourceVersion": "7"}});
        let (mut bytes, hole) = stored(&object);
        bytes.splice(hole..hole, b"42".iter().copied());
        let read: Value = serde_json::from_slice(&bytes).unwrap();
        assert_eq!(
            read["metadata"],
            json!({"name": "e", "resourceVersion": "42"})
        );
        assert_eq!(read["involvedObject"]["resourceVersion"], "");
    }

    #[test]
    fn what_is_encoded_is_what_serde_json_writes() {
        let texts = [
            "",
            "plain",
            "a \"b\"",
            "a\\b",
            "\u{1f}",
            "\n\t\u{7f}",
            "\u{e9}\u{2028}",
            "k:{\"name\":\"c\"}",
        ];
        let values = [
            json!(null),
            json!(true),
            json!(-7),
            json!(1.5),
            json!(u64::MAX),
            json!([]),
            json!({}),
        ];
        let mut object = json!({ "metadata": {}, "list": values, "texts": texts, "deep": { "er": [[{}], [1, {"": []}]] } });
        for text in texts {
            object["keys"][text] = json!({ text: [text] });
        }
        let mut expected = object.clone();
        expected["metadata"]["resourceVersion"] = json!("");
        let (bytes, _) = stored(&object);
        assert_eq!(
            String::from_utf8(bytes).unwrap(),
            serde_json::to_string(&expected).unwrap()
        );
    }

    #[test]
    fn a_deleted_object_carries_the_revision_of_its_end() {
        let bytes = br#"{"kind":"Pod","metadata":{"resourceVersion":"7","name":"p"},"spec":{}}"#;
        let read: Value =
            serde_json::from_slice(&with_revision(bytes, store::Revision(1234))).unwrap();
        assert_eq!(
            read["metadata"],
            json!({"name": "p", "resourceVersion": "1234"})
        );
    }

    #[test]
    fn a_scalar_is_found_by_path_and_an_absent_one_is_empty() {
        let bytes =
            br#"{"spec":{"nodeName":"n1","hostNetwork":true},"status":{"phase":"Running"}}"#;
        assert_eq!(scalar_at(bytes, &["spec", "nodeName"]), "n1");
        assert_eq!(scalar_at(bytes, &["spec", "hostNetwork"]), "true");
        assert_eq!(scalar_at(bytes, &["spec", "absent", "x"]), "");
    }
}
