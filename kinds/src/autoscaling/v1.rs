//! HorizontalPodAutoscaler v1: CPU alone; the rest of v2 travels in annotations.

use apimachinery::{meta, names};
use jiff::Timestamp;
use serde_json::{Value, json};

use super::v2;
use crate::defaults::{object, set_default};
use crate::errors::Errors;
use crate::kind::{Conversion, Kind, Storage, Subresource};
use crate::node::Node;
use crate::prepare;

pub static KIND: Kind = Kind {
    group: "autoscaling",
    kind: "HorizontalPodAutoscaler",
    list_kind: "HorizontalPodAutoscalerList",
    plural: "horizontalpodautoscalers",
    singular: "horizontalpodautoscaler",
    short_names: &["hpa"],
    categories: &["all"],
    subresources: &[Subresource::status((
        "autoscaling",
        "v1",
        "HorizontalPodAutoscaler",
    ))],
    storage: Storage::As(&CONVERSION),
    default,
    prepare_create: |scaler| scaler["status"] = json!({"currentReplicas": 0, "desiredReplicas": 0}),
    prepare_update: prepare::keep_status_only,
    validate,
    validate_update: |new, _, errors| validate(new, errors),
    columns: v2::COLUMNS,
    row,
    ..Kind::BASE
};

static CONVERSION: Conversion = Conversion {
    stored: &v2::KIND,
    to_stored,
    from_stored,
};

const TARGET: &str = "targetCPUUtilizationPercentage";
const METRICS: &str = "autoscaling.alpha.kubernetes.io/metrics";
const BEHAVIOR: &str = "autoscaling.alpha.kubernetes.io/behavior";
const CURRENT: &str = "autoscaling.alpha.kubernetes.io/current-metrics";
const CONDITIONS: &str = "autoscaling.alpha.kubernetes.io/conditions";

fn default(scaler: &mut Value) {
    let has_others = meta::annotation(scaler, METRICS).is_some();
    let spec = object(scaler, "spec");
    set_default(spec, "minReplicas", 1);
    if !has_others {
        set_default(spec, TARGET, 80);
    }
}

fn validate(scaler: &Node, errors: &mut Errors) {
    let spec = scaler.at("spec");
    v2::replicas(&spec, errors);
    v2::reference(&spec.at("scaleTargetRef"), errors);
    let target = spec.at(TARGET);
    if target.int().is_some_and(|percent| percent < 1) {
        errors.invalid(&target, "must be greater than 0");
    }
    errors.follows_if_set(&scaler.at("metadata.name"), names::dns_subdomain);
}

fn cpu(percent: &Value, side: &str, field: &str) -> Value {
    let mut metric =
        json!({"type": "Resource", "resource": {"name": "cpu", side: {field: percent}}});
    if side == "target" {
        metric["resource"]["target"]["type"] = "Utilization".into();
    }
    metric
}

fn to_stored(scaler: &mut Value) {
    scaler["apiVersion"] = "autoscaling/v2".into();
    let mut metrics = annotated_list(scaler, METRICS);
    if let Some(percent) = meta::remove(scaler, &format!("spec.{TARGET}")) {
        metrics.insert(0, cpu(&percent, "target", "averageUtilization"));
    }
    if !metrics.is_empty() {
        meta::set(scaler, "spec.metrics", metrics);
    }
    if let Some(behavior) = take_annotation(scaler, BEHAVIOR) {
        meta::set(scaler, "spec.behavior", behavior);
    }
    if scaler.get("status").is_some() {
        let mut current = annotated_list(scaler, CURRENT);
        if let Some(percent) = meta::remove(scaler, "status.currentCPUUtilizationPercentage") {
            current.insert(0, cpu(&percent, "current", "averageUtilization"));
        }
        let shown = if current.is_empty() {
            Value::Null
        } else {
            current.into()
        };
        meta::set(scaler, "status.currentMetrics", shown);
        if let Some(conditions) = take_annotation(scaler, CONDITIONS) {
            meta::set(scaler, "status.conditions", conditions);
        }
    }
}

fn take_annotation(scaler: &mut Value, key: &str) -> Option<Value> {
    let annotations = scaler
        .get_mut("metadata")?
        .get_mut("annotations")?
        .as_object_mut()?;
    let text = annotations.remove(key)?;
    if annotations.is_empty() {
        meta::remove_meta(scaler, "annotations");
    }
    serde_json::from_str(text.as_str()?).ok()
}

fn annotated_list(scaler: &mut Value, key: &str) -> Vec<Value> {
    match take_annotation(scaler, key) {
        Some(Value::Array(items)) => items,
        _ => Vec::new(),
    }
}

fn is_cpu(metric: &Value, side: &str) -> bool {
    meta::text(metric, "type") == "Resource"
        && meta::text(metric, "resource.name") == "cpu"
        && meta::int(metric, &format!("resource.{side}.averageUtilization")).is_some()
}

/// Takes the CPU percentage out of a list of metrics; the others go into an annotation.
fn split(scaler: &mut Value, list: &str, side: &str, key: &str) -> Option<Value> {
    let Some(Value::Array(mut metrics)) = meta::remove(scaler, list) else {
        return None;
    };
    let at = metrics.iter().position(|metric| is_cpu(metric, side));
    let cpu = at.map(|at| metrics.remove(at));
    if !metrics.is_empty() {
        meta::set_annotation(scaler, key, &Value::Array(metrics).to_string());
    }
    meta::get(&cpu?, &format!("resource.{side}.averageUtilization")).cloned()
}

fn from_stored(scaler: &mut Value) {
    scaler["apiVersion"] = "autoscaling/v1".into();
    if let Some(percent) = split(scaler, "spec.metrics", "target", METRICS) {
        meta::set(scaler, &format!("spec.{TARGET}"), percent);
    }
    if let Some(behavior) = meta::remove(scaler, "spec.behavior") {
        meta::set_annotation(scaler, BEHAVIOR, &behavior.to_string());
    }
    if let Some(percent) = split(scaler, "status.currentMetrics", "current", CURRENT) {
        meta::set(scaler, "status.currentCPUUtilizationPercentage", percent);
    }
    if let Some(conditions) = meta::remove(scaler, "status.conditions") {
        meta::set_annotation(scaler, CONDITIONS, &conditions.to_string());
    }
    if scaler.get("status").is_some_and(Value::is_object) {
        set_default(&mut scaler["status"], "currentReplicas", 0);
    }
}

fn row(scaler: &Value, now: Timestamp) -> Vec<Value> {
    let mut scaler = scaler.clone();
    to_stored(&mut scaler);
    (v2::KIND.row)(&scaler, now)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn v1_survives_the_way_to_v2_and_back() {
        let v1 = json!({"apiVersion": "autoscaling/v1", "metadata": {"name": "h"},
            "spec": {"maxReplicas": 3, TARGET: 80}, "status": {"currentReplicas": 0, "desiredReplicas": 0}});
        let mut v2 = v1.clone();
        to_stored(&mut v2);
        assert_eq!(
            v2["spec"]["metrics"][0]["resource"]["target"],
            json!({"type": "Utilization", "averageUtilization": 80})
        );
        from_stored(&mut v2);
        assert_eq!(v2, v1);
    }

    #[test]
    fn metrics_v1_does_not_know_survive_in_an_annotation() {
        let v2 = json!({"apiVersion": "autoscaling/v2", "spec": {"metrics": [{"type": "Pods", "pods": {}}]}});
        let mut v1 = v2.clone();
        from_stored(&mut v1);
        assert!(meta::annotation(&v1, METRICS).is_some());
        to_stored(&mut v1);
        assert_eq!(v1["spec"], v2["spec"]);
    }
}
