//! Objects that are allowed, and what their creators are warned of.

use serde_json::{Value, json};

fn told(api_version: &str, kind: &str, object: Value, old: Option<Value>) -> Vec<String> {
    let (group, version) = api_version.split_once('/').unwrap_or(("", api_version));
    let kind = kinds::find_kind(group, version, kind).expect("a built-in kind");
    let defaulted = |mut object: Value| {
        object["kind"] = kind.kind.into();
        if object["metadata"]["name"].is_null() {
            object["metadata"]["name"] = "good".into();
        }
        (kind.default)(&mut object);
        object
    };
    (kind.warnings)(&defaulted(object), old.map(defaulted).as_ref())
}

fn pod(spec: Value) -> Vec<String> {
    told("v1", "Pod", json!({"spec": spec}), None)
}

fn container(mut container: Value) -> Vec<String> {
    container["name"] = "c".into();
    pod(json!({"containers": [container]}))
}

#[test]
fn old_node_labels_have_new_names() {
    let term = |key: &str| json!({"matchExpressions": [{"key": key, "operator": "Exists"}]});
    let spec = json!({
        "containers": [{"name": "c"}],
        "nodeSelector": {"beta.kubernetes.io/arch": "amd64", "kubernetes.io/os": "linux"},
        "affinity": {"nodeAffinity": {
            "requiredDuringSchedulingIgnoredDuringExecution": {
                "nodeSelectorTerms": [term("beta.kubernetes.io/os")]},
        }},
        "topologySpreadConstraints": [{"topologyKey": "failure-domain.beta.kubernetes.io/zone"}],
    });
    assert_eq!(
        pod(spec),
        [
            "spec.nodeSelector[beta.kubernetes.io/arch]: deprecated since v1.14; use \"kubernetes.io/arch\" instead",
            "spec.affinity.nodeAffinity.requiredDuringSchedulingIgnoredDuringExecution.nodeSelectorTerms[0].matchExpressions[0].key: beta.kubernetes.io/os is deprecated since v1.14; use \"kubernetes.io/os\" instead",
            "spec.topologySpreadConstraints[0].labelSelector: a null labelSelector results in matching no pod",
            "spec.topologySpreadConstraints[0].topologyKey: failure-domain.beta.kubernetes.io/zone is deprecated since v1.17; use \"topology.kubernetes.io/zone\" instead",
        ]
    );
}

#[test]
fn variables_that_hide_others_are_told() {
    let env = json!({"env": [
        {"name": "A", "value": "1"}, {"name": "A", "value": "$(A)2"}, {"name": "A", "value": "3"},
    ]});
    assert_eq!(
        container(env),
        [
            "spec.containers[0].env[2]: hides previous definition of \"A\", which may be dropped when using apply"
        ]
    );
}

#[test]
fn ports_that_clash_are_told() {
    let ports = json!({"ports": [
        {"containerPort": 80}, {"containerPort": 80}, {"containerPort": 80, "hostPort": 8080},
        {"containerPort": 80, "protocol": "UDP"},
    ]});
    let port = "spec.containers[0].ports";
    assert_eq!(
        container(ports),
        [
            format!("{port}[1]: duplicate port definition with {port}[0]"),
            format!("{port}[2]: overlapping port definition with {port}[0]"),
            format!("{port}[2]: overlapping port definition with {port}[1]"),
        ]
    );
}

#[test]
fn parts_of_a_byte_are_told() {
    let resources = json!({"resources": {"limits": {"memory": "1500m", "cpu": "1500m"}}});
    assert_eq!(
        container(resources)[0],
        "spec.containers[0].resources.requests[memory]: fractional byte value \"1500m\" is invalid, must be an integer"
    );
}

#[test]
fn names_that_are_no_labels_are_told() {
    let pod = json!({"metadata": {"name": "a.b"}, "spec": {"containers": []}});
    assert_eq!(
        told("v1", "Pod", pod.clone(), None),
        [
            "metadata.name: this is used in the Pod's hostname, which can result in surprising behavior; a DNS label is recommended: [must not contain dots]"
        ]
    );
    assert!(told("v1", "Pod", pod.clone(), Some(pod)).is_empty());
}

#[test]
fn templates_tell_where_they_stand_and_only_when_they_change() {
    let deployment = |label: &str| {
        json!({"spec": {"template": {"spec": {
            "nodeSelector": {label: "x"}, "containers": [],
        }}}})
    };
    let old = deployment("beta.kubernetes.io/os");
    let expected = [
        "spec.template.spec.nodeSelector[beta.kubernetes.io/os]: deprecated since v1.14; use \"kubernetes.io/os\" instead",
    ];
    let told =
        |new: &Value, old: Option<&Value>| told("apps/v1", "Deployment", new.clone(), old.cloned());
    assert_eq!(told(&old, None), expected);
    assert!(told(&old, Some(&old)).is_empty());
    assert_eq!(told(&old, Some(&deployment("x"))), expected);
}

#[test]
fn annotations_and_volumes_that_do_nothing_are_told() {
    let pod = json!({
        "metadata": {"annotations": {"seccomp.security.alpha.kubernetes.io/pod": "runtime/default"}},
        "spec": {"containers": [], "volumes": [{"name": "v", "rbd": {}}],
            "hostAliases": [{"ip": "1.1.1.1"}, {"ip": "1.1.1.1"}]},
    });
    assert_eq!(
        told("v1", "Pod", pod, None),
        [
            "metadata.annotations[seccomp.security.alpha.kubernetes.io/pod]: non-functional in v1.27+; use the \"seccompProfile\" field instead",
            "spec.volumes[0].rbd: deprecated in v1.28, non-functional in v1.31+",
            "spec.hostAliases[1].ip: duplicate ip \"1.1.1.1\"",
        ]
    );
}

#[test]
fn services_ingresses_and_policies_tell() {
    let service = json!({"spec": {"type": "ClusterIP", "externalName": "x",
        "loadBalancerSourceRanges": ["10.0.0.1/8"]}});
    assert_eq!(
        told("v1", "Service", service, None),
        [
            "spec.loadBalancerSourceRanges[0]: CIDR value \"10.0.0.1/8\" is ambiguous in this context (should be \"10.0.0.0/8\" or \"10.0.0.1/32\"?)",
            "spec.externalName is ignored when spec.type is not \"ExternalName\"",
        ]
    );
    let ingress = json!({"metadata": {"annotations": {"kubernetes.io/ingress.class": "n"}}});
    assert_eq!(
        told("networking.k8s.io/v1", "Ingress", ingress, None),
        [
            "annotation \"kubernetes.io/ingress.class\" is deprecated, please use 'spec.ingressClassName' instead"
        ]
    );
}

#[test]
fn old_kinds_are_told_to_every_client() {
    let endpoints = kinds::find_kind("", "v1", "Endpoints").expect("built in");
    assert_eq!(
        endpoints.deprecation,
        Some("v1 Endpoints is deprecated in v1.33+; use discovery.k8s.io/v1 EndpointSlice")
    );
}
