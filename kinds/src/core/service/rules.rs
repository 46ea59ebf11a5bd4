//! Validation of Services: the table of contents.

mod addresses;
mod balancer;
mod ports;
mod update;

use apimachinery::field::Error;
use apimachinery::names;

use crate::core::endpoints::usable_address;
use crate::errors::Errors;
use crate::node::Node;
use crate::object_meta;

pub use balancer::validate_status;
pub use update::validate_update;

const TYPES: &[&str] = &["ClusterIP", "ExternalName", "LoadBalancer", "NodePort"];
const POLICIES: &[&str] = &["Cluster", "Local"];
/// One day.
const AFFINITY_MAX: i64 = 86_400;

fn is_headless(spec: &Node) -> bool {
    let ips = spec.at("clusterIPs");
    ips.len() == 1 && ips.items().any(|ip| ip.text() == "None")
}

fn is_balanced(spec: &Node) -> bool {
    spec.at("type").text() == "LoadBalancer"
}

pub fn validate(service: &Node, errors: &mut Errors) {
    topology_annotations(service, errors);
    let spec = service.at("spec");
    let kind = spec.at("type");
    let ports = spec.at("ports");
    if !is_headless(&spec) && kind.text() != "ExternalName" {
        errors.require(&ports);
    }
    by_type(&spec, errors);
    ports::validate(&ports, errors);
    object_meta::labels(&spec.at("selector"), errors);
    session_affinity(&spec, errors);
    addresses::validate(&spec, errors);
    for ip in spec.at("externalIPs").items() {
        if errors.ip(&ip) {
            usable_address(&ip, errors);
        }
    }
    errors.require_one_of(&kind, TYPES);
    ports::node_ports(&spec, errors);
    ports::duplicates(&ports, errors);
    balancer::validate(service, errors);
    external_traffic(&spec, errors);
    internal_traffic(&spec, errors);
}

const HINTS: &str = "service.kubernetes.io/topology-aware-hints";
const MODE: &str = "service.kubernetes.io/topology-mode";

/// The annotation of old and today's say the same.
fn topology_annotations(service: &Node, errors: &mut Errors) {
    let annotations = service.at("metadata.annotations");
    let text = |key: &str| annotations.map().and_then(|all| all.get(key)?.as_str());
    if let (Some(hints), Some(mode)) = (text(HINTS), text(MODE))
        && hints != mode
    {
        let why = format!("must match annotations[{HINTS}] when both are specified");
        errors.push(Error::invalid(&annotations.path.key(MODE), mode, why));
    }
}

fn by_type(spec: &Node, errors: &mut Errors) {
    let kind = spec.at("type").text();
    match kind {
        "LoadBalancer" | "NodePort" if is_headless(spec) => {
            let why = format!("may not be set to 'None' for {kind} services");
            errors.push(Error::invalid(
                &spec.path.child("clusterIPs[0]"),
                "None",
                why,
            ));
        }
        "ExternalName" => external_name(spec, errors),
        _ => {}
    }
}

/// A name has no addresses.
fn external_name(spec: &Node, errors: &mut Errors) {
    for field in ["clusterIPs", "ipFamilies", "ipFamilyPolicy"] {
        let field = spec.at(field);
        if !field.is_empty() {
            errors.forbidden(&field, "may not be set for ExternalName services");
        }
    }
    let name = spec.at("externalName");
    // A full name may end in a dot.
    let plain = name.text().strip_suffix('.').unwrap_or(name.text());
    if plain.is_empty() {
        errors.required(&name, "");
        return;
    }
    for problem in names::dns_subdomain(plain) {
        errors.push(Error::invalid(&name.path, plain, problem));
    }
}

fn session_affinity(spec: &Node, errors: &mut Errors) {
    let affinity = spec.at("sessionAffinity");
    errors.require_one_of(&affinity, &["ClientIP", "None"]);
    let config = spec.at("sessionAffinityConfig");
    match affinity.text() {
        "ClientIP" => {
            let seconds = config.at("clientIP.timeoutSeconds");
            let parts = [&config, &config.at("clientIP"), &seconds];
            if let Some(missing) = parts.into_iter().find(|part| !part.exists()) {
                let why = "when session affinity type is ClientIP";
                return errors.required(missing, why);
            }
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

fn external_traffic(spec: &Node, errors: &mut Errors) {
    let external = spec.at("externalTrafficPolicy");
    if super::is_reachable_from_outside(spec.value) {
        errors.require_one_of(&external, POLICIES);
    } else if !external.is_empty() {
        let why = "may only be set for externally-accessible services";
        errors.invalid(&external, why);
    }
    let health = spec.at("healthCheckNodePort");
    let number = health.int().unwrap_or(0);
    let is_checked = is_balanced(spec) && external.text() == "Local";
    if !is_checked && number != 0 {
        let why =
            "may only be set when `type` is 'LoadBalancer' and `externalTrafficPolicy` is 'Local'";
        errors.invalid(&health, why);
    } else if is_checked && number != 0 {
        errors.port(&health);
    }
}

fn internal_traffic(spec: &Node, errors: &mut Errors) {
    let internal = spec.at("internalTrafficPolicy");
    let kind = spec.at("type").text();
    if internal.exists() {
        errors.one_of(&internal, POLICIES);
    } else if matches!(kind, "ClusterIP" | "NodePort" | "LoadBalancer") {
        errors.required(&internal, "");
    }
    errors.one_of_if_set(
        &spec.at("trafficDistribution"),
        &["PreferClose", "PreferSameNode", "PreferSameZone"],
    );
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
