//! CustomResourceDefinition.

mod rules;

use apimachinery::meta;
use serde_json::{Value, json};

use crate::admissionregistration::default_client;
use crate::defaults::{object, set_text, with};
use crate::kind::{Kind, Scope, Storage, Subresource};
use crate::prepare;

pub static KIND: Kind = Kind {
    group: "apiextensions.k8s.io",
    kind: "CustomResourceDefinition",
    list_kind: "CustomResourceDefinitionList",
    plural: "customresourcedefinitions",
    singular: "customresourcedefinition",
    short_names: &["crd", "crds"],
    categories: &["api-extensions"],
    scope: Scope::Cluster,
    subresources: &[Subresource::status((
        "apiextensions.k8s.io",
        "v1",
        "CustomResourceDefinition",
    ))],
    storage: Storage::Stored {
        prefix: "customresourcedefinitions",
    },
    update_needs_version: true,
    default,
    prepare_create,
    prepare_update,
    validate: rules::validate,
    validate_update: rules::validate_update,
    validate_status_update: rules::validate_status_update,
    ..Kind::BASE
};

fn default(definition: &mut Value) {
    let spec = object(definition, "spec");
    let names = object(spec, "names");
    let kind = meta::text(names, "kind").to_owned();
    if !kind.is_empty() {
        set_text(names, "singular", &kind.to_lowercase());
        set_text(names, "listKind", &format!("{kind}List"));
    }
    let conversion = object(spec, "conversion");
    set_text(conversion, "strategy", "None");
    with(conversion, "webhook", |webhook| {
        with(webhook, "clientConfig", default_client);
    });
}

/// Nothing is accepted yet; the storage version counts as used from the start.
fn prepare_create(definition: &mut Value) {
    prepare::new_generation(definition);
    definition["status"] = json!({
        "conditions": null,
        "acceptedNames": {"plural": "", "kind": ""},
        "storedVersions": storage_versions(definition),
    });
}

fn storage_versions(definition: &Value) -> Vec<Value> {
    let versions = meta::items(definition, "spec.versions").iter();
    let stored = versions.filter(|version| meta::flag(version, "storage"));
    stored.map(|version| version["name"].clone()).collect()
}

/// A version that was ever the storage version stays listed.
fn prepare_update(new: &mut Value, old: &Value) {
    prepare::keep_status(new, old);
    for version in storage_versions(new) {
        let mut stored = meta::items(new, "status.storedVersions").to_vec();
        if !stored.contains(&version) {
            stored.push(version);
            meta::set(new, "status.storedVersions", stored);
        }
    }
}
