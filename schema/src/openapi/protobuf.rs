//! The version 2 document as the protobuf message `openapi.v2.Document` of
//! gnostic, field for field from the JSON form.
//!
//! <https://github.com/google/gnostic/blob/main/openapiv2/OpenAPIv2.proto>

use serde_json::{Map, Value};

use super::Sink;

/// A protobuf message and where its fields come from.
struct Message {
    /// JSON key, field number, form.
    rows: &'static [(&'static str, u32, Form)],
    /// Where `x-` keys go.
    vendor: u32,
}

/// How a JSON value becomes a field.
enum Form {
    /// A string, or each string of a list.
    Text,
    Bool,
    /// An object, or each object of a list.
    Message(&'static Message),
    /// A pair of name and value for each entry of an object.
    Named(&'static Form),
    /// A message with this one field.
    Within(u32, &'static Form),
    /// A parameter, whose message depends on where it is.
    Parameter,
    /// Any JSON, as text.
    Any,
}

use Form::{Any, Bool, Named, Parameter, Text, Within};

static SCHEMA: Message = Message {
    rows: &[
        ("$ref", 1, Text),
        ("format", 2, Text),
        ("description", 4, Text),
        ("default", 5, Any),
        ("required", 19, Text),
        (
            "additionalProperties",
            21,
            Within(1, &Form::Message(&SCHEMA)),
        ),
        ("type", 22, Within(1, &Text)),
        ("items", 23, Within(1, &Form::Message(&SCHEMA))),
        ("allOf", 24, Form::Message(&SCHEMA)),
        ("properties", 25, Within(1, &Named(&Form::Message(&SCHEMA)))),
    ],
    vendor: 31,
};

static PATH_ITEM: Message = Message {
    rows: &[
        ("get", 2, Form::Message(&OPERATION)),
        ("put", 3, Form::Message(&OPERATION)),
        ("post", 4, Form::Message(&OPERATION)),
        ("delete", 5, Form::Message(&OPERATION)),
        ("options", 6, Form::Message(&OPERATION)),
        ("head", 7, Form::Message(&OPERATION)),
        ("patch", 8, Form::Message(&OPERATION)),
        ("parameters", 9, Parameter),
    ],
    vendor: 10,
};

static OPERATION: Message = Message {
    rows: &[
        ("tags", 1, Text),
        ("description", 3, Text),
        ("operationId", 5, Text),
        ("produces", 6, Text),
        ("consumes", 7, Text),
        ("parameters", 8, Parameter),
        (
            "responses",
            9,
            Within(1, &Named(&Within(1, &Form::Message(&RESPONSE)))),
        ),
        ("schemes", 10, Text),
    ],
    vendor: 13,
};

static RESPONSE: Message = Message {
    rows: &[
        ("description", 1, Text),
        ("schema", 2, Within(1, &Form::Message(&SCHEMA))),
    ],
    vendor: 5,
};

static BODY: Message = Message {
    rows: &[
        ("description", 1, Text),
        ("name", 2, Text),
        ("in", 3, Text),
        ("required", 4, Bool),
        ("schema", 5, Form::Message(&SCHEMA)),
    ],
    vendor: 6,
};

static QUERY: Message = Message {
    rows: &[
        ("required", 1, Bool),
        ("in", 2, Text),
        ("description", 3, Text),
        ("name", 4, Text),
        ("type", 6, Text),
        ("uniqueItems", 20, Bool),
    ],
    vendor: 23,
};

static PATH: Message = Message {
    rows: &[
        ("required", 1, Bool),
        ("in", 2, Text),
        ("description", 3, Text),
        ("name", 4, Text),
        ("type", 5, Text),
        ("uniqueItems", 19, Bool),
    ],
    vendor: 22,
};

static INFO: Message = Message {
    rows: &[("title", 1, Text), ("version", 2, Text)],
    vendor: 7,
};

static API_KEY: Message = Message {
    rows: &[
        ("type", 1, Text),
        ("name", 2, Text),
        ("in", 3, Text),
        ("description", 4, Text),
    ],
    vendor: 5,
};

static SECURITY_DEFINITIONS: Form = Within(1, &Named(&Within(2, &Form::Message(&API_KEY))));

/// Collects the parts of a document.
#[derive(Default)]
pub(super) struct Document {
    paths: Vec<u8>,
    definitions: Vec<u8>,
}

impl Sink for Document {
    fn path(&mut self, path: &str, item: &Value) {
        named(&mut self.paths, 2, path, item, &Form::Message(&PATH_ITEM));
    }

    fn definition(&mut self, name: &str, schema: &Value) {
        named(
            &mut self.definitions,
            1,
            name,
            schema,
            &Form::Message(&SCHEMA),
        );
    }
}

impl Document {
    pub(super) fn finish(self, about: &Value, security: &Value) -> Vec<u8> {
        let mut out = Vec::with_capacity(self.paths.len() + self.definitions.len() + 1024);
        bytes(&mut out, 1, b"2.0");
        field(&mut out, 2, about, &Form::Message(&INFO));
        bytes(&mut out, 8, &self.paths);
        bytes(&mut out, 9, &self.definitions);
        // Every request may carry any of the definitions, without scopes.
        for name in security.as_object().into_iter().flat_map(Map::keys) {
            let mut pair = Vec::new();
            bytes(&mut pair, 1, name.as_bytes());
            bytes(&mut pair, 2, b"");
            let mut requirement = Vec::new();
            bytes(&mut requirement, 1, &pair);
            bytes(&mut out, 12, &requirement);
        }
        field(&mut out, 13, security, &SECURITY_DEFINITIONS);
        out
    }
}

fn field(out: &mut Vec<u8>, number: u32, value: &Value, form: &Form) {
    match (form, value) {
        (Named(form), Value::Object(map)) => {
            for (name, value) in map {
                named(out, number, name, value, form);
            }
        }
        (Within(inner, form), value) => {
            let mut body = Vec::new();
            field(&mut body, *inner, value, form);
            bytes(out, number, &body);
        }
        (Any, value) => any(out, number, value),
        (_, Value::Array(items)) => {
            for item in items {
                field(out, number, item, form);
            }
        }
        (Text, Value::String(text)) => bytes(out, number, text.as_bytes()),
        (Bool, Value::Bool(true)) => {
            tag(out, number, 0);
            out.push(1);
        }
        (Form::Message(message), Value::Object(map)) => bytes(out, number, &encode(message, map)),
        (Parameter, Value::Object(map)) => bytes(out, number, &parameter(map)),
        _ => {}
    }
}

fn encode(message: &Message, map: &Map<String, Value>) -> Vec<u8> {
    let mut body = Vec::new();
    for (key, number, form) in message.rows {
        if let Some(value) = map.get(*key) {
            field(&mut body, *number, value, form);
        }
    }
    for (name, value) in map.iter().filter(|(key, _)| key.starts_with("x-")) {
        named(&mut body, message.vendor, name, value, &Any);
    }
    body
}

/// `ParametersItem { parameter: Parameter { oneof } }`.
fn parameter(map: &Map<String, Value>) -> Vec<u8> {
    let mut one_of = Vec::new();
    if map.get("in").is_some_and(|place| place == "body") {
        bytes(&mut one_of, 1, &encode(&BODY, map));
    } else {
        let (number, message) = match map.get("in").and_then(Value::as_str) {
            Some("path") => (4, &PATH),
            _ => (3, &QUERY),
        };
        let mut non_body = Vec::new();
        bytes(&mut non_body, number, &encode(message, map));
        bytes(&mut one_of, 2, &non_body);
    }
    let mut item = Vec::new();
    bytes(&mut item, 1, &one_of);
    item
}

/// `NamedX { name, value }`.
fn named(out: &mut Vec<u8>, number: u32, name: &str, value: &Value, form: &Form) {
    let mut pair = Vec::new();
    bytes(&mut pair, 1, name.as_bytes());
    field(&mut pair, 2, value, form);
    bytes(out, number, &pair);
}

/// `Any { yaml }`; JSON is YAML.
fn any(out: &mut Vec<u8>, number: u32, value: &Value) {
    let mut body = Vec::new();
    bytes(&mut body, 2, value.to_string().as_bytes());
    bytes(out, number, &body);
}

fn bytes(out: &mut Vec<u8>, number: u32, body: &[u8]) {
    tag(out, number, 2);
    varint(out, body.len());
    out.extend(body);
}

fn tag(out: &mut Vec<u8>, number: u32, wire: u32) {
    varint(out, (number << 3 | wire) as usize);
}

fn varint(out: &mut Vec<u8>, mut value: usize) {
    while value >= 0x80 {
        out.push((value & 0x7f) as u8 | 0x80);
        value >>= 7;
    }
    out.push(value as u8);
}
