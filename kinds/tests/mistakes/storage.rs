//! Volumes, claims and classes of storage.

use serde_json::{Value, json};

use super::change::Good;

fn volume() -> Good {
    Good::new(
        "v1",
        "PersistentVolume",
        json!({"spec": {"capacity": {"storage": "1Gi"}, "accessModes": ["ReadWriteOnce"], "hostPath": {"path": "/x"}}}),
    )
}

fn claim() -> Good {
    Good::new(
        "v1",
        "PersistentVolumeClaim",
        json!({"spec": {"accessModes": ["ReadWriteOnce"], "resources": {"requests": {"storage": "1Gi"}}}}),
    )
}

#[test]
fn a_volume_is_of_one_thing_that_holds_something() {
    volume().refuses(&[
        (
            json!({"spec": {"capacity": {"storage": "0"}}}),
            &["spec.capacity[storage]: Invalid value: \"0\": must be greater than zero"],
        ),
        (
            json!({"spec": {"accessModes": ["ReadWriteOncePod", "ReadOnlyMany"]}}),
            &["spec.accessModes: Forbidden: may not use ReadWriteOncePod with other access modes"],
        ),
        (json!({"spec": {"hostPath": null}}), &["spec: Required value: must specify a volume type"]),
        (
            json!({"spec": {"hostPath": null, "local": {"path": "/d"}}}),
            &["spec.nodeAffinity: Required value: Local volume requires node affinity"],
        ),
        (
            json!({"spec": {"hostPath": {"path": "/"}, "persistentVolumeReclaimPolicy": "Recycle"}}),
            &["spec.persistentVolumeReclaimPolicy: Forbidden: may not be 'recycle' for a hostPath mount of '/'"],
        ),
        (
            json!({"spec": {"hostPath": null, "csi": {"driver": "d"}}}),
            &["spec.csi.volumeHandle: Required value"],
        ),
    ]);
    let moved = volume().update_errors(json!({}), json!({"spec": {"hostPath": {"path": "/y"}}}));
    assert_eq!(
        moved,
        [
            "spec.persistentvolumesource: Forbidden: spec.persistentvolumesource is immutable after creation\n"
        ]
    );
}

#[test]
fn a_claim_asks_for_storage_and_may_only_grow() {
    claim().refuses(&[
        (
            json!({"spec": {"accessModes": []}}),
            &["spec.accessModes: Required value: at least 1 access mode is required"],
        ),
        (
            json!({"spec": {"resources": {"requests": {"storage": "-1"}}}}),
            &["spec.resources[storage]: Invalid value: \"-1\": must be greater than zero"],
        ),
        (
            json!({"spec": {"dataSource": {"kind": "Tape", "name": "t"}}}),
            &["spec.dataSource: Invalid value: \"Tape\": must be 'PersistentVolumeClaim' when referencing the default apiGroup"],
        ),
    ]);
    let grow = |storage: &str| json!({"spec": {"resources": {"requests": {"storage": storage}}}});
    let grown = claim().update_errors(json!({}), grow("2Gi"));
    assert_eq!(
        grown,
        [
            "spec: Forbidden: spec is immutable after creation except resources.requests and volumeAttributesClassName for bound claims"
        ],
        "a claim that is not bound"
    );
    let class = json!({"spec": {"storageClassName": "fast"}});
    assert_eq!(
        claim().update_errors(json!({}), class),
        Vec::<String>::new()
    );
}

#[test]
fn classes_of_storage_stay_what_they_are() {
    let class = Good::new(
        "storage.k8s.io/v1",
        "StorageClass",
        json!({"provisioner": "a.b/c"}),
    );
    class.refuses(&[
        (
            json!({"volumeBindingMode": "Later"}),
            &["volumeBindingMode: Unsupported value: \"Later\": supported values: \"Immediate\", \"WaitForFirstConsumer\""],
        ),
        (
            json!({"allowedTopologies": [{"matchLabelExpressions": [{"key": "z", "values": ["a", "a"]}]}]}),
            &["allowedTopologies[0].matchLabelExpressions[0].values[1]: Duplicate value: \"a\""],
        ),
    ]);
    assert_eq!(
        class.update_errors(json!({}), json!({"provisioner": "a.b/d"})),
        ["provisioner: Forbidden: updates to provisioner are forbidden."]
    );
}

#[test]
fn limits_and_quotas_add_up() {
    let range = Good::new(
        "v1",
        "LimitRange",
        json!({"spec": {"limits": [{"type": "Container"}]}}),
    );
    let item = |item: Value| json!({"spec": {"limits": [item]}});
    range.refuses(&[
        (
            item(json!({"type": "Container", "min": {"cpu": "2"}, "max": {"cpu": "1"}, "default": {"cpu": "1"}, "defaultRequest": {"cpu": "1"}})),
            &[
                "spec.limits[0].min[cpu]: Invalid value: \"2\": min value 2 is greater than max value 1",
                "spec.limits[0].defaultRequest[cpu]: Invalid value: \"1\": min value 2 is greater than default request value 1",
                "spec.limits[0].default[cpu]: Invalid value: \"2\": min value 2 is greater than default value 1",
            ],
        ),
        (
            item(json!({"type": "Pod", "default": {"cpu": "1"}})),
            &["spec.limits[0].default: Forbidden: may not be specified when `type` is 'Pod'"],
        ),
        (
            item(json!({"type": "Container", "maxLimitRequestRatio": {"cpu": "500m"}})),
            &["spec.limits[0].maxLimitRequestRatio[cpu]: Invalid value: \"500m\": ratio 500m is less than 1"],
        ),
    ]);
    let quota = Good::new(
        "v1",
        "ResourceQuota",
        json!({"spec": {"hard": {"pods": "1"}}}),
    );
    quota.refuses(&[
        (
            json!({"spec": {"scopes": ["BestEffort"], "hard": {"requests.cpu": "1"}}}),
            &["spec.scopes: Invalid value: [\"BestEffort\"]: unsupported scope applied to resource"],
        ),
        (
            json!({"spec": {"hard": {"pods": "1500m"}}}),
            &["spec.hard[pods]: Invalid value: \"1500m\": must be an integer"],
        ),
    ]);
}

#[test]
fn a_node_keeps_its_range_and_provider() {
    let node = Good::new("v1", "Node", json!({}));
    assert_eq!(
        node.update_errors(
            json!({"spec": {"podCIDR": "10.0.0.0/24", "podCIDRs": ["10.0.0.0/24"], "providerID": "a"}}),
            json!({"spec": {"podCIDR": "10.0.1.0/24", "podCIDRs": ["10.0.1.0/24"], "providerID": "b"}})
        ),
        [
            "spec.podCIDRs: Forbidden: node updates may not change podCIDR except from \"\" to valid",
            "spec.providerID: Forbidden: node updates may not change providerID except from \"\" to valid",
        ]
    );
    node.refuses(&[(
        json!({"spec": {"taints": [{"key": "a", "effect": "NoSchedule"}, {"key": "a", "effect": "NoSchedule"}]}}),
        &["metadata.taints[1]: Duplicate value: {\"effect\":\"NoSchedule\",\"key\":\"a\"}: taints must be unique by key and effect pair"],
    )]);
}
