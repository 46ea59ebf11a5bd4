//! Cluster addresses of a Service, and their families.

use std::net::IpAddr;

use apimachinery::field::Error;
use serde_json::Value;

use super::is_headless;
use crate::errors::{Errors, Seen};
use crate::node::Node;

const FAMILIES: &[&str] = &["IPv4", "IPv6"];
const FAMILY_POLICIES: &[&str] = &["PreferDualStack", "RequireDualStack", "SingleStack"];

pub fn validate(spec: &Node, errors: &mut Errors) {
    // What a name must not have was told before.
    if spec.at("type").text() == "ExternalName" {
        return;
    }
    let many = spec.at("clusterIPs");
    one_and_many(&spec.at("clusterIP"), &many, errors);
    let mut seen = Seen::new();
    for family in spec.at("ipFamilies").items() {
        errors.one_of(&family, FAMILIES);
        errors.unique(&family, &mut seen);
    }
    errors.one_of_if_set(&spec.at("ipFamilyPolicy"), FAMILY_POLICIES);
    let all_good = each(&many, errors);
    if many.len() > 2 {
        errors.invalid(&many, "may only hold up to 2 values");
    }
    if !all_good {
        return;
    }
    if let [a, b, ..] = texts(&many)[..]
        && (many.len() > 2 || is_v6(a) == is_v6(b))
    {
        errors.invalid(&many, "may specify no more than one IP for each IP family");
    }
    if !is_headless(spec) {
        match_families(&many, &spec.at("ipFamilies"), errors);
    }
}

fn texts<'v>(many: &Node<'v, '_>) -> Vec<&'v str> {
    let items = many.value.as_array().map_or(&[][..], Vec::as_slice);
    items.iter().filter_map(Value::as_str).collect()
}

fn is_v6(ip: &str) -> bool {
    ip.contains(':')
}

fn one_and_many(one: &Node, many: &Node, errors: &mut Errors) {
    let first = texts(many).first().copied();
    if one.is_empty() {
        if !many.is_empty() {
            let why = "must be empty when `clusterIP` is not specified";
            errors.invalid(many, why);
        }
    } else if first.is_none() {
        errors.required(many, "");
    } else if first != Some(one.text()) {
        errors.invalid(many, "first value must match `clusterIP`");
    }
}

/// `None` stands alone; everything else is an address.
fn each(many: &Node, errors: &mut Errors) -> bool {
    let mut good = true;
    for (index, ip) in many.items().enumerate() {
        if index == 0 && ip.text() == "None" {
            if many.len() > 1 {
                good = false;
                errors.invalid(many, "'None' must be the first and only value");
            }
            continue;
        }
        good &= ip.text().parse::<IpAddr>().is_ok();
        errors.ip(&ip);
    }
    good
}

fn match_families(many: &Node, families: &Node, errors: &mut Errors) {
    for ((index, ip), family) in many.items().enumerate().zip(families.items()) {
        let wanted = match family.text() {
            "IPv4" if is_v6(ip.text()) => "IPv4",
            "IPv6" if !is_v6(ip.text()) => "IPv6",
            _ => continue,
        };
        let why = format!("expected an {wanted} value as indicated by `ipFamilies[{index}]`");
        errors.push(Error::invalid(&ip.path, ip.text(), why));
    }
}
