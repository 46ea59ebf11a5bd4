//! PodDisruptionBudget.

use apimachinery::meta;
use jiff::Timestamp;
use serde_json::{Value, json};

use crate::apps::deployment::{count_or_percent, not_over_hundred_percent};
use crate::columns::{self, AGE, Column, NAME};
use crate::errors::{Errors, Seen};
use crate::kind::{Kind, Storage, Subresource};
use crate::label_selector;
use crate::node::Node;
use crate::prepare;
use crate::text_cells::plain;

pub static KIND: Kind = Kind {
    group: "policy",
    kind: "PodDisruptionBudget",
    list_kind: "PodDisruptionBudgetList",
    plural: "poddisruptionbudgets",
    singular: "poddisruptionbudget",
    short_names: &["pdb"],
    subresources: &[Subresource::status(("policy", "v1", "PodDisruptionBudget"))],
    storage: Storage::Stored {
        prefix: "poddisruptionbudgets",
    },
    update_needs_version: true,
    prepare_create: |budget| {
        prepare::new_generation(budget);
        budget["status"] = json!({"disruptionsAllowed": 0, "currentHealthy": 0,
            "desiredHealthy": 0, "expectedPods": 0});
    },
    prepare_update: prepare::keep_status,
    validate,
    validate_update: |new, _, errors| validate(new, errors),
    validate_status_update: |new, _, errors| validate_status(new, errors),
    columns: &[
        NAME,
        Column::text("Min Available", "How many pods must stay."),
        Column::text("Max Unavailable", "How many pods may be gone."),
        Column::count("Allowed Disruptions", "How many pods may be evicted now."),
        AGE,
    ],
    row,
    ..Kind::BASE
};

fn validate(budget: &Node, errors: &mut Errors) {
    let spec = budget.at("spec");
    let (least, most) = (spec.at("minAvailable"), spec.at("maxUnavailable"));
    if least.exists() && most.exists() {
        errors.invalid(&spec, "minAvailable and maxUnavailable cannot be both set");
    }
    for node in [&least, &most] {
        if node.exists() {
            count_or_percent(node, errors);
            not_over_hundred_percent(node, errors);
        }
    }
    label_selector::validate(&spec.at("selector"), errors);
    let policies = &["AlwaysAllow", "IfHealthyBudget"];
    errors.one_of_if_set(&spec.at("unhealthyPodEvictionPolicy"), policies);
}

fn validate_status(budget: &Node, errors: &mut Errors) {
    let status = budget.at("status");
    for field in [
        "disruptionsAllowed",
        "currentHealthy",
        "desiredHealthy",
        "expectedPods",
    ] {
        errors.not_negative(&status.at(field));
    }
    let mut seen = Seen::new();
    for condition in status.at("conditions").items() {
        let kind = condition.at("type");
        if errors.require(&kind) {
            errors.unique(&kind, &mut seen);
        }
        let statuses = &["False", "True", "Unknown"];
        errors.one_of(&condition.at("status"), statuses);
        errors.require(&condition.at("reason"));
    }
}

fn row(budget: &Value, now: Timestamp) -> Vec<Value> {
    let amount = |path| meta::get(budget, path).map_or("N/A".to_owned(), plain);
    vec![
        columns::name(budget),
        amount("spec.minAvailable").into(),
        amount("spec.maxUnavailable").into(),
        meta::int(budget, "status.disruptionsAllowed")
            .unwrap_or(0)
            .into(),
        columns::age(budget, now),
    ]
}
