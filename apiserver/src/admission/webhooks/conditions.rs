//! `matchConditions`: expressions that must all hold for a webhook to be asked.

use apimachinery::{Status, status};
use serde_json::Value;

use super::super::dynamic::Context;
use super::super::evaluation::{Outcome, Shown};
use super::super::matching::Matched;
use super::hook::{Hook, OnFailure};

/// # Errors
/// 403 when they cannot be evaluated, unless the hook's failures are passed over.
pub async fn hold(
    context: &Context<'_>,
    hook: &Hook,
    object: &Value,
    matched: &Matched,
) -> Result<bool, Status> {
    if hook.conditions.is_empty() {
        return Ok(true);
    }
    let request = context.request;
    let shown = Shown::new(context.registry, request, object, matched).await?;
    let weight = hook.conditions.weight();
    let outcome = weight.run(|| hook.conditions.evaluate(&mut shown.variables()));
    match (outcome, hook.on_failure) {
        (Outcome::Hold, _) => Ok(true),
        (Outcome::Fails(_), _) | (Outcome::Unclear(_), OnFailure::GoOn) => Ok(false),
        (Outcome::Unclear(why), OnFailure::Refuse) => {
            let resource = &request.resource;
            let resource = status::Resource::new(&resource.group, &resource.resource);
            Err(Status::forbidden(resource, &request.name, &why))
        }
    }
}
