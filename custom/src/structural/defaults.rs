//! Defaults are values of their own schema.

use apimachinery::field::{Error, Path};
use serde_json::Value;

use super::{Level, each_core};
use crate::schema::Schema;
use crate::{defaults, lists, prune, validate};

pub(super) fn check(schema: &Value, path: &Path<'_>, errors: &mut Vec<Error>) {
    each_core(schema, Level::Root, path, &mut |schema, _, path| {
        if let Some(default) = schema.get("default").filter(|default| !default.is_null()) {
            here(schema, default, &path.child("default"), errors);
        }
    });
}

fn here(json: &Value, default: &Value, path: &Path<'_>, errors: &mut Vec<Error>) {
    let schema = Schema::compile(json);
    if !prune::unknown_fields(&schema, default).is_empty() {
        errors.push(Error::invalid(
            path,
            default.clone(),
            "must not have unknown fields",
        ));
        return;
    }
    let mut filled = default.clone();
    defaults::fill(&schema, &mut filled);
    let mut found = validate::value(&schema, &filled);
    found.extend(lists::duplicates(&schema, &filled));
    let place = path.to_string();
    errors.extend(found.into_iter().map(|error| below(error, &place)));
}

/// An error about the default, as one about the definition.
fn below(mut error: Error, place: &str) -> Error {
    error.field = match error.field.as_str() {
        "<nil>" | "" => place.to_owned(),
        field if field.starts_with('[') => format!("{place}{field}"),
        field => format!("{place}.{field}"),
    };
    error
}
