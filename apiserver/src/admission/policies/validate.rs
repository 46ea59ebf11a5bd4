//! ValidatingAdmissionPolicies: all are asked, then the first no is the answer.

use std::collections::BTreeMap;

use apimachinery::Status;
use expressions::{Budget, EvalError, Variables};
use serde_json::{Value, json};

use super::super::dynamic::Context;
use super::super::evaluation::Shown;
use super::policy::{Compiled, Validating, Validation};
use super::set::Pair;
use super::{Policies, is_meant, variables};

/// The longest message an expression may make.
const MAX_MESSAGE: usize = 5 * 1024;

/// What all policies together make of a write.
#[derive(Default)]
struct Verdict {
    /// The first no: message and reason.
    denial: Option<(String, String)>,
    /// For the audit log.
    failures: Vec<Value>,
    annotations: BTreeMap<String, Vec<String>>,
    warnings: Vec<String>,
}

impl Policies {
    /// # Errors
    /// A policy's no.
    pub async fn validate(&self, context: Context<'_>, object: &Value) -> Result<(), Status> {
        if self.validating.is_empty() {
            return Ok(());
        }
        let mut verdict = Verdict::default();
        for pair in self.validating.all().iter() {
            context.ask(pair, object, &mut verdict).await?;
        }
        verdict.give(&context, object)
    }
}

impl Context<'_> {
    async fn ask(
        &self,
        pair: &Pair<Validating>,
        object: &Value,
        verdict: &mut Verdict,
    ) -> Result<(), Status> {
        let Some(matched) = self.matches_pair(pair, object).await? else {
            return Ok(());
        };
        let params = match self.params(&pair.policy, &pair.binding).await {
            Ok(params) => params,
            Err(why) => {
                if pair.policy.fails_closed {
                    let why = format!("failed to configure binding: {why}");
                    verdict.deny(pair, &why, "Invalid");
                }
                return Ok(());
            }
        };
        let namespace = self.namespace_object().await?;
        let shown = Shown::new(self.registry, self.request, object, &matched).await?;
        for params in &params {
            let mut variables = variables(&pair.policy, &shown, &namespace, params.as_ref());
            let weight = pair.policy.weight;
            weight.run(|| evaluate(pair, &mut variables, verdict));
        }
        Ok(())
    }
}

fn evaluate(pair: &Pair<Validating>, variables: &mut Variables<'_>, verdict: &mut Verdict) {
    let policy = &pair.policy;
    match is_meant(&policy.conditions, variables, policy.fails_closed) {
        Ok(true) => {}
        Ok(false) => return,
        Err(why) => return verdict.fail(pair, 0, &why, "Invalid"),
    }
    let mut budget = Budget::default();
    for (index, validation) in policy.rules.validations.iter().enumerate() {
        let held = run(&validation.expression, |program| {
            program.evaluate_bool(variables, &mut budget)
        });
        match held {
            Ok(true) => {}
            Ok(false) => {
                let message = validation.message(variables, &mut budget);
                verdict.fail(pair, index, &message, &validation.reason);
            }
            Err(_) if !policy.fails_closed => {}
            Err(error) => {
                let source = &validation.source;
                let message = format!("expression '{source}' resulted in error: {error}");
                verdict.fail(pair, index, &message, "Invalid");
            }
        }
    }
    annotate(pair, variables, verdict);
}

fn annotate(pair: &Pair<Validating>, variables: &mut Variables<'_>, verdict: &mut Verdict) {
    let policy = &pair.policy;
    let mut budget = Budget::default();
    for annotation in &policy.rules.annotations {
        let value = run(&annotation.value, |program| {
            program.evaluate_text(variables, &mut budget)
        });
        match value {
            Ok(Some(text)) if !text.trim().is_empty() => {
                let key = format!("{}/{}", policy.name, annotation.key);
                let values = verdict.annotations.entry(key).or_default();
                if !values.contains(&text) {
                    values.push(text);
                }
            }
            Err(error) if policy.fails_closed => {
                let key = &annotation.key;
                let why = format!("audit annotation '{key}' resulted in error: {error}");
                verdict.deny(pair, &why, "Invalid");
            }
            _ => {}
        }
    }
}

fn run<T>(
    compiled: &Compiled,
    evaluate: impl FnOnce(&expressions::Program) -> Result<T, EvalError>,
) -> Result<T, EvalError> {
    match compiled {
        Ok(program) => evaluate(program),
        Err(why) => Err(EvalError::Failed(why.clone())),
    }
}

impl Validation {
    /// What is said when it does not hold.
    fn message(&self, variables: &mut Variables<'_>, budget: &mut Budget) -> String {
        if let Some(Ok(program)) = &self.message_expression {
            let made = program.evaluate_text(variables, budget);
            let made = made.ok().flatten().unwrap_or_default();
            let made = made.trim();
            if !made.is_empty() && !made.contains('\n') && made.len() <= MAX_MESSAGE {
                return made.to_owned();
            }
        }
        match self.message.as_str() {
            "" => format!("failed expression: {}", self.source),
            message => message.to_owned(),
        }
    }
}

impl Verdict {
    /// A validation does not hold: the binding says what comes of that.
    fn fail(&mut self, pair: &Pair<Validating>, index: usize, message: &str, reason: &str) {
        let (policy, binding) = (&pair.policy.name, &pair.binding.name);
        let actions = &pair.binding.actions;
        if actions.has("Deny") {
            self.deny(pair, message, reason);
        }
        if actions.has("Warn") {
            self.warnings.push(format!(
                "Validation failed for ValidatingAdmissionPolicy '{policy}' with binding '{binding}': {message}"
            ));
        }
        if actions.has("Audit") {
            self.failures.push(json!({
                "message": message, "policy": policy, "binding": binding,
                "expressionIndex": index, "validationActions": actions.names(),
            }));
        }
    }

    fn deny(&mut self, pair: &Pair<Validating>, message: &str, reason: &str) {
        let (policy, binding) = (&pair.policy.name, &pair.binding.name);
        let message = format!(
            "ValidatingAdmissionPolicy '{policy}' with binding '{binding}' denied request: {message}"
        );
        self.denial.get_or_insert((message, reason.to_owned()));
    }

    fn give(self, context: &Context<'_>, object: &Value) -> Result<(), Status> {
        let notes = &context.registry.call.notes;
        for warning in self.warnings {
            notes.warn(warning);
        }
        if !self.failures.is_empty() {
            let key = "validation.policy.admission.k8s.io/validation_failure";
            notes.annotate(key, Value::Array(self.failures).to_string());
        }
        for (key, values) in self.annotations {
            notes.annotate(key, values.join(", "));
        }
        match self.denial {
            None => Ok(()),
            Some((message, reason)) => Err(context.refusal(object, &message, &reason)),
        }
    }
}
