//! DeviceTaintRule.

use apimachinery::names;
use serde_json::json;

use crate::columns::{AGE, NAME, name_and_how_old};
use crate::errors::Errors;
use crate::kind::{Kind, Scope, Storage, Subresource};
use crate::node::Node;
use crate::prepare;

pub static KIND: Kind = Kind {
    group: "resource.k8s.io",
    kind: "DeviceTaintRule",
    list_kind: "DeviceTaintRuleList",
    plural: "devicetaintrules",
    singular: "devicetaintrule",
    scope: Scope::Cluster,
    subresources: &[Subresource::status((
        "resource.k8s.io",
        "v1",
        "DeviceTaintRule",
    ))],
    storage: Storage::Stored {
        prefix: "devicetaintrules",
    },
    prepare_create: |rule| {
        prepare::new_generation(rule);
        rule["status"] = json!({});
    },
    prepare_update: prepare::keep_status,
    validate,
    validate_update: |new, _, errors| validate(new, errors),
    columns: &[NAME, AGE],
    row: name_and_how_old,
    ..Kind::BASE
};

fn validate(rule: &Node, errors: &mut Errors) {
    let taint = rule.at("spec.taint");
    errors.require_name(&taint.at("key"), names::qualified);
    let value = taint.at("value");
    if !value.is_empty() {
        errors.follows(&value, names::label_value);
    }
    errors.require_one_of(&taint.at("effect"), &["NoExecute", "NoSchedule", "None"]);
}
