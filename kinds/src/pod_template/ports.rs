//! Container ports.

use apimachinery::field::Error;
use apimachinery::names;

use super::spec::Place;
use crate::errors::{Errors, Seen};
use crate::node::Node;

pub const PROTOCOLS: &[&str] = &["SCTP", "TCP", "UDP"];

pub fn validate(ports: &Node, errors: &mut Errors) {
    let mut names = Seen::new();
    for port in ports.items() {
        let name = port.at("name");
        if !name.is_empty() && errors.follows(&name, names::port_name) {
            errors.unique(&name, &mut names);
        }
        let number = port.at("containerPort");
        if number.int().unwrap_or(0) == 0 {
            errors.required(&number, "");
        } else {
            errors.port(&number);
        }
        let host_port = port.at("hostPort");
        if host_port.int().unwrap_or(0) != 0 {
            errors.port(&host_port);
        }
        errors.require_one_of(&port.at("protocol"), PROTOCOLS);
    }
}

/// One address of the host can be taken once.
pub fn host_ports(ports: &Node, seen: &mut Seen, errors: &mut Errors) {
    for port in ports.items() {
        let host_port = port.at("hostPort");
        let Some(number) = host_port.int().filter(|&n| n != 0) else {
            continue;
        };
        let protocol = port.at("protocol").text();
        let taken = format!("{protocol}/{}/{number}", port.at("hostIP").text());
        if !seen.insert(taken.clone()) {
            errors.push(Error::duplicate(&host_port.path, taken));
        }
    }
}

/// On the host's network a port is the host's; a template may leave that to be filled in.
pub fn on_host_network(spec: &Node, place: Place, errors: &mut Errors) {
    for container in spec.at("containers").items() {
        for port in container.at("ports").items() {
            let host_port = port.at("hostPort");
            let wanted = host_port.int().unwrap_or(0);
            let is_told = place.is_pod() || wanted != 0;
            if is_told && wanted != port.at("containerPort").int().unwrap_or(0) {
                let why = "must match `containerPort` when `hostNetwork` is true";
                errors.push(Error::invalid(&host_port.path, wanted, why));
            }
        }
    }
}
