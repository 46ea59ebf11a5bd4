//! A budget's status, from its pods.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use apimachinery::int_or_percent::{Rounding, resolve};
use jiff::{SignedDuration, Timestamp};
use k8s_openapi::api::policy::v1::{PodDisruptionBudget, PodDisruptionBudgetStatus};
use k8s_openapi::apimachinery::pkg::apis::meta::v1::{Condition, Time};
use serde_json::{Value, json};

use crate::object::Pod;

/// An eviction that has not led to a deletion by then never will.
const EVICTION_HOLDS: SignedDuration = SignedDuration::from_mins(2);

/// The status of a budget whose `pods` are there, where `wanted` should be.
pub fn status(
    budget: &PodDisruptionBudget,
    pods: &[Arc<Pod>],
    wanted: i32,
    now: Timestamp,
) -> PodDisruptionBudgetStatus {
    let evicted = evicted(budget, pods, now);
    let is_healthy = |pod: &&Arc<Pod>| {
        let name = pod.metadata.name.as_deref().unwrap_or_default();
        pod.is_ready() && pod.metadata.deletion_timestamp.is_none() && !evicted.contains_key(name)
    };
    let healthy = number(pods.iter().filter(is_healthy).count());
    let (expected, desired) = desired(budget, number(pods.len()), wanted);
    let allowed = if expected > 0 {
        (healthy - desired).max(0)
    } else {
        0
    };
    PodDisruptionBudgetStatus {
        observed_generation: budget.metadata.generation,
        disruptions_allowed: Some(allowed),
        current_healthy: Some(healthy),
        desired_healthy: Some(desired),
        expected_pods: Some(expected),
        disrupted_pods: (!evicted.is_empty()).then_some(evicted),
        conditions: Some(vec![condition(budget, allowed, now)]),
    }
}

/// How many pods are expected, and how many of them must stay healthy.
fn desired(budget: &PodDisruptionBudget, there: i32, wanted: i32) -> (i32, i32) {
    let spec = budget.spec.clone().unwrap_or_default();
    let of = |value: &Value, total: i32| {
        let count = resolve(value, total.into(), Rounding::Up).unwrap_or(0);
        i32::try_from(count).unwrap_or(i32::MAX)
    };
    match (spec.min_available, spec.max_unavailable) {
        (_, Some(most)) => (
            wanted,
            wanted.saturating_sub(of(&json!(most), wanted)).max(0),
        ),
        (Some(least), None) => match json!(least) {
            Value::Number(number) => (there, of(&Value::Number(number), there)),
            share => (wanted, of(&share, wanted)),
        },
        // Without a word, one pod less is one too few.
        (None, None) => (there, there),
    }
}

/// Pods whose eviction was granted and has not shown yet.
fn evicted(
    budget: &PodDisruptionBudget,
    pods: &[Arc<Pod>],
    now: Timestamp,
) -> BTreeMap<String, Time> {
    let noted = budget
        .status
        .as_ref()
        .and_then(|s| s.disrupted_pods.clone());
    let mut noted = noted.unwrap_or_default();
    let is_alive = |name: &String| {
        let mut pods = pods.iter();
        pods.any(|p| {
            p.metadata.name.as_ref() == Some(name) && p.metadata.deletion_timestamp.is_none()
        })
    };
    noted.retain(|name, at| at.0 + EVICTION_HOLDS > now && is_alive(name));
    noted
}

fn condition(budget: &PodDisruptionBudget, allowed: i32, now: Timestamp) -> Condition {
    let (status, reason) = if allowed > 0 {
        ("True", "SufficientPods")
    } else {
        ("False", "InsufficientPods")
    };
    let known = budget.status.as_ref().and_then(|s| s.conditions.as_ref());
    let same = known.into_iter().flatten().find(|c| c.status == status);
    Condition {
        type_: "DisruptionAllowed".into(),
        status: status.into(),
        reason: reason.into(),
        message: String::new(),
        observed_generation: budget.metadata.generation,
        last_transition_time: same.map_or(Time(now), |c| c.last_transition_time.clone()),
    }
}

/// When the next granted eviction no longer holds.
pub fn next_look(status: &PodDisruptionBudgetStatus, now: Timestamp) -> Option<Duration> {
    let first = status
        .disrupted_pods
        .as_ref()?
        .values()
        .map(|at| at.0)
        .min()?;
    let wait = (first + EVICTION_HOLDS).duration_since(now);
    Some(Duration::try_from(wait).unwrap_or_default())
}

/// In a merge patch, an evicted pod that is left out would stay.
pub fn with_nulls(status: &PodDisruptionBudgetStatus, budget: &PodDisruptionBudget) -> Value {
    let mut value = json!(status);
    let before = budget
        .status
        .as_ref()
        .and_then(|s| s.disrupted_pods.as_ref());
    for name in before.into_iter().flatten().map(|(name, _)| name) {
        if value["disruptedPods"].get(name).is_none() {
            value["disruptedPods"][name] = Value::Null;
        }
    }
    value
}

fn number(count: usize) -> i32 {
    i32::try_from(count).unwrap_or(i32::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn budget(spec: Value, disrupted: Value) -> PodDisruptionBudget {
        serde_json::from_value(json!({ "metadata": { "name": "b", "generation": 1 }, "spec": spec,
            "status": { "disruptionsAllowed": 0, "currentHealthy": 0, "desiredHealthy": 0, "expectedPods": 0,
                "disruptedPods": disrupted } }))
        .unwrap()
    }

    fn pods(ready: usize, unready: usize) -> Vec<Arc<Pod>> {
        let pod = |number: usize| {
            let status = if number < ready { "True" } else { "False" };
            json!({ "metadata": { "name": format!("p{number}") },
                "status": { "conditions": [{ "type": "Ready", "status": status }] } })
        };
        let pods = (0..ready + unready).map(|n| serde_json::from_value(pod(n)).unwrap());
        pods.map(Arc::new).collect()
    }

    fn counts(spec: Value, pods: &[Arc<Pod>], wanted: i32) -> [i32; 4] {
        let status = status(
            &budget(spec, json!({})),
            pods,
            wanted,
            Timestamp::UNIX_EPOCH,
        );
        [
            status.expected_pods,
            status.desired_healthy,
            status.current_healthy,
            status.disruptions_allowed,
        ]
        .map(Option::unwrap)
    }

    #[test]
    fn number_that_must_be_available_counts_the_pods_that_are_there() {
        assert_eq!(
            counts(json!({ "minAvailable": 2 }), &pods(2, 0), 5),
            [2, 2, 2, 0]
        );
        assert_eq!(
            counts(json!({ "minAvailable": 2 }), &pods(3, 1), 5),
            [4, 2, 3, 1]
        );
    }

    #[test]
    fn share_counts_the_pods_there_should_be_and_rounds_up() {
        assert_eq!(
            counts(json!({ "minAvailable": "50%" }), &pods(4, 0), 5),
            [5, 3, 4, 1]
        );
        assert_eq!(
            counts(json!({ "maxUnavailable": "30%" }), &pods(4, 0), 5),
            [5, 3, 4, 1]
        );
        assert_eq!(
            counts(json!({ "maxUnavailable": 1 }), &pods(4, 1), 5),
            [5, 4, 4, 0]
        );
    }

    #[test]
    fn evicted_pod_counts_as_gone_for_two_minutes() {
        let disrupted = json!({ "p0": "2026-01-01T00:00:00Z", "gone": "2026-01-01T00:00:00Z" });
        let budget = budget(json!({ "minAvailable": 1 }), disrupted);
        let at = |time: &str| status(&budget, &pods(2, 0), 2, time.parse().unwrap());
        let soon = at("2026-01-01T00:01:00Z");
        assert_eq!(soon.current_healthy, Some(1));
        assert_eq!(soon.disrupted_pods.as_ref().unwrap().len(), 1);
        assert_eq!(
            with_nulls(&soon, &budget)["disruptedPods"]["gone"],
            Value::Null
        );
        assert_eq!(at("2026-01-01T00:02:00Z").current_healthy, Some(2));
    }
}
