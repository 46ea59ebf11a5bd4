//! What a pod waits for: from its conditions, its containers' states and the
//! events that explain them.

use apimachinery::selector::LabelSelector;
use serde_json::Value;

use super::facts::{Claim, Facts, condition};
use super::timeline::ending;
use crate::cluster::text;

/// A pod's state in a word or two.
pub fn state(facts: &Facts, waits: &[String]) -> String {
    let phase = text(&facts.pod, "/status/phase");
    if facts.pod["metadata"].get("deletionTimestamp").is_some() {
        return "being deleted".into();
    }
    match phase {
        "Succeeded" => return "has succeeded".into(),
        "Failed" => return format!("has failed: {}", failure(&facts.pod)),
        _ => {}
    }
    if waits.is_empty() && is_true(facts.condition("Ready")) {
        return "runs and is ready".into();
    }
    format!("{phase}, not ready")
}

fn failure(pod: &Value) -> String {
    let said = [text(pod, "/status/reason"), text(pod, "/status/message")];
    let said: Vec<&str> = said.into_iter().filter(|text| !text.is_empty()).collect();
    if said.is_empty() {
        return "a container ended with an error".into();
    }
    said.join(": ")
}

fn is_true(condition: Option<&Value>) -> bool {
    condition.is_some_and(|condition| condition["status"] == "True")
}

/// What must happen next, one line each; empty when nothing must.
pub fn of(facts: &Facts) -> Vec<String> {
    let pod = &facts.pod;
    if pod["metadata"].get("deletionTimestamp").is_some() {
        return until_deleted(facts);
    }
    if matches!(text(pod, "/status/phase"), "Succeeded" | "Failed")
        || is_true(facts.condition("Ready"))
    {
        return Vec::new();
    }
    if text(pod, "/spec/nodeName").is_empty() {
        return until_scheduled(facts);
    }
    if let Some(waits) = on_node(facts) {
        return vec![waits];
    }
    let waits = containers(facts);
    if waits.is_empty() {
        return until_ready(facts);
    }
    waits
}

fn until_deleted(facts: &Facts) -> Vec<String> {
    let finalizers = facts.pod["metadata"]["finalizers"].as_array();
    let finalizers: Vec<&str> = finalizers
        .into_iter()
        .flatten()
        .filter_map(Value::as_str)
        .collect();
    if !finalizers.is_empty() {
        return vec![format!(
            "finalizers, which others must remove: {}",
            finalizers.join(", ")
        )];
    }
    let mut waits = vec![format!(
        "its containers to end, at the latest at {}",
        text(&facts.pod, "/metadata/deletionTimestamp")
    )];
    waits.extend(lost_node(facts));
    waits
}

fn until_scheduled(facts: &Facts) -> Vec<String> {
    let mut waits = Vec::new();
    match facts.condition("PodScheduled") {
        Some(found) if found["reason"] == "SchedulingGated" => {
            let gates = facts.pod["spec"]["schedulingGates"].as_array();
            let gates = gates.into_iter().flatten().map(|gate| text(gate, "/name"));
            let gates: Vec<&str> = gates.collect();
            waits.push(format!(
                "its scheduling gates to be removed: {}",
                gates.join(", ")
            ));
        }
        Some(found) => waits.push(format!("a node: {}", text(found, "/message"))),
        None => waits.push(format!(
            "the scheduler {:?}, which has said nothing yet; does it run?",
            text(&facts.pod, "/spec/schedulerName")
        )),
    }
    waits.extend(facts.claims.iter().filter_map(claim));
    waits
}

fn claim(claim: &Claim) -> Option<String> {
    let name = &claim.name;
    if claim.object.is_null() {
        return Some(format!(
            "PersistentVolumeClaim {name}, which does not exist"
        ));
    }
    let phase = text(&claim.object, "/status/phase");
    if phase == "Bound" {
        return None;
    }
    let newest = claim
        .events
        .iter()
        .max_by_key(|event| super::facts::last_time(event));
    let why = newest.map_or_else(String::new, |event| {
        format!(": {}", text(event, "/message"))
    });
    Some(format!(
        "PersistentVolumeClaim {name}, which is {phase}{why}"
    ))
}

/// What keeps the node from starting any container.
fn on_node(facts: &Facts) -> Option<String> {
    if let Some(lost) = lost_node(facts) {
        return Some(lost);
    }
    let name = text(&facts.pod, "/spec/nodeName");
    if text(&facts.pod, "/status/startTime").is_empty() {
        return Some(format!("node {name} to take it; does its agent run?"));
    }
    if is_true(facts.condition("PodReadyToStartContainers")) || !has_sandbox_condition(facts) {
        return None;
    }
    let trouble = facts.last(&[
        "FailedMount",
        "FailedAttachVolume",
        "FailedCreatePodSandBox",
        "NetworkNotReady",
    ]);
    Some(match trouble {
        Some(event) => format!(
            "its volumes and network: {}: {}",
            text(event, "/reason"),
            text(event, "/message")
        ),
        None => "its volumes and network".to_owned(),
    })
}

fn has_sandbox_condition(facts: &Facts) -> bool {
    facts.condition("PodReadyToStartContainers").is_some()
}

fn lost_node(facts: &Facts) -> Option<String> {
    let ready = condition(&facts.node, "Ready")?;
    (ready["status"] != "True").then(|| {
        format!(
            "node {}, which is not Ready since {}: {}",
            text(&facts.node, "/metadata/name"),
            text(ready, "/lastTransitionTime"),
            text(ready, "/message")
        )
    })
}

/// Init containers one after another, then all others.
fn containers(facts: &Facts) -> Vec<String> {
    let status = &facts.pod["status"];
    let inits = status["initContainerStatuses"]
        .as_array()
        .into_iter()
        .flatten();
    if let Some(waits) = inits.filter_map(|init| init_container(facts, init)).next() {
        return vec![waits];
    }
    let mains = status["containerStatuses"].as_array().into_iter().flatten();
    mains.filter_map(|main| container(facts, main)).collect()
}

fn init_container(facts: &Facts, status: &Value) -> Option<String> {
    if status["ready"] == true || status["state"]["terminated"]["exitCode"] == 0 {
        return None;
    }
    let name = text(status, "/name");
    if status["state"].get("running").is_some() && status["started"] == true {
        return Some(format!(
            "init container {name} to end; it runs since {}",
            since(status)
        ));
    }
    container(facts, status).map(|waits| format!("init {waits}"))
}

fn since(status: &Value) -> &str {
    text(status, "/state/running/startedAt")
}

fn container(facts: &Facts, status: &Value) -> Option<String> {
    let name = text(status, "/name");
    if status["ready"] == true {
        return None;
    }
    if let Some(waiting) = status["state"].get("waiting") {
        return Some(format!(
            "container {name}: {}",
            waiting_words(facts, status, waiting)
        ));
    }
    if let Some(ended) = status["state"].get("terminated") {
        return Some(format!(
            "container {name}, which has ended: {}",
            ending(ended)
        ));
    }
    let (probe, is) = if status["started"] == true {
        ("readiness", "is not ready")
    } else {
        ("startup", "has not started up")
    };
    let field = format!("{{{name}}}");
    let is_its = |event: &&Value| {
        text(event, "/reason") == "Unhealthy"
            && text(event, "/involvedObject/fieldPath").contains(&field)
    };
    let failing = facts
        .events
        .iter()
        .filter(is_its)
        .max_by_key(|event| super::facts::last_time(event));
    let why = failing.map_or_else(String::new, |event| {
        format!(": {}", text(event, "/message"))
    });
    Some(format!(
        "the {probe} probe of container {name}, which runs since {} and {is}{why}",
        since(status)
    ))
}

fn waiting_words(facts: &Facts, status: &Value, waiting: &Value) -> String {
    let reason = text(waiting, "/reason");
    let mut words = match text(waiting, "/message") {
        "" => reason.to_owned(),
        message => format!("{reason}: {message}"),
    };
    match reason {
        // The message tells only that there is a pause; an event tells of what.
        "ImagePullBackOff" | "ErrImagePull" => {
            let failed = |event: &&Value| text(event, "/message").starts_with("Failed to pull");
            let failed = facts
                .events
                .iter()
                .filter(failed)
                .max_by_key(|event| super::facts::last_time(event));
            if let Some(event) = failed {
                words.push_str(&format!("; {}", text(event, "/message")));
            }
        }
        "CrashLoopBackOff" => {
            let ended = &status["lastState"]["terminated"];
            let restarts = status["restartCount"].as_u64().unwrap_or(0);
            words.push_str(&format!(
                "; {restarts} restarts, the last run ended with {}",
                ending(ended)
            ));
        }
        _ => {}
    }
    words
}

/// All containers are ready and the pod is not.
fn until_ready(facts: &Facts) -> Vec<String> {
    let gates = facts.pod["spec"]["readinessGates"]
        .as_array()
        .into_iter()
        .flatten();
    let gates = gates.map(|gate| text(gate, "/conditionType"));
    let unmet: Vec<&str> = gates
        .filter(|gate| !is_true(facts.condition(gate)))
        .collect();
    if !unmet.is_empty() {
        return vec![format!(
            "readiness gates, which others must set: {}",
            unmet.join(", ")
        )];
    }
    vec!["its status to be told by its node".into()]
}

/// What does not hold the pod up, but is worth knowing.
pub fn notes(facts: &Facts) -> Vec<String> {
    let mut notes = Vec::new();
    let labels = facts.pod["metadata"]["labels"].as_object();
    for budget in &facts.budgets {
        let selects = LabelSelector::from_object(&budget["spec"]["selector"]);
        let is_its = selects.is_ok_and(|selector| selector.matches(labels));
        if is_its && budget["status"]["disruptionsAllowed"] == 0 {
            notes.push(format!(
                "PodDisruptionBudget {} forbids evicting it now ({} of {} pods are healthy)",
                text(budget, "/metadata/name"),
                budget["status"]["currentHealthy"],
                budget["status"]["expectedPods"],
            ));
        }
    }
    let cordoned = facts.node["spec"]["unschedulable"] == true;
    if cordoned {
        notes.push(format!(
            "node {} is cordoned",
            text(&facts.node, "/metadata/name")
        ));
    }
    notes
}

#[cfg(test)]
mod tests;
