//! `x-kubernetes-validations`: rules that compile, have something to say, and cost little
//! enough however large the objects get.

use apimachinery::field::{Error, Path};
use apimachinery::meta;
use expressions::{Program, Type};
use serde_json::Value;

use super::{Level, text};
use crate::rules;

/// What one rule may cost at most, as often as it may run on one object.
const RULE_COST_MAX: u64 = 10_000_000;
/// What all rules of a schema together may cost.
const TOTAL_COST_MAX: u64 = 100_000_000;
/// The largest request: no list has more items than fit into it.
const REQUEST_BYTES: u64 = 3 * 1024 * 1024;
const RULES: &str = "x-kubernetes-validations";
const REASONS: [&str; 4] = [
    "FieldValueDuplicate",
    "FieldValueForbidden",
    "FieldValueInvalid",
    "FieldValueRequired",
];

pub(super) fn check(schema: &Value, path: &Path<'_>, errors: &mut Vec<Error>) {
    let mut checker = Checker { errors, total: 0 };
    let whole = Place {
        level: Level::Root,
        times: Some(1),
        is_correlated: true,
    };
    checker.walk(schema, whole, path);
    if checker.total > TOTAL_COST_MAX {
        let why = over(
            "x-kubernetes-validations estimated rule cost total for entire OpenAPIv3 schema",
            checker.total,
            TOTAL_COST_MAX,
        );
        errors.push(Error::forbidden(path, why));
    }
}

/// Where a schema stands.
#[derive(Clone, Copy)]
struct Place {
    level: Level,
    /// How many values of the schema one object has at most; None: nobody knows.
    times: Option<u64>,
    /// It is known which old value a new one was.
    is_correlated: bool,
}

struct Checker<'a> {
    errors: &'a mut Vec<Error>,
    total: u64,
}

impl Checker<'_> {
    fn walk(&mut self, schema: &Value, place: Place, path: &Path<'_>) {
        self.rules(schema, place, path);
        let below = path.child("properties");
        let properties = schema.get("properties").and_then(Value::as_object);
        for (name, property) in properties.into_iter().flatten() {
            let place = Place {
                level: Level::Field,
                ..place
            };
            self.walk(property, place, &below.key(name));
        }
        if let Some(values) = schema.get("additionalProperties").filter(|v| v.is_object()) {
            let place = Place {
                level: Level::Field,
                times: many(place, schema, "maxProperties"),
                ..place
            };
            self.walk(values, place, &path.child("additionalProperties"));
        }
        if let Some(items) = schema.get("items").filter(|v| v.is_object()) {
            let place = Place {
                level: Level::Item,
                times: many(place, schema, "maxItems"),
                is_correlated: place.is_correlated
                    && text(schema, "x-kubernetes-list-type") == "map",
            };
            self.walk(items, place, &path.child("items"));
        }
    }

    fn rules(&mut self, schema: &Value, place: Place, path: &Path<'_>) {
        let Some(rules) = schema.get(RULES).and_then(Value::as_array) else {
            return;
        };
        let of = rules::type_of(schema, place.level == Level::Root);
        let below = path.child(RULES);
        for (at, rule) in rules.iter().enumerate() {
            let path = below.index(at);
            self.texts(rule, &path);
            if !text(rule, "rule").trim().is_empty() {
                self.expression(rule, "rule", &of, place, &path);
            }
            if !text(rule, "messageExpression").trim().is_empty() {
                self.expression(rule, "messageExpression", &of, place, &path);
            }
        }
    }

    /// What people read of a rule.
    fn texts(&mut self, rule: &Value, path: &Path<'_>) {
        let has = |name: &str| rule.get(name).is_some_and(|value| !value.is_null());
        let is_blank = |name: &str| text(rule, name).trim().is_empty();
        let has_lines = |name: &str| text(rule, name).trim().contains(['\n', '\r']);
        if is_blank("rule") {
            self.errors.push(Error::required(
                &path.child("rule"),
                "rule is not specified",
            ));
        }
        let message = path.child("message");
        let given = text(rule, "message");
        if !given.is_empty() && is_blank("message") {
            let why = "message must be non-empty if specified";
            self.errors.push(Error::invalid(&message, given, why));
        } else if has_lines("message") {
            let why = "message must not contain line breaks";
            self.errors.push(Error::invalid(&message, given, why));
        } else if has_lines("rule") && is_blank("message") {
            let why = "message must be specified if rule contains line breaks";
            self.errors.push(Error::required(&message, why));
        }
        if !text(rule, "messageExpression").is_empty() && is_blank("messageExpression") {
            let why = "messageExpression must be non-empty if specified";
            self.errors
                .push(Error::required(&path.child("messageExpression"), why));
        }
        if has("reason") && !REASONS.contains(&text(rule, "reason")) {
            let error = Error::not_supported(&path.child("reason"), text(rule, "reason"), &REASONS);
            self.errors.push(error);
        }
        if has("fieldPath") && !text(rule, "fieldPath").starts_with(['.', '[']) {
            let why = "fieldPath must be a valid path";
            self.errors.push(Error::invalid(
                &path.child("fieldPath"),
                text(rule, "fieldPath"),
                why,
            ));
        }
    }

    fn expression(&mut self, rule: &Value, field: &str, of: &Type, place: Place, path: &Path<'_>) {
        let is_old_optional = meta::flag(rule, "optionalOldSelf");
        let result = if field == "rule" {
            Type::Bool
        } else {
            Type::String
        };
        let environment = rules::environment(of, is_old_optional).returning(result);
        let path = path.child(field);
        let source = text(rule, field);
        let program = match Program::compile(source.trim(), &environment) {
            Ok(program) => program,
            Err(error) => {
                self.errors
                    .push(Error::invalid(&path, source, error.to_string()));
                return;
            }
        };
        if program.uses("oldSelf") && !place.is_correlated {
            let why = "oldSelf cannot be used on the uncorrelatable portion of the schema";
            self.errors.push(Error::invalid(&path, source, why));
        }
        let times = place.times.unwrap_or(u64::MAX);
        let cost = program.estimated_cost().saturating_mul(times);
        if cost > RULE_COST_MAX {
            let what = if field == "rule" {
                "estimated rule cost"
            } else {
                "estimated messageExpression cost"
            };
            self.errors
                .push(Error::forbidden(&path, over(what, cost, RULE_COST_MAX)));
        }
        self.total = self.total.saturating_add(cost);
    }
}

/// How many values lie below the lists and maps on the way here.
fn many(place: Place, schema: &Value, limit: &str) -> Option<u64> {
    let at_most = schema
        .get(limit)
        .and_then(Value::as_u64)
        .unwrap_or(REQUEST_BYTES / 5);
    Some(
        place
            .times?
            .saturating_mul(at_most.max(1))
            .min(REQUEST_BYTES.saturating_mul(REQUEST_BYTES)),
    )
}

fn over(what: &str, cost: u64, limit: u64) -> String {
    #[expect(clippy::cast_precision_loss, reason = "a factor for people")]
    let factor = cost as f64 / limit as f64;
    let factor = match factor {
        factor if factor > 100.0 => "more than 100x".to_owned(),
        factor if factor < 1.5 => format!("{factor:.6}x"),
        factor => format!("{factor:.1}x"),
    };
    format!(
        "{what} exceeds budget by factor of {factor} (try simplifying the rule, or adding maxItems, maxProperties, and maxLength where arrays, maps, and strings are declared)"
    )
}
