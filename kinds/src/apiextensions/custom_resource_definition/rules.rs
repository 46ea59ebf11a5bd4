//! Validation of CustomResourceDefinitions: names, versions and schemas.

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
    for error in custom::structural::check(schema.value, &schema.path) {
        errors.push(error);
    }
    if version.at("subresources.status").exists() {
        root_of_status(&schema, errors);
    }
    scale(&version.at("subresources.scale"), errors);
    for column in version.at("additionalPrinterColumns").items() {
        printer_column(&column, errors);
    }
    selectable(version, errors);
    deprecation(version, errors);
}

/// Where status is validated apart from the rest, the root may say nothing about both.
fn root_of_status(schema: &Node, errors: &mut Errors) {
    let both = ["allOf", "anyOf", "oneOf", "not", "enum", "default"];
    if both.iter().any(|field| schema.at(field).exists()) {
        let why = "only [Description Type Format Title Maximum ExclusiveMaximum Minimum ExclusiveMinimum MaxLength MinLength Pattern MaxItems MinItems UniqueItems MultipleOf Required Items Properties ExternalDocs Example XPreserveUnknownFields XValidations] fields are allowed at the root of the schema if the status subresource is enabled";
        errors.invalid(schema, why);
    }
}

fn printer_column(column: &Node, errors: &mut Errors) {
    errors.require(&column.at("name"));
    let kinds = ["boolean", "date", "integer", "number", "string"];
    let kind = column.at("type");
    let why = format!("must be one of {}", kinds.join(","));
    if errors.require_because(&kind, &why) && !kinds.contains(&kind.text()) {
        errors.invalid(&kind, why);
    }
    let formats = [
        "byte",
        "date",
        "date-time",
        "double",
        "float",
        "int32",
        "int64",
        "password",
    ];
    let format = column.at("format");
    if !format.is_empty() && !formats.contains(&format.text()) {
        errors.invalid(&format, format!("must be one of {}", formats.join(",")));
    }
    let path = column.at("jsonPath");
    if errors.require(&path) {
        simple_path(&path, errors);
    }
}

fn simple_path(path: &Node, errors: &mut Errors) -> bool {
    let good = path.text().starts_with('.');
    if !good {
        errors.invalid_text(path, "must be a simple json path starting with .");
    }
    good
}

fn scale(scale: &Node, errors: &mut Errors) {
    if !scale.exists() {
        return;
    }
    for (field, tops) in [
        ("specReplicasPath", &[".spec."][..]),
        ("statusReplicasPath", &[".status."]),
    ] {
        let path = scale.at(field);
        if errors.require(&path) {
            below(&path, tops, errors);
        }
    }
    let selector = scale.at("labelSelectorPath");
    if !selector.is_empty() {
        below(&selector, &[".spec.", ".status."], errors);
    }
}

fn below(path: &Node, tops: &[&str], errors: &mut Errors) {
    if simple_path(path, errors) && !tops.iter().any(|top| path.text().starts_with(top)) {
        let tops: Vec<&str> = tops.iter().map(|top| top.trim_end_matches('.')).collect();
        errors.invalid(
            path,
            format!("should be a json path under {}", tops.join(" or ")),
        );
    }
}

/// As many fields of a version are selectable.
const SELECTABLE_MAX: usize = 8;

fn selectable(version: &Node, errors: &mut Errors) {
    let fields = version.at("selectableFields");
    if fields.len() > SELECTABLE_MAX {
        errors.push(Error::too_many(&fields.path, fields.len(), SELECTABLE_MAX));
    }
    let mut seen = Seen::new();
    for field in fields.items() {
        let path = field.at("jsonPath");
        if !errors.require(&path) || !simple_path(&path, errors) {
            continue;
        }
        if path.text().starts_with(".metadata") {
            errors.invalid(&path, "must not point to fields in metadata");
        } else if let Some(why) = unselectable(version, path.text()) {
            errors.invalid(&path, why);
        }
        if !seen.insert(path.text().to_owned()) {
            errors.duplicate(&path);
        }
    }
}

/// Why a field of the schema cannot be selected by.
fn unselectable(version: &Node, path: &str) -> Option<&'static str> {
    let mut schema = meta::get(version.value, "schema.openAPIV3Schema")?;
    for name in path.trim_start_matches('.').split('.') {
        match schema.get("properties").and_then(|all| all.get(name)) {
            Some(below) => schema = below,
            None => return Some("does not refer to a valid field"),
        }
    }
    let is_scalar = matches!(meta::text(schema, "type"), "boolean" | "integer" | "string");
    (!is_scalar).then_some("must point to a field of type string, boolean or integer. Enum string fields and strings with formats are allowed.")
}

fn deprecation(version: &Node, errors: &mut Errors) {
    let warning = version.at("deprecationWarning");
    if !warning.exists() {
        return;
    }
    if !version.at("deprecated").is_true() {
        errors.invalid(&warning, "can only be set for deprecated versions");
    }
    if warning.text().trim().is_empty() {
        errors.invalid(&warning, "must not be blank");
    }
    if warning.len() > 256 {
        errors.push(Error::too_long(&warning.path, 256));
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
