use std::collections::BTreeMap;

use serde_json::{Value, json};

use super::*;
use crate::object::{ControllerRevision, StatefulSet};

const NOW: &str = "2026-01-01T00:01:00Z";

fn revision(name: &str) -> Arc<ControllerRevision> {
    let revision = json!({ "metadata": { "name": name }, "data": {}, "revision": 1 });
    Arc::new(serde_json::from_value(revision).unwrap())
}

/// A pod of revision `new`, unless its name says `old`: `3 old unready`.
fn pod(text: &str) -> Arc<Pod> {
    let mut words = text.split(' ');
    let name = format!("s-{}", words.next().unwrap());
    let words: Vec<&str> = words.collect();
    let is = |word: &str| words.contains(&word);
    let phase = match () {
        () if is("failed") => "Failed",
        () if is("succeeded") => "Succeeded",
        () => "Running",
    };
    let ready = if is("unready") { "False" } else { "True" };
    let since = if is("fresh") {
        "2026-01-01T00:00:55Z"
    } else {
        "2026-01-01T00:00:00Z"
    };
    let labels = json!({ "controller-revision-hash": if is("old") { "old" } else { "new" },
        "statefulset.kubernetes.io/pod-name": name,
        "apps.kubernetes.io/pod-index": name.strip_prefix("s-") });
    let ending = is("ending").then_some(NOW);
    let pod = json!({ "metadata": { "name": name, "labels": labels, "deletionTimestamp": ending },
        "status": { "phase": phase, "conditions": [
            { "type": "Ready", "status": ready, "lastTransitionTime": since }] } });
    Arc::new(serde_json::from_value(pod).unwrap())
}

fn planned(mut spec: Value, pods: &[&str]) -> Vec<String> {
    spec["selector"] = json!({});
    spec["template"] = json!({});
    let set: StatefulSet =
        serde_json::from_value(json!({ "metadata": { "name": "s" }, "spec": spec })).unwrap();
    let mut by_ordinal = BTreeMap::new();
    for text in pods {
        let pod = pod(text);
        by_ordinal.insert(identity::ordinal(&set, &pod).unwrap(), pod);
    }
    let view = View {
        set: Arc::new(set),
        pods: by_ordinal.into_values().collect(),
        current: revision("old"),
        update: revision("new"),
        now: NOW.parse().unwrap(),
    };
    let name = |pod: &Pod| pod.metadata.name.as_ref().unwrap()[2..].to_owned();
    let told = |step: &Step| match step {
        Step::Create(ordinal) if is_current_needed(&view, *ordinal) => {
            format!("create {ordinal} old")
        }
        Step::Create(ordinal) => format!("create {ordinal}"),
        Step::Identify(pod, _) => format!("identify {}", name(pod)),
        Step::Replace(pod) => format!("replace {}", name(pod)),
        Step::Remove(pod) => format!("remove {}", name(pod)),
    };
    steps(&view).iter().map(told).collect()
}

fn ordered(replicas: i32) -> Value {
    json!({ "replicas": replicas, "updateStrategy": { "type": "RollingUpdate", "rollingUpdate": { "partition": 0 } } })
}

fn parallel(replicas: i32) -> Value {
    let mut spec = ordered(replicas);
    spec["podManagementPolicy"] = "Parallel".into();
    spec
}

#[test]
fn ordered_set_makes_the_next_pod_only_when_all_before_are_available() {
    assert_eq!(planned(ordered(3), &[]), ["create 0"]);
    assert_eq!(planned(ordered(3), &["0"]), ["create 1"]);
    assert_eq!(planned(ordered(3), &["0 unready"]), [""; 0]);
    assert_eq!(planned(ordered(3), &["0 ending"]), [""; 0]);
    assert_eq!(planned(ordered(3), &["0", "2"]), ["create 1"]);
}

#[test]
fn pod_counts_as_available_only_after_min_ready_seconds() {
    let mut spec = ordered(2);
    spec["minReadySeconds"] = 10.into();
    assert_eq!(planned(spec.clone(), &["0 fresh"]), [""; 0]);
    assert_eq!(planned(spec, &["0"]), ["create 1"]);
}

#[test]
fn parallel_set_makes_and_removes_all_at_once() {
    assert_eq!(
        planned(parallel(3), &["1 unready"]),
        ["create 0", "create 2"]
    );
    assert_eq!(
        planned(parallel(1), &["0", "1 unready", "2"]),
        ["remove 2", "remove 1"]
    );
}

#[test]
fn ordered_set_removes_the_highest_first_and_waits_for_its_end() {
    assert_eq!(planned(ordered(1), &["0", "1", "2"]), ["remove 2"]);
    assert_eq!(planned(ordered(1), &["0", "1", "2 ending"]), [""; 0]);
    assert_eq!(planned(ordered(1), &["0 unready", "1"]), [""; 0]);
}

#[test]
fn ordered_set_is_held_by_unwell_pods_but_for_the_lowest() {
    assert_eq!(planned(ordered(0), &["0 unready", "1 unready"]), [""; 0]);
    assert_eq!(planned(ordered(0), &["0", "1 unready"]), ["remove 1"]);
}

#[test]
fn pod_that_has_ended_is_replaced_whatever_it_came_to() {
    assert_eq!(planned(ordered(2), &["0 failed", "1"]), ["replace 0"]);
    assert_eq!(planned(ordered(1), &["0 succeeded"]), ["replace 0"]);
    assert_eq!(planned(ordered(1), &["0 failed ending"]), [""; 0]);
}

#[test]
fn update_goes_from_the_highest_down_one_at_a_time() {
    assert_eq!(
        planned(ordered(3), &["0 old", "1 old", "2 old"]),
        ["remove 2"]
    );
    assert_eq!(
        planned(ordered(3), &["0 old", "1 old", "2 unready"]),
        [""; 0]
    );
    assert_eq!(planned(ordered(3), &["0 old", "1 old", "2"]), ["remove 1"]);
}

#[test]
fn pods_below_the_partition_keep_and_get_the_old_template() {
    let mut spec = ordered(3);
    spec["updateStrategy"]["rollingUpdate"]["partition"] = 2.into();
    assert_eq!(
        planned(spec.clone(), &["0 old", "1 old", "2 old"]),
        ["remove 2"]
    );
    assert_eq!(planned(spec.clone(), &["0 old", "1 old", "2"]), [""; 0]);
    assert_eq!(planned(spec.clone(), &["0 old", "2"]), ["create 1 old"]);
    assert_eq!(planned(spec, &["0 old", "1 old"]), ["create 2"]);
}

#[test]
fn update_may_have_as_many_unavailable_as_asked_for() {
    let mut spec = ordered(4);
    let pods = ["0 old", "1 old", "2 old", "3 old"];
    spec["updateStrategy"]["rollingUpdate"]["maxUnavailable"] = "50%".into();
    assert_eq!(planned(spec.clone(), &pods), ["remove 3", "remove 2"]);
    spec["updateStrategy"]["rollingUpdate"]["maxUnavailable"] = "10%".into();
    assert_eq!(planned(spec, &pods), ["remove 3"]);
}

#[test]
fn parallel_update_takes_unavailable_pods_first_and_for_nothing() {
    let mut spec = parallel(4);
    let pods = ["0 old unready", "1 old", "2 old", "3 old"];
    assert_eq!(planned(spec.clone(), &pods), ["remove 0"]);
    spec["updateStrategy"]["rollingUpdate"]["maxUnavailable"] = 2.into();
    assert_eq!(planned(spec, &pods), ["remove 3", "remove 0"]);
}

#[test]
fn on_delete_updates_only_what_somebody_else_deletes() {
    let spec = json!({ "replicas": 2, "updateStrategy": { "type": "OnDelete" } });
    assert_eq!(planned(spec.clone(), &["0 old", "1 old"]), [""; 0]);
    assert_eq!(planned(spec, &["0 old"]), ["create 1"]);
}

#[test]
fn ordinals_start_where_asked() {
    let mut spec = ordered(2);
    spec["ordinals"] = json!({ "start": 5 });
    assert_eq!(planned(spec.clone(), &["5"]), ["create 6"]);
    assert_eq!(planned(spec, &["0", "5", "6"]), ["remove 0"]);
}
