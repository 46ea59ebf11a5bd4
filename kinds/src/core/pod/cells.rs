//! What `kubectl get pods` shows: one word for everything a pod may be going through.

use apimachinery::{duration, meta};
use jiff::Timestamp;
use serde_json::Value;

use crate::columns;
use crate::text_cells::{NONE, or_none};

/// What the containers' states add up to.
struct Summary {
    word: String,
    ready: usize,
    total: usize,
    restarts: i64,
    /// When a container was last restarted.
    restarted: Option<Timestamp>,
}

pub fn row(pod: &Value, now: Timestamp) -> Vec<Value> {
    let summary = summarize(pod);
    vec![
        columns::name(pod),
        format!("{}/{}", summary.ready, summary.total).into(),
        summary.word.as_str().into(),
        restarts(&summary, now).into(),
        columns::age(pod, now),
        address(pod).into(),
        or_none(meta::text(pod, "spec.nodeName")).into(),
        or_none(meta::text(pod, "status.nominatedNodeName")).into(),
        gates(pod).into(),
    ]
}

fn restarts(summary: &Summary, now: Timestamp) -> String {
    match summary.restarted.filter(|_| summary.restarts > 0) {
        Some(at) => {
            let ago = duration::human(now.as_second() - at.as_second());
            format!("{} ({ago} ago)", summary.restarts)
        }
        None => summary.restarts.to_string(),
    }
}

fn address(pod: &Value) -> &str {
    let first = meta::items(pod, "status.podIPs").first();
    let address = first.map_or_else(
        || meta::text(pod, "status.podIP"),
        |ip| meta::text(ip, "ip"),
    );
    or_none(address)
}

fn gates(pod: &Value) -> String {
    let gates = meta::items(pod, "spec.readinessGates");
    if gates.is_empty() {
        return NONE.to_owned();
    }
    let held = gates
        .iter()
        .filter(|gate| condition(pod, meta::text(gate, "conditionType")).is_some_and(is_true));
    format!("{}/{}", held.count(), gates.len())
}

fn condition<'a>(pod: &'a Value, kind: &str) -> Option<&'a Value> {
    let mut conditions = meta::items(pod, "status.conditions").iter();
    conditions.find(|condition| meta::text(condition, "type") == kind)
}

fn is_true(condition: &Value) -> bool {
    meta::text(condition, "status") == "True"
}

fn summarize(pod: &Value) -> Summary {
    let mut summary = Summary {
        word: first_word(pod),
        ready: 0,
        total: meta::items(pod, "spec.containers").len() + sidecars(pod).count(),
        restarts: 0,
        restarted: None,
    };
    let mut kept = (0, None);
    let initializing = init_containers(pod, &mut summary, &mut kept);
    let initialized = condition(pod, "Initialized").is_some_and(is_true);
    if !initializing || initialized {
        (summary.restarts, summary.restarted) = kept;
        containers(pod, &mut summary);
    }
    being_deleted(pod, &mut summary);
    summary
}

fn first_word(pod: &Value) -> String {
    let gated = condition(pod, "PodScheduled")
        .is_some_and(|condition| meta::text(condition, "reason") == "SchedulingGated");
    let reason = match meta::text(pod, "status.reason") {
        _ if gated => "SchedulingGated",
        "" => meta::text(pod, "status.phase"),
        reason => reason,
    };
    reason.to_owned()
}

fn sidecars(pod: &Value) -> impl Iterator<Item = &str> {
    meta::items(pod, "spec.initContainers")
        .iter()
        .filter(|container| meta::text(container, "restartPolicy") == "Always")
        .map(|container| meta::text(container, "name"))
}

/// The first init container that is not done names the state; true if there is one.
/// `kept` counts what stays of interest afterwards: the restarts of sidecars.
fn init_containers(
    pod: &Value,
    summary: &mut Summary,
    kept: &mut (i64, Option<Timestamp>),
) -> bool {
    let total = meta::items(pod, "spec.initContainers").len();
    for (index, status) in meta::items(pod, "status.initContainerStatuses")
        .iter()
        .enumerate()
    {
        let is_sidecar = sidecars(pod).any(|name| name == meta::text(status, "name"));
        count_restarts(status, &mut summary.restarts, &mut summary.restarted);
        if is_sidecar {
            count_restarts(status, &mut kept.0, &mut kept.1);
        }
        if is_sidecar && meta::flag(status, "started") {
            summary.ready += usize::from(meta::flag(status, "ready"));
            continue;
        }
        let terminated = meta::get(status, "state.terminated");
        let waiting = meta::text(status, "state.waiting.reason");
        summary.word = match terminated {
            Some(end) if meta::int(end, "exitCode") == Some(0) => continue,
            Some(end) => format!("Init:{}", ending(end)),
            None if !waiting.is_empty() && waiting != "PodInitializing" => {
                format!("Init:{waiting}")
            }
            None => format!("Init:{index}/{total}"),
        };
        return true;
    }
    false
}

fn count_restarts(status: &Value, restarts: &mut i64, last: &mut Option<Timestamp>) {
    *restarts += meta::int(status, "restartCount").unwrap_or(0);
    let finished = meta::text(status, "lastState.terminated.finishedAt")
        .parse()
        .ok();
    *last = (*last).max(finished);
}

/// Why a container ended: its reason, or signal, or exit code.
fn ending(end: &Value) -> String {
    match (
        meta::text(end, "reason"),
        meta::int(end, "signal").unwrap_or(0),
    ) {
        ("", 0) => format!("ExitCode:{}", meta::int(end, "exitCode").unwrap_or(0)),
        ("", signal) => format!("Signal:{signal}"),
        (reason, _) => reason.to_owned(),
    }
}

fn containers(pod: &Value, summary: &mut Summary) {
    let mut running = false;
    for status in meta::items(pod, "status.containerStatuses").iter().rev() {
        count_restarts(status, &mut summary.restarts, &mut summary.restarted);
        let waiting = meta::text(status, "state.waiting.reason");
        if !waiting.is_empty() {
            waiting.clone_into(&mut summary.word);
        } else if let Some(end) = meta::get(status, "state.terminated") {
            summary.word = ending(end);
        } else if meta::flag(status, "ready") && meta::get(status, "state.running").is_some() {
            running = true;
            summary.ready += 1;
        }
    }
    if summary.word == "Completed" && running {
        let ready = condition(pod, "Ready").is_some_and(is_true);
        let word = if ready { "Running" } else { "NotReady" };
        word.clone_into(&mut summary.word);
    }
}

fn being_deleted(pod: &Value, summary: &mut Summary) {
    if meta::deletion_timestamp(pod).is_none() {
        return;
    }
    let ended = matches!(meta::text(pod, "status.phase"), "Failed" | "Succeeded");
    if meta::text(pod, "status.reason") == "NodeLost" {
        "Unknown".clone_into(&mut summary.word);
    } else if !ended {
        "Terminating".clone_into(&mut summary.word);
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn word(pod: &Value) -> String {
        summarize(pod).word
    }

    #[test]
    fn a_crashing_container_names_the_state_and_its_restarts() {
        let pod = json!({"spec": {"containers": [{"name": "a"}]}, "status": {"phase": "Running",
            "containerStatuses": [{"name": "a", "restartCount": 4, "ready": false,
                "state": {"waiting": {"reason": "CrashLoopBackOff"}},
                "lastState": {"terminated": {"finishedAt": "2026-01-01T00:00:00Z"}}}]}});
        let now = "2026-01-01T00:01:00Z".parse().expect("time");
        let cells = row(&pod, now);
        assert_eq!(
            cells[1..4],
            [
                json!("0/1"),
                json!("CrashLoopBackOff"),
                json!("4 (60s ago)")
            ]
        );
    }

    #[test]
    fn init_containers_show_how_far_they_are() {
        let pod = json!({"spec": {"initContainers": [{"name": "i"}, {"name": "j"}], "containers": [{"name": "a"}]},
            "status": {"phase": "Pending", "initContainerStatuses": [
                {"name": "i", "state": {"terminated": {"exitCode": 0}}},
                {"name": "j", "state": {"running": {}}}]}});
        assert_eq!(word(&pod), "Init:1/2");
    }

    #[test]
    fn a_pod_being_deleted_is_terminating_unless_it_has_ended() {
        let pod = |phase| json!({"metadata": {"deletionTimestamp": "2026-01-01T00:00:00Z"}, "status": {"phase": phase}});
        assert_eq!(word(&pod("Running")), "Terminating");
        assert_eq!(word(&pod("Succeeded")), "Succeeded");
    }
}
