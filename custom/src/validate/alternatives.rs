//! `anyOf`, `oneOf`, `allOf` and `not`.

use apimachinery::field::{Error, Path};
use serde_json::Value;

use super::{NOWHERE, Outcome};
use crate::schema::Schema;

pub(super) fn check(schema: &Schema, value: &Value, path: &Path<'_>, outcome: &mut Outcome) {
    let checks = &schema.checks;
    outcome.checks += 1;
    if !checks.any_of.is_empty() {
        any_of(&checks.any_of, value, path, outcome);
    }
    if !checks.one_of.is_empty() {
        one_of(&checks.one_of, value, path, outcome);
    }
    if !checks.all_of.is_empty() {
        all_of(&checks.all_of, value, path, outcome);
    }
    if let Some(not) = &checks.not
        && try_one(not, value, path).is_valid()
    {
        outcome.push(refusal(path, "must not validate the schema (not)"));
    }
}

/// Alternatives are looked at whole, whatever was there before.
fn try_one(schema: &Schema, value: &Value, path: &Path<'_>) -> Outcome {
    super::check(schema, value, None, path)
}

fn refusal(path: &Path<'_>, why: &str) -> Error {
    Error::invalid(&NOWHERE, "", format!("\"{path}\" {why}"))
}

/// The failure that got furthest.
fn keep_best(best: &mut Option<Outcome>, failure: Outcome) {
    if best
        .as_ref()
        .is_none_or(|best| failure.checks > best.checks)
    {
        *best = Some(failure);
    }
}

fn any_of(schemas: &[Schema], value: &Value, path: &Path<'_>, outcome: &mut Outcome) {
    let mut best = None;
    for schema in schemas {
        let tried = try_one(schema, value, path);
        if tried.is_valid() {
            outcome.merge(tried);
            return;
        }
        keep_best(&mut best, tried);
    }
    outcome.push(refusal(path, "must validate at least one schema (anyOf)"));
    outcome.merge(best.unwrap_or_default());
}

fn one_of(schemas: &[Schema], value: &Value, path: &Path<'_>, outcome: &mut Outcome) {
    let mut best = None;
    let mut first = None;
    let mut valid = 0;
    for schema in schemas {
        let tried = try_one(schema, value, path);
        if tried.is_valid() {
            valid += 1;
            first.get_or_insert(tried);
        } else if valid == 0 {
            keep_best(&mut best, tried);
        }
    }
    let why = match valid {
        1 => return outcome.merge(first.unwrap_or_default()),
        0 => "Found none valid".to_owned(),
        several => format!("Found {several} valid alternatives"),
    };
    outcome.push(refusal(
        path,
        &format!("must validate one and only one schema (oneOf). {why}"),
    ));
    if valid == 0 {
        outcome.merge(best.unwrap_or_default());
    }
}

fn all_of(schemas: &[Schema], value: &Value, path: &Path<'_>, outcome: &mut Outcome) {
    let mut valid = 0;
    for schema in schemas {
        let tried = try_one(schema, value, path);
        valid += usize::from(tried.is_valid());
        outcome.merge(tried);
    }
    if valid != schemas.len() {
        let more = if valid == 0 { ". None validated" } else { "" };
        outcome.push(refusal(
            path,
            &format!("must validate all the schemas (allOf){more}"),
        ));
    }
}
