//! What keeps pods running.

use serde_json::{Value, json};

use super::change::Good;

fn workload(kind: &str) -> Good {
    let template = json!({"metadata": {"labels": {"a": "b"}}, "spec": {"containers": [{"name": "c", "image": "i:1"}]}});
    let selector = json!({"matchLabels": {"a": "b"}});
    Good::new(
        "apps/v1",
        kind,
        json!({"spec": {"selector": selector, "template": template}}),
    )
}

#[test]
fn all_that_keep_pods_running_select_them_and_restart_them() {
    for (kind, owner, name) in [
        ("Deployment", "ReplicaSet", "deployment"),
        ("ReplicaSet", "ReplicaSet", "replica set"),
        ("DaemonSet", "ReplicaSet", "daemonset"),
        ("StatefulSet", "StatefulSet", "statefulset"),
    ] {
        let owner = if kind == "DaemonSet" {
            "DaemonSet"
        } else {
            owner
        };
        let empty = format!(
            "spec.selector: Invalid value: {{\"matchLabels\":{{}}}}: empty selector is invalid for {name}"
        );
        let deadline = format!(
            "spec.template.spec.activeDeadlineSeconds: Forbidden: activeDeadlineSeconds in {owner} is not Supported"
        );
        workload(kind).refuses(&[
            (
                json!({"spec": {"template": {"metadata": {"labels": {"a": "c"}}}}}),
                &["spec.template.metadata.labels: Invalid value: {\"a\":\"c\"}: `selector` does not match template `labels`"],
            ),
            (json!({"spec": {"selector": {"matchLabels": {"a": null}}}}), &[&empty]),
            (
                json!({"spec": {"template": {"spec": {"restartPolicy": "Never"}}}}),
                &["spec.template.spec.restartPolicy: Unsupported value: \"Never\": supported values: \"Always\""],
            ),
            (json!({"spec": {"template": {"spec": {"activeDeadlineSeconds": 5}}}}), &[&deadline]),
            (
                json!({"spec": {"template": {"metadata": {"labels": {"a": "b", "x y": "z"}}}}}),
                &["spec.template.labels: Invalid value: \"x y\": name part must consist of alphanumeric characters, '-', '_' or '.', and must start and end with an alphanumeric character (e.g. 'MyName',  or 'my.name',  or '123-abc', regex used for validation is '([A-Za-z0-9][-A-Za-z0-9_.]*)?[A-Za-z0-9]')"],
            ),
        ]);
    }
}

#[test]
fn a_deployment_rolls_out_in_steps_that_get_somewhere() {
    workload("Deployment").refuses(&[
        (
            json!({"spec": {"strategy": {"rollingUpdate": {"maxSurge": 0, "maxUnavailable": 0}}}}),
            &["spec.strategy.rollingUpdate.maxUnavailable: Invalid value: 0: may not be 0 when `maxSurge` is 0"],
        ),
        (
            json!({"spec": {"strategy": {"rollingUpdate": {"maxUnavailable": "101%"}}}}),
            &["spec.strategy.rollingUpdate.maxUnavailable: Invalid value: \"101%\": must not be greater than 100%"],
        ),
        (
            json!({"spec": {"strategy": {"type": "Fast"}}}),
            &["spec.strategy.type: Unsupported value: \"Fast\": supported values: \"Recreate\", \"RollingUpdate\""],
        ),
        (
            json!({"spec": {"minReadySeconds": 600}}),
            &["spec.progressDeadlineSeconds: Invalid value: 600: must be greater than minReadySeconds"],
        ),
    ]);
}

#[test]
fn a_stateful_set_names_its_pods_and_their_volumes() {
    let claim = json!({"metadata": {"name": "data"}, "spec": {"accessModes": ["ReadWriteOnce"], "resources": {"requests": {"storage": "1Gi"}}}});
    let mounted = json!([{"name": "c", "image": "i:1", "volumeMounts": [{"name": "data", "mountPath": "/data"}]}]);
    let set = workload("StatefulSet");
    let good = json!({"spec": {"volumeClaimTemplates": [claim], "template": {"spec": {"containers": mounted}}}});
    assert_eq!(set.errors(good), Vec::<String>::new());
    set.refuses(&[
        (
            json!({"metadata": {"name": "a.b"}}),
            &["metadata.name: Invalid value: \"a.b\": must not contain dots"],
        ),
        (
            json!({"spec": {"podManagementPolicy": "Random"}}),
            &["spec.podManagementPolicy: Invalid value: \"Random\": must be 'OrderedReady' or 'Parallel'"],
        ),
        (
            json!({"spec": {"updateStrategy": {"type": "OnDelete", "rollingUpdate": {"partition": 1}}}}),
            &["spec.updateStrategy.rollingUpdate: Invalid value: {\"partition\":1}: only allowed for updateStrategy 'RollingUpdate'"],
        ),
        (
            json!({"spec": {"persistentVolumeClaimRetentionPolicy": {"whenScaled": "Keep"}}}),
            &["spec.persistentVolumeClaimRetentionPolicy.whenScaled: Unsupported value: \"Keep\": supported values: \"Retain\", \"Delete\""],
        ),
        (
            json!({"spec": {"ordinals": {"start": -1}}}),
            &["spec.ordinals.start: Invalid value: -1: must be greater than or equal to 0"],
        ),
    ]);
}

#[test]
fn a_daemon_set_replaces_pods_or_surges_not_both() {
    let rolling = |rolling: Value| json!({"spec": {"updateStrategy": {"rollingUpdate": rolling}}});
    workload("DaemonSet").refuses(&[
        (
            rolling(json!({"maxUnavailable": 0, "maxSurge": 0})),
            &["spec.updateStrategy.rollingUpdate.maxUnavailable: Required value: cannot be 0 when maxSurge is 0"],
        ),
        (
            rolling(json!({"maxUnavailable": 1, "maxSurge": 1})),
            &["spec.updateStrategy.rollingUpdate.maxSurge: Invalid value: 1: may not be set when maxUnavailable is non-zero"],
        ),
    ]);
}

#[test]
fn a_status_counts_no_more_than_there_is() {
    assert_eq!(
        workload("ReplicaSet").status_errors(
            json!({}),
            json!({"status": {"replicas": 1, "readyReplicas": 2}})
        ),
        ["status.readyReplicas: Invalid value: 2: cannot be greater than status.replicas"]
    );
    assert_eq!(
        workload("Deployment").status_errors(
            json!({"status": {"collisionCount": 2}}),
            json!({"status": {"collisionCount": 1}})
        ),
        ["status.collisionCount: Invalid value: 1: cannot be decremented"]
    );
}

#[test]
fn an_autoscaler_has_bounds_and_metrics_it_can_meet() {
    let scaler = Good::new(
        "autoscaling/v2",
        "HorizontalPodAutoscaler",
        json!({"spec": {"maxReplicas": 3, "scaleTargetRef": {"kind": "Deployment", "name": "d", "apiVersion": "apps/v1"}}}),
    );
    let metric = |metric: Value| json!({"spec": {"metrics": [metric]}});
    scaler.refuses(&[
        (
            json!({"spec": {"minReplicas": 4}}),
            &["spec.maxReplicas: Invalid value: 3: must be greater than or equal to `minReplicas`"],
        ),
        (
            json!({"spec": {"minReplicas": 0}}),
            &["spec.minReplicas: Invalid value: 0: must be greater than or equal to 1"],
        ),
        (
            metric(json!({"type": "Resource"})),
            &["spec.metrics[0].resource: Required value: must populate information for the given metric source"],
        ),
        (
            metric(json!({"type": "Resource", "resource": {"name": "cpu", "target": {"type": "Utilization"}}})),
            &["spec.metrics[0].resource.target.averageUtilization: Required value: must set either a target raw value or a target utilization"],
        ),
        (
            metric(json!({"type": "Pods", "pods": {"metric": {"name": "m"}, "target": {"type": "AverageValue"}}})),
            &["spec.metrics[0].pods.target.averageValue: Required value: must specify a positive target averageValue"],
        ),
        (
            json!({"spec": {"behavior": {"scaleDown": {"stabilizationWindowSeconds": 3601, "policies": [{"type": "Pods", "value": 0, "periodSeconds": 1801}]}}}}),
            &[
                "spec.behavior.scaleDown.stabilizationWindowSeconds: Invalid value: 3601: must be less than or equal to 3600",
                "spec.behavior.scaleDown.policies[0].value: Invalid value: 0: must be greater than zero",
                "spec.behavior.scaleDown.policies[0].periodSeconds: Invalid value: 1801: must be less than or equal to 1800",
            ],
        ),
    ]);
}
