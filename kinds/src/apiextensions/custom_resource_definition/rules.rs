//! Validation of CustomResourceDefinitions: names, versions and schemas.

use apimachinery::field::Error;
use apimachinery::names;

use crate::admissionregistration::client_config;
use crate::errors::{Errors, Seen};
use crate::node::Node;

pub fn validate(definition: &Node, errors: &mut Errors) {
    let spec = definition.at("spec");
    let wanted = format!(
        "{}.{}",
        spec.at("names.plural").text(),
        spec.at("group").text()
    );
    let name = definition.at("metadata.name");
    if name.text() != wanted {
        errors.invalid(&name, "must be spec.names.plural+\".\"+spec.group");
    }
    validate_spec(&spec, errors);
}

fn validate_spec(spec: &Node, errors: &mut Errors) {
    let group = spec.at("group");
    if errors.require(&group) {
        errors.follows(&group, names::dns_subdomain);
        if group.text().split('.').count() < 2 {
            errors.invalid(&group, "should be a domain with at least one dot");
        }
    }
    errors.require_one_of(&spec.at("scope"), &["Cluster", "Namespaced"]);
    versions(&spec.at("versions"), errors);
    resource_names(&spec.at("names"), errors);
    conversion(&spec.at("conversion"), errors);
    let preserve = spec.at("preserveUnknownFields");
    if preserve.is_true() {
        errors.invalid(
            &preserve,
            "must be false in order to use defaults in the schema",
        );
    }
}

fn versions(versions: &Node, errors: &mut Errors) {
    let mut seen = Seen::new();
    let mut stored = 0;
    for version in versions.items() {
        let name = version.at("name");
        errors.follows(&name, names::dns_1035_label);
        if !seen.insert(name.text().to_owned()) {
            let why = "must contain unique version names";
            errors.push(Error::invalid(&versions.path, name.text(), why));
        }
        stored += usize::from(version.at("storage").is_true());
        one_version(&version, errors);
    }
    if stored != 1 {
        let why = "must have exactly one version marked as storage version";
        errors.push(Error::invalid(&versions.path, versions.value.clone(), why));
    }
}

fn one_version(version: &Node, errors: &mut Errors) {
    let schema = version.at("schema.openAPIV3Schema");
    if !schema.exists() {
        errors.required(&schema, "schemas are required");
        return;
    }
    let kind = schema.at("type");
    if errors.require_because(&kind, "must not be empty at the root") && kind.text() != "object" {
        errors.invalid(&kind, "must be object at the root");
    }
    structural(&schema, 0, errors);
    scale(&version.at("subresources.scale"), errors);
    for column in version.at("additionalPrinterColumns").items() {
        errors.require(&column.at("name"));
        let kinds = &["boolean", "date", "integer", "number", "string"];
        errors.require_one_of(&column.at("type"), kinds);
        let path = column.at("jsonPath");
        if errors.require(&path) && !path.text().starts_with('.') {
            errors.invalid(&path, "must be a simple json path starting with .");
        }
    }
}

fn scale(scale: &Node, errors: &mut Errors) {
    if !scale.exists() {
        return;
    }
    for (field, below) in [
        ("specReplicasPath", ".spec."),
        ("statusReplicasPath", ".status."),
    ] {
        let path = scale.at(field);
        if errors.require(&path) && !path.text().starts_with(below) {
            errors.invalid(
                &path,
                format!(
                    "should be a json path under {}",
                    below.trim_end_matches('.')
                ),
            );
        }
    }
}

/// Deeper schemas than this are refused rather than followed.
const DEPTH_MAX: usize = 100;
const TYPES: &[&str] = &["array", "boolean", "integer", "number", "object", "string"];

/// Every node says its type, and nothing is said that a server could not follow.
fn structural(schema: &Node, depth: usize, errors: &mut Errors) {
    if depth > DEPTH_MAX {
        errors.forbidden(
            schema,
            format!("must not be nested deeper than {DEPTH_MAX} levels"),
        );
        return;
    }
    for forbidden in [
        "definitions",
        "dependencies",
        "patternProperties",
        "$ref",
        "id",
    ] {
        errors.forbid(
            &schema.at(forbidden),
            &format!("{forbidden} is not supported"),
        );
    }
    if schema.at("uniqueItems").is_true() {
        errors.forbidden(
            &schema.at("uniqueItems"),
            "uniqueItems cannot be set to true since the runtime complexity becomes quadratic",
        );
    }
    let kind = schema.at("type");
    let untyped = schema.at("x-kubernetes-int-or-string").is_true()
        || schema.at("x-kubernetes-preserve-unknown-fields").is_true();
    if kind.is_empty() && !untyped {
        let why = if depth == 0 {
            "must not be empty at the root"
        } else {
            "must not be empty for specified object fields"
        };
        if depth > 0 {
            errors.required(&kind, why);
        }
    } else if !kind.is_empty() {
        errors.one_of(&kind, TYPES);
    }
    let items = schema.at("items");
    if kind.text() == "array" && !items.exists() {
        errors.required(&items, "must be specified");
    }
    if items.exists() {
        structural(&items, depth + 1, errors);
    }
    for (_, property) in schema.at("properties").entries() {
        structural(&property, depth + 1, errors);
    }
    let additional = schema.at("additionalProperties");
    if additional.value.is_object() {
        if schema.at("properties").exists() {
            errors.forbidden(
                &additional,
                "additionalProperties and properties are mutual exclusive",
            );
        }
        structural(&additional, depth + 1, errors);
    }
}

fn resource_names(resource: &Node, errors: &mut Errors) {
    for field in ["plural", "singular"] {
        let node = resource.at(field);
        if errors.require(&node) {
            errors.follows(&node, names::dns_1035_label);
        }
    }
    for field in ["kind", "listKind"] {
        let node = resource.at(field);
        if errors.require(&node) {
            for problem in names::dns_1035_label(&node.text().to_lowercase()) {
                let why = format!("may have mixed case, but should otherwise match: {problem}");
                errors.invalid(&node, why);
            }
        }
    }
    let (kind, list_kind) = (resource.at("kind"), resource.at("listKind"));
    if !kind.is_empty() && kind.text() == list_kind.text() {
        errors.invalid(&list_kind, "kind and listKind may not be the same");
    }
    for list in ["shortNames", "categories"] {
        for name in resource.at(list).items() {
            errors.follows(&name, names::dns_1035_label);
        }
    }
}

fn conversion(conversion: &Node, errors: &mut Errors) {
    let (strategy, webhook) = (conversion.at("strategy"), conversion.at("webhook"));
    errors.one_of(&strategy, &["None", "Webhook"]);
    if strategy.text() != "Webhook" {
        errors.forbid(
            &webhook,
            "should not be set when strategy is not set to Webhook",
        );
        return;
    }
    let client = webhook.at("clientConfig");
    if client.exists() {
        client_config(&client, errors);
    } else {
        errors.required(&client, "required when strategy is set to Webhook");
    }
    errors.require(&webhook.at("conversionReviewVersions"));
}

pub fn validate_update(new: &Node, old: &Node, errors: &mut Errors) {
    validate(new, errors);
    let (spec, before) = (new.at("spec"), old.at("spec"));
    for field in ["group", "names.plural"] {
        errors.immutable(&spec.at(field), &before.at(field));
    }
    let conditions = old.at("status.conditions");
    let established = conditions.items().any(|condition| {
        condition.at("type").text() == "Established" && condition.at("status").text() == "True"
    });
    if established {
        for field in ["scope", "names.kind"] {
            errors.immutable(&spec.at(field), &before.at(field));
        }
    }
    let versions = spec.at("versions");
    for stored in new.at("status.storedVersions").items() {
        let listed = versions
            .items()
            .any(|version| version.at("name").text() == stored.text());
        if !listed {
            errors.invalid(&stored, "must appear in spec.versions");
        }
    }
}
