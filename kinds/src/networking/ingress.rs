//! Ingress.

use apimachinery::field::{Error, Path};
use apimachinery::{meta, names};
use jiff::Timestamp;
use serde_json::{Value, json};

use crate::columns::{self, AGE, Column, NAME};
use crate::errors::Errors;
use crate::kind::{Kind, Storage, Subresource};
use crate::node::Node;
use crate::prepare;
use crate::text_cells::or_none;

pub static KIND: Kind = Kind {
    group: "networking.k8s.io",
    kind: "Ingress",
    list_kind: "IngressList",
    plural: "ingresses",
    singular: "ingress",
    short_names: &["ing"],
    subresources: &[Subresource::status(("networking.k8s.io", "v1", "Ingress"))],
    storage: Storage::Stored { prefix: "ingress" },
    prepare_create: |ingress| {
        prepare::new_generation(ingress);
        ingress["status"] = json!({"loadBalancer": {}});
    },
    prepare_update: prepare::keep_status,
    validate: validate_create,
    validate_update: |new, _, errors| validate(new, errors),
    validate_status_update: validate_status,
    columns: &[
        NAME,
        Column::text(
            "Class",
            "The name of the IngressClass resource that should be used.",
        ),
        Column::text("Hosts", "Hosts that this ingress is handling."),
        Column::text("Address", "The addresses of the load balancer."),
        Column::text("Ports", "80, and 443 where TLS is set up."),
        AGE,
    ],
    row,
    warnings: told,
    ..Kind::BASE
};

const PATH_TYPES: &[&str] = &["Exact", "ImplementationSpecific", "Prefix"];

const CLASS: &str = "kubernetes.io/ingress.class";

fn validate_create(ingress: &Node, errors: &mut Errors) {
    validate(ingress, errors);
    let class = ingress.at("spec.ingressClassName");
    let annotation = meta::annotation(ingress.value, CLASS);
    if let Some(annotation) = annotation.filter(|_| class.exists())
        && annotation != class.text()
    {
        let annotations = Path::new("annotations");
        let why = "must match `ingressClassName` when both are specified";
        errors.push(Error::invalid(&annotations.child(CLASS), annotation, why));
    }
}

fn validate(ingress: &Node, errors: &mut Errors) {
    let spec = ingress.at("spec");
    let (rules, fallback) = (spec.at("rules"), spec.at("defaultBackend"));
    if rules.is_empty() && !fallback.exists() {
        let why = "either `defaultBackend` or `rules` must be specified";
        errors.push(Error::invalid(&spec.path, rules.value.clone(), why));
    }
    if fallback.exists() {
        backend(&fallback, errors);
    }
    for rule in rules.items() {
        validate_rule(&rule, errors);
    }
    for tls in spec.at("tls").items() {
        for host in tls.at("hosts").items() {
            validate_host(&host, errors);
        }
        errors.follows_if_set(&tls.at("secretName"), names::dns_subdomain);
    }
    let class = spec.at("ingressClassName");
    if class.exists() {
        errors.follows(&class, names::dns_subdomain);
    }
}

fn validate_host(host: &Node, errors: &mut Errors) {
    let rule = if host.text().contains('*') {
        names::wildcard_subdomain
    } else {
        names::dns_subdomain
    };
    errors.follows(host, rule);
}

fn validate_rule(rule: &Node, errors: &mut Errors) {
    let host = rule.at("host");
    if !host.is_empty() {
        if host.text().parse::<std::net::IpAddr>().is_ok() {
            errors.invalid(&host, "must be a DNS name, not an IP address");
        }
        validate_host(&host, errors);
    }
    let http = rule.at("http");
    if http.exists() {
        let paths = http.at("paths");
        errors.require(&paths);
        for path in paths.items() {
            validate_path(&path, errors);
        }
    }
}

const SEQUENCES: [&str; 5] = ["//", "/./", "/../", "%2f", "%2F"];

fn validate_path(parent: &Node, errors: &mut Errors) {
    let (kind, path) = (parent.at("pathType"), parent.at("path"));
    match kind.text() {
        "Exact" | "Prefix" => exact(&path, errors),
        "ImplementationSpecific" => {
            if !path.is_empty() && !path.text().starts_with('/') {
                errors.invalid(&path, "must be an absolute path");
            }
        }
        "" => return errors.required(&kind, "pathType must be specified"),
        _ => {
            errors.one_of(&kind, PATH_TYPES);
        }
    }
    backend(&parent.at("backend"), errors);
}

fn exact(path: &Node, errors: &mut Errors) {
    if !path.text().starts_with('/') {
        errors.invalid_text(path, "must be an absolute path");
    }
    for sequence in SEQUENCES.iter().filter(|s| path.text().contains(*s)) {
        errors.invalid(path, format!("must not contain '{sequence}'"));
    }
    let ends = ["/..", "/."];
    for end in ends.iter().filter(|end| path.text().ends_with(*end)) {
        errors.invalid(path, format!("cannot end with '{end}'"));
    }
}

fn backend(backend: &Node, errors: &mut Errors) {
    let (service, resource) = (backend.at("service"), backend.at("resource"));
    let told = |why: &str| Error::invalid(&backend.path, "", why);
    match (service.exists(), resource.exists()) {
        (true, true) => errors.push(told("cannot set both resource and service backends")),
        (false, true) => {
            errors.follows_if_set(&resource.at("apiGroup"), names::dns_subdomain);
            for field in ["kind", "name"] {
                let field_name = field;
                let field = resource.at(field_name);
                if errors.require_because(&field, &format!("{field_name} is required")) {
                    errors.follows(&field, names::path_segment);
                }
            }
        }
        (true, false) => service_backend(backend, &service, errors),
        (false, false) => errors.push(told("resource or service backend is required")),
    }
}

fn service_backend(backend: &Node, service: &Node, errors: &mut Errors) {
    errors.require_name(&service.at("name"), names::dns_1035_label);
    let (port_name, number) = (service.at("port.name"), service.at("port.number"));
    match (port_name.is_empty(), number.int().unwrap_or(0) == 0) {
        (false, false) => {
            let why = "cannot set both port name & port number";
            errors.push(Error::invalid(&backend.path, "", why));
        }
        (false, true) => {
            errors.follows(&port_name, names::port_name);
        }
        (true, false) => errors.port(&number),
        (true, true) => errors.required(backend, "port name or number is required"),
    }
}

fn validate_status(new: &Node, _: &Node, errors: &mut Errors) {
    for ingress in new.at("status.loadBalancer.ingress").items() {
        let (ip, host) = (ingress.at("ip"), ingress.at("hostname"));
        if !ip.is_empty() {
            errors.ip(&ip);
        }
        if !host.is_empty() {
            errors.follows(&host, names::dns_subdomain);
            if host.text().parse::<std::net::IpAddr>().is_ok() {
                errors.invalid(&host, "must be a DNS name, not an IP address");
            }
        }
    }
}

fn row(ingress: &Value, now: Timestamp) -> Vec<Value> {
    let addresses: Vec<&str> = meta::items(ingress, "status.loadBalancer.ingress")
        .iter()
        .map(|one| match meta::text(one, "ip") {
            "" => meta::text(one, "hostname"),
            ip => ip,
        })
        .collect();
    let ports = if meta::items(ingress, "spec.tls").is_empty() {
        "80"
    } else {
        "80, 443"
    };
    vec![
        columns::name(ingress),
        or_none(meta::text(ingress, "spec.ingressClassName")).into(),
        hosts(meta::items(ingress, "spec.rules")).into(),
        addresses.join(",").into(),
        ports.into(),
        columns::age(ingress, now),
    ]
}

fn hosts(rules: &[Value]) -> String {
    let hosts: Vec<&str> = rules
        .iter()
        .map(|rule| meta::text(rule, "host"))
        .filter(|host| !host.is_empty())
        .collect();
    match hosts.as_slice() {
        [] => "*".to_owned(),
        [first, second, third, rest @ ..] if !rest.is_empty() => {
            format!("{first},{second},{third} + {} more...", rest.len())
        }
        few => few.join(","),
    }
}

/// The annotation of old is still understood, so it is told on create only.
fn told(new: &Value, old: Option<&Value>) -> Vec<String> {
    const CLASS: &str = "kubernetes.io/ingress.class";
    let is_set = new["metadata"]["annotations"].get(CLASS).is_some();
    if old.is_some() || !is_set {
        return Vec::new();
    }
    vec![format!(
        "annotation {CLASS:?} is deprecated, please use 'spec.ingressClassName' instead"
    )]
}
