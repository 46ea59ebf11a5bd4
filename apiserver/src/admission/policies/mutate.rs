//! MutatingAdmissionPolicies: one after the other, each seeing what those before it did.

use apimachinery::Status;
use expressions::{Budget, EvalError, Program};
use serde_json::{Value, json};

use super::super::dynamic::Context;
use super::super::evaluation::{Conditions, Shown};
use super::super::webhooks::Rounds;
use super::policy::{Mutating, Mutation, Policy};
use super::set::Pair;
use super::{Policies, is_meant, variables};
use crate::registry::decode;
use crate::registry::patch::type_meta;
use crate::served::Served;

impl Policies {
    /// Lets the policies change `object`.
    ///
    /// # Errors
    /// What a policy could not do, where that is a no.
    pub async fn mutate(
        &self,
        context: Context<'_>,
        object: &mut Value,
        rounds: &mut Rounds,
    ) -> Result<(), Status> {
        if self.mutating.is_empty() || object.is_null() {
            return Ok(());
        }
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

/// What expressions see beside the object, and the version they see it in.
struct Seen<'a> {
    shown: &'a Shown<'a>,
    kind: &'a Served,
    namespace: &'a Value,
    params: Option<&'a Value>,
}

/// One mutation of a policy.
struct Step<'a> {
    mutation: &'a Mutation,
    conditions: Option<&'a Conditions>,
    seen: &'a Seen<'a>,
}

impl Context<'_> {
    /// Whether the policy changed the object.
    async fn change(&self, pair: &Pair<Mutating>, object: &mut Value) -> Result<bool, Status> {
        let Some(matched) = self.matches_pair(pair, object).await? else {
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
        let (api, own) = (self.registry.api, self.registry.kind);
        let other = matched.conversion(self.request, own);
        let kind = other.unwrap_or(own);
        let shown = Shown::new(self.registry, self.request, object, &matched).await?;
        let mut current = shown.object().clone();
        for params in &params {
            let params = params.as_ref();
            let step = Seen {
                shown: &shown,
                kind,
                namespace: &namespace,
                params,
            };
            let work = || self.change_with(pair, &current, &step);
            let changed = pair.policy.weight.run(work);
            match changed {
                Ok(Some(changed)) => current = changed,
                Ok(None) => {}
                Err(why) => return self.failed(pair, object, &why).map(|()| false),
            }
        }
        *object = match other {
            Some(other) => api.converted(other, own, &current).await?,
            None => current,
        };
        Ok(*object != before)
    }

    /// The changed object; the inner error is the policy's, to be taken as it says.
    fn change_with(
        &self,
        pair: &Pair<Mutating>,
        object: &Value,
        seen: &Seen<'_>,
    ) -> Result<Option<Value>, String> {
        let mut budget = Budget::default();
        let mut current = object.clone();
        for (index, mutation) in pair.policy.rules.mutations.iter().enumerate() {
            let step = Step {
                mutation,
                // Whether the policy is meant is asked once, of what it came to.
                conditions: (index == 0).then_some(&pair.policy.conditions),
                seen,
            };
            match self.take(&pair.policy, &step, &current, &mut budget)? {
                Some(changed) => current = changed,
                None => return Ok(None),
            }
        }
        Ok(Some(current))
    }

    /// What one mutation makes of the object.
    fn take(
        &self,
        policy: &Policy<Mutating>,
        step: &Step<'_>,
        object: &Value,
        budget: &mut Budget,
    ) -> Result<Option<Value>, String> {
        let (seen, own) = (step.seen, self.registry.kind);
        let kind = seen.kind;
        let shown = seen.shown.with_object(object);
        let mut variables = variables(policy, &shown, seen.namespace, seen.params);
        if let Some(conditions) = step.conditions
            && !is_meant(conditions, &mut variables, policy.fails_closed)?
        {
            return Ok(None);
        }
        let made = step
            .mutation
            .evaluate(|program| program.evaluate(&mut variables, budget));
        let mut made = step.mutation.put_in(kind, shown.object(), made?)?;
        if self.request.is_of(own) {
            type_meta::check(kind, &mut made)?;
            decode::fit(kind.into(), &mut made).map_err(|status| status.message)?;
            kind.default(&mut made);
        }
        Ok(Some(made))
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
        match self.compiled() {
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
