//! Container ports.

use apimachinery::field::Error;
use apimachinery::names;

use crate::errors::{Errors, Seen};
use crate::node::Node;

pub const PROTOCOLS: &[&str] = &["SCTP", "TCP", "UDP"];

pub fn validate(ports: &Node, host_network: bool, errors: &mut Errors) {
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
        let wanted = host_port.int().unwrap_or(0);
        if wanted != 0 {
            errors.port(&host_port);
        }
        if host_network && wanted != 0 && Some(wanted) != number.int() {
            errors.invalid(&number, "must match `hostPort` when `hostNetwork` is true");
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
