//! `x-kubernetes-validations`: rules in CEL, run once everything else is right.

use std::sync::Arc;

use apimachinery::field::{Error, Mistake, Path};
use apimachinery::meta;
use expressions::{Budget, Environment, EvalError, Program, Type, Variables};
use serde_json::Value;

use crate::correlate;
use crate::schema::Schema;
use crate::validate::NOWHERE;
use crate::version::Version;

/// As many errors of rules are told.
const ERRORS_MAX: usize = 1000;
/// The longest text a `messageExpression` may come to.
const MESSAGE_MAX: usize = 5 * 1024;

/// The rules of one place of a schema.
#[derive(Debug)]
pub struct Rules {
    rules: Vec<Rule>,
    /// Of `self`, and of `oldSelf` where it is no option.
    of: Type,
    /// What errors show instead of the value.
    shown: String,
}

#[derive(Debug)]
struct Rule {
    /// Or why it is none; only definitions that were let in by others have such.
    program: Result<Program, String>,
    text: String,
    message: String,
    message_program: Option<Program>,
    reason: Mistake,
    /// Below the place where the rule is.
    field: String,
    /// Runs without an old value too, which then is an empty option.
    is_old_optional: bool,
}

/// The variables that the rules of a place have.
pub(crate) fn environment(of: &Type, is_old_optional: bool) -> Environment {
    let old = match is_old_optional {
        true => Type::optional(of.clone()),
        false => of.clone(),
    };
    Environment::new()
        .with("self", of.clone())
        .with("oldSelf", old)
}

impl Rules {
    /// None where the schema has no rules.
    pub fn compile(schema: &Value, is_root: bool) -> Option<Arc<Self>> {
        let rules = schema.get("x-kubernetes-validations")?.as_array()?;
        let of = type_of(schema, is_root);
        Some(Arc::new(Self {
            rules: rules.iter().map(|rule| Rule::compile(rule, &of)).collect(),
            of,
            shown: meta::text(schema, "type").to_owned(),
        }))
    }
}

pub(crate) fn type_of(schema: &Value, is_root: bool) -> Type {
    match is_root {
        true => Type::of_root_schema(schema),
        false => Type::of_schema(schema),
    }
}

impl Rule {
    fn compile(rule: &Value, of: &Type) -> Self {
        let text = |name: &str| meta::text(rule, name).trim().to_owned();
        let is_old_optional = meta::flag(rule, "optionalOldSelf");
        let environment = environment(of, is_old_optional);
        let condition = environment.clone().returning(Type::Bool);
        let message_expression = text("messageExpression");
        Self {
            program: Program::compile(&text("rule"), &condition).map_err(|e| e.to_string()),
            text: text("rule"),
            message: text("message"),
            message_program: (!message_expression.is_empty())
                .then(|| Program::compile(&message_expression, &environment).ok())
                .flatten(),
            reason: match meta::text(rule, "reason") {
                "FieldValueRequired" => Mistake::Required,
                "FieldValueForbidden" => Mistake::Forbidden,
                "FieldValueDuplicate" => Mistake::Duplicate,
                _ => Mistake::Invalid,
            },
            field: text("fieldPath").trim_start_matches('.').to_owned(),
            is_old_optional,
        }
    }

    fn name(&self) -> &str {
        if self.message.is_empty() {
            &self.text
        } else {
            &self.message
        }
    }

    fn uses_old(&self) -> bool {
        self.program
            .as_ref()
            .is_ok_and(|program| program.uses("oldSelf"))
    }
}

impl Version {
    /// Runs the rules, unless the object is so wrong that they could not tell anything.
    pub(crate) fn check_rules(&self, new: &Value, old: Option<&Value>, errors: &mut Vec<Error>) {
        if errors.iter().any(|error| is_blocking(error.mistake)) {
            let why = "some validation rules were not checked because the object was invalid; correct the existing errors to complete validation";
            errors.push(Error::invalid(&NOWHERE, Value::Null, why));
            return;
        }
        let mut run = Run {
            errors,
            budget: Budget::default(),
            is_over: false,
        };
        run.value(&self.schema, new, old, &Path::ROOT);
    }
}

fn is_blocking(mistake: Mistake) -> bool {
    matches!(
        mistake,
        Mistake::NotSupported
            | Mistake::Required
            | Mistake::TooLong
            | Mistake::TooMany
            | Mistake::TypeInvalid
    )
}

pub(crate) fn has_any(schema: &Schema) -> bool {
    schema.rules.is_some()
        || schema.properties.values().any(has_any)
        || schema.additional().is_some_and(has_any)
        || schema.items().is_some_and(has_any)
}

struct Run<'a> {
    errors: &'a mut Vec<Error>,
    budget: Budget,
    /// The budget is used up: no rule runs any more.
    is_over: bool,
}

impl Run<'_> {
    fn value(&mut self, schema: &Schema, new: &Value, old: Option<&Value>, path: &Path<'_>) {
        if self.is_over || new.is_null() {
            return;
        }
        let old = old.filter(|old| !old.is_null());
        if let Some(rules) = &schema.rules {
            self.rules(rules, new, old, path);
        }
        match new {
            Value::Object(fields) => {
                for (name, value) in fields {
                    let before = old.and_then(|old| old.get(name));
                    if let Some(property) = schema.properties.get(name.as_str()) {
                        self.value(property, value, before, &path.child(name));
                    } else if let Some(schema) = schema.additional() {
                        self.value(schema, value, before, &path.key(name));
                    }
                }
            }
            Value::Array(items) => {
                let Some(below) = schema.items() else {
                    return;
                };
                let before = correlate::Items::new(schema, old);
                for (at, item) in items.iter().enumerate() {
                    self.value(below, item, before.of(item), &path.index(at));
                }
            }
            _ => {}
        }
    }

    fn rules(&mut self, rules: &Rules, new: &Value, old: Option<&Value>, path: &Path<'_>) {
        let is_same = old == Some(new);
        for rule in &rules.rules {
            let uses_old = rule.uses_old();
            if uses_old && old.is_none() && !rule.is_old_optional {
                continue;
            }
            // What was wrong before is forgiven, unless it is about the change.
            if is_same && !uses_old {
                continue;
            }
            if let Some(error) = self.one(rules, rule, new, old, path)
                && self.errors.len() < ERRORS_MAX
            {
                self.errors.push(error);
            }
            if self.is_over {
                return;
            }
        }
    }

    fn one(
        &mut self,
        rules: &Rules,
        rule: &Rule,
        new: &Value,
        old: Option<&Value>,
        path: &Path<'_>,
    ) -> Option<Error> {
        let place = if path.to_string().is_empty() {
            NOWHERE
        } else {
            *path
        };
        let shown = rules.shown.as_str();
        let program = match &rule.program {
            Ok(program) => program,
            Err(why) => {
                return Some(Error::invalid(
                    &place,
                    shown,
                    format!("rule compile error: {why}"),
                ));
            }
        };
        let mut variables = Variables::new();
        variables.bind_typed("self", new, &rules.of);
        match (rule.is_old_optional, old) {
            (true, old) => variables.bind_optional("oldSelf", old, &rules.of),
            (false, Some(old)) => variables.bind_typed("oldSelf", old, &rules.of),
            (false, None) => {}
        }
        match program.evaluate_bool(&mut variables, &mut self.budget) {
            Ok(true) => None,
            Ok(false) => {
                let detail = self.message(rule, &mut variables);
                Some(broken(rule, &place, shown, detail))
            }
            Err(error) => {
                self.is_over = error.is_cost();
                Some(Error::invalid(&place, shown, failure(&error, rule)))
            }
        }
    }

    fn message(&mut self, rule: &Rule, variables: &mut Variables<'_>) -> String {
        if let Some(program) = &rule.message_program
            && let Ok(Some(text)) = program.evaluate_text(variables, &mut self.budget)
        {
            let text = text.trim();
            if !text.is_empty() && text.len() <= MESSAGE_MAX && !text.contains(['\n', '\r']) {
                return text.to_owned();
            }
        }
        match rule.message.as_str() {
            "" => format!("failed rule: {}", rule.text),
            message => message.to_owned(),
        }
    }
}

fn broken(rule: &Rule, place: &Path<'_>, shown: &str, detail: String) -> Error {
    let below = place.child(&rule.field);
    let place = if rule.field.is_empty() { place } else { &below };
    match rule.reason {
        Mistake::Required => Error::required(place, detail),
        Mistake::Forbidden => Error::forbidden(place, detail),
        Mistake::Duplicate => Error {
            detail,
            ..Error::duplicate(place, shown)
        },
        _ => Error::invalid(place, shown, detail),
    }
}

fn failure(error: &EvalError, rule: &Rule) -> String {
    let rule = rule.name();
    match error {
        EvalError::Budget => error.to_string(),
        EvalError::CallCost => format!(
            "'{error}': no further validation rules will be run due to call cost exceeds limit for rule: {rule}"
        ),
        EvalError::Failed(why) if why.starts_with("no such overload") => format!(
            "'{error}': call arguments did not match a supported operator, function or macro signature for rule: {rule}"
        ),
        EvalError::Failed(_) => format!("{error} evaluating rule: {rule}"),
    }
}

#[cfg(test)]
mod tests;
