//! A whole definition: names, versions, and how they become one another.

use std::sync::Arc;

use apimachinery::gvk::compare_versions;
use apimachinery::meta;
use serde_json::Value;

use crate::version::Version;

/// A CustomResourceDefinition, compiled.
#[derive(Debug)]
pub struct Definition {
    /// `widgets.example.com`.
    pub name: String,
    pub group: String,
    pub is_namespaced: bool,
    /// As accepted: what discovery shows.
    pub names: Names,
    pub versions: Vec<Arc<Version>>,
    pub conversion: Conversion,
    pub stage: Stage,
}

#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Names {
    pub plural: String,
    pub singular: String,
    pub kind: String,
    pub list_kind: String,
    pub short_names: Vec<String>,
    pub categories: Vec<String>,
}

/// Whether the resources are served.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Stage {
    /// Not yet: its names are not accepted, or nobody looked at them.
    Pending,
    Established,
    /// Being deleted: what is there can be read and deleted, nothing comes new.
    Terminating,
}

/// How objects of one version become those of another.
#[derive(Clone, Debug, PartialEq)]
pub enum Conversion {
    /// Only `apiVersion` differs.
    None,
    /// A webhook says, in the first of these versions of ConversionReview that is known.
    Webhook {
        client_config: Value,
        review_versions: Vec<String>,
    },
}

impl Names {
    pub fn read(names: &Value) -> Self {
        let text = |name: &str| meta::text(names, name).to_owned();
        let texts = |name: &str| {
            let items = meta::items(names, name).iter();
            items.filter_map(Value::as_str).map(str::to_owned).collect()
        };
        Self {
            plural: text("plural"),
            singular: text("singular"),
            kind: text("kind"),
            list_kind: text("listKind"),
            short_names: texts("shortNames"),
            categories: texts("categories"),
        }
    }
}

impl Definition {
    pub fn compile(definition: &Value) -> Self {
        let spec = &definition["spec"];
        let deprecated = |version: &Value| deprecation(spec, version);
        let versions = meta::items(spec, "versions").iter();
        Self {
            name: meta::name(definition).to_owned(),
            group: meta::text(spec, "group").to_owned(),
            is_namespaced: meta::text(spec, "scope") == "Namespaced",
            names: Names::read(&definition["status"]["acceptedNames"]),
            versions: versions
                .map(|version| Arc::new(Version::compile(version, deprecated(version))))
                .collect(),
            conversion: conversion(spec),
            stage: stage(definition),
        }
    }

    /// The version that objects are stored in.
    pub fn storage(&self) -> Option<&Arc<Version>> {
        self.versions.iter().find(|version| version.is_storage)
    }

    /// Below what the objects lie in the store.
    pub fn prefix(&self) -> String {
        let plural = self.name.split('.').next().unwrap_or("");
        format!("{}/{plural}", self.group)
    }
}

/// Whether a condition of the definition is true.
pub fn has_condition(definition: &Value, wanted: &str) -> bool {
    meta::items(definition, "status.conditions")
        .iter()
        .any(|condition| {
            meta::text(condition, "type") == wanted && meta::text(condition, "status") == "True"
        })
}

/// How far a definition is.
pub fn stage(definition: &Value) -> Stage {
    if !has_condition(definition, "Established") {
        return Stage::Pending;
    }
    if meta::deletion_timestamp(definition).is_some() || has_condition(definition, "Terminating") {
        return Stage::Terminating;
    }
    Stage::Established
}

fn conversion(spec: &Value) -> Conversion {
    if meta::text(spec, "conversion.strategy") != "Webhook" {
        return Conversion::None;
    }
    let webhook = &spec["conversion"]["webhook"];
    let versions = meta::items(webhook, "conversionReviewVersions").iter();
    Conversion::Webhook {
        client_config: webhook["clientConfig"].clone(),
        review_versions: versions
            .filter_map(Value::as_str)
            .map(str::to_owned)
            .collect(),
    }
}

/// What clients of a deprecated version are warned of.
fn deprecation(spec: &Value, version: &Value) -> Option<String> {
    if !meta::flag(version, "deprecated") {
        return None;
    }
    if let Some(warning) = meta::get(version, "deprecationWarning").and_then(Value::as_str) {
        return Some(warning.to_owned());
    }
    let (group, kind) = (meta::text(spec, "group"), meta::text(spec, "names.kind"));
    let name = meta::text(version, "name");
    let mut newer: Vec<&str> = meta::items(spec, "versions")
        .iter()
        .filter(|other| meta::flag(other, "served") && !meta::flag(other, "deprecated"))
        .map(|other| meta::text(other, "name"))
        .filter(|other| compare_versions(other, name).is_lt())
        .collect();
    newer.sort_by(|a, b| compare_versions(a, b));
    let mut warning = format!("{group}/{name} {kind} is deprecated");
    if let Some(newest) = newer.first() {
        warning.push_str(&format!("; use {group}/{newest} {kind}"));
    }
    Some(warning)
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn a_deprecated_version_names_the_one_to_use() {
        let definition = Definition::compile(
            &json!({"metadata": {"name": "ws.x.io"}, "spec": {"group": "x.io", "names": {"kind": "W"},
            "versions": [{"name": "v1beta1", "deprecated": true, "served": true}, {"name": "v1", "served": true},
                {"name": "v2", "deprecated": true, "deprecationWarning": "no", "served": true}]}}),
        );
        let warnings: Vec<_> = definition
            .versions
            .iter()
            .map(|v| v.deprecation.as_deref())
            .collect();
        assert_eq!(
            warnings,
            [
                Some("x.io/v1beta1 W is deprecated; use x.io/v1 W"),
                None,
                Some("no")
            ]
        );
        assert_eq!(definition.prefix(), "x.io/ws");
    }
}
