//! Validation of CustomResourceDefinitions: names, versions, conversion.

mod version;

use apimachinery::field::Error;
use apimachinery::{meta, names};

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
    approval(definition, errors);
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
        let why = "cannot set to true, set x-kubernetes-preserve-unknown-fields to true in spec.versions[*].schema instead";
        errors.invalid(&preserve, why);
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
        version::check(&version, errors);
    }
    if stored != 1 {
        let why = "must have exactly one version marked as storage version";
        errors.push(Error::invalid(&versions.path, versions.value.clone(), why));
    }
}

const APPROVAL: &str = "api-approved.kubernetes.io";

/// Groups that are Kubernetes' own need its approval, or a word that there is none.
fn approval(definition: &Node, errors: &mut Errors) {
    let group = definition.at("spec.group");
    let group = group.text();
    let mut protected = ["k8s.io", "kubernetes.io"].iter();
    if !protected.any(|own| group == *own || group.ends_with(&format!(".{own}"))) {
        return;
    }
    let annotation = meta::annotation(definition.value, APPROVAL).unwrap_or("");
    let is_good = annotation.starts_with("unapproved")
        || annotation.starts_with("https://") && annotation.len() > "https://".len();
    if is_good {
        return;
    }
    let metadata = definition.at("metadata");
    let annotations = metadata.at("annotations");
    let path = annotations.path.key(APPROVAL);
    errors.push(match annotation {
        "" => Error::required(&path, "protected groups must have approval annotation \"api-approved.kubernetes.io\", see https://github.com/kubernetes/enhancements/pull/1111"),
        given => Error::invalid(&path, given, "protected groups must have approval annotation \"api-approved.kubernetes.io\" with either a URL or a reason starting with \"unapproved\", see https://github.com/kubernetes/enhancements/pull/1111"),
    });
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
    stored_versions(new, errors);
}

/// Objects may be stored in these versions: none of them can be dropped yet.
pub fn validate_status_update(new: &Node, _: &Node, errors: &mut Errors) {
    stored_versions(new, errors);
}

fn stored_versions(definition: &Node, errors: &mut Errors) {
    let versions = definition.at("spec.versions");
    let stored = definition.at("status.storedVersions");
    if stored.is_empty() {
        errors.invalid(&stored, "must have at least one stored version");
        return;
    }
    for version in stored.items() {
        let mut listed = versions.items();
        if !listed.any(|listed| listed.at("name").text() == version.text()) {
            errors.invalid(&version, "must appear in spec.versions");
        }
    }
    for version in versions.items().filter(|v| v.at("storage").is_true()) {
        let name = version.at("name").text();
        if !stored.items().any(|known| known.text() == name) {
            errors.invalid(&stored, format!("must have the storage version {name}"));
        }
    }
}
