//! Eviction: a delete that PodDisruptionBudgets may refuse for now.
//!
//! A pod that goes without a share of a budget because of the state it is in goes only
//! in that state: when it changes meanwhile, it is looked at anew.

use std::time::Duration;

use apimachinery::selector::LabelSelector;
use apimachinery::status::Resource;
use apimachinery::{Status, meta, status};
use http::{Request, Response, StatusCode};
use serde_json::Value;
use store::{Entry, Expect, Range};

use crate::admission::node_restriction;
use crate::admission::request::Operation;
use crate::body::{Body, RequestBody};
use crate::bytes_json;
use crate::keys;
use crate::registry::decode::{self, Wanted};
use crate::registry::delete::Admission;
use crate::registry::options::DeleteOptions;
use crate::registry::{Registry, store_failure, versions};
use crate::respond;

const EVICTION: Wanted<'static> = Wanted::built_in("policy", "v1", "Eviction");
const RETRY_SECONDS: u16 = 10;
/// Lost races are tried again so often, with a pause for who is faster.
const ATTEMPTS: usize = 20;
const PAUSE: Duration = Duration::from_millis(10);
/// So many evicted pods that the disruption controller has not seen go are enough:
/// each is noted in its budget.
const UNCONFIRMED: usize = 2000;

pub async fn post(
    registry: &Registry<'_>,
    name: &str,
    request: Request<RequestBody>,
) -> Result<Response<Body>, Status> {
    let call = registry.call;
    let (decoded, options) = decode::sent(call, request, EVICTION, "CreateOptions").await?;
    let mut eviction = decoded.object;
    let given = meta::name(&eviction);
    if !given.is_empty() && given != name {
        return Err(Status::bad_request(
            "name in URL does not match name in Eviction object",
        ));
    }
    let at = (name, "eviction");
    registry
        .api
        .admission
        .admit_on_subresource(
            registry,
            Operation::Create,
            at,
            &mut eviction,
            options.dry_run,
        )
        .await?;
    let wanted = match meta::get(&eviction, "deleteOptions") {
        Some(options) => options.to_string().into_bytes(),
        None => Vec::new(),
    };
    let mut delete = DeleteOptions::read(&call.query, &wanted)?;
    delete.dry_run |= options.dry_run;
    evict(registry, name, &delete).await?;
    let mut done = Status::success(None);
    done.code = StatusCode::CREATED.as_u16();
    Ok(respond::status(&done))
}

/// What one look at the pod and its budget comes to.
enum Round {
    Evicted,
    /// Somebody else wrote what was looked at. The answer, if that goes on.
    Overtaken(Status),
}

/// How a pod may go.
enum Leave {
    /// Whatever becomes of it meanwhile.
    Free,
    /// As it is: it might come to count for a budget.
    Unchanged,
    /// Not yet: somebody else wrote its budget meanwhile.
    Overtaken(Status),
}

async fn evict(registry: &Registry<'_>, name: &str, options: &DeleteOptions) -> Result<(), Status> {
    for _ in 1..ATTEMPTS {
        match try_to_evict(registry, name, options).await? {
            Round::Evicted => return Ok(()),
            Round::Overtaken(_) => tokio::time::sleep(PAUSE).await,
        }
    }
    match try_to_evict(registry, name, options).await? {
        Round::Evicted => Ok(()),
        Round::Overtaken(status) => Err(status),
    }
}

async fn try_to_evict(
    registry: &Registry<'_>,
    name: &str,
    options: &DeleteOptions,
) -> Result<Round, Status> {
    let pod = versions::value(registry.kind, &registry.entry(name).await?.value)?;
    node_restriction::check_eviction(registry, &pod)?;
    registry.check_delete_preconditions(&pod, options)?;
    match leave(registry, &pod, options.dry_run).await? {
        Leave::Free => {
            registry.end(name, options, Admission::Done).await?;
            Ok(Round::Evicted)
        }
        Leave::Unchanged => end_unchanged(registry, &pod, options).await,
        Leave::Overtaken(status) => Ok(Round::Overtaken(status)),
    }
}

/// Ends the pod if it is what was looked at.
async fn end_unchanged(
    registry: &Registry<'_>,
    pod: &Value,
    options: &DeleteOptions,
) -> Result<Round, Status> {
    let options = DeleteOptions {
        resource_version: Some(meta::resource_version(pod).to_owned()),
        ..options.clone()
    };
    match registry
        .end(meta::name(pod), &options, Admission::Done)
        .await
    {
        Ok(_) => Ok(Round::Evicted),
        Err(status) if status.code == StatusCode::CONFLICT.as_u16() => {
            let why = "Cannot evict pod as it is being changed.";
            let status = Status::too_many_requests(why, RETRY_SECONDS);
            Ok(Round::Overtaken(status))
        }
        Err(status) => Err(status),
    }
}

async fn leave(registry: &Registry<'_>, pod: &Value, dry_run: bool) -> Result<Leave, Status> {
    if is_over(pod) {
        return Ok(Leave::Free);
    }
    if meta::text(pod, "status.phase") == "Pending" {
        return Ok(Leave::Unchanged);
    }
    let Some((entry, budget)) = budget_of(registry, pod).await? else {
        return Ok(Leave::Free);
    };
    if !is_ready(pod) && lets_unready_go(&budget) {
        return Ok(Leave::Unchanged);
    }
    take(registry, &entry, &budget, pod, dry_run).await
}

/// Pods that run no more, or end anyway, are disrupted by nothing.
fn is_over(pod: &Value) -> bool {
    matches!(meta::text(pod, "status.phase"), "Succeeded" | "Failed")
        || meta::deletion_timestamp(pod).is_some()
}

async fn budget_of(registry: &Registry<'_>, pod: &Value) -> Result<Option<(Entry, Value)>, Status> {
    let prefix = keys::collection("poddisruptionbudgets", registry.namespace);
    let page = registry
        .api
        .store
        .range(Range::prefix(prefix))
        .await
        .map_err(store_failure)?;
    let mut covering = None;
    for entry in page.entries {
        let budget: Value = serde_json::from_slice(&entry.value).map_err(Status::internal)?;
        let selector = LabelSelector::from_object(&budget["spec"]["selector"]);
        if !selector.is_ok_and(|s| s.matches_object(pod)) {
            continue;
        }
        if covering.replace((entry, budget)).is_some() {
            return Err(Status::internal(
                "This pod has more than one PodDisruptionBudget, which the eviction subresource does not support.",
            ));
        }
    }
    Ok(covering)
}

/// Takes the pod's share of the budget.
async fn take(
    registry: &Registry<'_>,
    entry: &Entry,
    budget: &Value,
    pod: &Value,
    dry_run: bool,
) -> Result<Leave, Status> {
    let name = meta::name(budget);
    let count = |field: &str| budget["status"][field].as_i64().unwrap_or(0);
    let allowed = count("disruptionsAllowed");
    if count("observedGeneration") < meta::generation(budget) {
        let why = "The disruption budget has not yet been processed";
        return Err(refusal(name, why, RETRY_SECONDS));
    }
    let unconfirmed = budget["status"]["disruptedPods"].as_object();
    if unconfirmed.is_some_and(|pods| pods.len() > UNCONFIRMED) {
        let budgets = Resource::new("policy", "poddisruptionbudget");
        let why = "DisruptedPods map too big - too many evictions not confirmed by PDB controller";
        return Err(Status::forbidden(budgets, name, why));
    }
    if allowed <= 0 {
        let needs = format!(
            "The disruption budget {name} needs {} healthy pods and has {} currently",
            count("desiredHealthy"),
            count("currentHealthy")
        );
        return Err(refusal(name, &needs, 0));
    }
    if dry_run {
        return Ok(Leave::Free);
    }
    let mut new = budget.clone();
    meta::set(&mut new, "status.disruptionsAllowed", allowed - 1);
    let now = apimachinery::time::rfc3339(jiff::Timestamp::now());
    meta::entry(meta::entry(&mut new, "status"), "disruptedPods")[meta::name(pod)] = now.into();
    let Value::Object(fields) = &new else {
        return Err(Status::internal(
            "a stored PodDisruptionBudget is no object",
        ));
    };
    match registry
        .api
        .store
        .put(
            &entry.key,
            bytes_json::encode(fields),
            Expect::At(entry.modified),
        )
        .await
    {
        Ok(_) => Ok(Leave::Free),
        Err(store::Error::Conflict { .. }) => {
            let why = "The disruption budget changed meanwhile";
            Ok(Leave::Overtaken(refusal(name, why, RETRY_SECONDS)))
        }
        Err(error) => Err(store_failure(error)),
    }
}

/// Whether pods that are not ready, and so not among the healthy ones that the
/// budget counts, go without a share of it.
fn lets_unready_go(budget: &Value) -> bool {
    let count = |field: &str| budget["status"][field].as_i64().unwrap_or(0);
    // The policy that holds where none is set: IfHealthyBudget.
    let is_healthy =
        count("desiredHealthy") > 0 && count("currentHealthy") >= count("desiredHealthy");
    is_healthy || meta::text(budget, "spec.unhealthyPodEvictionPolicy") == "AlwaysAllow"
}

fn is_ready(pod: &Value) -> bool {
    meta::items(pod, "status.conditions")
        .iter()
        .any(|c| c["type"] == "Ready" && c["status"] == "True")
}

fn refusal(budget: &str, why: &str, retry_seconds: u16) -> Status {
    let mut refused = Status::too_many_requests(
        "Cannot evict pod as it would violate the pod's disruption budget.",
        retry_seconds,
    );
    if let Some(details) = &mut refused.details {
        details.causes.push(status::Cause {
            reason: "DisruptionBudget".into(),
            message: why.to_owned(),
            field: String::new(),
        });
        details.name = budget.to_owned();
    }
    refused
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn unready_pods_go_where_enough_are_healthy_or_the_policy_says_always() {
        let budget = |policy: Option<&str>, current: i64, desired: i64| {
            json!({ "spec": { "unhealthyPodEvictionPolicy": policy },
                "status": { "currentHealthy": current, "desiredHealthy": desired } })
        };
        for policy in [None, Some("IfHealthyBudget")] {
            assert!(lets_unready_go(&budget(policy, 2, 2)));
            assert!(!lets_unready_go(&budget(policy, 1, 2)));
            // A budget that wants none has not been counted, or covers nothing.
            assert!(!lets_unready_go(&budget(policy, 0, 0)));
        }
        assert!(lets_unready_go(&budget(Some("AlwaysAllow"), 0, 2)));
    }
}
