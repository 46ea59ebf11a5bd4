//! DaemonSet.

use apimachinery::meta;
use jiff::Timestamp;
use serde_json::{Value, json};

use super::deployment::{count_or_percent, not_over_hundred_percent};
use crate::columns::{self, AGE, Column, NAME};
use crate::defaults::{is, object, set_default, set_text};
use crate::errors::Errors;
use crate::kind::{Kind, Storage, Subresource};
use crate::label_selector;
use crate::node::Node;
use crate::pod_template;
use crate::prepare;
use crate::text_cells;
use crate::warnings;

/// Counts the templates; kept for clients of old.
const TEMPLATE_GENERATION: &str = "deprecated.daemonset.template.generation";

pub static KIND: Kind = Kind {
    group: "apps",
    kind: "DaemonSet",
    list_kind: "DaemonSetList",
    plural: "daemonsets",
    singular: "daemonset",
    short_names: &["ds"],
    categories: &["all"],
    subresources: &[Subresource::status(("apps", "v1", "DaemonSet"))],
    storage: Storage::Stored {
        prefix: "daemonsets",
    },
    default,
    prepare_create: |set| {
        prepare::new_generation(set);
        meta::set_annotation(set, TEMPLATE_GENERATION, "1");
        set["status"] = json!({"currentNumberScheduled": 0, "numberMisscheduled": 0,
            "desiredNumberScheduled": 0, "numberReady": 0});
    },
    prepare_update,
    validate,
    validate_update: |new, old, errors| {
        validate(new, errors);
        errors.immutable(&new.at("spec.selector"), &old.at("spec.selector"));
    },
    validate_status_update: |new, old, errors| {
        status(new, errors);
        super::stateful_set::never_fewer_collisions(new, old, errors);
    },
    columns: &[
        NAME,
        Column::count("Desired", "How many nodes should run the pod."),
        Column::count("Current", "How many nodes run it."),
        Column::count("Ready", "How many of the pods are ready."),
        Column::count("Up-to-date", "How many pods are of the newest template."),
        Column::count("Available", "How many pods have been ready long enough."),
        Column::text("Node Selector", "Which nodes run it."),
        AGE,
        Column::text("Containers", "Names of each container in the template.").wide(),
        Column::text(
            "Images",
            "Images referenced by each container in the template.",
        )
        .wide(),
        Column::text("Selector", "Which pods belong to the set.").wide(),
    ],
    row,
    warnings: warnings::workload,
    ..Kind::BASE
};

fn default(set: &mut Value) {
    let spec = object(set, "spec");
    let strategy = object(spec, "updateStrategy");
    set_text(strategy, "type", "RollingUpdate");
    if is(strategy, "type", "RollingUpdate") {
        let rolling = object(strategy, "rollingUpdate");
        set_default(rolling, "maxUnavailable", 1);
        set_default(rolling, "maxSurge", 0);
    }
    set_default(spec, "revisionHistoryLimit", 10);
    pod_template::default_template(spec);
}

fn prepare_update(new: &mut Value, old: &Value) {
    prepare::keep_status(new, old);
    let count = meta::annotation(old, TEMPLATE_GENERATION).and_then(|count| count.parse().ok());
    let count: i64 = count.unwrap_or(1);
    let template = |set: &Value| meta::get(set, "spec.template").cloned();
    let changed = template(new) != template(old);
    let count = (count + i64::from(changed)).to_string();
    meta::set_annotation(new, TEMPLATE_GENERATION, &count);
}

fn validate(set: &Node, errors: &mut Errors) {
    let spec = set.at("spec");
    let selector = spec.at("selector");
    if let Some(selects) = label_selector::of_workload(&selector, "daemonset", errors) {
        pod_template::validate_workload_template(&spec, &selects, "DaemonSet", errors);
    }
    errors.not_negative(&spec.at("minReadySeconds"));
    let strategy = spec.at("updateStrategy");
    match strategy.at("type").text() {
        "OnDelete" => {}
        "RollingUpdate" => rolling_update(&strategy.at("rollingUpdate"), errors),
        _ => {
            errors.one_of(&strategy.at("type"), &["RollingUpdate", "OnDelete"]);
        }
    }
    errors.not_negative(&spec.at("revisionHistoryLimit"));
}

fn rolling_update(rolling: &Node, errors: &mut Errors) {
    if !rolling.exists() {
        errors.required(rolling, "");
        return;
    }
    let (unavailable, surge) = (rolling.at("maxUnavailable"), rolling.at("maxSurge"));
    for node in [&unavailable, &surge] {
        count_or_percent(node, errors);
        not_over_hundred_percent(node, errors);
    }
    let is_zero = |node: &Node| matches!(text_cells::plain(node.value).as_str(), "0" | "0%");
    match (is_zero(&unavailable), is_zero(&surge)) {
        (true, true) => errors.required(&unavailable, "cannot be 0 when maxSurge is 0"),
        (false, false) => {
            errors.invalid(&surge, "may not be set when maxUnavailable is non-zero");
        }
        _ => {}
    }
}

fn status(set: &Node, errors: &mut Errors) {
    for field in [
        "currentNumberScheduled",
        "numberMisscheduled",
        "desiredNumberScheduled",
        "numberReady",
        "observedGeneration",
        "updatedNumberScheduled",
        "numberAvailable",
        "numberUnavailable",
    ] {
        errors.not_negative(&set.at("status").at(field));
    }
}

fn row(set: &Value, now: Timestamp) -> Vec<Value> {
    let count = |path| Value::from(meta::int(set, path).unwrap_or(0));
    let [containers, images] = pod_template::cells(&set["spec"]["template"]);
    vec![
        columns::name(set),
        count("status.desiredNumberScheduled"),
        count("status.currentNumberScheduled"),
        count("status.numberReady"),
        count("status.updatedNumberScheduled"),
        count("status.numberAvailable"),
        text_cells::labels(meta::map(set, "spec.template.spec.nodeSelector")).into(),
        columns::age(set, now),
        containers,
        images,
        text_cells::selector(meta::get(set, "spec.selector")).into(),
    ]
}
