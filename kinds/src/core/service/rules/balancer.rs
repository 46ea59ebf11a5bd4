//! What only Services behind a load balancer have.

use std::net::IpAddr;

use apimachinery::field::Error;
use apimachinery::names;

use super::is_balanced;
use crate::errors::Errors;
use crate::node::Node;

const ONLY: &str = "may only be used when `type` is 'LoadBalancer'";

pub fn validate(service: &Node, errors: &mut Errors) {
    let spec = service.at("spec");
    source_ranges(service, &spec, errors);
    let allocate = spec.at("allocateLoadBalancerNodePorts");
    if !is_balanced(&spec) {
        errors.forbid(&allocate, ONLY);
    } else if !allocate.exists() {
        let told = apimachinery::field::Path::new("allocateLoadBalancerNodePorts");
        errors.push(Error::required(&told, ""));
    }
    class(&spec, errors);
}

pub fn class(spec: &Node, errors: &mut Errors) {
    let class = spec.at("loadBalancerClass");
    if !class.exists() {
        return;
    }
    if is_balanced(spec) {
        errors.follows(&class, names::qualified);
    } else {
        errors.forbidden(&class, ONLY);
    }
}

const RANGES: &str = "service.beta.kubernetes.io/load-balancer-source-ranges";

/// The field, or the annotation of old.
fn source_ranges(service: &Node, spec: &Node, errors: &mut Errors) {
    let ranges = spec.at("loadBalancerSourceRanges");
    if !ranges.is_empty() {
        // Kubernetes spells this path in capitals.
        let told = Node::new(ranges.value, spec.path.child("LoadBalancerSourceRanges"));
        if !is_balanced(spec) {
            errors.forbidden(&told, ONLY);
        }
        for range in told.items() {
            cidr(&range, range.text(), errors);
        }
        return;
    }
    let annotations = service.at("metadata.annotations");
    let annotation = annotations.map().and_then(|all| all.get(RANGES)?.as_str());
    let Some(text) = annotation else { return };
    let told = Node::new(annotations.value, annotations.path.key(RANGES));
    if !is_balanced(spec) {
        errors.forbidden(&told, ONLY);
    }
    for range in text.trim().split(',').filter(|_| !text.trim().is_empty()) {
        cidr(&told, range, errors);
    }
}

/// Spaces around a range are fine: annotations had them.
fn cidr(node: &Node, text: &str, errors: &mut Errors) {
    let value = text.trim().into();
    let told = Node::new(&value, node.path);
    errors.cidr(&told);
}

/// What a load balancer reports of itself, for Services and Ingresses.
pub fn validate_status(status: &Node, is_balanced: bool, errors: &mut Errors) {
    let ingress = status.at("ingress");
    if !is_balanced && !ingress.is_empty() {
        let why = "may only be used when `spec.type` is 'LoadBalancer'";
        return errors.forbidden(&ingress, why);
    }
    for ingress in ingress.items() {
        let (ip, mode, host) = (
            ingress.at("ip"),
            ingress.at("ipMode"),
            ingress.at("hostname"),
        );
        if !ip.is_empty() {
            errors.ip(&ip);
        }
        match (mode.exists(), ip.is_empty()) {
            (false, false) => errors.required(&mode, "must be specified when `ip` is set"),
            (true, true) => errors.forbidden(&mode, "may not be specified when `ip` is not set"),
            (true, false) => {
                errors.one_of(&mode, &["Proxy", "VIP"]);
            }
            (false, true) => {}
        }
        if !host.is_empty() {
            errors.follows(&host, names::dns_subdomain);
            if host.text().parse::<IpAddr>().is_ok() {
                errors.invalid(&host, "must be a DNS name, not an IP address");
            }
        }
    }
}
