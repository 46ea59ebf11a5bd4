//! Services and Endpoints.

use serde_json::json;

use super::change::Good;

fn service() -> Good {
    Good::new("v1", "Service", json!({"spec": {"ports": [{"port": 80}]}}))
}

#[test]
fn a_service_of_a_type_has_what_the_type_has() {
    service().refuses(&[
        (
            json!({"spec": {"type": "NodePort", "clusterIP": "None"}}),
            &["spec.clusterIPs[0]: Invalid value: \"None\": may not be set to 'None' for NodePort services"],
        ),
        (
            json!({"spec": {"type": "ExternalName", "externalName": "a.b", "clusterIP": "10.0.0.1", "ports": null}}),
            &["spec.clusterIPs: Forbidden: may not be set for ExternalName services"],
        ),
        (
            json!({"spec": {"loadBalancerClass": "example.com/lb"}}),
            &["spec.loadBalancerClass: Forbidden: may only be used when `type` is 'LoadBalancer'"],
        ),
        (
            json!({"spec": {"loadBalancerSourceRanges": ["10.0.0.0/8"]}}),
            &["spec.LoadBalancerSourceRanges: Forbidden: may only be used when `type` is 'LoadBalancer'"],
        ),
        (
            json!({"spec": {"allocateLoadBalancerNodePorts": true}}),
            &["spec.allocateLoadBalancerNodePorts: Forbidden: may only be used when `type` is 'LoadBalancer'"],
        ),
        (
            json!({"spec": {"externalTrafficPolicy": "Local"}}),
            &["spec.externalTrafficPolicy: Invalid value: \"Local\": may only be set for externally-accessible services"],
        ),
        (
            json!({"spec": {"type": "NodePort", "healthCheckNodePort": 30000}}),
            &["spec.healthCheckNodePort: Invalid value: 30000: may only be set when `type` is 'LoadBalancer' and `externalTrafficPolicy` is 'Local'"],
        ),
    ]);
}

#[test]
fn ports_and_affinity_are_in_range() {
    service().refuses(&[
        (
            json!({"spec": {"ports": [{"port": 0, "protocol": "ICMP"}]}}),
            &[
                "spec.ports[0].port: Invalid value: 0: must be between 1 and 65535, inclusive",
                "spec.ports[0].protocol: Unsupported value: \"ICMP\": supported values: \"SCTP\", \"TCP\", \"UDP\"",
                "spec.ports[0].targetPort: Invalid value: 0: must be between 1 and 65535, inclusive",
            ],
        ),
        (
            json!({"spec": {"type": "NodePort", "ports": [{"name": "a", "port": 1, "nodePort": 30000}, {"name": "b", "port": 2, "nodePort": 30000}]}}),
            &["spec.ports[1].nodePort: Duplicate value: 30000"],
        ),
        (
            json!({"spec": {"sessionAffinity": "ClientIP", "sessionAffinityConfig": {"clientIP": {"timeoutSeconds": 86401}}}}),
            &["spec.sessionAffinityConfig.clientIP.timeoutSeconds: Invalid value: 86401: must be greater than 0 and less than 86400"],
        ),
        (
            json!({"spec": {"internalTrafficPolicy": "Here", "trafficDistribution": "Near"}}),
            &[
                "spec.internalTrafficPolicy: Unsupported value: \"Here\": supported values: \"Cluster\", \"Local\"",
                "spec.trafficDistribution: Unsupported value: \"Near\": supported values: \"PreferClose\", \"PreferSameNode\", \"PreferSameZone\"",
            ],
        ),
    ]);
}

#[test]
fn addresses_are_one_of_a_family_and_match_their_families() {
    service().refuses(&[
        (
            json!({"spec": {"clusterIP": "10.0.0.1", "clusterIPs": ["10.0.0.1", "10.0.0.2"]}}),
            &["spec.clusterIPs: Invalid value: [\"10.0.0.1\",\"10.0.0.2\"]: may specify no more than one IP for each IP family"],
        ),
        (
            json!({"spec": {"clusterIP": "10.0.0.1", "clusterIPs": ["10.0.0.2"]}}),
            &["spec.clusterIPs: Invalid value: [\"10.0.0.2\"]: first value must match `clusterIP`"],
        ),
        (
            json!({"spec": {"clusterIP": "10.0.0.1", "ipFamilies": ["IPv6"]}}),
            &["spec.clusterIPs[0]: Invalid value: \"10.0.0.1\": expected an IPv6 value as indicated by `ipFamilies[0]`"],
        ),
        (
            json!({"spec": {"ipFamilies": ["IPv4", "IPv4"], "ipFamilyPolicy": "Both"}}),
            &[
                "spec.ipFamilies[1]: Duplicate value: \"IPv4\"",
                "spec.ipFamilyPolicy: Unsupported value: \"Both\": supported values: \"PreferDualStack\", \"RequireDualStack\", \"SingleStack\"",
            ],
        ),
        (
            json!({"spec": {"externalIPs": ["127.0.0.1"]}}),
            &["spec.externalIPs[0]: Invalid value: \"127.0.0.1\": may not be in the loopback range (127.0.0.0/8, ::1/128)"],
        ),
    ]);
}

#[test]
fn what_a_service_was_given_it_keeps() {
    let service = service();
    let given = json!({"spec": {"clusterIP": "10.0.0.1", "clusterIPs": ["10.0.0.1"], "ipFamilies": ["IPv4"], "ipFamilyPolicy": "SingleStack"}});
    assert_eq!(
        service.update_errors(
            given.clone(),
            json!({"spec": {"clusterIP": "10.0.0.2", "clusterIPs": ["10.0.0.2"]}})
        ),
        ["spec.clusterIPs[0]: Invalid value: [\"10.0.0.2\"]: may not change once set"]
    );
    assert_eq!(
        service.update_errors(given, json!({"spec": {"ipFamilies": ["IPv6"]}})),
        [
            "spec.ipFamilies[0]: Invalid value: [\"IPv6\"]: may not change once set",
            "spec.clusterIPs[0]: Invalid value: \"10.0.0.1\": expected an IPv6 value as indicated by `ipFamilies[0]`",
        ]
    );
    let class = |class: &str| json!({"spec": {"type": "LoadBalancer", "loadBalancerClass": class}});
    assert_eq!(
        service.update_errors(class("a.b/c"), class("a.b/d")),
        ["spec.loadBalancerClass: Invalid value: \"a.b/d\": may not change once set"]
    );
}

#[test]
fn only_a_balanced_service_reports_a_balancer() {
    assert_eq!(
        service().status_errors(
            json!({}),
            json!({"status": {"loadBalancer": {"ingress": [{"ip": "1.2.3.4"}]}}})
        ),
        [
            "status.loadBalancer.ingress: Forbidden: may only be used when `spec.type` is 'LoadBalancer'"
        ]
    );
}
