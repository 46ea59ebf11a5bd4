//! What may change in a Service that exists.

use apimachinery::field::Error;

use super::{balancer, is_balanced, is_headless};
use crate::errors::Errors;
use crate::node::Node;

pub fn validate_update(new: &Node, old: &Node, errors: &mut Errors) {
    let (spec, before) = (new.at("spec"), old.at("spec"));
    let is_name = |spec: &Node| spec.at("type").text() == "ExternalName";
    if !is_name(&spec) && !is_name(&before) {
        addresses(&spec, &before, errors);
        families(&spec, &before, errors);
    }
    class(&spec, &before, errors);
    health_port(&spec, &before, errors);
    super::validate(new, errors);
}

fn texts<'v>(list: &Node<'v, '_>) -> Vec<&'v str> {
    let items = list.value.as_array().map_or(&[][..], Vec::as_slice);
    items.iter().filter_map(|item| item.as_str()).collect()
}

/// One of the two lists of a Service, and what its parts are called.
struct Listed {
    field: &'static str,
    first: &'static str,
    second: &'static str,
}

fn addresses(spec: &Node, before: &Node, errors: &mut Errors) {
    if is_headless(spec) && is_headless(before) {
        return;
    }
    let listed = Listed {
        field: "clusterIPs",
        first: "primary clusterIP",
        second: "secondary clusterIP",
    };
    stays(&listed, spec, before, errors);
}

/// Who has no address may change families.
fn families(spec: &Node, before: &Node, errors: &mut Errors) {
    if is_headless(spec) || is_headless(before) {
        return;
    }
    let listed = Listed {
        field: "ipFamilies",
        first: "primary ipFamily",
        second: "secondary ipFamily",
    };
    stays(&listed, spec, before, errors);
}

/// The first stays; a second may come, and go if the policy says so.
fn stays(listed: &Listed, spec: &Node, before: &Node, errors: &mut Errors) {
    let list = spec.at(listed.field);
    let was_list = before.at(listed.field);
    let (now, was) = (texts(&list), texts(&was_list));
    let mut changed = |index: usize, why: &str| {
        let shown = list.value.clone();
        errors.push(Error::invalid(&list.path.index(index), shown, why));
    };
    if now.len() == was.len() {
        for (index, _) in was.iter().enumerate().filter(|(i, ip)| now[*i] != **ip) {
            changed(index, "may not change once set");
        }
        return;
    }
    if now.is_empty() {
        changed(0, &format!("{} can not be unset", listed.first));
    } else if was.first().is_some_and(|first| *first != now[0]) {
        changed(0, "may not change once set");
    }
    let policy = spec.at("ipFamilyPolicy");
    if was.len() > now.len() && now.len() == 1 && policy.text() != "SingleStack" {
        let why = format!(
            "must be set to 'SingleStack' when releasing the {}",
            listed.second
        );
        errors.invalid(&policy, why);
    }
}

fn class(spec: &Node, before: &Node, errors: &mut Errors) {
    let (now, was) = (spec.at("loadBalancerClass"), before.at("loadBalancerClass"));
    if is_balanced(spec) && is_balanced(before) && now.value != was.value {
        errors.invalid(&now, "may not change once set");
    }
    balancer::class(spec, errors);
}

fn health_port(spec: &Node, before: &Node, errors: &mut Errors) {
    let is_checked =
        |spec: &Node| is_balanced(spec) && spec.at("externalTrafficPolicy").text() == "Local";
    let (now, was) = (
        spec.at("healthCheckNodePort"),
        before.at("healthCheckNodePort"),
    );
    let changed = now.int().unwrap_or(0) != was.int().unwrap_or(0);
    if is_checked(spec) && is_checked(before) && changed {
        errors.forbidden(&now, "field is immutable");
    }
}
