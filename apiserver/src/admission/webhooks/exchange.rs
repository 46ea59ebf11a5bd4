//! Asking one webhook: what it is shown, and what becomes of its silence.

use std::time::Instant;

use apimachinery::Status;
use bytes::Bytes;
use serde_json::Value;

use super::super::dynamic::Context;
use super::super::matching::Matched;
use super::hook::{Hook, OnFailure};
use super::refusal;
use super::review::{self, Shown, Verdict};
use crate::webhook::metrics::{Ending, Stage};
use crate::webhook::{ANSWER_MAX, Limits};

/// Asks the hook about `object`. None when it could not be asked and the write
/// goes on without it.
///
/// # Errors
/// The webhook's no; or that it could not be asked and the write must not go on.
pub async fn ask(
    context: &Context<'_>,
    hook: &Hook,
    object: &Value,
    matched: &Matched,
    stage: Stage,
    place: Place,
) -> Result<Option<Verdict>, Status> {
    if context.request.dry_run && hook.has_side_effects {
        let name = &hook.name;
        return Err(Status::bad_request(format!(
            "admission webhook {name:?} does not support dry run"
        )));
    }
    let start = Instant::now();
    let asked = call(context, hook, object, matched).await;
    let (ending, outcome) = match asked {
        Ok(verdict) if verdict.allowed => (Ending::Allowed, Ok(Some(verdict))),
        Ok(verdict) => {
            note(context, hook, &verdict);
            let status = refusal::denied(&hook.name, &verdict.result);
            (Ending::Denied(status.code), Err(status))
        }
        Err(why) => failed(context, hook, &why, stage, place),
    };
    let operation = context.request.operation.as_str();
    let metrics = &context.admission.webhook_metrics;
    metrics.observe(&hook.name, stage, operation, ending, start.elapsed());
    if let Ok(Some(verdict)) = &outcome {
        note(context, hook, verdict);
    }
    outcome
}

/// Which call of the write this is, for the audit log.
#[derive(Debug, Clone, Copy)]
pub struct Place {
    pub round: usize,
    pub index: usize,
}

fn failed(
    context: &Context<'_>,
    hook: &Hook,
    why: &str,
    stage: Stage,
    place: Place,
) -> (Ending, Result<Option<Verdict>, Status>) {
    match hook.on_failure {
        OnFailure::GoOn => {
            tracing::warn!(
                webhook = hook.name,
                why,
                "a webhook cannot be asked; the write goes on"
            );
            let key = format!(
                "failed-open.{}.webhook.admission.k8s.io/round_{}_index_{}",
                stage.word(),
                place.round,
                place.index
            );
            context
                .registry
                .call
                .notes
                .annotate(key, hook.name.as_str());
            (Ending::Failed { open: true }, Ok(None))
        }
        OnFailure::Refuse => {
            tracing::warn!(
                webhook = hook.name,
                why,
                "a webhook cannot be asked; the write is refused"
            );
            let status = refusal::unasked(&hook.name, why);
            (Ending::Failed { open: false }, Err(status))
        }
    }
}

/// What the webhook has to say beside yes and no.
fn note(context: &Context<'_>, hook: &Hook, verdict: &Verdict) {
    let notes = &context.registry.call.notes;
    for warning in &verdict.warnings {
        notes.warn(warning.as_str());
    }
    for (key, value) in &verdict.annotations {
        notes.annotate(format!("{}/{key}", hook.name), value.as_str());
    }
}

async fn call(
    context: &Context<'_>,
    hook: &Hook,
    object: &Value,
    matched: &Matched,
) -> Result<Verdict, String> {
    let endpoint = hook
        .endpoint
        .as_ref()
        .map_err(|why| format!("failed to call webhook: {why}"))?;
    let version = hook.version.ok_or_else(|| {
        "unable to create admission objects: webhook does not accept known AdmissionReview versions (v1, v1beta1)".to_owned()
    })?;
    let shown = show(context, object, matched).await?;
    let (review, uid) = review::ask(version, context.request, &shown, matched);
    let limits = Limits {
        timeout: hook.timeout,
        answer_max: ANSWER_MAX,
    };
    let body = Bytes::from(review.to_string());
    let caller = &context.registry.api.webhooks;
    let answer = caller.post(endpoint, body, limits).await;
    let answer = answer.map_err(|error| format!("failed to call webhook: {error}"))?;
    review::read(&answer, version, &uid)
        .map_err(|why| format!("received invalid webhook response: {why}"))
}

/// The write in the version that the webhook's rules name.
async fn show(context: &Context<'_>, object: &Value, matched: &Matched) -> Result<Shown, String> {
    let (request, registry) = (context.request, context.registry);
    let old = request.old;
    let Some(kind) = matched.conversion(request, registry.kind) else {
        return Ok(Shown {
            object: object.clone(),
            old: old.clone(),
        });
    };
    let convert = async |one: &Value| {
        let converted = registry.api.converted(registry.kind, kind, one).await;
        converted.map_err(|status| status.message)
    };
    Ok(Shown {
        object: convert(object).await?,
        old: convert(old).await?,
    })
}
