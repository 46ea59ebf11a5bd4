//! Probes and lifecycle hooks.

use crate::errors::Errors;
use crate::node::Node;

const HANDLERS: [&str; 5] = ["exec", "httpGet", "tcpSocket", "grpc", "sleep"];

pub fn validate(probe: &Node, errors: &mut Errors) {
    if !probe.exists() {
        return;
    }
    handler(probe, &["exec", "httpGet", "tcpSocket", "grpc"], errors);
    for field in [
        "initialDelaySeconds",
        "timeoutSeconds",
        "periodSeconds",
        "successThreshold",
        "failureThreshold",
    ] {
        errors.not_negative(&probe.at(field));
    }
    let grace = probe.at("terminationGracePeriodSeconds");
    if grace.int().is_some_and(|seconds| seconds <= 0) {
        errors.invalid(&grace, "must be greater than 0");
    }
}

/// Liveness and startup probes succeed at once.
pub fn liveness(probe: &Node, errors: &mut Errors) {
    validate(probe, errors);
    let threshold = probe.at("successThreshold");
    if probe.exists() && threshold.int() != Some(1) {
        errors.invalid(&threshold, "must be 1");
    }
}

pub fn lifecycle(lifecycle: &Node, errors: &mut Errors) {
    for hook in ["postStart", "preStop"] {
        let hook = lifecycle.at(hook);
        if hook.exists() {
            handler(&hook, &["exec", "httpGet", "tcpSocket", "sleep"], errors);
        }
    }
}

/// Exactly one of the allowed handlers.
fn handler(parent: &Node, allowed: &[&str], errors: &mut Errors) {
    let mut handlers = 0;
    for name in HANDLERS.iter().filter(|name| allowed.contains(name)) {
        let handler = parent.at(name);
        if !handler.exists() {
            continue;
        }
        handlers += 1;
        if handlers > 1 {
            errors.forbidden(&handler, "may not specify more than 1 handler type");
        } else {
            one_handler(name, &handler, errors);
        }
    }
    if handlers == 0 {
        errors.required(parent, "must specify a handler type");
    }
}

fn one_handler(name: &str, handler: &Node, errors: &mut Errors) {
    match name {
        "exec" => {
            errors.require(&handler.at("command"));
        }
        "httpGet" => http_get(handler, errors),
        "tcpSocket" => errors.port_or_name(&handler.at("port")),
        "grpc" => errors.port(&handler.at("port")),
        _ => {
            errors.at_least(&handler.at("seconds"), 0);
        }
    }
}

fn http_get(get: &Node, errors: &mut Errors) {
    errors.require(&get.at("path"));
    errors.port_or_name(&get.at("port"));
    errors.one_of(&get.at("scheme"), &["HTTP", "HTTPS"]);
    for header in get.at("httpHeaders").items() {
        errors.follows(&header.at("name"), http_header);
    }
}

fn http_header(name: &str) -> Vec<String> {
    let good = |b: u8| b.is_ascii_alphanumeric() || b == b'-';
    if !name.is_empty() && name.bytes().all(good) {
        return Vec::new();
    }
    vec!["a valid HTTP header must consist of alphanumeric characters or '-' (e.g. 'X-Header-Name', regex used for validation is '[-A-Za-z0-9]+')".to_owned()]
}
