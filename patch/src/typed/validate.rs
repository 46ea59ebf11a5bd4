//! Checks an applied object against its schema, in the words of Kubernetes'
//! structured-merge-diff.

use std::collections::BTreeSet;

use schema::{List, Node};
use serde_json::{Map, Value};

use super::element;
use crate::Element;

/// As many errors are told.
const MAX_ERRORS: usize = 100;

/// # Errors
/// Every place where `value` does not fit `node`, one a line where there are
/// several.
pub(crate) fn validate(node: &Node, value: &Value) -> Result<(), String> {
    let mut validator = Validator::default();
    validator.value(node, value);
    match &validator.errors[..] {
        [] => Ok(()),
        [only] => Err(only.clone()),
        errors => Err(format!("errors:\n  {}", errors.join("\n  "))),
    }
}

#[derive(Default)]
struct Validator {
    path: Vec<Element>,
    errors: Vec<String>,
}

impl Validator {
    fn value(&mut self, node: &Node, value: &Value) {
        if value.is_null() {
            return;
        }
        match (node, value) {
            (Node::Object(object), Value::Object(map)) => self.object(object, map),
            (Node::Map(node), Value::Object(map)) => {
                for (key, value) in map {
                    self.below(Element::Field(key.clone()), &node.values, value);
                }
            }
            (Node::List(list), Value::Array(items)) => self.list(list, items),
            (Node::Object(_) | Node::Map(_), other) => {
                self.error(&format!("expected map, got &{{{}}}", go(other)));
            }
            (Node::RawObject | Node::Any, _) => {}
            (Node::List(_), other) => {
                self.error(&format!("expected list, got &{{{}}}", go(other)));
            }
            _ => self.scalar(node, value),
        }
    }

    fn object(&mut self, object: &schema::Object, map: &Map<String, Value>) {
        for (key, value) in map {
            let element = Element::Field(key.clone());
            match object.field(key) {
                Some(field) => self.below(element, &field.node, value),
                None if object.keeps_unknown() => {}
                None => {
                    self.path.push(element);
                    self.error("field not declared in schema");
                    self.path.pop();
                }
            }
        }
    }

    fn list(&mut self, list: &List, items: &[Value]) {
        let mut seen = BTreeSet::new();
        for (at, item) in items.iter().enumerate() {
            if list.kind == schema::ListKind::Atomic {
                self.below(
                    Element::Index(i64::try_from(at).unwrap_or(i64::MAX)),
                    &list.items,
                    item,
                );
                continue;
            }
            match element(list, item) {
                Err(message) => self.error(&format!("element {at}: {message}")),
                Ok(element) => {
                    if !seen.insert(element.clone()) {
                        self.error(&format!("duplicate entries for key {element}"));
                    }
                    self.below(element, &list.items, item);
                }
            }
        }
    }

    fn scalar(&mut self, node: &Node, value: &Value) {
        let is_container = value.is_object() || value.is_array();
        match node {
            Node::Integer(_) | Node::Number if !value.is_number() => self.error(&format!(
                "expected numeric (int or float), got {}",
                go_type(value)
            )),
            Node::String | Node::Bytes | Node::Time | Node::MicroTime if !value.is_string() => self
                .error(&format!(
                    "expected string, got &value.valueUnstructured{{Value:{}}}",
                    go(value)
                )),
            Node::Boolean if !value.is_boolean() => {
                self.error(&format!("expected boolean, got &{{{}}}", go(value)));
            }
            Node::IntOrString | Node::Quantity if is_container => {
                self.error(&format!("expected any scalar, got &{{{}}}", go(value)));
            }
            _ => {}
        }
    }

    fn below(&mut self, element: Element, node: &Node, value: &Value) {
        self.path.push(element);
        self.value(node, value);
        self.path.pop();
    }

    fn error(&mut self, message: &str) {
        if self.errors.len() < MAX_ERRORS {
            let path: String = self.path.iter().map(ToString::to_string).collect();
            self.errors.push(format!("{path}: {message}"));
        }
    }
}

/// Go's `%v`.
fn go(value: &Value) -> String {
    crate::strategic::go_map(value)
}

/// Go's `%T`.
fn go_type(value: &Value) -> &'static str {
    match value {
        Value::Null => "<nil>",
        Value::Bool(_) => "bool",
        Value::Number(n) if n.is_f64() => "float64",
        Value::Number(_) => "int64",
        Value::String(_) => "string",
        Value::Array(_) => "[]interface {}",
        Value::Object(_) => "map[string]interface {}",
    }
}
