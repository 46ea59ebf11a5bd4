//! EndpointSlice.

use apimachinery::field::Error;
use apimachinery::{meta, names};
use jiff::Timestamp;
use serde_json::{Value, json};

use crate::columns::{self, AGE, Column, NAME};
use crate::core::endpoints::usable_address;
use crate::defaults::{each, set_default};
use crate::errors::{Errors, Seen};
use crate::kind::{Kind, Storage};
use crate::node::Node;
use crate::prepare;

pub static KIND: Kind = Kind {
    group: "discovery.k8s.io",
    kind: "EndpointSlice",
    list_kind: "EndpointSliceList",
    plural: "endpointslices",
    singular: "endpointslice",
    storage: Storage::Stored {
        prefix: "endpointslices",
    },
    default,
    prepare_create: prepare::new_generation,
    prepare_update: prepare::bump_on_content,
    validate,
    validate_update,
    columns: &[
        NAME,
        Column::text("AddressType", "What the addresses are: IPv4, IPv6 or FQDN."),
        Column::text("Ports", "The first few ports."),
        Column::text("Endpoints", "The first few addresses."),
        AGE,
    ],
    row,
    ..Kind::BASE
};

const ENDPOINTS_MAX: usize = 1000;
const ADDRESSES_MAX: usize = 100;
const PORTS_MAX: usize = 20_000;
const TOPOLOGY_MAX: usize = 16;
const HINTS_MAX: usize = 8;
const TYPES: &[&str] = &["FQDN", "IPv4", "IPv6"];
const PROTOCOLS: &[&str] = &["SCTP", "TCP", "UDP"];

fn default(slice: &mut Value) {
    each(slice, "endpoints", |endpoint| {
        set_default(endpoint, "conditions", json!({}))
    });
    each(slice, "ports", |port| {
        set_default(port, "name", "");
        set_default(port, "protocol", "TCP");
    });
}

fn validate(slice: &Node, errors: &mut Errors) {
    let kind = slice.at("addressType");
    errors.require_one_of(&kind, TYPES);
    validate_endpoints(&slice.at("endpoints"), kind.text(), errors);
    validate_ports(&slice.at("ports"), errors);
}

fn validate_endpoints(endpoints: &Node, kind: &str, errors: &mut Errors) {
    if endpoints.len() > ENDPOINTS_MAX {
        errors.push(Error::too_many(
            &endpoints.path,
            endpoints.len(),
            ENDPOINTS_MAX,
        ));
        return;
    }
    for endpoint in endpoints.items() {
        let addresses = endpoint.at("addresses");
        if errors.require_because(&addresses, "must contain at least 1 address")
            && addresses.len() > ADDRESSES_MAX
        {
            errors.push(Error::too_many(
                &addresses.path,
                addresses.len(),
                ADDRESSES_MAX,
            ));
        }
        for address in addresses.items() {
            validate_address(&address, kind, errors);
        }
        errors.follows_if_set(&endpoint.at("hostname"), names::dns_label);
        errors.follows_if_set(&endpoint.at("nodeName"), names::dns_subdomain);
        let topology = endpoint.at("deprecatedTopology");
        errors.at_most(&topology, TOPOLOGY_MAX);
        crate::object_meta::labels(&topology, errors);
        validate_hints(&endpoint.at("hints"), errors);
    }
}

/// Whom an endpoint is best for: each zone and each node once.
fn validate_hints(hints: &Node, errors: &mut Errors) {
    let rules: [(&str, names::Rule); 2] = [
        ("forZones", names::label_value),
        ("forNodes", names::dns_subdomain),
    ];
    for (list, rule) in rules {
        let list = hints.at(list);
        if !errors.at_most(&list, HINTS_MAX) {
            continue;
        }
        let mut seen = Seen::new();
        for hint in list.items() {
            let name = hint.at("name");
            errors.unique(&name, &mut seen);
            errors.follows(&name, rule);
        }
    }
}

fn validate_address(address: &Node, kind: &str, errors: &mut Errors) {
    match kind {
        "IPv4" if address.text().parse::<std::net::Ipv4Addr>().is_err() => {
            errors.invalid_text(address, "must be a valid IPv4 address");
        }
        "IPv6" if address.text().parse::<std::net::Ipv6Addr>().is_err() => {
            errors.invalid_text(address, "must be a valid IPv6 address");
        }
        "IPv4" | "IPv6" => usable_address(address, errors),
        "FQDN" => {
            let segments = address.text().trim_end_matches('.').split('.').count();
            if errors.follows(address, names::dns_subdomain) && segments < 3 {
                let why = "should be a domain with at least three segments separated by dots";
                errors.invalid_text(address, why);
            }
        }
        _ => {}
    }
}

fn validate_ports(ports: &Node, errors: &mut Errors) {
    if ports.len() > PORTS_MAX {
        errors.push(Error::too_many(&ports.path, ports.len(), PORTS_MAX));
        return;
    }
    let mut seen = Seen::new();
    for port in ports.items() {
        let name = port.at("name");
        errors.follows_if_set(&name, names::dns_label);
        errors.unique(&name, &mut seen);
        errors.require_one_of(&port.at("protocol"), PROTOCOLS);
        let number = port.at("port");
        if number.exists() {
            errors.port(&number);
        }
        errors.follows_if_set(&port.at("appProtocol"), names::qualified);
    }
}

fn validate_update(new: &Node, old: &Node, errors: &mut Errors) {
    validate(new, errors);
    errors.immutable(&new.at("addressType"), &old.at("addressType"));
}

const UNSET: &str = "<unset>";
const SHOWN: usize = 3;

fn row(slice: &Value, now: Timestamp) -> Vec<Value> {
    let ports = meta::items(slice, "ports")
        .iter()
        .map(|port| match meta::int(port, "port") {
            Some(number) => number.to_string(),
            None => "*".to_owned(),
        });
    let addresses = meta::items(slice, "endpoints")
        .iter()
        .flat_map(|endpoint| meta::items(endpoint, "addresses"))
        .filter_map(|address| address.as_str().map(str::to_owned));
    vec![
        columns::name(slice),
        meta::text(slice, "addressType").into(),
        first_few(ports.collect()).into(),
        first_few(addresses.collect()).into(),
        columns::age(slice, now),
    ]
}

fn first_few(all: Vec<String>) -> String {
    match all.len() {
        0 => UNSET.to_owned(),
        1..=SHOWN => all.join(","),
        many => format!("{} + {} more...", all[..SHOWN].join(","), many - SHOWN),
    }
}
