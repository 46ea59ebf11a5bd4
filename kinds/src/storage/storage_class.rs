//! StorageClass.

use apimachinery::field::Error;
use apimachinery::{meta, names};
use jiff::Timestamp;
use serde_json::Value;

use crate::columns::{self, AGE, Column, NAME};
use crate::core::persistent_volume::or_unset;
use crate::defaults::set_text;
use crate::errors::{Errors, Seen};
use crate::kind::{Kind, Scope, Storage};
use crate::node::Node;

pub static KIND: Kind = Kind {
    group: "storage.k8s.io",
    kind: "StorageClass",
    list_kind: "StorageClassList",
    plural: "storageclasses",
    singular: "storageclass",
    short_names: &["sc"],
    scope: Scope::Cluster,
    storage: Storage::Stored {
        prefix: "storageclasses",
    },
    default: |class| {
        set_text(class, "reclaimPolicy", "Delete");
        set_text(class, "volumeBindingMode", "Immediate");
    },
    validate,
    validate_update,
    columns: &[
        NAME,
        Column::text("Provisioner", "Who makes the volumes."),
        Column::text(
            "ReclaimPolicy",
            "What happens to a volume when its claim is gone.",
        ),
        Column::text("VolumeBindingMode", "When a claim gets its volume."),
        Column::text("AllowVolumeExpansion", "Whether claims may grow."),
        AGE,
    ],
    row,
    ..Kind::BASE
};

fn validate(class: &Node, errors: &mut Errors) {
    let provisioner = class.at("provisioner");
    if errors.require(&provisioner) {
        for problem in names::qualified(&provisioner.text().to_lowercase()) {
            errors.invalid(&provisioner, problem);
        }
    }
    parameters(&class.at("parameters"), errors);
    errors.one_of_if_set(&class.at("reclaimPolicy"), &["Delete", "Retain"]);
    let modes = &["Immediate", "WaitForFirstConsumer"];
    errors.require_one_of(&class.at("volumeBindingMode"), modes);
    topologies(&class.at("allowedTopologies"), errors);
}

const PARAMETERS_MAX: usize = 512;
const PARAMETERS_SIZE_MAX: usize = 256 * 1024;

pub fn parameters(parameters: &Node, errors: &mut Errors) {
    if parameters.len() > PARAMETERS_MAX {
        return errors.push(Error::too_long(&parameters.path, PARAMETERS_MAX));
    }
    let mut size = 0;
    for (key, value) in parameters.entries() {
        if key.is_empty() {
            let why = "field can not be empty.";
            errors.push(Error::invalid(&parameters.path, key, why));
        }
        size += key.len() + value.len();
    }
    if size > PARAMETERS_SIZE_MAX {
        errors.push(Error::too_long(&parameters.path, PARAMETERS_SIZE_MAX));
    }
}

/// Where volumes may be: each term names a key once, with values that differ.
fn topologies(terms: &Node, errors: &mut Errors) {
    for term in terms.items() {
        let mut keys = Seen::new();
        for expression in term.at("matchLabelExpressions").items() {
            let values = expression.at("values");
            errors.require(&values);
            let mut seen = Seen::new();
            for value in values.items() {
                errors.unique(&value, &mut seen);
            }
            let key = expression.at("key");
            errors.follows(&key, names::qualified);
            errors.unique(&key, &mut keys);
        }
    }
}

fn validate_update(new: &Node, old: &Node, errors: &mut Errors) {
    validate(new, errors);
    for field in ["parameters", "provisioner", "reclaimPolicy"] {
        let (now, was) = (new.at(field), old.at(field));
        let both_empty = now.is_empty() && was.is_empty();
        if now.value != was.value && !both_empty {
            errors.forbidden(&now, format!("updates to {field} are forbidden."));
        }
    }
    errors.immutable(&new.at("volumeBindingMode"), &old.at("volumeBindingMode"));
}

const IS_DEFAULT: [&str; 2] = [
    "storageclass.kubernetes.io/is-default-class",
    "storageclass.beta.kubernetes.io/is-default-class",
];

fn row(class: &Value, now: Timestamp) -> Vec<Value> {
    let is_default = IS_DEFAULT
        .iter()
        .any(|key| meta::annotation(class, key) == Some("true"));
    let mark = if is_default { " (default)" } else { "" };
    vec![
        format!("{}{mark}", meta::name(class)).into(),
        meta::text(class, "provisioner").into(),
        or_unset(meta::text(class, "reclaimPolicy")).into(),
        or_unset(meta::text(class, "volumeBindingMode")).into(),
        meta::flag(class, "allowVolumeExpansion").into(),
        columns::age(class, now),
    ]
}
