//! What a claim asks for.

use std::collections::HashSet;

use apimachinery::names;
use serde_json::Value;

use crate::defaults::{each, set_number, set_text, with};
use crate::errors::{Errors, Seen};
use crate::node::Node;
use crate::pod_template::csi_driver;

const REQUESTS_MAX: usize = 32;
const SELECTORS_MAX: usize = 32;
const CONSTRAINTS_MAX: usize = 32;
const CONFIG_MAX: usize = 32;
const ALTERNATIVES_MAX: usize = 8;

pub fn default_devices(spec: &mut Value) {
    with(spec, "devices", |devices| {
        each(devices, "requests", |request| {
            with(request, "exactly", default_request);
            each(request, "firstAvailable", default_request);
        });
    });
}

fn default_request(request: &mut Value) {
    set_text(request, "allocationMode", "ExactCount");
    if crate::defaults::is(request, "allocationMode", "ExactCount") {
        set_number(request, "count", 1);
    }
    each(request, "tolerations", |toleration| {
        set_text(toleration, "operator", "Equal")
    });
}

pub fn validate_devices(devices: &Node, errors: &mut Errors) {
    let requests = devices.at("requests");
    errors.at_most(&requests, REQUESTS_MAX);
    let mut seen = Seen::new();
    for request in requests.items() {
        let name = request.at("name");
        if errors.require_name(&name, names::dns_label) {
            errors.unique(&name, &mut seen);
        }
        one_request(&request, errors);
    }
    let known = Known::of(devices);
    let constraints = devices.at("constraints");
    errors.at_most(&constraints, CONSTRAINTS_MAX);
    for constraint in constraints.items() {
        known.check(&constraint.at("requests"), errors);
        let attribute = constraint.at("matchAttribute");
        if errors.require(&attribute) && !attribute.text().contains('/') {
            errors.invalid_text(&attribute, "must include a domain");
        }
    }
    let config = devices.at("config");
    errors.at_most(&config, CONFIG_MAX);
    for config in config.items() {
        known.check(&config.at("requests"), errors);
        configuration(&config, errors);
    }
}

/// The names that a claim gives to its requests: `request` and `request/subrequest`.
pub(super) struct Known(HashSet<String>);

impl Known {
    pub(super) fn of(devices: &Node) -> Self {
        let mut known = HashSet::new();
        for request in devices.at("requests").items() {
            let name = request.at("name").text();
            known.insert(name.to_owned());
            for sub in request.at("firstAvailable").items() {
                known.insert(format!("{name}/{}", sub.at("name").text()));
            }
        }
        Self(known)
    }

    fn check(&self, list: &Node, errors: &mut Errors) {
        errors.at_most(list, REQUESTS_MAX);
        let mut seen = Seen::new();
        for name in list.items() {
            errors.unique(&name, &mut seen);
            self.check_one(&name, errors);
        }
    }

    pub(super) fn check_one(&self, name: &Node, errors: &mut Errors) {
        if !self.0.contains(name.text()) {
            errors.invalid_text(name, "must be the name of a request in the claim or the name of a request and a subrequest separated by '/'");
        }
    }
}

/// What a driver is told about the devices; only it knows what that means.
pub fn configuration(config: &Node, errors: &mut Errors) {
    let opaque = config.at("opaque");
    if !opaque.exists() {
        errors.required(&opaque, "");
        return;
    }
    csi_driver(&opaque.at("driver"), errors);
    errors.require(&opaque.at("parameters"));
}

/// The configuration of a class of devices.
pub fn configurations(list: &Node, errors: &mut Errors) {
    errors.at_most(list, CONFIG_MAX);
    for config in list.items() {
        configuration(&config, errors);
    }
}

fn one_request(request: &Node, errors: &mut Errors) {
    const WHY: &str = "exactly one of `exactly` or `firstAvailable` must be specified";
    let (exactly, first) = (request.at("exactly"), request.at("firstAvailable"));
    match (exactly.exists(), first.is_empty()) {
        (true, true) => device(&exactly, errors),
        (false, false) => {
            errors.at_most(&first, ALTERNATIVES_MAX);
            let mut seen = Seen::new();
            for sub in first.items() {
                let name = sub.at("name");
                if errors.require_name(&name, names::dns_label) {
                    errors.unique(&name, &mut seen);
                }
                device(&sub, errors);
            }
        }
        (true, false) => errors.invalid_place(request, WHY),
        (false, true) => errors.required(request, WHY),
    }
}

fn device(request: &Node, errors: &mut Errors) {
    errors.require_name(&request.at("deviceClassName"), names::dns_subdomain);
    selectors(&request.at("selectors"), errors);
    let (mode, count) = (request.at("allocationMode"), request.at("count"));
    match mode.text() {
        "All" if count.int().unwrap_or(0) != 0 => {
            errors.invalid(&count, "must not be specified when allocationMode is 'All'");
        }
        "ExactCount" if count.int().unwrap_or(0) <= 0 => {
            errors.invalid(&count, "must be greater than zero");
        }
        "All" | "ExactCount" => {}
        _ => {
            errors.one_of(&mode, &["All", "ExactCount"]);
        }
    }
    for toleration in request.at("tolerations").items() {
        validate_toleration(&toleration, errors);
    }
}

fn validate_toleration(toleration: &Node, errors: &mut Errors) {
    let (key, operator) = (toleration.at("key"), toleration.at("operator"));
    errors.follows_if_set(&key, names::qualified);
    let value = toleration.at("value");
    match operator.text() {
        "Exists" if !value.is_empty() => {
            errors.invalid_text(&value, "must be empty for operator `Exists`");
        }
        "Equal" if key.is_empty() => {
            errors.required(&key, "must be set for operator `Equal`");
        }
        "Exists" => {}
        "Equal" => {
            errors.follows(&value, names::label_value);
        }
        _ => {
            errors.require_one_of(&operator, &["Equal", "Exists"]);
        }
    }
    errors.one_of_if_set(&toleration.at("effect"), &["NoExecute", "NoSchedule"]);
}

pub fn selectors(selectors: &Node, errors: &mut Errors) {
    errors.at_most(selectors, SELECTORS_MAX);
    for selector in selectors.items() {
        let cel = selector.at("cel");
        if cel.exists() {
            errors.require(&cel.at("expression"));
        } else {
            errors.required(&cel, "");
        }
    }
}
