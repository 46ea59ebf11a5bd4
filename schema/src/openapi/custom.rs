//! Kinds that a CustomResourceDefinition brings: their schemas come with them.

use serde_json::{Map, Value, json};

use super::definitions::META;
use super::{Dialect, names};

/// `com.example.v1.Widget`.
pub(super) fn name(group: &str, version: &str, kind: &str) -> String {
    let mut parts: Vec<&str> = group.split('.').rev().collect();
    parts.extend([version, kind]);
    parts.join(".")
}

/// The definition of a whole object.
pub(super) fn definition(dialect: Dialect, schema: &Value) -> Value {
    let mut definition = match dialect {
        Dialect::V2 => plain(schema, true),
        Dialect::V3 => schema.clone(),
    };
    if !definition.is_object() {
        definition = json!({});
    }
    definition["type"] = "object".into();
    let keeps_all = dialect == Dialect::V2
        && schema.get("x-kubernetes-preserve-unknown-fields") == Some(&Value::Bool(true));
    if keeps_all {
        return definition;
    }
    let properties = &mut definition["properties"];
    if !properties.is_object() {
        *properties = json!({});
    }
    let text = |what: &str| json!({"type": "string", "description": what});
    properties["apiVersion"] = text(
        "APIVersion defines the versioned schema of this representation of an object. Servers should convert recognized schemas to the latest internal value, and may reject unrecognized values. More info: https://git.k8s.io/community/contributors/devel/sig-architecture/api-conventions.md#resources",
    );
    properties["kind"] = text(
        "Kind is a string value representing the REST resource this object represents. Servers may infer this from the endpoint the client submits requests to. Cannot be updated. In CamelCase. More info: https://git.k8s.io/community/contributors/devel/sig-architecture/api-conventions.md#types-kinds",
    );
    properties["metadata"] = metadata(dialect);
    definition
}

fn metadata(dialect: Dialect) -> Value {
    let reference = names::reference(dialect, &format!("{META}ObjectMeta"));
    let description = "Standard object's metadata. More info: https://git.k8s.io/community/contributors/devel/sig-architecture/api-conventions.md#metadata";
    match dialect {
        Dialect::V2 => json!({"description": description, "$ref": reference}),
        Dialect::V3 => json!({"description": description, "allOf": [{"$ref": reference}]}),
    }
}

/// What version 2 cannot say is left out, so that its clients let pass what the server
/// judges.
fn plain(schema: &Value, is_root: bool) -> Value {
    let Value::Object(fields) = schema else {
        return schema.clone();
    };
    let is = |name: &str| fields.get(name) == Some(&Value::Bool(true));
    let is_open = is("nullable") || is("x-kubernetes-preserve-unknown-fields");
    let mut out = Map::new();
    for (name, value) in fields {
        let said = match name.as_str() {
            "oneOf" | "anyOf" | "allOf" | "not" | "nullable" => continue,
            "type" if !is_root && (is("nullable") || is("x-kubernetes-int-or-string")) => continue,
            "properties" | "items" if is_open => continue,
            "properties" => below(value),
            "items" | "additionalProperties" => plain(value, false),
            _ => value.clone(),
        };
        out.insert(name.clone(), said);
    }
    Value::Object(out)
}

fn below(properties: &Value) -> Value {
    let fields = properties.as_object().into_iter().flatten();
    fields
        .map(|(name, schema)| (name.clone(), plain(schema, false)))
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn version_2_leaves_out_what_it_cannot_say() {
        let schema = json!({"type": "object", "oneOf": [], "properties": {
            "port": {"x-kubernetes-int-or-string": true, "anyOf": [{"type": "integer"}]},
            "maybe": {"type": "object", "nullable": true, "properties": {"a": {"type": "string"}}},
            "list": {"type": "array", "items": {"type": "string", "not": {}}}}});
        let definition = definition(Dialect::V2, &schema);
        assert_eq!(
            definition["properties"]["port"],
            json!({"x-kubernetes-int-or-string": true})
        );
        assert_eq!(definition["properties"]["maybe"], json!({}));
        assert_eq!(
            definition["properties"]["list"],
            json!({"type": "array", "items": {"type": "string"}})
        );
        assert!(definition.get("oneOf").is_none());
        assert_eq!(name("ex.io", "v1", "Widget"), "io.ex.v1.Widget");
    }
}
