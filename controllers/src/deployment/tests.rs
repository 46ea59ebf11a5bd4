use super::*;
use serde_json::json;

fn set(
    name: &str,
    image: &str,
    replicas: i32,
    available: i32,
    annotations: Value,
) -> Arc<ReplicaSet> {
    Arc::new(
        serde_json::from_value(json!({
            "metadata": { "name": name, "annotations": annotations,
                "creationTimestamp": format!("2026-01-01T00:00:0{}Z", name.len()) },
            "spec": { "replicas": replicas, "selector": {}, "template": template(image) },
            "status": { "replicas": replicas, "readyReplicas": available, "availableReplicas": available },
        }))
        .unwrap(),
    )
}

fn template(image: &str) -> Value {
    json!({ "metadata": { "labels": { "app": "a" } }, "spec": { "containers": [{ "image": image }] } })
}

fn rollout(
    replicas: i32,
    surge: Value,
    unavailable: Value,
    new: Option<Arc<ReplicaSet>>,
    old: Vec<Arc<ReplicaSet>>,
) -> Rollout {
    let deployment = json!({
        "metadata": { "name": "d", "namespace": "n" },
        "spec": { "replicas": replicas, "selector": {}, "template": template("new"),
            "progressDeadlineSeconds": 600,
            "strategy": { "type": "RollingUpdate",
                "rollingUpdate": { "maxSurge": surge, "maxUnavailable": unavailable } } },
    });
    Rollout {
        key: Key::new("n", "d"),
        deployment: Arc::new(serde_json::from_value(deployment).unwrap()),
        new,
        old,
    }
}

#[test]
fn percentages_round_surge_up_and_unavailable_down() {
    let rollout = rollout(3, json!("25%"), json!("25%"), None, vec![]);
    let slack = strategy::slack(&rollout.deployment);
    assert_eq!((slack.surge, slack.unavailable), (1, 0));
}

#[test]
fn rollout_that_may_not_move_at_all_may_lose_one() {
    let rollout = rollout(3, json!(0), json!("10%"), None, vec![]);
    assert_eq!(strategy::slack(&rollout.deployment).unavailable, 1);
}

#[test]
fn new_set_grows_only_into_the_surge() {
    let old = set("o", "old", 3, 3, json!({}));
    let rollout = rollout(
        3,
        json!(1),
        json!(0),
        Some(set("nn", "new", 0, 0, json!({}))),
        vec![old],
    );
    assert_eq!(rolling::replicas_of_new_set(&rollout), 1);
}

#[test]
fn old_pods_go_only_as_new_ones_become_available() {
    let old = set("o", "old", 3, 3, json!({}));
    let waiting = rollout(
        3,
        json!(1),
        json!(0),
        Some(set("nn", "new", 1, 0, json!({}))),
        vec![old.clone()],
    );
    assert_eq!(rolling::replicas_of_old_sets(&waiting), [3]);
    let ready = rollout(
        3,
        json!(1),
        json!(0),
        Some(set("nn", "new", 1, 1, json!({}))),
        vec![old],
    );
    assert_eq!(rolling::replicas_of_old_sets(&ready), [2]);
}

#[test]
fn unhealthy_old_pods_go_first() {
    let broken = set("o", "old", 2, 0, json!({}));
    let healthy = set("oo", "older", 2, 2, json!({}));
    let rollout = rollout(
        4,
        json!(1),
        json!(1),
        Some(set("nnn", "new", 1, 1, json!({}))),
        vec![healthy, broken],
    );
    assert_eq!(rolling::replicas_of_old_sets(&rollout), [2, 0]);
}

#[test]
fn new_set_is_found_by_its_template_without_the_hash() {
    let mut found = (*set("s", "new", 1, 1, json!({}))).clone();
    found.spec.template["metadata"]["labels"]["pod-template-hash"] = "abc".into();
    assert!(new_set::is_of_template(&found, &template("new")));
    assert!(!new_set::is_of_template(&found, &template("old")));
}

#[test]
fn scaling_in_the_middle_of_a_rollout_is_shared_by_size() {
    let told = json!({ "deployment.kubernetes.io/desired-replicas": "10", "deployment.kubernetes.io/max-replicas": "13" });
    let old = set("o", "old", 8, 8, told.clone());
    let new = set("nn", "new", 5, 0, told);
    let rollout = rollout(15, json!(3), json!(2), Some(new), vec![old]);
    assert!(rollout.is_scaled());
    assert_eq!(scale::sizes(&rollout), [11, 7]);
}

#[test]
fn sole_active_set_takes_the_whole_new_size() {
    let told = json!({ "deployment.kubernetes.io/desired-replicas": "3" });
    let rollout = rollout(
        5,
        json!(1),
        json!(1),
        Some(set("nn", "new", 3, 3, told)),
        vec![set("o", "old", 0, 0, json!({}))],
    );
    assert_eq!(scale::sizes(&rollout), [0, 5]);
}

#[test]
fn rollout_is_complete_when_every_replica_is_new_and_available() {
    let new = set("nn", "new", 3, 3, json!({}));
    let done = rollout(
        3,
        json!(1),
        json!(0),
        Some(new.clone()),
        vec![set("o", "old", 0, 0, json!({}))],
    );
    assert!(status::is_complete(&done));
    let half = rollout(
        3,
        json!(1),
        json!(0),
        Some(new),
        vec![set("o", "old", 1, 1, json!({}))],
    );
    assert!(!status::is_complete(&half));
}
