//! Admission by policies: expressions of the cluster's operators that change and refuse
//! writes.
//!
//! Policies and their bindings are held compiled and paired, in the order of their names.
//! A policy without a binding does nothing. Without a pair a write pays one look at a
//! counter.

mod access;
mod binding;
mod mutate;
mod params;
mod policy;
mod set;
mod types;
mod validate;

use std::sync::Arc;

use apimachinery::{Status, meta, status};
use expressions::Variables;
use serde_json::Value;

use super::dynamic::Context;
use super::evaluation::{Conditions, Outcome, Shown, namespace_object};
use super::matching::{Matched, is_namespaces};
use crate::mirror::Source;
use crate::registry::Registry;
use policy::{Mutating, Policy, Validating};
use set::{Pair, Set};

pub struct Policies {
    validating: Arc<Set<Validating>>,
    mutating: Arc<Set<Mutating>>,
}

impl Policies {
    pub async fn load(source: &Source) -> Result<Self, store::Error> {
        Ok(Self {
            validating: Set::load(source, "validatingadmissionpolic").await?,
            mutating: Set::load(source, "mutatingadmissionpolic").await?,
        })
    }

    pub fn mutates(&self) -> bool {
        !self.mutating.is_empty()
    }

    pub fn validates(&self) -> bool {
        !self.validating.is_empty()
    }
}

/// Checks the expressions of a policy that is about to be stored against the kinds it
/// names.
pub fn check_types(registry: &Registry<'_>, object: &mut Value) {
    if registry.kind.is(
        "admissionregistration.k8s.io",
        "validatingadmissionpolicies",
    ) {
        let table = registry.api.resources.table();
        types::note(object, &table);
    }
}

impl Context<'_> {
    /// How a pair is to look at the write, if it is meant.
    async fn matches_pair<R>(
        &self,
        pair: &Pair<R>,
        object: &Value,
    ) -> Result<Option<Matched>, Status> {
        let matched = {
            let table = self.registry.api.resources.table();
            if let Some(criteria) = &pair.binding.criteria
                && matches!(criteria.match_rules(self.request, &table), Matched::No)
            {
                return Ok(None);
            }
            pair.policy.criteria.match_rules(self.request, &table)
        };
        if matches!(matched, Matched::No) {
            return Ok(None);
        }
        let both = [Some(&pair.policy.criteria), pair.binding.criteria.as_ref()];
        for criteria in both.into_iter().flatten() {
            if !self.selects(criteria, object).await? {
                return Ok(None);
            }
        }
        Ok(Some(matched))
    }

    /// `namespaceObject`.
    async fn namespace_object(&self) -> Result<Value, Status> {
        let request = self.request;
        if request.namespace.is_empty() || is_namespaces(&request.resource) {
            return Ok(Value::Null);
        }
        Ok(namespace_object(&self.namespace(&Value::Null).await?))
    }

    /// The answer to a client whose write is not let through.
    fn refusal(&self, object: &Value, message: &str, reason: &str) -> Status {
        let request = self.request;
        let name = match request.name.as_str() {
            "" => meta::generate_name(object),
            name => name,
        };
        let resource = status::Resource::new(&request.resource.group, &request.resource.resource);
        let mut refusal = Status::forbidden(resource, name, message);
        refusal.code = match reason {
            "Forbidden" => 403,
            "Unauthorized" => 401,
            "RequestEntityTooLarge" => 413,
            _ => 422,
        };
        reason.clone_into(&mut refusal.reason);
        if let Some(details) = &mut refusal.details {
            details.causes.push(status::Cause {
                reason: String::new(),
                message: message.into(),
                field: String::new(),
            });
        }
        refusal
    }
}

/// What the expressions of a policy see.
fn variables<'s, R>(
    policy: &Policy<R>,
    shown: &'s Shown<'_>,
    namespace: &'s Value,
    params: Option<&'s Value>,
) -> Variables<'s> {
    let mut variables = shown.variables();
    variables.bind("namespaceObject", namespace);
    match params {
        Some(params) => variables.bind("params", params),
        None => variables.bind_null("params"),
    }
    for (name, program) in &policy.variables {
        variables.compute(name, Arc::clone(program));
    }
    variables
}

/// Whether the policy is meant after all.
///
/// # Errors
/// Why that cannot be said, where failures are refusals.
fn is_meant(
    conditions: &Conditions,
    variables: &mut Variables<'_>,
    fails_closed: bool,
) -> Result<bool, String> {
    match conditions.evaluate(variables) {
        Outcome::Hold => Ok(true),
        Outcome::Fails(_) => Ok(false),
        Outcome::Unclear(why) if fails_closed => Err(why),
        Outcome::Unclear(_) => Ok(false),
    }
}
