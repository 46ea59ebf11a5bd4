//! HorizontalPodAutoscaler v2.

mod behavior;
mod metrics;

use apimachinery::meta;
use apimachinery::names;
use jiff::Timestamp;
use serde_json::{Value, json};

use crate::columns::{self, AGE, Column, NAME};
use crate::defaults::{object, set_default, with};
use crate::errors::Errors;
use crate::kind::{Kind, Storage, Subresource};
use crate::node::Node;
use crate::prepare;
use crate::text_cells::{NONE, plain};

pub static KIND: Kind = Kind {
    group: "autoscaling",
    version: "v2",
    kind: "HorizontalPodAutoscaler",
    list_kind: "HorizontalPodAutoscalerList",
    plural: "horizontalpodautoscalers",
    singular: "horizontalpodautoscaler",
    short_names: &["hpa"],
    categories: &["all"],
    subresources: &[Subresource::status((
        "autoscaling",
        "v2",
        "HorizontalPodAutoscaler",
    ))],
    storage: Storage::Stored {
        prefix: "horizontalpodautoscalers",
    },
    default,
    prepare_create: |scaler| {
        scaler["status"] = json!({"desiredReplicas": 0, "currentMetrics": null})
    },
    prepare_update: prepare::keep_status_only,
    validate,
    validate_update: |new, _, errors| validate(new, errors),
    validate_status_update: validate_status,
    columns: COLUMNS,
    row,
    ..Kind::BASE
};

pub const COLUMNS: &[Column] = &[
    NAME,
    Column::text("Reference", "What is scaled."),
    Column::text("Targets", "The metrics, of their targets."),
    Column::text("MinPods", "The least number of pods."),
    Column::text("MaxPods", "The greatest number of pods."),
    Column::text("Replicas", "How many pods there are."),
    AGE,
];

fn default(scaler: &mut Value) {
    let spec = object(scaler, "spec");
    set_default(spec, "minReplicas", 1);
    if meta::items(spec, "metrics").is_empty() {
        spec["metrics"] = json!([{"type": "Resource", "resource": {"name": "cpu",
            "target": {"type": "Utilization", "averageUtilization": 80}}}]);
    }
    with(spec, "behavior", behavior::default);
}

fn validate(scaler: &Node, errors: &mut Errors) {
    let spec = scaler.at("spec");
    replicas(&spec, errors);
    reference(&spec.at("scaleTargetRef"), errors);
    for metric in spec.at("metrics").items() {
        metrics::validate(&metric, errors);
    }
    behavior::validate(&spec.at("behavior"), errors);
}

pub fn replicas(spec: &Node, errors: &mut Errors) {
    let (least, most) = (spec.at("minReplicas"), spec.at("maxReplicas"));
    errors.at_least(&least, 1);
    let greatest = most.int().unwrap_or(0);
    let at_most = |why| apimachinery::field::Error::invalid(&most.path, greatest, why);
    if greatest < 1 {
        errors.push(at_most("must be greater than 0"));
    }
    if least.int().is_some_and(|least| greatest < least) {
        errors.push(at_most("must be greater than or equal to `minReplicas`"));
    }
}

pub fn reference(target: &Node, errors: &mut Errors) {
    for field in ["kind", "name"] {
        errors.require_name(&target.at(field), names::path_segment);
    }
}

fn validate_status(new: &Node, _: &Node, errors: &mut Errors) {
    let status = new.at("status");
    errors.not_negative(&status.at("currentReplicas"));
    errors.not_negative(&status.at("desiredReplicas"));
}

const METRICS: [(&str, &str); 5] = [
    ("ContainerResource", "containerResource"),
    ("External", "external"),
    ("Object", "object"),
    ("Pods", "pods"),
    ("Resource", "resource"),
];

fn row(scaler: &Value, now: Timestamp) -> Vec<Value> {
    let count = |path| meta::int(scaler, path).unwrap_or(0);
    let target = format!(
        "{}/{}",
        meta::text(scaler, "spec.scaleTargetRef.kind"),
        meta::text(scaler, "spec.scaleTargetRef.name")
    );
    let least = meta::get(scaler, "spec.minReplicas").map_or("<unset>".to_owned(), plain);
    vec![
        columns::name(scaler),
        target.into(),
        targets(scaler).into(),
        least.into(),
        count("spec.maxReplicas").into(),
        count("status.currentReplicas").into(),
        columns::age(scaler, now),
    ]
}

/// The first two metrics, and how many more.
fn targets(scaler: &Value) -> String {
    let specs = meta::items(scaler, "spec.metrics");
    let current = meta::items(scaler, "status.currentMetrics");
    if specs.is_empty() {
        return NONE.to_owned();
    }
    let texts: Vec<String> = specs
        .iter()
        .enumerate()
        .map(|(index, metric)| one_target(metric, current.get(index)))
        .collect();
    let shown = texts.iter().take(2).cloned().collect::<Vec<_>>().join(", ");
    match texts.len() {
        0..=2 => shown,
        many => format!("{shown} + {} more...", many - 2),
    }
}

fn one_target(metric: &Value, current: Option<&Value>) -> String {
    let kind = meta::text(metric, "type");
    let field = METRICS
        .iter()
        .find(|(name, _)| *name == kind)
        .map_or("", |(_, field)| field);
    let source = &metric[field];
    let now = current.map_or(&Value::Null, |current| &current[field]["current"]);
    let unknown = || "<unknown>".to_owned();
    let name = meta::text(source, "name");
    if let Some(percent) = meta::int(source, "target.averageUtilization") {
        let have = meta::int(now, "averageUtilization").map_or_else(unknown, |p| format!("{p}%"));
        return format!("{name}: {have}/{percent}%");
    }
    let side = |field: &str| meta::get(source, "target").and_then(|target| target.get(field));
    let (text, field, average) = match (side("averageValue"), side("value")) {
        (Some(value), _) => (plain(value), "averageValue", true),
        (None, Some(value)) => (plain(value), "value", false),
        (None, None) => ("<auto>".to_owned(), "value", false),
    };
    let have = now.get(field).map_or_else(unknown, plain);
    match (field, name.is_empty()) {
        ("averageValue", false) => format!("{name}: {have}/{text}"),
        _ if average && kind != "Pods" => format!("{have}/{text} (avg)"),
        _ => format!("{have}/{text}"),
    }
}
