//! The schemas of the served kinds and of all they are made of.

use std::collections::{BTreeSet, HashMap, HashSet};

use k8s_openapi::apimachinery::pkg::apis::meta::v1 as meta_v1;
use k8s_openapi::apimachinery::pkg::runtime::RawExtension;
use schemars::{Schema, SchemaGenerator};
use serde_json::{Map, Value, json};

use super::{Dialect, Resource, Sink, custom, names};
use crate::extensions::{self, Extension, Shape};
use crate::{compile, registry};

pub(super) const META: &str = "io.k8s.apimachinery.pkg.apis.meta.v1.";

/// Definitions that every document has: what requests and answers carry besides objects.
const EVERYWHERE: &[fn(&mut SchemaGenerator) -> Schema] = &[
    SchemaGenerator::subschema_for::<meta_v1::APIResourceList>,
    SchemaGenerator::subschema_for::<meta_v1::DeleteOptions>,
    SchemaGenerator::subschema_for::<meta_v1::ListMeta>,
    SchemaGenerator::subschema_for::<meta_v1::Patch>,
    SchemaGenerator::subschema_for::<meta_v1::Status>,
    SchemaGenerator::subschema_for::<meta_v1::WatchEvent<RawExtension>>,
];

/// Kubernetes' name of a built-in kind's definition.
pub(super) fn name(group: &str, version: &str, kind: &str) -> Option<String> {
    registry::entry(group, version, kind).map(|e| (e.definition)().into_owned())
}

/// What the definition of a resource's kind is called.
pub(super) fn name_of(resource: &Resource<'_>) -> Option<String> {
    let Resource {
        group,
        version,
        kind,
        ..
    } = resource;
    match resource.custom {
        Some(_) => Some(custom::name(group, version, kind)),
        None => name(group, version, kind),
    }
}

pub(super) fn emit(dialect: Dialect, resources: &[Resource<'_>], sink: &mut impl Sink) {
    let mut writer = Writer {
        dialect,
        kinds: kinds_of_definitions(resources),
        written: HashSet::new(),
        sink,
    };
    for generate in EVERYWHERE {
        writer.all_of(*generate);
    }
    for resource in resources {
        match resource.custom {
            Some(schema) => writer.custom(resource, schema),
            None => writer.kind(resource.group, resource.version, resource.kind),
        }
        for sub in &resource.subresources {
            writer.kind(sub.group, sub.version, sub.kind);
        }
        if resource.verbs.contains(&"list") {
            writer.list(resource);
        }
    }
}

/// The kinds that each definition is, as `x-kubernetes-group-version-kind` tells.
fn kinds_of_definitions(resources: &[Resource<'_>]) -> HashMap<String, Value> {
    let mut kinds = HashMap::new();
    for entry in registry::entries() {
        let kind = gvk(entry.group, entry.version, entry.kind);
        kinds.insert((entry.definition)().into_owned(), json!([kind]));
    }
    // Every version has these two of its own.
    let versions: BTreeSet<_> = resources.iter().map(|r| (r.group, r.version)).collect();
    let core = BTreeSet::from([("", "v1")]);
    for kind in ["DeleteOptions", "WatchEvent"] {
        let all = core
            .union(&versions)
            .map(|(group, version)| gvk(group, version, kind));
        kinds.insert(format!("{META}{kind}"), all.collect());
    }
    kinds
}

fn gvk(group: &str, version: &str, kind: &str) -> Value {
    json!({"group": group, "version": version, "kind": kind})
}

struct Writer<'a, S> {
    dialect: Dialect,
    kinds: HashMap<String, Value>,
    written: HashSet<String>,
    sink: &'a mut S,
}

impl<S: Sink> Writer<'_, S> {
    fn kind(&mut self, group: &str, version: &str, kind: &str) {
        if let Some(entry) = registry::entry(group, version, kind)
            && !self.written.contains((entry.definition)().as_ref())
        {
            self.all_of(entry.generate);
        }
    }

    fn custom(&mut self, resource: &Resource<'_>, schema: &Value) {
        let Resource {
            group,
            version,
            kind,
            ..
        } = resource;
        let name = custom::name(group, version, kind);
        if self.written.insert(name.clone()) {
            // For ObjectMeta, which it refers to.
            self.all_of(SchemaGenerator::subschema_for::<meta_v1::ObjectMeta>);
            let mut definition = custom::definition(self.dialect, schema);
            definition["x-kubernetes-group-version-kind"] = json!([gvk(group, version, kind)]);
            self.sink.definition(&name, &definition);
        }
    }

    /// Writes every definition that one needs and that was not written yet.
    fn all_of(&mut self, generate: fn(&mut SchemaGenerator) -> Schema) {
        let (_, definitions) = compile::json_schema(generate);
        for (name, schema) in definitions {
            if self.written.insert(name.clone()) {
                let schema = self.definition(&name, schema);
                self.sink.definition(&name, &schema);
            }
        }
    }

    fn definition(&self, name: &str, schema: Value) -> Value {
        let mut schema = match self.special(name, &schema) {
            Some(special) => special,
            None => self.fields(name, schema),
        };
        if let Some(kinds) = self.kinds.get(name) {
            schema["x-kubernetes-group-version-kind"] = kinds.clone();
        }
        if extensions::is_atomic(name) {
            schema["x-kubernetes-map-type"] = "atomic".into();
        }
        schema
    }

    /// Scalars that have JSON forms of their own, and what takes several forms.
    fn special(&self, name: &str, schema: &Value) -> Option<Value> {
        let description = schema.get("description").cloned().unwrap_or_default();
        let one_of = |a: &str, b: &str| json!([{"type": a}, {"type": b}]);
        let v3 = self.dialect == Dialect::V3;
        match name.rsplit('.').next()? {
            "Quantity" if v3 => {
                Some(json!({"description": description, "oneOf": one_of("string", "number")}))
            }
            "Quantity" => Some(json!({"description": description, "type": "string"})),
            "IntOrString" if v3 => Some(
                json!({"description": description, "format": "int-or-string", "oneOf": one_of("integer", "string")}),
            ),
            "IntOrString" => Some(
                json!({"description": description, "type": "string", "format": "int-or-string"}),
            ),
            "JSON" => Some(json!({"description": description})),
            _ if schema.get("oneOf").is_some() => Some(json!({"description": description})),
            _ => None,
        }
    }

    fn fields(&self, definition: &str, mut schema: Value) -> Value {
        let is_kind = self.kinds.contains_key(definition);
        if let Some(properties) = schema.get_mut("properties").and_then(Value::as_object_mut) {
            for (field, schema) in properties {
                let extension = extensions::field(definition, field);
                let mut taken = self.schema(schema.take());
                extend(&mut taken, extension);
                if extensions::is_granular(definition, field) {
                    taken["x-kubernetes-map-type"] = "granular".into();
                }
                *schema = taken;
            }
        }
        // `k8s-openapi` requires metadata because its structs hold it by value.
        if let Some(required) = schema.get_mut("required").and_then(Value::as_array_mut) {
            required.retain(|name| !(is_kind && name == "metadata"));
            if required.is_empty() {
                schema.as_object_mut().map(|s| s.remove("required"));
            }
        }
        schema
    }

    /// Brings a schema's references and items into the dialect's form.
    fn schema(&self, schema: Value) -> Value {
        if let Some(name) = compile::referenced(&schema) {
            return self.reference(name, schema.get("description"));
        }
        let Value::Object(mut schema) = schema else {
            return schema;
        };
        for inner in ["items", "additionalProperties"] {
            if let Some(value) = schema.get_mut(inner) {
                *value = self.schema(value.take());
            }
        }
        Value::Object(schema)
    }

    /// Version 3 allows nothing beside a `$ref`.
    fn reference(&self, name: &str, description: Option<&Value>) -> Value {
        let reference = json!({"$ref": names::reference(self.dialect, name)});
        match (self.dialect, description) {
            (_, None) => reference,
            (Dialect::V2, Some(description)) => {
                json!({"$ref": reference["$ref"], "description": description})
            }
            (Dialect::V3, Some(description)) => {
                json!({"allOf": [reference], "description": description})
            }
        }
    }

    fn list(&mut self, resource: &Resource<'_>) {
        let Some(item) = name_of(resource) else {
            return;
        };
        let list = format!("{item}List");
        if !self.written.insert(list.clone()) {
            return;
        }
        let kind = format!("{}List", resource.kind);
        let text = |description: &str| json!({"type": "string", "description": description});
        let schema = json!({
            "description": format!("{kind} is a list of {} objects.", resource.kind),
            "type": "object",
            "required": ["items"],
            "properties": {
                "apiVersion": text("The version of this representation of the list."),
                "kind": text("What this object is."),
                "metadata": self.reference(&format!("{META}ListMeta"), Some(&json!("Standard list metadata."))),
                "items": {
                    "description": format!("The {} objects.", resource.kind),
                    "type": "array",
                    "items": self.reference(&item, None),
                },
            },
            "x-kubernetes-group-version-kind": [gvk(resource.group, resource.version, &kind)],
        });
        self.sink.definition(&list, &schema);
    }
}

/// Adds what Kubernetes says of a field and `k8s-openapi` leaves out.
fn extend(schema: &mut Value, extension: Option<&Extension>) {
    let Value::Object(schema) = schema else {
        return;
    };
    let is_list = schema.get("type").is_some_and(|t| t == "array");
    let list_type = match extension.map_or(Shape::Plain, |e| e.shape) {
        Shape::Plain => is_list.then_some("atomic"),
        Shape::Set => Some("set"),
        Shape::Keyed(keys) => {
            let names: Vec<_> = keys.iter().filter_map(|k| k.split('=').next()).collect();
            schema.insert("x-kubernetes-list-map-keys".to_owned(), json!(names));
            Some("map")
        }
        Shape::AtomicMap => {
            schema.insert("x-kubernetes-map-type".to_owned(), "atomic".into());
            None
        }
    };
    if let Some(list_type) = list_type {
        schema.insert("x-kubernetes-list-type".to_owned(), list_type.into());
    }
    if let Some(extension) = extension {
        patch_extensions(schema, extension);
    }
}

fn patch_extensions(schema: &mut Map<String, Value>, extension: &Extension) {
    if let Some(key) = extension.merge_key {
        schema.insert("x-kubernetes-patch-merge-key".to_owned(), key.into());
    }
    let strategy = extension.strategy;
    let words = [
        (strategy.merge, "merge"),
        (strategy.replace, "replace"),
        (strategy.retain_keys, "retainKeys"),
    ];
    let words: Vec<_> = words.iter().filter(|w| w.0).map(|w| w.1).collect();
    if !words.is_empty() {
        schema.insert(
            "x-kubernetes-patch-strategy".to_owned(),
            words.join(",").into(),
        );
    }
}
