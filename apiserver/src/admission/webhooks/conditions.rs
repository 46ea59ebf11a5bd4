//! `matchConditions`: expressions that must all hold for a webhook to be asked.

use apimachinery::{Status, meta, status};
use serde_json::Value;

use super::super::matching::Matched;
use super::Context;
use super::hook::{Hook, OnFailure};
use crate::webhook::metrics::Stage;

#[derive(Debug, Default)]
pub struct Conditions {
    names: Vec<String>,
}

impl Conditions {
    pub fn read(conditions: &[Value]) -> Self {
        let names = conditions.iter().map(|c| meta::text(c, "name").to_owned());
        Self {
            names: names.collect(),
        }
    }
}

/// # Errors
/// 403 when they cannot be evaluated, unless the hook's failures are passed over.
pub fn hold(
    context: &Context<'_>,
    hook: &Hook,
    _object: &Value,
    _matched: &Matched,
    _stage: Stage,
) -> Result<bool, Status> {
    if hook.conditions.names.is_empty() {
        return Ok(true);
    }
    match hook.on_failure {
        OnFailure::GoOn => Ok(false),
        OnFailure::Refuse => {
            let resource = &context.request.resource;
            Err(Status::forbidden(
                status::Resource::new(&resource.group, &resource.resource),
                &context.request.name,
                "match conditions are not evaluated",
            ))
        }
    }
}
