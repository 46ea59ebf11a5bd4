//! What stands in `allOf`, `anyOf`, `oneOf` and `not` only narrows: it gives no types, and
//! names no fields that the schema itself does not.

use apimachinery::field::{Error, Path};
use serde_json::{Value, json};

use super::{Level, each_alternative, each_core, flag};

/// Fields that belong to the schema itself, and what they must be elsewhere.
const RESERVED: &[(&str, &str)] = &[
    ("additionalProperties", "must be undefined to be structural"),
    ("type", "must be empty to be structural"),
    ("title", "must be empty to be structural"),
    ("description", "must be empty to be structural"),
    ("default", "must be undefined to be structural"),
    ("nullable", "must be false to be structural"),
    (
        "x-kubernetes-preserve-unknown-fields",
        "must be undefined to be structural",
    ),
    (
        "x-kubernetes-embedded-resource",
        "must be false to be structural",
    ),
    (
        "x-kubernetes-int-or-string",
        "must be false to be structural",
    ),
    (
        "x-kubernetes-list-map-keys",
        "must be undefined to be structural",
    ),
    (
        "x-kubernetes-list-type",
        "must be undefined to be structural",
    ),
    (
        "x-kubernetes-map-type",
        "must be undefined to be structural",
    ),
];

pub(super) fn check(schema: &Value, path: &Path<'_>, errors: &mut Vec<Error>) {
    each_core(schema, Level::Root, path, &mut |core, _, path| {
        let is_pattern = flag(core, "x-kubernetes-int-or-string");
        each_alternative(core, path, &mut |alternative, place| {
            if is_pattern && says_int_or_string(alternative) {
                return;
            }
            narrows(alternative, place, errors);
            complete(alternative, core, place, path, errors);
        });
    });
}

/// `anyOf: [{type: integer}, {type: string}]` is how int-or-string is written.
fn says_int_or_string(alternative: &Value) -> bool {
    let types = [json!({"type": "integer"}), json!({"type": "string"})];
    types.contains(alternative) || alternative.get("anyOf") == Some(&json!(types))
}

fn narrows(alternative: &Value, path: &Path<'_>, errors: &mut Vec<Error>) {
    for (field, why) in RESERVED {
        let said = alternative.get(*field);
        if said.is_some_and(|v| !matches!(v, Value::Null | Value::Bool(false)) && v != "") {
            errors.push(Error::forbidden(&path.child(field), *why));
        }
    }
    each_below(alternative, path, &mut |_, below, place| {
        narrows(below, place, errors)
    });
    each_alternative(alternative, path, &mut |below, place| {
        narrows(below, place, errors)
    });
}

/// The schemas of fields and items that an alternative narrows.
fn each_below(
    alternative: &Value,
    path: &Path<'_>,
    visit: &mut impl FnMut(Option<&str>, &Value, &Path<'_>),
) {
    let properties = alternative.get("properties").and_then(Value::as_object);
    let below = path.child("properties");
    for (name, property) in properties.into_iter().flatten() {
        visit(Some(name), property, &below.key(name));
    }
    if let Some(items) = alternative.get("items") {
        visit(None, items, &path.child("items"));
    }
}

/// `core` has to name whatever the alternative does.
fn complete(
    alternative: &Value,
    core: &Value,
    path: &Path<'_>,
    core_path: &Path<'_>,
    errors: &mut Vec<Error>,
) {
    let properties = core_path.child("properties");
    each_below(alternative, path, &mut |name, below, place| {
        let (in_core, core_place) = match name {
            Some(name) => {
                let named = core.get("properties").and_then(|all| all.get(name));
                let additional = core.get("additionalProperties").filter(|a| a.is_object());
                (named.or(additional), properties.key(name))
            }
            None => (core.get("items"), core_path.child("items")),
        };
        match in_core {
            Some(in_core) => complete(below, in_core, place, &core_place, errors),
            None => {
                let why = format!("because it is defined in {place}");
                errors.push(Error::required(&core_place, why));
            }
        }
    });
    each_alternative(alternative, path, &mut |below, place| {
        complete(below, core, place, core_path, errors);
    });
}
