//! MutatingAdmissionPolicies: one after the other, each seeing what those before it did.

use apimachinery::Status;
use expressions::{Budget, EvalError, Program};
use serde_json::{Value, json};

use super::super::Admission;
use super::super::evaluation::{Conditions, Shown};
use super::super::matching::{Matched, is_exempt};
use super::super::request::Request;
use super::super::webhooks::Rounds;
use super::policy::{Mutating, Mutation, Policy};
use super::set::Pair;
use super::{Context, Policies, is_meant, variables};
use crate::registry::{Registry, decode, versions};
use crate::served::Served;

impl Policies {
    /// Lets the policies change `object`.
    ///
    /// # Errors
    /// What a policy could not do, where that is a no.
    pub async fn mutate(
        &self,
        admission: &Admission,
        registry: &Registry<'_>,
        request: &Request<'_>,
        object: &mut Value,
        rounds: &mut Rounds,
    ) -> Result<(), Status> {
        if self.mutating.is_empty() || is_exempt(request) || object.is_null() {
            return Ok(());
        }
        let context = Context {
            admission,
            registry,
            request,
        };
        let is_first = rounds.is_first();
        for pair in self.mutating.all().iter() {
            if !is_first && !pair.policy.rules.reinvokes {
                continue;
            }
            let changed = context.change(pair, object).await?;
            if is_first && changed {
                rounds.note_policy_change();
            }
        }
        Ok(())
    }
}

/// One mutation of a policy, and what its expressions see beside the object.
struct Step<'a> {
    mutation: &'a Mutation,
    conditions: Option<&'a Conditions>,
    matched: &'a Matched,
    namespace: &'a Value,
    params: Option<&'a Value>,
}

impl Context<'_> {
    /// Whether the policy changed the object.
    async fn change(&self, pair: &Pair<Mutating>, object: &mut Value) -> Result<bool, Status> {
        let Some(matched) = self.matches(pair, object).await? else {
            return Ok(false);
        };
        let params = match self.params(&pair.policy, &pair.binding).await {
            Ok(params) => params,
            Err(why) => {
                let why = format!("failed to configure binding: {why}");
                return self.failed(pair, object, &why).map(|()| false);
            }
        };
        let namespace = self.namespace_object().await?;
        let before = object.clone();
        for params in &params {
            let changed = self.change_with(pair, object, &matched, &namespace, params.as_ref());
            match changed? {
                Ok(Some(changed)) => *object = changed,
                Ok(None) => {}
                Err(why) => {
                    *object = before;
                    return self.failed(pair, object, &why).map(|()| false);
                }
            }
        }
        Ok(*object != before)
    }

    /// The changed object; the inner error is the policy's, to be taken as it says.
    fn change_with(
        &self,
        pair: &Pair<Mutating>,
        object: &Value,
        matched: &Matched,
        namespace: &Value,
        params: Option<&Value>,
    ) -> Result<Result<Option<Value>, String>, Status> {
        let mut budget = Budget::default();
        let mut current = object.clone();
        for (index, mutation) in pair.policy.rules.mutations.iter().enumerate() {
            let step = Step {
                mutation,
                // Whether the policy is meant is asked once, of what it came to.
                conditions: (index == 0).then_some(&pair.policy.conditions),
                matched,
                namespace,
                params,
            };
            current = match self.take(&pair.policy, &step, &current, &mut budget)? {
                Ok(Some(changed)) => changed,
                Ok(None) => return Ok(Ok(None)),
                Err(why) => return Ok(Err(why)),
            };
        }
        Ok(Ok(Some(current)))
    }

    /// What one mutation makes of the object.
    fn take(
        &self,
        policy: &Policy<Mutating>,
        step: &Step<'_>,
        object: &Value,
        budget: &mut Budget,
    ) -> Result<Result<Option<Value>, String>, Status> {
        let own = self.registry.kind;
        let kind = match step.matched {
            Matched::As(kind) => kind,
            _ => own,
        };
        let shown = Shown::new(self.registry, self.request, object, step.matched)?;
        let mut variables = variables(policy, &shown, step.namespace, step.params);
        if let Some(conditions) = step.conditions {
            match is_meant(conditions, &mut variables, policy.fails_closed) {
                Ok(true) => {}
                Ok(false) => return Ok(Ok(None)),
                Err(why) => return Ok(Err(why)),
            }
        }
        let made = step
            .mutation
            .evaluate(|program| program.evaluate(&mut variables, budget));
        let made = made.and_then(|made| step.mutation.put_in(kind, shown.object(), made));
        let mut made = match made {
            Ok(made) => made,
            Err(why) => return Ok(Err(why)),
        };
        if self.request.kind.kind == own.kind() {
            if let Err(status) = decode::fit(kind.into(), &mut made) {
                return Ok(Err(status.message));
            }
            kind.default(&mut made);
        }
        Ok(Ok(Some(match step.matched {
            Matched::As(kind) => versions::converted(kind, own, &made)?,
            _ => made,
        })))
    }

    fn failed(&self, pair: &Pair<Mutating>, object: &Value, why: &str) -> Result<(), Status> {
        if !pair.policy.fails_closed {
            return Ok(());
        }
        let (policy, binding) = (&pair.policy.name, &pair.binding.name);
        let message = format!("policy '{policy}' with binding '{binding}' denied request: {why}");
        Err(self.refusal(object, &message, "Invalid"))
    }
}

impl Mutation {
    fn evaluate(
        &self,
        evaluate: impl FnOnce(&Program) -> Result<Value, EvalError>,
    ) -> Result<Value, String> {
        let (Self::Configuration(compiled) | Self::Patch(compiled)) = self;
        match compiled {
            Ok(program) => evaluate(program).map_err(|error| {
                format!(
                    "expression '{}' resulted in error: {error}",
                    program.source()
                )
            }),
            Err(why) => Err(why.clone()),
        }
    }

    /// `object` with what the expression made.
    fn put_in(&self, kind: &Served, object: &Value, made: Value) -> Result<Value, String> {
        match self {
            Self::Configuration(_) => {
                let Some(node) = kind.node() else {
                    return Err(format!("{} has no schema to apply by", kind.kind()));
                };
                let mut made = made;
                // Which object is meant is not for the policy to say.
                made["apiVersion"] = object["apiVersion"].clone();
                made["kind"] = object["kind"].clone();
                patch::configure(node, object, &made).map_err(|error| detail(&error))
            }
            Self::Patch(_) => {
                let patch = without_nulls(made).to_string();
                patch::json(object, patch.as_bytes()).map_err(|error| detail(&error))
            }
        }
    }
}

/// What went wrong: the policy's author needs more than clients are told.
fn detail(error: &patch::Error) -> String {
    match error {
        patch::Error::Unprocessable(detail) => format!("error applying patch: {detail}"),
        other => format!("error applying patch: {other}"),
    }
}

/// Operations as JSON patch has them: a `from` that is not there is not null.
fn without_nulls(operations: Value) -> Value {
    let Value::Array(operations) = operations else {
        return json!([]);
    };
    let operations = operations.into_iter().map(|mut operation| {
        if let Value::Object(fields) = &mut operation {
            fields.retain(|name, value| name == "value" || !value.is_null());
        }
        operation
    });
    Value::Array(operations.collect())
}
