//! What may not change in pods and the configuration they read.

use serde_json::{Value, json};

use super::change::Good;

fn pod() -> Good {
    Good::new(
        "v1",
        "Pod",
        json!({"spec": {"serviceAccountName": "default", "containers": [{"name": "c", "image": "i:1"}]}}),
    )
}

#[test]
fn a_pod_keeps_its_containers_and_its_deadline_comes_nearer() {
    let pod = pod();
    let two = json!({"spec": {"containers": [{"name": "c", "image": "i:1"}, {"name": "d", "image": "i:1"}]}});
    assert_eq!(
        pod.update_errors(json!({}), two),
        ["spec.containers: Forbidden: pod updates may not add or remove containers"]
    );
    let deadline = |seconds: Value| json!({"spec": {"activeDeadlineSeconds": seconds}});
    assert_eq!(
        pod.update_errors(deadline(json!(9)), deadline(json!(5))),
        Vec::<String>::new()
    );
    assert_eq!(
        pod.update_errors(deadline(json!(5)), deadline(json!(9))),
        [
            "spec.activeDeadlineSeconds: Invalid value: 9: must be less than or equal to previous value"
        ]
    );
    assert_eq!(
        pod.update_errors(deadline(json!(5)), deadline(Value::Null))[0],
        "spec.activeDeadlineSeconds: Invalid value: null: must not update from a positive integer to nil value"
    );
}

#[test]
fn a_gated_pod_may_be_narrowed_and_others_not() {
    let pod = pod();
    let gated = json!({"spec": {"schedulingGates": [{"name": "g"}], "nodeSelector": {"a": "b"}}});
    let narrower = json!({"spec": {"nodeSelector": {"c": "d"}}});
    assert_eq!(
        pod.update_errors(gated.clone(), narrower.clone()),
        Vec::<String>::new()
    );
    assert_eq!(
        pod.update_errors(gated, json!({"spec": {"nodeSelector": {"a": "x"}}})),
        [
            "spec.nodeSelector: Invalid value: {\"a\":\"x\"}: only additions to spec.nodeSelector are allowed (no mutations or deletions)"
        ]
    );
    let found = pod.update_errors(json!({}), narrower);
    assert_eq!(found.len(), 1);
    assert!(found[0].starts_with("spec: Forbidden: pod updates may not change fields other than"));
    assert_eq!(
        pod.update_errors(
            json!({}),
            json!({"spec": {"schedulingGates": [{"name": "g"}]}})
        ),
        [
            "spec.schedulingGates[0].name: Forbidden: only deletion is allowed, but found new scheduling gate 'g'"
        ]
    );
}

#[test]
fn a_guest_in_a_pod_stays_as_it_came() {
    let mut old = json!({"metadata": {"name": "p", "namespace": "n"}, "spec": {"serviceAccountName": "default",
        "containers": [{"name": "c", "image": "i:1"}], "ephemeralContainers": [{"name": "e", "image": "i:1"}]}});
    (kinds::core::pod::KIND.default)(&mut old);
    let mut new = old.clone();
    new["spec"]["ephemeralContainers"] = json!([]);
    let found = kinds::core::pod::validate_ephemeral_containers(&new, &old);
    assert_eq!(
        found.iter().map(ToString::to_string).collect::<Vec<_>>(),
        [
            "spec.ephemeralContainers: Forbidden: existing ephemeral containers \"e\" may not be removed\n"
        ]
    );
}

#[test]
fn what_is_immutable_stays_so() {
    for (kind, data) in [
        ("ConfigMap", json!({"k": "v"})),
        ("Secret", json!({"k": "dg=="})),
    ] {
        let good = Good::new("v1", kind, json!({}));
        let frozen = json!({"immutable": true, "data": data});
        assert_eq!(
            good.update_errors(frozen, json!({"immutable": false, "data": {"k": null}})),
            [
                "immutable: Forbidden: field is immutable when `immutable` is set",
                "data: Forbidden: field is immutable when `immutable` is set",
            ],
            "{kind}"
        );
    }
    let secret = Good::new("v1", "Secret", json!({}));
    assert_eq!(
        secret.update_errors(json!({}), json!({"type": "example.com/x"})),
        ["type: Invalid value: \"example.com/x\": field is immutable"]
    );
}
