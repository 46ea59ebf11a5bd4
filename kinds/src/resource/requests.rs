//! What a claim asks for.

use apimachinery::field::Error;
use apimachinery::names;
use serde_json::Value;

use crate::defaults::{each, set_number, set_text, with};
use crate::errors::{Errors, Seen};
use crate::node::Node;

const REQUESTS_MAX: usize = 32;
const SELECTORS_MAX: usize = 32;

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
    if requests.len() > REQUESTS_MAX {
        errors.push(Error::too_many(
            &requests.path,
            requests.len(),
            REQUESTS_MAX,
        ));
    }
    let mut seen = Seen::new();
    for request in requests.items() {
        let name = request.at("name");
        if errors.require_name(&name, names::dns_label) {
            errors.unique(&name, &mut seen);
        }
        one_request(&request, errors);
    }
    for constraint in devices.at("constraints").items() {
        for name in constraint.at("requests").items() {
            let request = name.text().split('/').next().unwrap_or_default();
            if !seen.contains(request) {
                errors.invalid(&name, "must be the name of a request in the claim or the name of a request and a subrequest separated by '/'");
            }
        }
    }
}

fn one_request(request: &Node, errors: &mut Errors) {
    let (exactly, first) = (request.at("exactly"), request.at("firstAvailable"));
    match (exactly.exists(), first.is_empty()) {
        (true, true) => device(&exactly, errors),
        (false, false) => {
            for sub in first.items() {
                errors.require_name(&sub.at("name"), names::dns_label);
                device(&sub, errors);
            }
        }
        (true, false) => {
            let why = "exactly one of `exactly` or `firstAvailable` must be specified";
            errors.invalid(request, why);
        }
        (false, true) => {
            let why = "exactly one of `exactly` or `firstAvailable` must be specified";
            errors.required(request, why);
        }
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
}

pub fn selectors(selectors: &Node, errors: &mut Errors) {
    if selectors.len() > SELECTORS_MAX {
        errors.push(Error::too_many(
            &selectors.path,
            selectors.len(),
            SELECTORS_MAX,
        ));
    }
    for selector in selectors.items() {
        let cel = selector.at("cel");
        if cel.exists() {
            errors.require(&cel.at("expression"));
        } else {
            errors.required(&cel, "");
        }
    }
}
