//! One version of a definition: the way of its objects from a request to the store.

use std::borrow::Cow;

use apimachinery::field::{Error, Path};
use apimachinery::meta;
use schema::{Node, Problem};
use serde_json::{Value, json};

use crate::columns::Column;
use crate::schema::Schema;
use crate::{defaults, embedded, go, lists, prune, rules, validate};

#[derive(Debug)]
pub struct Version {
    pub name: String,
    pub is_served: bool,
    pub is_storage: bool,
    /// What clients are warned of.
    pub deprecation: Option<String>,
    pub schema: Schema,
    /// The schema as the definition has it, for OpenAPI.
    pub openapi: Value,
    pub node: Node,
    pub columns: Vec<Column>,
    /// Dotted paths.
    pub selectable: Vec<String>,
    pub has_status: bool,
    pub scale: Option<Scale>,
    has_embedded: bool,
    has_rules: bool,
}

/// Where `/scale` finds its counts: dotted paths.
#[derive(Debug)]
pub struct Scale {
    pub replicas: String,
    pub status_replicas: String,
    /// Empty: none.
    pub selector: String,
}

impl Version {
    pub fn compile(version: &Value, deprecation: Option<String>) -> Self {
        let mut openapi = version["schema"]["openAPIV3Schema"].clone();
        let schema = Schema::compile_root(&openapi);
        let columns = meta::items(version, "additionalPrinterColumns").iter();
        let selectable = meta::items(version, "selectableFields").iter();
        let selectable: Vec<String> = selectable.map(|field| dotted(field, "jsonPath")).collect();
        publish_selectable(&mut openapi, &selectable);
        let mut columns: Vec<Column> = columns.map(Column::read).collect();
        if columns.is_empty() {
            columns.push(Column::age(CREATED));
        }
        Self {
            name: meta::text(version, "name").to_owned(),
            is_served: meta::flag(version, "served"),
            is_storage: meta::flag(version, "storage"),
            deprecation,
            node: schema.root_node(),
            columns,
            selectable,
            has_status: meta::get(version, "subresources.status").is_some(),
            scale: meta::get(version, "subresources.scale").map(Scale::read),
            has_embedded: embedded::has_any(&schema),
            has_rules: rules::has_any(&schema),
            schema,
            openapi,
        }
    }

    /// Drops what the schema does not know, and tells of it.
    pub fn fit(&self, object: &mut Value) -> Vec<Problem> {
        prune::fit(&self.schema, object)
    }

    pub fn default(&self, object: &mut Value) {
        defaults::fill(&self.schema, object);
    }

    /// What is wrong with a new object, metadata aside.
    pub fn check(&self, object: &Value) -> Vec<Error> {
        let mut errors = validate::value(&self.schema, object);
        errors.extend(self.check_scale(object));
        if self.has_embedded {
            errors.extend(embedded::check(&self.schema, object));
        }
        errors.extend(lists::duplicates(&self.schema, object));
        if self.has_rules {
            self.check_rules(object, None, &mut errors);
        }
        errors
    }

    /// What is wrong with changing an object; what was so before is forgiven.
    pub fn check_change(&self, new: &Value, old: &Value) -> Vec<Error> {
        let mut errors = validate::change(&self.schema, new, old);
        errors.extend(self.check_scale(new));
        if self.has_embedded {
            errors.extend(embedded::check(&self.schema, new));
        }
        let duplicates = lists::duplicates(&self.schema, new);
        if !duplicates.is_empty() && lists::duplicates(&self.schema, old).is_empty() {
            errors.extend(duplicates);
        }
        if self.has_rules {
            self.check_rules(new, Some(old), &mut errors);
        }
        errors
    }

    fn check_scale(&self, object: &Value) -> Vec<Error> {
        let Some(scale) = &self.scale else {
            return Vec::new();
        };
        let mut errors = Vec::new();
        for path in [&scale.replicas, &scale.status_replicas] {
            errors.extend(check_count(object, path));
        }
        if let Some(selector) = meta::get(object, &scale.selector).filter(|s| !s.is_string()) {
            let why = accessor_error(&scale.selector, selector, "string");
            errors.push(Error::invalid(
                &Path::new(&format!(".{}", scale.selector)),
                "",
                why,
            ));
        }
        errors
    }

    /// The value of a selectable field; none if it is not selectable.
    pub fn field<'a>(&self, object: &'a Value, label: &str) -> Option<Cow<'a, str>> {
        self.selectable.iter().find(|known| *known == label)?;
        Some(match meta::get(object, label) {
            Some(Value::String(text)) => text.as_str().into(),
            Some(Value::Number(number)) => go::number(number).into(),
            Some(Value::Bool(flag)) => flag.to_string().into(),
            _ => "".into(),
        })
    }
}

const CREATED: &str = "CreationTimestamp is a timestamp representing the server time when this object was created. It is not guaranteed to be set in happens-before order across separate operations. Clients may not set this value. It is represented in RFC3339 form and is in UTC.\n\nPopulated by the system. Read-only. Null for lists. More info: https://git.k8s.io/community/contributors/devel/sig-architecture/api-conventions.md#metadata";

/// Clients find in OpenAPI which fields they can select by.
fn publish_selectable(openapi: &mut Value, selectable: &[String]) {
    if !selectable.is_empty() && openapi.is_object() {
        let fields = selectable.iter().map(|field| json!({ "fieldPath": field }));
        openapi["x-kubernetes-selectable-fields"] = fields.collect();
    }
}

impl Scale {
    fn read(scale: &Value) -> Self {
        Self {
            replicas: dotted(scale, "specReplicasPath"),
            status_replicas: dotted(scale, "statusReplicasPath"),
            selector: dotted(scale, "labelSelectorPath"),
        }
    }
}

/// A simple JSON path as a dotted path.
fn dotted(of: &Value, field: &str) -> String {
    meta::text(of, field).trim_start_matches('.').to_owned()
}

fn check_count(object: &Value, path: &str) -> Option<Error> {
    let dotted = format!(".{path}");
    let place = Path::new(&dotted);
    let count = meta::get(object, path)?;
    let Some(number) = count.as_i64() else {
        return Some(Error::invalid(
            &place,
            0,
            accessor_error(path, count, "int64"),
        ));
    };
    if number < 0 {
        return Some(Error::invalid(
            &place,
            number,
            "should be a non-negative integer",
        ));
    }
    (number > i64::from(i32::MAX)).then(|| {
        let why = format!("should be less than or equal to {}", i32::MAX);
        Error::invalid(&place, number, why)
    })
}

fn accessor_error(path: &str, found: &Value, wanted: &str) -> String {
    let kind = match found {
        Value::Bool(_) => "bool",
        Value::Number(_) => "float64",
        Value::String(_) => "string",
        Value::Array(_) => "[]interface {}",
        _ => "map[string]interface {}",
    };
    format!(".{path} accessor error: {found} is of the type {kind}, expected {wanted}")
}
