//! Ingresses, their classes and NetworkPolicies.

use serde_json::{Value, json};

use super::change::Good;

#[test]
fn an_ingress_leads_somewhere() {
    let backend = json!({"service": {"name": "s", "port": {"number": 80}}});
    let ingress = Good::new(
        "networking.k8s.io/v1",
        "Ingress",
        json!({"spec": {"defaultBackend": backend}}),
    );
    let path = |path: Value| {
        let mut rule = json!({"path": "/", "pathType": "Prefix", "backend": backend});
        super::change::merge(&mut rule, path);
        json!({"spec": {"rules": [{"http": {"paths": [rule]}}]}})
    };
    ingress.refuses(&[
        (
            path(json!({"pathType": null})),
            &["spec.rules[0].http.paths[0].pathType: Required value: pathType must be specified"],
        ),
        (
            path(json!({"path": "/a//b"})),
            &["spec.rules[0].http.paths[0].path: Invalid value: \"/a//b\": must not contain '//'"],
        ),
        (
            path(json!({"backend": {"service": null}})),
            &["spec.rules[0].http.paths[0].backend: Invalid value: \"\": resource or service backend is required"],
        ),
        (
            path(json!({"backend": {"service": {"port": {"number": null}}}})),
            &["spec.rules[0].http.paths[0].backend: Required value: port name or number is required"],
        ),
        (
            json!({"spec": {"rules": [{"host": "10.0.0.1"}]}}),
            &["spec.rules[0].host: Invalid value: \"10.0.0.1\": must be a DNS name, not an IP address"],
        ),
        (
            json!({"metadata": {"annotations": {"kubernetes.io/ingress.class": "a"}}, "spec": {"ingressClassName": "b"}}),
            &["annotations.kubernetes.io/ingress.class: Invalid value: \"a\": must match `ingressClassName` when both are specified"],
        ),
    ]);
}

#[test]
fn a_class_of_ingresses_names_its_controller_and_where_its_parameters_are() {
    let class = Good::new(
        "networking.k8s.io/v1",
        "IngressClass",
        json!({"spec": {"controller": "a.b/c"}}),
    );
    class.refuses(&[
        (
            json!({"spec": {"controller": "c"}}),
            &["spec.controller: Invalid value: \"c\": must be a domain-prefixed path (such as \"acme.io/foo\")"],
        ),
        (
            json!({"spec": {"parameters": {"kind": "K", "name": "n", "scope": "Cluster", "namespace": "x"}}}),
            &["spec.parameters.namespace: Forbidden: `parameters.scope` is set to 'Cluster'"],
        ),
    ]);
}

#[test]
fn a_network_policy_is_about_peers_and_ports_that_can_be() {
    let policy = Good::new(
        "networking.k8s.io/v1",
        "NetworkPolicy",
        json!({"spec": {"podSelector": {}}}),
    );
    let ingress = |rule: Value| json!({"spec": {"ingress": [rule]}});
    policy.refuses(&[
        (ingress(json!({"from": [{}]})), &["spec.ingress[0].from[0]: Required value: must specify a peer"]),
        (
            ingress(json!({"from": [{"podSelector": {}, "ipBlock": {"cidr": "10.0.0.0/8"}}]})),
            &["spec.ingress[0].from[0]: Forbidden: may not specify both ipBlock and another peer"],
        ),
        (
            ingress(json!({"from": [{"ipBlock": {"cidr": "10.0.0.0/8", "except": ["11.0.0.0/24"]}}]})),
            &["spec.ingress[0].from[0].ipBlock.except[0]: Invalid value: \"11.0.0.0/24\": must be a strict subset of `cidr`"],
        ),
        (
            ingress(json!({"ports": [{"port": 80, "endPort": 79}]})),
            &["spec.ingress[0].ports[0].endPort: Invalid value: 80: must be greater than or equal to `port`"],
        ),
        (
            ingress(json!({"ports": [{"port": "web", "endPort": 79}]})),
            &["spec.ingress[0].ports[0].endPort: Invalid value: 79: may not be specified when `port` is non-numeric"],
        ),
        (
            json!({"spec": {"policyTypes": ["Sideways"]}}),
            &["spec.policyTypes[0]: Unsupported value: \"Sideways\": supported values: \"Ingress\", \"Egress\""],
        ),
    ]);
}
