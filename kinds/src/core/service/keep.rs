//! What an update of a Service keeps: addresses and ports once given to it, unless its
//! new type has no use for them.

use apimachinery::meta;
use serde_json::{Value, json};

use super::is_reachable_from_outside;
use crate::prepare::{copy_field, keep_status_only};

pub fn prepare_update(new: &mut Value, old: &Value) {
    keep_status_only(new, old);
    let before = old.get("spec").unwrap_or(&Value::Null).clone();
    let spec = meta::entry(new, "spec");
    drop_unneeded(spec, &before);
    keep_given(spec, &before);
}

fn kind(spec: &Value) -> &str {
    meta::text(spec, "type")
}

fn has_cluster_ip(spec: &Value) -> bool {
    kind(spec) != "ExternalName"
}

fn has_node_ports(spec: &Value) -> bool {
    match kind(spec) {
        "NodePort" => true,
        "LoadBalancer" => spec["allocateLoadBalancerNodePorts"] != json!(false),
        _ => false,
    }
}

fn has_health_port(spec: &Value) -> bool {
    kind(spec) == "LoadBalancer" && meta::text(spec, "externalTrafficPolicy") == "Local"
}

/// Fields the old type needed and the new one does not go, if the user left them alone.
fn drop_unneeded(spec: &mut Value, old: &Value) {
    let unchanged = |spec: &Value, field: &str| spec.get(field) == old.get(field);
    if has_cluster_ip(old) && !has_cluster_ip(spec) && unchanged(spec, "clusterIP") {
        for field in ["clusterIP", "clusterIPs", "ipFamilies", "ipFamilyPolicy"] {
            meta::remove(spec, field);
        }
    }
    if has_node_ports(old) && !has_node_ports(spec) && same_node_ports(spec, old) {
        for port in spec["ports"].as_array_mut().into_iter().flatten() {
            meta::remove(port, "nodePort");
        }
    }
    if has_health_port(old) && !has_health_port(spec) && unchanged(spec, "healthCheckNodePort") {
        meta::remove(spec, "healthCheckNodePort");
    }
    let was_reachable = is_reachable_from_outside(old) && !is_reachable_from_outside(spec);
    if was_reachable && unchanged(spec, "externalTrafficPolicy") {
        meta::remove(spec, "externalTrafficPolicy");
    }
    for field in ["allocateLoadBalancerNodePorts", "loadBalancerClass"] {
        let was_balanced = kind(old) == "LoadBalancer" && kind(spec) != "LoadBalancer";
        if was_balanced && unchanged(spec, field) {
            meta::remove(spec, field);
        }
    }
}

fn same_node_ports(spec: &Value, old: &Value) -> bool {
    let of = |spec: &Value| -> Vec<Option<i64>> {
        let ports = meta::items(spec, "ports").iter();
        ports.map(|port| meta::int(port, "nodePort")).collect()
    };
    of(spec) == of(old)
}

/// What was given once and is still needed stays when the update leaves it out.
fn keep_given(spec: &mut Value, old: &Value) {
    if has_cluster_ip(old) && has_cluster_ip(spec) {
        let missing = meta::text(spec, "clusterIP").is_empty();
        let many_missing = meta::items(spec, "clusterIPs").is_empty();
        if missing && many_missing {
            copy_field(spec, old, "clusterIP");
            copy_field(spec, old, "clusterIPs");
        } else {
            follow_change(spec, old);
        }
        for field in ["ipFamilies", "ipFamilyPolicy"] {
            if meta::get(spec, field).is_none() {
                copy_field(spec, old, field);
            }
        }
    }
    if has_node_ports(old) && has_node_ports(spec) {
        keep_node_ports(spec, old);
    }
    if has_health_port(old)
        && has_health_port(spec)
        && meta::int(spec, "healthCheckNodePort").is_none()
    {
        copy_field(spec, old, "healthCheckNodePort");
    }
}

/// A client that knows only `clusterIP` changed it and left the old list, or the other
/// way round: the one that changed wins.
fn follow_change(spec: &mut Value, old: &Value) {
    let one_changed = spec.get("clusterIP") != old.get("clusterIP");
    let many_changed = spec.get("clusterIPs") != old.get("clusterIPs");
    if one_changed && !many_changed {
        match meta::text(spec, "clusterIP") {
            "" => {
                meta::remove(spec, "clusterIPs");
            }
            one => spec["clusterIPs"] = json!([one]),
        }
    }
}

/// By port and protocol; a node port given to another port of the update is not repeated.
fn keep_node_ports(spec: &mut Value, old: &Value) {
    let key = |port: &Value| {
        (
            meta::int(port, "port"),
            meta::text(port, "protocol").to_owned(),
        )
    };
    let olds: Vec<_> = meta::items(old, "ports")
        .iter()
        .filter_map(|port| Some((key(port), meta::int(port, "nodePort").filter(|&n| n != 0)?)))
        .collect();
    let mut used: Vec<i64> = meta::items(spec, "ports")
        .iter()
        .filter_map(|port| meta::int(port, "nodePort"))
        .collect();
    for port in spec["ports"].as_array_mut().into_iter().flatten() {
        if meta::int(port, "nodePort").unwrap_or(0) != 0 {
            continue;
        }
        let before = olds.iter().find(|(old, _)| *old == key(port));
        if let Some((_, number)) = before.filter(|(_, number)| !used.contains(number)) {
            used.push(*number);
            port["nodePort"] = (*number).into();
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_update_that_leaves_addresses_and_node_ports_out_keeps_them() {
        let old = json!({"spec": {"type": "NodePort", "clusterIP": "10.96.0.5", "clusterIPs": ["10.96.0.5"],
            "ports": [{"port": 80, "protocol": "TCP", "nodePort": 30080}]}});
        let mut new = json!({"spec": {"type": "NodePort", "ports": [{"port": 80, "protocol": "TCP"}, {"port": 81, "protocol": "TCP"}]}});
        prepare_update(&mut new, &old);
        assert_eq!(new["spec"]["clusterIPs"], json!(["10.96.0.5"]));
        assert_eq!(new["spec"]["ports"][0]["nodePort"], 30080);
        assert_eq!(new["spec"]["ports"][1].get("nodePort"), None);
    }

    #[test]
    fn node_ports_go_when_the_service_turns_back_to_cluster_ip() {
        let old = json!({"spec": {"type": "NodePort", "clusterIP": "10.96.0.5", "externalTrafficPolicy": "Cluster",
            "ports": [{"port": 80, "nodePort": 30080}]}});
        let mut new = old.clone();
        new["spec"]["type"] = "ClusterIP".into();
        prepare_update(&mut new, &old);
        assert_eq!(new["spec"]["ports"], json!([{"port": 80}]));
        assert_eq!(new["spec"].get("externalTrafficPolicy"), None);
    }
}
