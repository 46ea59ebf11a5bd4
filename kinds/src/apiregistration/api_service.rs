//! APIService.

use apimachinery::{meta, names};
use jiff::Timestamp;
use serde_json::{Value, json};

use crate::columns::{self, AGE, Column, NAME};
use crate::defaults::{set_default, with};
use crate::errors::Errors;
use crate::kind::{Kind, Scope, Storage, Subresource};
use crate::node::Node;
use crate::prepare;

pub static KIND: Kind = Kind {
    group: "apiregistration.k8s.io",
    kind: "APIService",
    list_kind: "APIServiceList",
    plural: "apiservices",
    singular: "apiservice",
    categories: &["api-extensions"],
    scope: Scope::Cluster,
    subresources: &[Subresource::status((
        "apiregistration.k8s.io",
        "v1",
        "APIService",
    ))],
    storage: Storage::Stored {
        prefix: "apiservices",
    },
    update_needs_version: true,
    name_rule: names::path_segment,
    default: |service| {
        with(service, "spec", |spec| {
            with(spec, "service", |target| set_default(target, "port", 443));
        });
    },
    prepare_create: |service| service["status"] = json!({}),
    prepare_update: prepare::keep_status_only,
    validate,
    validate_update: |new, _, errors| validate(new, errors),
    columns: &[
        NAME,
        Column::text(
            "Service",
            "The reference to the service that hosts this API endpoint.",
        ),
        Column::text("Available", "Whether this service is available."),
        AGE,
    ],
    row,
    ..Kind::BASE
};

fn validate(service: &Node, errors: &mut Errors) {
    let spec = service.at("spec");
    let (group, version) = (spec.at("group"), spec.at("version"));
    let wanted = format!("{}.{}", version.text(), group.text());
    let name = service.at("metadata.name");
    if name.text() != wanted {
        errors.invalid(
            &name,
            format!("must be `spec.version+\".\"+spec.group`: {wanted:?}"),
        );
    }
    if !group.is_empty() {
        errors.follows(&group, names::dns_subdomain);
    }
    errors.follows(&version, names::dns_1035_label);
    for (field, most) in [("groupPriorityMinimum", 20_000), ("versionPriority", 1000)] {
        let priority = spec.at(field);
        if !(1..=most).contains(&priority.int().unwrap_or(0)) {
            let shown = priority.int().unwrap_or(0);
            let why = format!("must be positive and less than {most}");
            errors.push(apimachinery::field::Error::invalid(
                &priority.path,
                shown,
                why,
            ));
        }
    }
    let target = spec.at("service");
    if target.exists() {
        errors.require(&target.at("namespace"));
        errors.require(&target.at("name"));
    }
    let skip = spec.at("insecureSkipTLSVerify");
    if skip.is_true() && !spec.at("caBundle").is_empty() {
        errors.invalid(&skip, "may not be true if caBundle is present");
    }
}

fn row(service: &Value, now: Timestamp) -> Vec<Value> {
    let target = match meta::get(service, "spec.service") {
        None => "Local".to_owned(),
        Some(target) => format!(
            "{}/{}",
            meta::text(target, "namespace"),
            meta::text(target, "name")
        ),
    };
    let mut conditions = meta::items(service, "status.conditions").iter();
    let available = conditions.find(|condition| meta::text(condition, "type") == "Available");
    let available = available.map_or("Unknown".to_owned(), |condition| {
        match (
            meta::text(condition, "status"),
            meta::text(condition, "reason"),
        ) {
            ("True", _) => "True".to_owned(),
            (status, reason) => format!("{status} ({reason})"),
        }
    });
    vec![
        columns::name(service),
        target.into(),
        available.into(),
        columns::age(service, now),
    ]
}
