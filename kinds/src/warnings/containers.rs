//! Environments, ports and amounts of containers.

use std::collections::BTreeMap;

use super::{Warnings, fraction};
use crate::node::Node;

/// The lists of a pod's containers.
pub(super) const LISTS: &[&str] = &["initContainers", "containers", "ephemeralContainers"];

pub(super) fn amounts(container: &Node, warnings: &mut Warnings) {
    let resources = container.at("resources");
    for list in ["requests", "limits"] {
        for (name, amount) in resources.at(list).entries() {
            if matches!(name, "memory" | "ephemeral-storage") {
                fraction(&amount, warnings);
            }
        }
    }
}

/// A variable set again, unless it builds on what was before.
pub(super) fn environment(container: &Node, warnings: &mut Warnings) {
    let mut seen = Vec::new();
    for variable in container.at("env").items() {
        let name = variable.at("name").text();
        if !seen.contains(&name) {
            seen.push(name);
            continue;
        }
        let before = format!("$({name})");
        let value = variable.at("value").text();
        let builds_on = value != before && value.contains(&before);
        if variable.at("valueFrom").exists() || !builds_on {
            warnings.push(format!(
                "{}: hides previous definition of {name:?}, which may be dropped when using apply",
                variable.path
            ));
        }
    }
}

struct Port<'a> {
    /// The list of containers, which of them, and which of its ports.
    at: (&'static str, usize, usize),
    host_ip: &'a str,
    host_port: i64,
}

impl Port<'_> {
    fn path(&self, spec: &Node) -> String {
        let (list, container, port) = self.at;
        format!("{}.{list}[{container}].ports[{port}]", spec.path)
    }
}

/// Ports of all containers together.
pub(super) fn ports(spec: &Node, warnings: &mut Warnings) {
    let mut all: BTreeMap<(i64, &str), Vec<Port>> = BTreeMap::new();
    for (list, containers) in spec.present(LISTS) {
        for (index, container) in containers.items().enumerate() {
            for (place, port) in container.at("ports").items().enumerate() {
                let number = port.at("containerPort").int().unwrap_or(0);
                let one = Port {
                    at: (list, index, place),
                    host_ip: port.at("hostIP").text(),
                    host_port: port.at("hostPort").int().unwrap_or(0),
                };
                let others = all.entry((number, port.at("protocol").text())).or_default();
                let told = others.iter().filter_map(|other| clash(spec, &one, other));
                warnings.extend(told);
                others.push(one);
            }
        }
    }
}

fn clash(spec: &Node, one: &Port, other: &Port) -> Option<String> {
    let how = if one.host_ip == other.host_ip && one.host_port == other.host_port {
        "duplicate"
    } else if one.host_port == 0 || other.host_port == 0 {
        "overlapping"
    } else if one.host_port == other.host_port && one.host_ip.is_empty() != other.host_ip.is_empty()
    {
        "dangerously ambiguous"
    } else {
        return None;
    };
    Some(format!(
        "{}: {how} port definition with {}",
        one.path(spec),
        other.path(spec)
    ))
}
