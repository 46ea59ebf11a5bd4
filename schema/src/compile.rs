//! Turns `k8s-openapi`'s JSON schemas into [`Node`] trees.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, OnceLock, PoisonError};

use schemars::generate::SchemaSettings;
use schemars::{Schema, SchemaGenerator};
use serde_json::{Map as JsonMap, Value};

use crate::extensions::{self, Extension, Shape};
use crate::node::{Field, List, ListKey, ListKind, Map, Node, Object, Strategy, Width};

/// The compiled definitions, by name; each is compiled once and stays.
static DEFINITIONS: OnceLock<Mutex<HashMap<Box<str>, Node>>> = OnceLock::new();

/// The JSON schema of a kind and of every definition it needs.
pub(crate) fn json_schema(
    generate: fn(&mut SchemaGenerator) -> Schema,
) -> (Value, JsonMap<String, Value>) {
    let mut generator = SchemaSettings::draft2020_12().into_generator();
    let root = generate(&mut generator);
    (root.to_value(), generator.take_definitions(false))
}

/// Compiles one kind, reusing every definition compiled before.
pub(crate) fn kind(generate: fn(&mut SchemaGenerator) -> Schema) -> Node {
    let (root, definitions) = json_schema(generate);
    let known = DEFINITIONS.get_or_init(Mutex::default);
    let mut known = known.lock().unwrap_or_else(PoisonError::into_inner);
    Compiler {
        definitions: &definitions,
        known: &mut known,
    }
    .node(&root)
}

/// The name that a `$ref` points to.
pub(crate) fn referenced(schema: &Value) -> Option<&str> {
    schema.get("$ref")?.as_str()?.strip_prefix("#/$defs/")
}

struct Compiler<'a> {
    definitions: &'a JsonMap<String, Value>,
    known: &'a mut HashMap<Box<str>, Node>,
}

impl Compiler<'_> {
    fn node(&mut self, schema: &Value) -> Node {
        if let Some(name) = referenced(schema) {
            return self.definition(name);
        }
        match schema.get("type").and_then(Value::as_str) {
            Some("string") if format_of(schema) == Some("byte") => Node::Bytes,
            Some("string") => Node::String,
            Some("integer") if format_of(schema) == Some("int64") => Node::Integer(Width::Int64),
            Some("integer") => Node::Integer(Width::Int32),
            Some("number") => Node::Number,
            Some("boolean") => Node::Boolean,
            Some("array") => self.list(schema, None),
            Some("object") => self.map(schema, false),
            _ => Node::Any,
        }
    }

    fn definition(&mut self, name: &str) -> Node {
        if let Some(node) = self.known.get(name) {
            return node.clone();
        }
        let definitions = self.definitions;
        let schema = definitions.get(name).unwrap_or(&Value::Null);
        let Some(properties) = schema.get("properties").and_then(Value::as_object) else {
            let node = self.leaf(name, schema);
            self.known.insert(name.into(), node.clone());
            return node;
        };
        // Known before its fields are, since a definition may contain itself.
        let object = Arc::new(Object::declare(name, extensions::is_atomic(name), false));
        self.known.insert(name.into(), Node::Object(object.clone()));
        let required = schema.get("required");
        let fields = properties
            .iter()
            .map(|(field, schema)| self.field(name, field, schema, required))
            .collect();
        object.define(fields);
        Node::Object(object)
    }

    /// A definition without fields: Kubernetes' own scalars, and opaque JSON.
    fn leaf(&mut self, name: &str, schema: &Value) -> Node {
        match name.rsplit('.').next() {
            Some("Quantity") => Node::Quantity,
            Some("IntOrString") => Node::IntOrString,
            Some("Time") => Node::Time,
            Some("MicroTime") => Node::MicroTime,
            Some("RawExtension" | "FieldsV1" | "Patch") => Node::RawObject,
            // Says that it is an object and is any value.
            Some("JSON") => Node::Any,
            _ => self.node(schema),
        }
    }

    fn field(
        &mut self,
        definition: &str,
        name: &str,
        schema: &Value,
        required: Option<&Value>,
    ) -> Field {
        let extension = extensions::field(definition, name);
        let mut node = match schema.get("type").and_then(Value::as_str) {
            Some("array") => self.list(schema, extension),
            Some("object") => self.map(schema, is_atomic_map(extension)),
            _ => self.node(schema),
        };
        if extensions::is_granular(definition, name) {
            node = granular(&node);
        }
        let is_required = required
            .and_then(Value::as_array)
            .is_some_and(|names| names.iter().any(|n| n == name));
        Field {
            name: name.into(),
            node,
            // `k8s-openapi` requires what its structs hold by value.
            required: is_required && name != "metadata",
            strategy: extension.map_or_else(Strategy::default, |e| e.strategy),
        }
    }

    fn list(&mut self, schema: &Value, extension: Option<&Extension>) -> Node {
        let items = schema.get("items").map_or(Node::Any, |s| self.node(s));
        Node::List(Arc::new(List {
            items,
            kind: extension.map_or(ListKind::Atomic, |e| list_kind(e.shape)),
            merge_key: extension.and_then(|e| e.merge_key).map(Into::into),
        }))
    }

    fn map(&mut self, schema: &Value, atomic: bool) -> Node {
        match schema.get("additionalProperties") {
            Some(Value::Bool(_)) | None => Node::RawObject,
            Some(values) => Node::Map(Arc::new(Map {
                values: self.node(values),
                atomic,
            })),
        }
    }
}

fn format_of(schema: &Value) -> Option<&str> {
    schema.get("format")?.as_str()
}

fn is_atomic_map(extension: Option<&Extension>) -> bool {
    extension.is_some_and(|e| e.shape == Shape::AtomicMap)
}

fn list_kind(shape: Shape) -> ListKind {
    match shape {
        Shape::Plain | Shape::AtomicMap => ListKind::Atomic,
        Shape::Set => ListKind::Set,
        Shape::Keyed(keys) => ListKind::Map(keys.iter().map(|key| list_key(key)).collect()),
    }
}

fn list_key(text: &str) -> ListKey {
    let (name, default) = match text.split_once('=') {
        Some((name, default)) => (name, Some(Value::from(default))),
        None => (text, None),
    };
    ListKey {
        name: name.into(),
        default,
    }
}

/// The same object, owned field by field.
fn granular(node: &Node) -> Node {
    match node {
        Node::Object(object) => Node::Object(Arc::new(Object::new(
            object.name(),
            false,
            false,
            object.fields().to_vec(),
        ))),
        other => other.clone(),
    }
}
