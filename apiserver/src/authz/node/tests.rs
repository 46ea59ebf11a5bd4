use serde_json::json;

use super::*;
use crate::authz::selectors::Selector;

fn authorizer() -> Authorizer {
    let graph = Arc::new(Graph::default());
    graph.feed(&json!({
        "kind": "Pod", "metadata": { "name": "p", "namespace": "g" },
        "spec": {
            "nodeName": "n1", "serviceAccountName": "sa",
            "imagePullSecrets": [{ "name": "pull" }],
            "volumes": [
                { "name": "v", "persistentVolumeClaim": { "claimName": "claim" } },
                { "name": "own", "ephemeral": {} },
                { "name": "all", "projected": { "sources": [{ "configMap": { "name": "map" } }] } },
            ],
            "containers": [{ "env": [{ "valueFrom": { "secretKeyRef": { "name": "env" } } }] }],
            "resourceClaims": [{ "resourceClaimName": "gpu" }],
        },
    }));
    graph.feed(
        &json!({ "kind": "Pod", "metadata": { "name": "q", "namespace": "g" },
        "spec": { "nodeName": "n2", "volumes": [{ "secret": { "secretName": "other" } }] } }),
    );
    graph.feed(&json!({
        "kind": "PersistentVolume", "metadata": { "name": "pv" },
        "spec": { "claimRef": { "namespace": "g", "name": "claim" },
            "csi": { "nodeStageSecretRef": { "namespace": "storage", "name": "stage" } } },
    }));
    graph.feed(&json!({ "kind": "VolumeAttachment", "metadata": { "name": "va" }, "spec": { "nodeName": "n1" } }));
    Authorizer(graph)
}

fn ask(authorizer: &Authorizer, verb: &str, what: (&str, &str, &str, &str), node: &str) -> bool {
    let (group, path, namespace, name) = what;
    let (resource, subresource) = path.split_once('/').unwrap_or((path, ""));
    let target = Action::Resource {
        group,
        resource,
        subresource,
        namespace,
        name,
    };
    let decided = authorizer.decide(node, &Attributes::new(verb, target));
    matches!(decided, Decision::Allow)
}

#[test]
fn a_node_reads_what_its_pods_use_and_nothing_that_others_do() {
    let authorizer = authorizer();
    for what in [
        ("", "secrets", "g", "pull"),
        ("", "secrets", "g", "env"),
        ("", "configmaps", "g", "map"),
        ("", "persistentvolumeclaims", "g", "claim"),
        ("", "persistentvolumeclaims", "g", "p-own"),
        ("", "persistentvolumes", "", "pv"),
        ("", "secrets", "storage", "stage"),
        ("", "serviceaccounts", "g", "sa"),
        ("resource.k8s.io", "resourceclaims", "g", "gpu"),
        ("storage.k8s.io", "volumeattachments", "", "va"),
        ("", "pods", "g", "p"),
    ] {
        assert!(ask(&authorizer, "get", what, "n1"), "{what:?}");
        assert!(!ask(&authorizer, "get", what, "n2"), "{what:?}");
    }
    assert!(!ask(
        &authorizer,
        "get",
        ("", "secrets", "g", "other"),
        "n1"
    ));
    assert!(!ask(&authorizer, "get", ("", "secrets", "h", "pull"), "n1"));
}

#[test]
fn a_node_lists_no_secrets_and_writes_none() {
    let authorizer = authorizer();
    assert!(!ask(&authorizer, "list", ("", "secrets", "g", ""), "n1"));
    assert!(ask(
        &authorizer,
        "watch",
        ("", "secrets", "g", "pull"),
        "n1"
    ));
    assert!(!ask(
        &authorizer,
        "update",
        ("", "secrets", "g", "pull"),
        "n1"
    ));
    assert!(!ask(
        &authorizer,
        "delete",
        ("", "configmaps", "g", "map"),
        "n1"
    ));
}

#[test]
fn what_a_pod_used_is_forgotten_with_it() {
    let authorizer = authorizer();
    authorizer.0.forget_pod("g/p");
    assert!(!ask(&authorizer, "get", ("", "secrets", "g", "pull"), "n1"));
    assert!(!ask(
        &authorizer,
        "get",
        ("", "persistentvolumes", "", "pv"),
        "n1"
    ));
}

#[test]
fn tokens_are_made_for_accounts_of_pods_on_the_node() {
    let authorizer = authorizer();
    let token = ("", "serviceaccounts/token", "g", "sa");
    assert!(ask(&authorizer, "create", token, "n1"));
    assert!(!ask(&authorizer, "create", token, "n2"));
    let other = ("", "serviceaccounts/token", "kube-system", "admin");
    assert!(!ask(&authorizer, "create", other, "n1"));
}

#[test]
fn pods_are_listed_by_the_node_they_run_on() {
    let authorizer = authorizer();
    let list = |selected| {
        let target = Action::Resource {
            group: "",
            resource: "pods",
            subresource: "",
            namespace: "",
            name: "",
        };
        let asked = Attributes {
            selectors: Selectors {
                fields: Selector::text(Some(selected)),
                ..Selectors::default()
            },
            ..Attributes::new("list", target)
        };
        matches!(authorizer.decide("n1", &asked), Decision::Allow)
    };
    assert!(list("spec.nodeName=n1"));
    assert!(!list("spec.nodeName=n2"));
    assert!(!list(""));
}

#[test]
fn leases_and_csi_nodes_are_those_of_its_own_name() {
    let authorizer = authorizer();
    let lease = |name| ("coordination.k8s.io", "leases", "kube-node-lease", name);
    assert!(ask(&authorizer, "update", lease("n1"), "n1"));
    assert!(!ask(&authorizer, "update", lease("n2"), "n1"));
    assert!(ask(&authorizer, "create", lease(""), "n1"));
    let elsewhere = ("coordination.k8s.io", "leases", "kube-system", "n1");
    assert!(!ask(&authorizer, "get", elsewhere, "n1"));
    let csi = ("storage.k8s.io", "csinodes", "", "n1");
    assert!(ask(&authorizer, "patch", csi, "n1"));
    assert!(!ask(&authorizer, "patch", csi, "n2"));
}
