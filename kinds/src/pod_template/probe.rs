//! Probes and lifecycle hooks.

use apimachinery::field::Error;

use crate::errors::Errors;
use crate::node::Node;

const HANDLERS: [&str; 5] = ["exec", "httpGet", "tcpSocket", "grpc", "sleep"];

/// A container's three probes.
pub fn all(container: &Node, grace: Option<i64>, errors: &mut Errors) {
    once(&container.at("livenessProbe"), grace, errors);
    let readiness = container.at("readinessProbe");
    validate(&readiness, grace, errors);
    let seconds = readiness.at("terminationGracePeriodSeconds");
    if seconds.exists() {
        errors.invalid(&seconds, "must not be set for readinessProbes");
    }
    once(&container.at("startupProbe"), grace, errors);
}

fn validate(probe: &Node, grace: Option<i64>, errors: &mut Errors) {
    if !probe.exists() {
        return;
    }
    let allowed = &["exec", "httpGet", "tcpSocket", "grpc"];
    handler(probe, allowed, grace, errors);
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
fn once(probe: &Node, grace: Option<i64>, errors: &mut Errors) {
    validate(probe, grace, errors);
    let threshold = probe.at("successThreshold");
    if probe.exists() && threshold.int() != Some(1) {
        errors.invalid(&threshold, "must be 1");
    }
}

pub fn lifecycle(lifecycle: &Node, grace: Option<i64>, errors: &mut Errors) {
    for hook in ["postStart", "preStop"] {
        let hook = lifecycle.at(hook);
        if hook.exists() {
            let allowed = &["exec", "httpGet", "tcpSocket", "sleep"];
            handler(&hook, allowed, grace, errors);
        }
    }
}

/// Exactly one of the allowed handlers.
fn handler(parent: &Node, allowed: &[&str], grace: Option<i64>, errors: &mut Errors) {
    let mut handlers = 0;
    for (name, handler) in parent.present(&HANDLERS) {
        if !allowed.contains(&name) {
            continue;
        }
        handlers += 1;
        if handlers > 1 {
            errors.forbidden(&handler, "may not specify more than 1 handler type");
        } else {
            one_handler(name, &handler, grace, errors);
        }
    }
    if handlers == 0 {
        errors.required(parent, "must specify a handler type");
    }
}

fn one_handler(name: &str, handler: &Node, grace: Option<i64>, errors: &mut Errors) {
    match name {
        "exec" => {
            errors.require(&handler.at("command"));
        }
        "httpGet" => http_get(handler, errors),
        "tcpSocket" => errors.port_or_name(&handler.at("port")),
        "grpc" => errors.port(&handler.at("port")),
        _ => sleep(handler, grace, errors),
    }
}

/// A pod that sleeps longer than it has to stop is killed asleep.
fn sleep(handler: &Node, grace: Option<i64>, errors: &mut Errors) {
    let seconds = handler.at("seconds").int().unwrap_or(0);
    let Some(grace) = grace else { return };
    if seconds < 0 || seconds > grace {
        let why =
            format!("must be non-negative and less than terminationGracePeriodSeconds ({grace})");
        errors.push(Error::invalid(&handler.path, seconds, why));
    }
}

fn http_get(get: &Node, errors: &mut Errors) {
    errors.require(&get.at("path"));
    errors.port_or_name(&get.at("port"));
    errors.one_of(&get.at("scheme"), &["HTTP", "HTTPS"]);
    let headers = get.at("httpHeaders");
    for header in headers.items() {
        let name = header.at("name").text();
        for problem in http_header(name) {
            errors.push(Error::invalid(&headers.path, name, problem));
        }
    }
}

fn http_header(name: &str) -> Vec<String> {
    let good = |b: u8| b.is_ascii_alphanumeric() || b == b'-';
    if !name.is_empty() && name.bytes().all(good) {
        return Vec::new();
    }
    vec!["a valid HTTP header must consist of alphanumeric characters or '-' (e.g. 'X-Header-Name', regex used for validation is '[-A-Za-z0-9]+')".to_owned()]
}
