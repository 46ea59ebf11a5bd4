//! OpenAPI's constraints, in the words of Kubernetes' validator.
//!
//! An update is forgiven what was wrong before: errors about a value that did not change
//! are none (validation ratcheting, KEP-4008).

mod alternatives;
mod scalars;

use apimachinery::field::{Error, Path};
use serde_json::{Map, Value};

use crate::correlate;
use crate::go;
use crate::schema::{Additional, Kind, Schema};

/// Where errors are that Kubernetes gives no place.
pub(crate) const NOWHERE: Path<'static> = Path::new("<nil>");
/// As many errors of one object are told.
const ERRORS_MAX: usize = 1000;

/// What a value breaks of its schema.
pub fn value(schema: &Schema, value: &Value) -> Vec<Error> {
    check(schema, value, None, &Path::ROOT).errors
}

/// What replacing `old` by `new` breaks.
pub fn change(schema: &Schema, new: &Value, old: &Value) -> Vec<Error> {
    check(schema, new, Some(old), &Path::ROOT).errors
}

/// The errors, and how many checks there were: of several alternatives the one with
/// most is told of.
#[derive(Default)]
struct Outcome {
    errors: Vec<Error>,
    checks: usize,
}

impl Outcome {
    fn merge(&mut self, other: Outcome) {
        self.checks += other.checks;
        let room = ERRORS_MAX.saturating_sub(self.errors.len());
        self.errors.extend(other.errors.into_iter().take(room));
    }

    fn push(&mut self, error: Error) {
        if self.errors.len() < ERRORS_MAX {
            self.errors.push(error);
        }
    }

    fn is_valid(&self) -> bool {
        self.errors.is_empty()
    }
}

fn place<'a>(path: &Path<'a>) -> Path<'a> {
    if path.to_string().is_empty() {
        NOWHERE
    } else {
        *path
    }
}

fn invalid(path: &Path<'_>, value: impl Into<Value>, why: &str) -> Error {
    Error::invalid(&place(path), value, format!("{path} in body {why}"))
}

/// `old` is the value that was at the same place, where there was one.
fn check(schema: &Schema, value: &Value, old: Option<&Value>, path: &Path<'_>) -> Outcome {
    if old == Some(value) {
        return Outcome::default();
    }
    let mut outcome = Outcome {
        checks: 1,
        ..Outcome::default()
    };
    check_type(schema, value, path, &mut outcome);
    if value.is_null() {
        check_choices(schema, value, path, &mut outcome);
        return outcome;
    }
    alternatives::check(schema, value, path, &mut outcome);
    match value {
        Value::String(text) => scalars::text(schema, text, path, &mut outcome),
        Value::Number(number) => scalars::number(schema, number, path, &mut outcome),
        Value::Array(items) => list(schema, items, old, path, &mut outcome),
        _ => {}
    }
    check_choices(schema, value, path, &mut outcome);
    if let Value::Object(fields) = value {
        object(schema, fields, old, path, &mut outcome);
    }
    outcome
}

fn type_of(value: &Value) -> &'static str {
    match value {
        Value::Null => "null",
        Value::Bool(_) => "boolean",
        Value::Number(number) if number.is_f64() => "number",
        Value::Number(_) => "integer",
        Value::String(_) => "string",
        Value::Array(_) => "array",
        Value::Object(_) => "object",
    }
}

fn check_type(schema: &Schema, value: &Value, path: &Path<'_>, outcome: &mut Outcome) {
    let wanted = match schema.kind {
        _ if schema.is_int_or_string => "integer,string",
        Some(kind) => kind.as_str(),
        None => return,
    };
    outcome.checks += 1;
    let found = type_of(value);
    let fits = match (schema.kind, value) {
        (_, Value::Null) => schema.is_nullable,
        _ if schema.is_int_or_string => {
            value.is_string() || value.as_number().is_some_and(is_whole)
        }
        (Some(Kind::Integer), Value::Number(number)) => is_whole(number),
        (Some(Kind::Number), Value::Number(_)) => true,
        _ => found == wanted,
    };
    if !fits {
        let why = format!("{path} in body must be of type {wanted}: {found:?}");
        outcome.push(Error::type_invalid(&place(path), found, why));
    }
}

/// 1.0 is an integer too.
fn is_whole(number: &serde_json::Number) -> bool {
    const EXACT: f64 = 9_007_199_254_740_991.0;
    !number.is_f64()
        || number
            .as_f64()
            .is_some_and(|n| n.fract() == 0.0 && n.abs() <= EXACT)
}

fn check_choices(schema: &Schema, value: &Value, path: &Path<'_>, outcome: &mut Outcome) {
    let Some(choices) = &schema.checks.choices else {
        return;
    };
    outcome.checks += 1;
    if choices.iter().any(|choice| go::same(choice, value)) {
        return;
    }
    let texts: Vec<String> = choices
        .iter()
        .map(|choice| {
            choice
                .as_str()
                .map_or_else(|| choice.to_string(), str::to_owned)
        })
        .collect();
    let texts: Vec<&str> = texts.iter().map(String::as_str).collect();
    outcome.push(Error::not_supported(&place(path), value.clone(), &texts));
}

fn list(
    schema: &Schema,
    items: &[Value],
    old: Option<&Value>,
    path: &Path<'_>,
    outcome: &mut Outcome,
) {
    outcome.checks += 1;
    if let Some(below) = schema.items() {
        let before = correlate::Items::new(schema, old);
        for (at, item) in items.iter().enumerate() {
            outcome.merge(check(below, item, before.of(item), &path.index(at)));
        }
    }
    let count = items.len() as u64;
    if let Some(least) = schema.checks.min_items.filter(|least| count < *least) {
        let why = format!("should have at least {least} items");
        outcome.push(invalid(path, count, &why));
    }
    if let Some(most) = schema.checks.max_items.filter(|most| count > *most) {
        outcome.push(too_many(path, items.len(), most));
    }
}

fn too_many(path: &Path<'_>, count: usize, most: u64) -> Error {
    Error::too_many(
        &place(path),
        count,
        usize::try_from(most).unwrap_or(usize::MAX),
    )
}

fn object(
    schema: &Schema,
    fields: &Map<String, Value>,
    old: Option<&Value>,
    path: &Path<'_>,
    outcome: &mut Outcome,
) {
    outcome.checks += 1;
    let count = fields.len() as u64;
    if let Some(least) = schema.checks.min_properties.filter(|least| count < *least) {
        let why = format!("should have at least {least} properties");
        outcome.push(invalid(path, count, &why));
        return;
    }
    if let Some(most) = schema.checks.max_properties.filter(|most| count > *most) {
        outcome.push(too_many(path, fields.len(), most));
        return;
    }
    for name in &schema.checks.required {
        if !fields.contains_key(&**name) {
            outcome.push(Error::required(&path.child(name), ""));
        }
    }
    for (name, value) in fields {
        let below = path.child(name);
        match schema.field(name) {
            Some(schema) => {
                let before = old.and_then(|old| old.get(name));
                outcome.merge(check(schema, value, before, &below));
            }
            None if matches!(schema.additional, Additional::Nothing) => {
                let why = format!("{below} in body is a forbidden property");
                outcome.push(Error::invalid(&below, value.clone(), why));
            }
            None => {}
        }
    }
}

#[cfg(test)]
mod tests;
