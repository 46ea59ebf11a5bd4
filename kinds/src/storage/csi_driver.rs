//! CSIDriver.

use apimachinery::meta;
use jiff::Timestamp;
use serde_json::{Value, json};

use crate::columns::{self, AGE, Column, NAME};
use crate::core::persistent_volume::or_unset;
use crate::defaults::{object, set_default};
use crate::errors::Errors;
use crate::kind::{Kind, Scope, Storage};
use crate::node::Node;

pub static KIND: Kind = Kind {
    group: "storage.k8s.io",
    kind: "CSIDriver",
    list_kind: "CSIDriverList",
    plural: "csidrivers",
    singular: "csidriver",
    scope: Scope::Cluster,
    storage: Storage::Stored {
        prefix: "csidrivers",
    },
    update_needs_version: true,
    default,
    validate,
    validate_update,
    columns: &[
        NAME,
        Column::flag(
            "AttachRequired",
            "Whether volumes are attached before they are mounted.",
        ),
        Column::flag(
            "PodInfoOnMount",
            "Whether the driver is told about the pod.",
        ),
        Column::flag(
            "StorageCapacity",
            "Whether the driver tells how much it can hold.",
        ),
        Column::text("TokenRequests", "The audiences of tokens the driver gets."),
        Column::flag(
            "RequiresRepublish",
            "Whether volumes are published again and again.",
        ),
        Column::text("Modes", "How volumes live: with a pod or on their own."),
        AGE,
    ],
    row,
    ..Kind::BASE
};

fn default(driver: &mut Value) {
    let spec = object(driver, "spec");
    set_default(spec, "attachRequired", true);
    set_default(spec, "podInfoOnMount", false);
    set_default(spec, "storageCapacity", false);
    set_default(spec, "fsGroupPolicy", "ReadWriteOnceWithFSType");
    if meta::items(spec, "volumeLifecycleModes").is_empty() {
        spec["volumeLifecycleModes"] = json!(["Persistent"]);
    }
    set_default(spec, "requiresRepublish", false);
    set_default(spec, "seLinuxMount", false);
}

fn validate(driver: &Node, errors: &mut Errors) {
    crate::pod_template::csi_driver(&driver.at("metadata.name"), errors);
    let spec = driver.at("spec");
    for field in ["attachRequired", "podInfoOnMount", "storageCapacity"] {
        let node = spec.at(field);
        if !node.exists() {
            errors.required(&node, "");
        }
    }
    for mode in spec.at("volumeLifecycleModes").items() {
        errors.one_of(&mode, &["Ephemeral", "Persistent"]);
    }
    let policies = &["File", "None", "ReadWriteOnceWithFSType"];
    errors.one_of(&spec.at("fsGroupPolicy"), policies);
    let mut seen = crate::errors::Seen::new();
    for request in spec.at("tokenRequests").items() {
        errors.unique(&request.at("audience"), &mut seen);
        let seconds = request.at("expirationSeconds");
        let value = seconds.int().unwrap_or(3600);
        if value < 600 {
            errors.invalid(&seconds, "may not specify a duration less than 10 minutes");
        } else if value > 1 << 32 {
            let why = "may not specify a duration larger than 1<<32 seconds";
            errors.invalid(&seconds, why);
        }
    }
    let period = spec.at("nodeAllocatableUpdatePeriodSeconds");
    if period.int().is_some_and(|seconds| seconds < 10) {
        errors.invalid(&period, "must be greater than or equal to 10 seconds");
    }
}

fn validate_update(new: &Node, old: &Node, errors: &mut Errors) {
    validate(new, errors);
    for field in ["attachRequired", "volumeLifecycleModes"] {
        errors.immutable(&new.at("spec").at(field), &old.at("spec").at(field));
    }
}

fn row(driver: &Value, now: Timestamp) -> Vec<Value> {
    let flag = |path| Value::from(meta::flag(driver, path));
    let audiences = meta::items(driver, "spec.tokenRequests").iter();
    let tokens: Vec<&str> = audiences
        .map(|request| meta::text(request, "audience"))
        .collect();
    let modes = meta::items(driver, "spec.volumeLifecycleModes").iter();
    let modes: Vec<&str> = modes.filter_map(Value::as_str).collect();
    vec![
        columns::name(driver),
        flag("spec.attachRequired"),
        flag("spec.podInfoOnMount"),
        flag("spec.storageCapacity"),
        or_unset(&tokens.join(",")).into(),
        flag("spec.requiresRepublish"),
        modes.join(",").into(),
        columns::age(driver, now),
    ]
}
