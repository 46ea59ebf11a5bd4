//! IPAddress: an address of a Service, taken.

use std::net::IpAddr;

use apimachinery::meta;
use jiff::Timestamp;
use serde_json::Value;

use crate::columns::{self, AGE, Column, NAME};
use crate::errors::Errors;
use crate::kind::{Kind, Scope, Storage, text_field};
use crate::node::Node;

pub static KIND: Kind = Kind {
    group: "networking.k8s.io",
    kind: "IPAddress",
    list_kind: "IPAddressList",
    plural: "ipaddresses",
    singular: "ipaddress",
    short_names: &["ip"],
    scope: Scope::Cluster,
    storage: Storage::Stored {
        prefix: "ipaddresses",
    },
    name_rule: |name| match name.parse::<IpAddr>() {
        Ok(ip) if ip.to_string() == name => Vec::new(),
        _ => vec!["must be a valid IP address in canonical form".to_owned()],
    },
    validate,
    validate_update: |new, old, errors| {
        errors.immutable(&new.at("spec.parentRef"), &old.at("spec.parentRef"));
    },
    columns: &[NAME, Column::text("ParentRef", "Who has the address."), AGE],
    row,
    field_labels: &[text_field!("spec.parentRef.name")],
    ..Kind::BASE
};

fn validate(address: &Node, errors: &mut Errors) {
    let parent = address.at("spec.parentRef");
    if !parent.exists() {
        errors.required(&parent, "");
        return;
    }
    errors.require(&parent.at("resource"));
    errors.require(&parent.at("name"));
}

fn row(address: &Value, now: Timestamp) -> Vec<Value> {
    let part =
        |field: &str| meta::get(address, "spec.parentRef").map_or("", |p| meta::text(p, field));
    let parts = [
        part("group"),
        part("resource"),
        part("namespace"),
        part("name"),
    ];
    let shown: Vec<&str> = parts.into_iter().filter(|part| !part.is_empty()).collect();
    vec![
        columns::name(address),
        shown.join("/").into(),
        columns::age(address, now),
    ]
}
