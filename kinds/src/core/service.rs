//! Service.

mod cells;
mod keep;
mod rules;

use apimachinery::meta;
use apimachinery::names;
use serde_json::{Value, json};

use crate::columns::{AGE, Column, NAME};
use crate::defaults::{each, is, object, one_and_many, set_default, set_text, with};
use crate::kind::{CONNECT_VERBS, Kind, Storage, Subresource, text_field};
use crate::node::Node;
use crate::warnings;

pub use rules::validate_status as validate_balancer_status;

pub static KIND: Kind = Kind {
    kind: "Service",
    list_kind: "ServiceList",
    plural: "services",
    singular: "service",
    short_names: &["svc"],
    categories: &["all"],
    subresources: &[
        Subresource::new("proxy", ("", "v1", "ServiceProxyOptions"), CONNECT_VERBS),
        Subresource::status(("", "v1", "Service")),
    ],
    storage: Storage::Stored { prefix: "services" },
    create_on_update: true,
    name_rule: names::dns_1035_label,
    default,
    prepare_create: |service| service["status"] = json!({"loadBalancer": {}}),
    prepare_update: keep::prepare_update,
    validate: rules::validate,
    validate_update: rules::validate_update,
    validate_status_update: |new, _, errors| {
        let balanced = meta::text(new.value, "spec.type") == "LoadBalancer";
        validate_balancer_status(&new.at("status.loadBalancer"), balanced, errors);
    },
    columns: &[
        NAME,
        Column::text("Type", "How the service can be reached."),
        Column::text("Cluster-IP", "The service's address inside the cluster."),
        Column::text(
            "External-IP",
            "The service's addresses outside the cluster.",
        ),
        Column::text(
            "Port(s)",
            "The ports, and the nodes' ports that lead to them.",
        ),
        AGE,
        Column::text("Selector", "Which pods the service leads to.").wide(),
    ],
    row: cells::row,
    field_labels: &[text_field!("spec.clusterIP"), text_field!("spec.type")],
    warnings: told,
    ..Kind::BASE
};

/// Three hours.
const AFFINITY_SECONDS: i64 = 10_800;

fn default(service: &mut Value) {
    let spec = object(service, "spec");
    set_text(spec, "sessionAffinity", "None");
    if is(spec, "sessionAffinity", "None") {
        meta::remove(spec, "sessionAffinityConfig");
    }
    if is(spec, "sessionAffinity", "ClientIP") {
        let client = object(object(spec, "sessionAffinityConfig"), "clientIP");
        set_default(client, "timeoutSeconds", AFFINITY_SECONDS);
    }
    set_text(spec, "type", "ClusterIP");
    each(spec, "ports", port);
    if matches!(
        meta::text(spec, "type"),
        "ClusterIP" | "NodePort" | "LoadBalancer"
    ) {
        set_default(spec, "internalTrafficPolicy", "Cluster");
    }
    if is_reachable_from_outside(spec) {
        set_text(spec, "externalTrafficPolicy", "Cluster");
    }
    if is(spec, "type", "LoadBalancer") {
        set_default(spec, "allocateLoadBalancerNodePorts", true);
    }
    one_and_many(spec, "clusterIP", "clusterIPs");
    with(service, "status", |status| {
        with(status, "loadBalancer", |balancer| {
            each(balancer, "ingress", |ingress| {
                if !meta::text(ingress, "ip").is_empty() {
                    set_default(ingress, "ipMode", "VIP");
                }
            });
        });
    });
}

/// By a node's port or an address of its own.
fn is_reachable_from_outside(spec: &Value) -> bool {
    match meta::text(spec, "type") {
        "NodePort" | "LoadBalancer" => true,
        "ClusterIP" => !meta::items(spec, "externalIPs").is_empty(),
        _ => false,
    }
}

fn port(port: &mut Value) {
    set_text(port, "protocol", "TCP");
    let target = &port["targetPort"];
    if target.is_null() || *target == json!(0) || *target == json!("") {
        port["targetPort"] = port["port"].clone();
    }
}

fn told(new: &Value, old: Option<&Value>) -> Vec<String> {
    const HINTS: &str = "service.kubernetes.io/topology-aware-hints";
    let mut told = Vec::new();
    if old.is_some_and(|old| old["spec"] == new["spec"]) {
        return told;
    }
    if new["metadata"]["annotations"].get(HINTS).is_some() {
        told.push(format!(
            "annotation {HINTS} is deprecated, please use service.kubernetes.io/topology-mode instead"
        ));
    }
    let service = Node::root(new);
    let spec = service.at("spec");
    for list in ["clusterIPs", "externalIPs"] {
        for address in spec.at(list).items() {
            warnings::ip(&address, &mut told);
        }
    }
    warnings::ip(&spec.at("loadBalancerIP"), &mut told);
    for range in spec.at("loadBalancerSourceRanges").items() {
        warnings::cidr(&range, &mut told);
    }
    let is_external = spec.at("type").text() == "ExternalName";
    if is_external && !spec.at("externalIPs").is_empty() {
        told.push("spec.externalIPs is ignored when spec.type is \"ExternalName\"".into());
    }
    if !is_external && !spec.at("externalName").is_empty() {
        told.push("spec.externalName is ignored when spec.type is not \"ExternalName\"".into());
    }
    told
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_port_leads_to_the_same_port_unless_told_otherwise() {
        let mut service =
            json!({"spec": {"ports": [{"port": 80}, {"port": 81, "targetPort": "web"}]}});
        default(&mut service);
        assert_eq!(service["spec"]["ports"][0]["targetPort"], 80);
        assert_eq!(service["spec"]["ports"][1]["targetPort"], "web");
        assert_eq!(service["spec"]["type"], "ClusterIP");
    }
}
