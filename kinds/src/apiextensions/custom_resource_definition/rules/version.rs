//! One version of a CustomResourceDefinition: its schema, columns, subresources.

use apimachinery::field::Error;
use apimachinery::meta;

use crate::errors::{Errors, Seen};
use crate::node::Node;

pub(super) fn check(version: &Node, errors: &mut Errors) {
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
