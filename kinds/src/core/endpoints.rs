//! Endpoints.

use apimachinery::field::Error;
use apimachinery::{meta, names};
use jiff::Timestamp;
use serde_json::Value;

use crate::columns::{self, AGE, Column, NAME};
use crate::defaults::{each, set_text};
use crate::errors::Errors;
use crate::kind::{Kind, Storage};
use crate::node::Node;
use crate::text_cells;

pub static KIND: Kind = Kind {
    kind: "Endpoints",
    list_kind: "EndpointsList",
    plural: "endpoints",
    singular: "endpoints",
    short_names: &["ep"],
    storage: Storage::Stored {
        prefix: "endpoints",
    },
    create_on_update: true,
    default,
    validate,
    validate_update: |new, _, errors| validate(new, errors),
    columns: &[
        NAME,
        Column::text("Endpoints", "The first few addresses and ports."),
        AGE,
    ],
    row,
    deprecation: Some(
        "v1 Endpoints is deprecated in v1.33+; use discovery.k8s.io/v1 EndpointSlice",
    ),
    ..Kind::BASE
};

const PROTOCOLS: &[&str] = &["SCTP", "TCP", "UDP"];

fn default(endpoints: &mut Value) {
    each(endpoints, "subsets", |subset| {
        each(subset, "ports", |port| set_text(port, "protocol", "TCP"));
    });
}

fn validate(endpoints: &Node, errors: &mut Errors) {
    for subset in endpoints.at("subsets").items() {
        let (ready, not_ready) = (subset.at("addresses"), subset.at("notReadyAddresses"));
        if ready.is_empty() && not_ready.is_empty() {
            errors.required(&subset, "must specify `addresses` or `notReadyAddresses`");
        }
        for address in ready.items().chain(not_ready.items()) {
            validate_address(&address, errors);
        }
        let ports = subset.at("ports");
        for port in ports.items() {
            validate_port(&port, ports.len() > 1, errors);
        }
    }
}

fn validate_address(address: &Node, errors: &mut Errors) {
    let ip = address.at("ip");
    errors.ip(&ip);
    errors.follows_if_set(&address.at("hostname"), names::dns_label);
    let node_name = address.at("nodeName");
    if node_name.exists() {
        errors.follows(&node_name, names::dns_subdomain);
    }
    if ip.text().parse::<std::net::IpAddr>().is_ok() {
        usable_address(&ip, errors);
    } else {
        errors.invalid_text(&ip, "must be a valid IP address");
    }
}

/// Nobody can be reached at these addresses, or only the sender.
pub fn usable_address(node: &Node, errors: &mut Errors) {
    let Ok(ip) = node.text().parse::<std::net::IpAddr>() else {
        return;
    };
    let link_local = match ip {
        std::net::IpAddr::V4(v4) => v4.is_link_local(),
        std::net::IpAddr::V6(v6) => v6.is_unicast_link_local(),
    };
    let link_multicast = match ip {
        std::net::IpAddr::V4(v4) => v4.octets()[..3] == [224, 0, 0],
        std::net::IpAddr::V6(v6) => v6.segments()[0] & 0xff0f == 0xff02,
    };
    let why = if ip.is_unspecified() {
        format!("may not be unspecified ({})", node.text())
    } else if ip.is_loopback() {
        "may not be in the loopback range (127.0.0.0/8, ::1/128)".to_owned()
    } else if link_local {
        "may not be in the link-local range (169.254.0.0/16, fe80::/10)".to_owned()
    } else if link_multicast {
        "may not be in the link-local multicast range (224.0.0.0/24, ff02::/10)".to_owned()
    } else {
        return;
    };
    errors.push(Error::invalid(&node.path, node.text(), why));
}

fn validate_port(port: &Node, needs_name: bool, errors: &mut Errors) {
    let name = port.at("name");
    if needs_name && name.is_empty() {
        errors.required(&name, "");
    } else {
        errors.follows_if_set(&name, names::dns_label);
    }
    errors.port(&port.at("port"));
    errors.require_one_of(&port.at("protocol"), PROTOCOLS);
    let protocol = port.at("appProtocol");
    if protocol.exists() {
        errors.follows(&protocol, names::qualified);
    }
}

const SHOWN: usize = 3;

fn row(endpoints: &Value, now: Timestamp) -> Vec<Value> {
    vec![
        columns::name(endpoints),
        first_few(&addresses(endpoints)).into(),
        columns::age(endpoints, now),
    ]
}

fn addresses(endpoints: &Value) -> Vec<String> {
    let mut all = Vec::new();
    for subset in meta::items(endpoints, "subsets") {
        let (ports, addresses) = (
            meta::items(subset, "ports"),
            meta::items(subset, "addresses"),
        );
        let ips = || addresses.iter().map(|address| meta::text(address, "ip"));
        if ports.is_empty() {
            all.extend(ips().map(str::to_owned));
        }
        for port in ports {
            let port = meta::int(port, "port").unwrap_or(0);
            all.extend(ips().map(|ip| host_port(ip, port)));
        }
    }
    all
}

fn host_port(ip: &str, port: i64) -> String {
    if ip.contains(':') {
        return format!("[{ip}]:{port}");
    }
    format!("{ip}:{port}")
}

/// Three, and how many more.
fn first_few(all: &[String]) -> String {
    let shown = all
        .iter()
        .take(SHOWN)
        .cloned()
        .collect::<Vec<_>>()
        .join(",");
    match all.len() {
        0 => text_cells::NONE.to_owned(),
        1..=SHOWN => shown,
        many => format!("{shown} + {} more...", many - SHOWN),
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn only_three_addresses_are_shown() {
        let address = |n| json!({"ip": format!("10.0.0.{n}")});
        let endpoints = json!({"subsets": [
            {"addresses": [address(1), address(2), address(3), address(4)], "ports": [{"port": 80}]}]});
        assert_eq!(
            first_few(&addresses(&endpoints)),
            "10.0.0.1:80,10.0.0.2:80,10.0.0.3:80 + 1 more..."
        );
    }

    #[test]
    fn a_loopback_address_is_no_endpoint() {
        let endpoints = json!({"subsets": [{"addresses": [{"ip": "127.0.0.1"}]}]});
        let errors = Errors::in_object(&endpoints, validate);
        assert_eq!(
            errors[0].to_string(),
            "subsets[0].addresses[0].ip: Invalid value: \"127.0.0.1\": may not be in the loopback range (127.0.0.0/8, ::1/128)"
        );
    }
}
