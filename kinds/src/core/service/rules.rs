//! Validation of Services.

use apimachinery::field::Error;
use apimachinery::names;
use serde_json::Value;

use crate::core::endpoints::usable_address;
use crate::errors::{Errors, Seen};
use crate::node::Node;
use crate::object_meta;

const TYPES: &[&str] = &["ClusterIP", "ExternalName", "LoadBalancer", "NodePort"];
const PROTOCOLS: &[&str] = &["SCTP", "TCP", "UDP"];
const POLICIES: &[&str] = &["Cluster", "Local"];
/// One day.
const AFFINITY_MAX: i64 = 86_400;

fn is_headless(spec: &Node) -> bool {
    spec.at("clusterIP").text() == "None"
}

pub fn validate(service: &Node, errors: &mut Errors) {
    let spec = service.at("spec");
    let kind = spec.at("type");
    let ports = spec.at("ports");
    if !is_headless(&spec) && kind.text() != "ExternalName" {
        errors.require(&ports);
    }
    by_type(&spec, errors);
    validate_ports(&ports, errors);
    object_meta::labels(&spec.at("selector"), errors);
    session_affinity(&spec, errors);
    cluster_ips(&spec, errors);
    for ip in spec.at("externalIPs").items() {
        if errors.ip(&ip) {
            usable_address(&ip, errors);
        }
    }
    errors.require_one_of(&kind, TYPES);
    node_ports(&spec, errors);
    duplicate_ports(&ports, errors);
    load_balancer(&spec, errors);
    traffic_policies(&spec, errors);
}

fn by_type(spec: &Node, errors: &mut Errors) {
    match spec.at("type").text() {
        "LoadBalancer" | "NodePort" if is_headless(spec) => {
            let kind = spec.at("type").text();
            let why = format!("may not be set to 'None' for {kind} services");
            errors.push(Error::invalid(
                &spec.path.child("clusterIPs[0]"),
                "None",
                why,
            ));
        }
        "ExternalName" => {
            if !spec.at("clusterIPs").is_empty() {
                let why = "may not be set for ExternalName services";
                errors.forbidden(&spec.at("clusterIPs"), why);
            }
            let name = spec.at("externalName");
            let plain = name.text().strip_suffix('.').unwrap_or(name.text());
            if errors.require(&name) {
                for problem in names::dns_subdomain(plain) {
                    errors.push(Error::invalid(&name.path, name.text(), problem));
                }
            }
        }
        _ => {}
    }
}

fn validate_ports(ports: &Node, errors: &mut Errors) {
    let mut seen = Seen::new();
    for port in ports.items() {
        let name = port.at("name");
        if ports.len() > 1 && name.is_empty() {
            errors.required(&name, "");
        } else if !name.is_empty() {
            errors.follows(&name, names::dns_label);
            errors.unique(&name, &mut seen);
        }
        errors.port(&port.at("port"));
        errors.require_one_of(&port.at("protocol"), PROTOCOLS);
        errors.port_or_name(&port.at("targetPort"));
        errors.follows_if_set(&port.at("appProtocol"), names::qualified);
    }
}

fn session_affinity(spec: &Node, errors: &mut Errors) {
    let affinity = spec.at("sessionAffinity");
    errors.require_one_of(&affinity, &["ClientIP", "None"]);
    let config = spec.at("sessionAffinityConfig");
    match affinity.text() {
        "ClientIP" => {
            let seconds = config.at("clientIP.timeoutSeconds");
            let value = seconds.int().unwrap_or(0);
            if value <= 0 || value > AFFINITY_MAX {
                let why = format!("must be greater than 0 and less than {AFFINITY_MAX}");
                errors.invalid(&seconds, why);
            }
        }
        "None" => {
            let why = "must not be set when session affinity is None";
            errors.forbid(&config, why);
        }
        _ => {}
    }
}

fn cluster_ips(spec: &Node, errors: &mut Errors) {
    let many = spec.at("clusterIPs");
    for ip in many.items() {
        if ip.text() != "None" && ip.text().parse::<std::net::IpAddr>().is_err() {
            errors.ip(&ip);
        }
    }
    if many.len() > 2 {
        let why = "may only hold up to 2 values";
        errors.invalid(&many, why);
    }
    let one = spec.at("clusterIP");
    let first = many.items().next().map_or("", |ip| ip.text());
    if !one.is_empty() && one.text() != first {
        errors.invalid(&many, "first value must match `clusterIP`");
    }
    if let [a, b] = many.value.as_array().map_or(&[][..], Vec::as_slice)
        && is_v6(a) == is_v6(b)
    {
        errors.invalid(&many, "may specify no more than one IP for each IP family");
    }
    for family in spec.at("ipFamilies").items() {
        errors.one_of(&family, &["IPv4", "IPv6"]);
    }
    let policies = &["PreferDualStack", "RequireDualStack", "SingleStack"];
    errors.one_of_if_set(&spec.at("ipFamilyPolicy"), policies);
}

fn is_v6(ip: &Value) -> bool {
    ip.as_str().is_some_and(|ip| ip.contains(':'))
}

fn node_ports(spec: &Node, errors: &mut Errors) {
    let mut seen = Seen::new();
    for port in spec.at("ports").items() {
        let node_port = port.at("nodePort");
        let number = node_port.int().unwrap_or(0);
        if number == 0 {
            continue;
        }
        if matches!(spec.at("type").text(), "ClusterIP" | "ExternalName") {
            let kind = spec.at("type").text();
            let why = format!("may not be used when `type` is '{kind}'");
            errors.forbidden(&node_port, why);
            continue;
        }
        let key = format!("{}/{number}", port.at("protocol").text());
        if !seen.insert(key) {
            errors.duplicate(&node_port);
        }
    }
}

/// The same port and protocol twice; the port shown bare.
fn duplicate_ports(ports: &Node, errors: &mut Errors) {
    let mut seen = Seen::new();
    for port in ports.items() {
        let (protocol, number) = (
            port.at("protocol").text(),
            port.at("port").int().unwrap_or(0),
        );
        if !seen.insert(format!("{protocol}/{number}")) {
            let bare = serde_json::json!({"name": "", "protocol": protocol, "port": number});
            errors.push(Error::duplicate(&port.path, bare));
        }
    }
}

fn load_balancer(spec: &Node, errors: &mut Errors) {
    let balanced = spec.at("type").text() == "LoadBalancer";
    let ranges = spec.at("loadBalancerSourceRanges");
    if !ranges.is_empty() && !balanced {
        let why = "may only be used when `type` is 'LoadBalancer'";
        errors.forbidden(&ranges, why);
    }
    for range in ranges.items() {
        errors.cidr(&range);
    }
    let allocate = spec.at("allocateLoadBalancerNodePorts");
    if balanced && !allocate.exists() {
        errors.required(&allocate, "");
    } else if !balanced {
        errors.forbid(&allocate, "may only be used when `type` is 'LoadBalancer'");
    }
    let class = spec.at("loadBalancerClass");
    if class.exists() {
        if !balanced {
            errors.forbidden(&class, "may only be used when `type` is 'LoadBalancer'");
        }
        errors.follows(&class, names::qualified);
    }
}

fn traffic_policies(spec: &Node, errors: &mut Errors) {
    let external = spec.at("externalTrafficPolicy");
    let reachable = super::is_reachable_from_outside(spec.value);
    if !reachable && !external.is_empty() {
        let why = "may only be set for externally-accessible services";
        errors.invalid(&external, why);
    } else if reachable {
        errors.require_one_of(&external, POLICIES);
    }
    let health = spec.at("healthCheckNodePort");
    let local = external.text() == "Local" && spec.at("type").text() == "LoadBalancer";
    if !local && health.int().unwrap_or(0) != 0 {
        let why =
            "may only be set when `type` is 'LoadBalancer' and `externalTrafficPolicy` is 'Local'";
        errors.invalid(&health, why);
    }
    let internal = spec.at("internalTrafficPolicy");
    if internal.exists() {
        errors.one_of(&internal, POLICIES);
    } else if matches!(
        spec.at("type").text(),
        "ClusterIP" | "NodePort" | "LoadBalancer"
    ) {
        errors.required(&internal, "");
    }
    errors.one_of_if_set(
        &spec.at("trafficDistribution"),
        &["PreferClose", "PreferSameNode", "PreferSameZone"],
    );
}

pub fn validate_update(new: &Node, old: &Node, errors: &mut Errors) {
    addresses_stay(&new.at("spec"), &old.at("spec"), errors);
    class_stays(&new.at("spec"), &old.at("spec"), errors);
    validate(new, errors);
}

/// An address once given stays, unless the service turns into an ExternalName.
fn addresses_stay(new: &Node, old: &Node, errors: &mut Errors) {
    let becomes_name = new.at("type").text() == "ExternalName";
    let was_name = old.at("type").text() == "ExternalName";
    let (now, was) = (new.at("clusterIPs"), old.at("clusterIPs"));
    if becomes_name || was_name || was.is_empty() {
        return;
    }
    for (index, before) in was.items().enumerate() {
        let changed = now.value.get(index).is_none_or(|ip| ip != before.value);
        // The second address goes when the service goes back to one family.
        if changed && (index == 0 || now.len() > index) {
            let path = now.path.index(index);
            errors.push(Error::invalid(
                &path,
                now.value.clone(),
                "may not change once set",
            ));
        }
    }
}

fn class_stays(new: &Node, old: &Node, errors: &mut Errors) {
    let both = [new, old]
        .iter()
        .all(|spec| spec.at("type").text() == "LoadBalancer");
    let (now, was) = (new.at("loadBalancerClass"), old.at("loadBalancerClass"));
    if both && now.value != was.value {
        errors.invalid(&now, "may not change once set");
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn a_node_port_is_for_services_that_have_one() {
        let mut service = json!({"spec": {"ports": [{"port": 80, "nodePort": 30000}]}});
        (super::super::KIND.default)(&mut service);
        let errors = Errors::in_object(&service, validate);
        assert_eq!(
            errors.iter().map(ToString::to_string).collect::<Vec<_>>(),
            ["spec.ports[0].nodePort: Forbidden: may not be used when `type` is 'ClusterIP'"]
        );
    }
}
