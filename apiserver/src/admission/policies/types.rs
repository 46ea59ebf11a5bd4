//! `status.typeChecking`: what a policy's expressions would get wrong with the kinds that
//! its rules name.
//!
//! Objects are looked at without types when a policy is evaluated, so this only warns.

use std::sync::Arc;

use apimachinery::meta;
use expressions::{Environment, Object, Program, Type, admission};
use schema::Node;
use serde_json::{Value, json};

use crate::resources::Table;
use crate::served::Served;

/// The most kinds a policy is checked against.
const MAX_KINDS: usize = 10;
/// Types are followed no deeper: definitions may hold themselves.
const MAX_DEPTH: usize = 12;

/// Writes down what checking came to, for this generation of the policy.
pub fn note(policy: &mut Value, table: &Table) {
    let checking = match warnings(&policy["spec"], table) {
        warnings if warnings.is_empty() => json!({}),
        warnings => json!({ "expressionWarnings": warnings }),
    };
    let generation = meta::get(policy, "metadata.generation").cloned();
    policy["status"]["observedGeneration"] = generation.unwrap_or_else(|| 1.into());
    policy["status"]["typeChecking"] = checking;
}

fn warnings(spec: &Value, table: &Table) -> Vec<Value> {
    let kinds = kinds(spec, table);
    let environments: Vec<_> = kinds
        .iter()
        .map(|kind| (title(kind), environment(spec, kind, table)))
        .collect();
    let mut found = Vec::new();
    let validations = meta::items(spec, "validations").iter().enumerate();
    for (index, validation) in validations {
        for field in ["expression", "messageExpression"] {
            let source = meta::text(validation, field);
            let mistakes: Vec<_> = environments
                .iter()
                .filter(|_| !source.is_empty())
                .filter_map(|(title, environment)| {
                    let error = Program::compile(source, environment).err()?.to_string();
                    let error = error.strip_prefix("compilation failed: ").unwrap_or(&error);
                    Some(format!("{title}: {error}\n"))
                })
                .collect();
            if !mistakes.is_empty() {
                let place = format!("spec.validations[{index}].{field}");
                found.push(json!({ "fieldRef": place, "warning": mistakes.concat() }));
            }
        }
    }
    found
}

fn title(kind: &Served) -> String {
    format!("{}, Kind={}", kind.api_version(), kind.kind())
}

/// The kinds the rules name one by one.
fn kinds(spec: &Value, table: &Table) -> Vec<Served> {
    let mut found: Vec<Served> = Vec::new();
    for rule in meta::items(spec, "matchConstraints.resourceRules") {
        for kind in table.all() {
            let is_named = has(rule, "apiGroups", kind.group())
                && has(rule, "apiVersions", kind.version())
                && has(rule, "resources", kind.plural());
            let is_known = found.iter().any(|other| title(other) == title(kind));
            if is_named && !is_known && found.len() < MAX_KINDS {
                found.push(kind.clone());
            }
        }
    }
    found
}

fn has(rule: &Value, field: &str, wanted: &str) -> bool {
    meta::items(rule, field).iter().any(|item| item == wanted)
}

/// What expressions of the policy may ask about an object of this kind.
fn environment(spec: &Value, kind: &Served, table: &Table) -> Environment {
    let params = &spec["paramKind"];
    let mut environment = admission::policy(params.is_object())
        .with("object", type_of(kind))
        .with("oldObject", type_of(kind));
    if params.is_object() {
        let of = |served: &&Served| {
            served.api_version() == meta::text(params, "apiVersion")
                && served.kind() == meta::text(params, "kind")
        };
        let found = table.all().iter().find(of);
        environment = environment.with("params", found.map_or(Type::Dyn, type_of));
    }
    for variable in meta::items(spec, "variables") {
        let program = Program::compile(meta::text(variable, "expression"), &environment);
        let result = program.map_or(Type::Dyn, |program| program.result().clone());
        environment.add_computed(meta::text(variable, "name"), result);
    }
    environment
}

fn type_of(kind: &Served) -> Type {
    kind.node()
        .map_or(Type::Dyn, |node| convert(node, "Object", MAX_DEPTH))
}

fn convert(node: &Node, path: &str, depth: usize) -> Type {
    let Some(depth) = depth.checked_sub(1) else {
        return Type::Dyn;
    };
    match node {
        Node::Object(object) if object.keeps_unknown() || object.fields().is_empty() => Type::Dyn,
        Node::Object(object) => {
            let fields = object.fields().iter().filter_map(|field| {
                let name = expressions::field_name(&field.name)?.into_owned();
                let path = format!("{path}.{}", field.name);
                Some((name, convert(&field.node, &path, depth)))
            });
            Type::Object(Arc::new(Object {
                name: path.to_owned(),
                fields: fields.collect(),
            }))
        }
        Node::Map(map) => Type::map(convert(&map.values, path, depth)),
        Node::List(list) => Type::list(convert(&list.items, path, depth)),
        Node::String => Type::String,
        Node::Integer(_) => Type::Int,
        Node::Number => Type::Double,
        Node::Boolean => Type::Bool,
        // Texts when a policy is evaluated, and more than texts to some.
        Node::Bytes | Node::Time | Node::MicroTime => Type::Dyn,
        Node::IntOrString | Node::Quantity | Node::RawObject | Node::Any => Type::Dyn,
    }
}
