//! Ports of a Service.

use apimachinery::field::Error;
use apimachinery::names;

use crate::errors::{Errors, Seen};
use crate::node::Node;

const PROTOCOLS: &[&str] = &["SCTP", "TCP", "UDP"];

pub fn validate(ports: &Node, errors: &mut Errors) {
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
        let protocol = port.at("appProtocol");
        if protocol.exists() {
            errors.follows(&protocol, names::qualified);
        }
    }
}

pub fn node_ports(spec: &Node, errors: &mut Errors) {
    let ports = spec.at("ports");
    let set = |port: &Node| port.at("nodePort").int().unwrap_or(0);
    if spec.at("type").text() == "ClusterIP" {
        for port in ports.items().filter(|port| set(port) != 0) {
            let why = "may not be used when `type` is 'ClusterIP'";
            errors.forbidden(&port.at("nodePort"), why);
        }
    }
    let mut seen = Seen::new();
    for port in ports.items().filter(|port| set(port) != 0) {
        let key = format!("{}/{}", port.at("protocol").text(), set(&port));
        if !seen.insert(key) {
            errors.duplicate(&port.at("nodePort"));
        }
    }
}

/// The same port and protocol twice; the port is shown as Kubernetes' own type prints.
pub fn duplicates(ports: &Node, errors: &mut Errors) {
    let mut seen = Seen::new();
    for port in ports.items() {
        let (protocol, number) = (
            port.at("protocol").text(),
            port.at("port").int().unwrap_or(0),
        );
        if !seen.insert(format!("{protocol}/{number}")) {
            let bare = serde_json::json!({"Name": "", "Protocol": protocol, "AppProtocol": null,
                "Port": number, "TargetPort": 0, "NodePort": 0});
            errors.push(Error::duplicate(&port.path, bare));
        }
    }
}
