use serde_json::json;

use super::*;
use crate::object::DaemonSet;

const NOW: &str = "2026-01-01T00:01:00Z";

fn pod(words: &str, at: usize) -> Arc<Pod> {
    let is = |word: &str| words.split(' ').any(|w| w == word);
    let phase = match () {
        () if is("failed") => "Failed",
        () if is("succeeded") => "Succeeded",
        () => "Running",
    };
    let ready = if is("unready") { "False" } else { "True" };
    let hash = if is("old") { "1" } else { "2" };
    let node = (!is("unplaced")).then_some("n");
    let since = if is("fresh") {
        "2026-01-01T00:00:55Z"
    } else {
        "2026-01-01T00:00:00Z"
    };
    let pod = json!({
        "metadata": { "name": format!("{words} {at}"), "labels": { "controller-revision-hash": hash },
            "deletionTimestamp": is("ending").then_some(NOW) },
        "spec": { "nodeName": node },
        "status": { "phase": phase, "conditions": [
            { "type": "Ready", "status": ready, "lastTransitionTime": since }] } });
    Arc::new(serde_json::from_value(pod).unwrap())
}

/// Places by what they are to the set and the pods there: `runs: old, ending`.
fn planned(strategy: Value, places: &[&str]) -> Vec<String> {
    let spec = json!({ "selector": {}, "template": {}, "minReadySeconds": 10, "updateStrategy": strategy });
    let set: DaemonSet =
        serde_json::from_value(json!({ "metadata": { "name": "d" }, "spec": spec })).unwrap();
    let update = json!({ "metadata": { "labels": { "controller-revision-hash": "2" } } });
    let place = |(at, text): (usize, &&str)| {
        let (verdict, pods) = text.split_once(':').unwrap();
        let pods = pods.split(',').map(str::trim).filter(|p| !p.is_empty());
        Place {
            node: format!("n{at}"),
            verdict: match verdict {
                "runs" => Verdict::Runs,
                "keeps" => Verdict::Keeps,
                "refuses" => Verdict::Refuses,
                _ => Verdict::NoNode,
            },
            pods: pods.map(|words| pod(words, at)).collect(),
        }
    };
    let view = View {
        set: Arc::new(set),
        update: Arc::new(serde_json::from_value(update).unwrap()),
        places: places.iter().enumerate().map(place).collect(),
        resting: ["n9".to_owned()].into(),
        now: NOW.parse().unwrap(),
    };
    let plan = plan(&view);
    let created = plan.create.iter().map(|node| format!("create {node}"));
    let deleted = plan.delete.iter();
    let deleted =
        deleted.map(|(pod, ..)| format!("delete {}", pod.metadata.name.as_ref().unwrap()));
    created.chain(deleted).collect()
}

fn rolling(unavailable: Value, surge: Value) -> Value {
    json!({ "type": "RollingUpdate", "rollingUpdate": { "maxUnavailable": unavailable, "maxSurge": surge } })
}

fn one_by_one(places: &[&str]) -> Vec<String> {
    planned(rolling(json!(1), json!(0)), places)
}

const NOTHING: [&str; 0] = [];

#[test]
fn each_node_that_runs_the_pod_has_one() {
    assert_eq!(
        one_by_one(&["runs:", "runs: new", "keeps:", "refuses:"]),
        ["create n0"]
    );
    assert_eq!(one_by_one(&["runs: ending"]), NOTHING);
    assert_eq!(one_by_one(&["runs: new, unready"]), ["delete unready 0"]);
}

#[test]
fn pods_leave_nodes_that_refuse_them_and_stay_where_they_are_kept() {
    let places = ["refuses: new", "keeps: new", "gone: new", "gone: unplaced"];
    assert_eq!(one_by_one(&places), ["delete new 0", "delete unplaced 3"]);
}

#[test]
fn pod_that_has_ended_is_deleted_but_not_on_a_node_that_rests() {
    assert_eq!(
        one_by_one(&["runs: failed", "runs: succeeded"]),
        ["delete failed 0", "delete succeeded 1"]
    );
    let mut places = ["runs: new"; 10];
    places[9] = "runs: failed";
    assert_eq!(one_by_one(&places), NOTHING);
}

#[test]
fn old_pods_go_as_many_as_may_be_unavailable() {
    assert_eq!(one_by_one(&["runs: old", "runs: old"]), ["delete old 0"]);
    assert_eq!(one_by_one(&["runs: old", "runs: unready"]), NOTHING);
    assert_eq!(one_by_one(&["runs: old", "runs: fresh"]), NOTHING);
    assert_eq!(one_by_one(&["runs: old", "runs: ending"]), NOTHING);
    let half = rolling(json!("50%"), json!(0));
    assert_eq!(
        planned(half, &["runs: old", "runs: old", "runs: old"]),
        ["delete old 0", "delete old 1"]
    );
}

#[test]
fn old_pod_that_is_not_available_goes_at_once() {
    assert_eq!(
        one_by_one(&["runs: old", "runs: old unready", "runs: unready"]),
        ["delete old unready 1"]
    );
}

#[test]
fn rollout_by_surge_makes_new_pods_beside_the_old() {
    let surge = || rolling(json!(0), json!(1));
    assert_eq!(planned(surge(), &["runs: old", "runs: old"]), ["create n0"]);
    assert_eq!(
        planned(surge(), &["runs: old, fresh", "runs: old"]),
        NOTHING
    );
    assert_eq!(
        planned(surge(), &["runs: old, new", "runs: old"]),
        ["delete old 0"]
    );
    assert_eq!(
        planned(surge(), &["runs: old unready, unready", "runs: old"]),
        ["delete old unready 0"]
    );
    assert_eq!(planned(surge(), &["keeps: old"]), NOTHING);
    assert_eq!(planned(surge(), &["runs: ending"]), ["create n0"]);
}

#[test]
fn on_delete_updates_only_what_somebody_else_deletes() {
    let strategy = json!({ "type": "OnDelete" });
    assert_eq!(
        planned(strategy.clone(), &["runs: old", "runs: old"]),
        NOTHING
    );
    assert_eq!(planned(strategy, &["runs: old", "runs:"]), ["create n1"]);
}
