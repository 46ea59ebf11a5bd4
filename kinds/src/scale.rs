//! The `Scale` view of a workload: replicas wanted, replicas there, and their selector.

use apimachinery::field::{self, Path};
use apimachinery::meta;
use apimachinery::selector::LabelSelector;
use serde_json::{Value, json};

use crate::kind::Kind;

/// Where a kind keeps what `/scale` shows.
#[derive(Clone, Copy, Debug)]
pub struct ScalePaths<'a> {
    /// Dotted path of the wanted count.
    pub replicas: &'a str,
    pub status_replicas: &'a str,
    /// Dotted path of a `LabelSelector` object, a plain map of labels, or the text of a selector.
    pub selector: &'a str,
    pub selector_is_map: bool,
}

impl ScalePaths<'static> {
    /// Where Deployments, ReplicaSets and StatefulSets keep them.
    pub const WORKLOAD: ScalePaths<'static> = ScalePaths {
        replicas: "spec.replicas",
        status_replicas: "status.replicas",
        selector: "spec.selector",
        selector_is_map: false,
    };
}

/// The `autoscaling/v1` Scale of an object.
pub fn read(paths: &ScalePaths<'_>, object: &Value) -> Value {
    let mut metadata = json!({});
    for key in [
        "name",
        "namespace",
        "uid",
        "resourceVersion",
        "creationTimestamp",
    ] {
        if let Some(value) = object.get("metadata").and_then(|meta| meta.get(key)) {
            metadata[key] = value.clone();
        }
    }
    let mut spec = json!({});
    if let Some(replicas) = meta::int(object, paths.replicas).filter(|n| *n != 0) {
        spec["replicas"] = replicas.into();
    }
    let mut status = json!({"replicas": meta::int(object, paths.status_replicas).unwrap_or(0)});
    let selector = selector(paths, object);
    if !selector.is_empty() {
        status["selector"] = selector.into();
    }
    json!({"kind": "Scale", "apiVersion": "autoscaling/v1", "metadata": metadata, "spec": spec, "status": status})
}

fn selector(paths: &ScalePaths<'_>, object: &Value) -> String {
    let Some(selector) = meta::get(object, paths.selector) else {
        return String::new();
    };
    if let Some(text) = selector.as_str() {
        return text.to_owned();
    }
    if paths.selector_is_map {
        return selector
            .as_object()
            .map(|labels| LabelSelector::from_map(labels).to_string())
            .unwrap_or_default();
    }
    LabelSelector::from_object(selector)
        .map(|selector| selector.to_string())
        .unwrap_or_default()
}

/// Writes a Scale's wanted count into the object it is a view of.
pub fn write(paths: &ScalePaths<'_>, object: &mut Value, scale: &Value) {
    let replicas = meta::int(scale, "spec.replicas").unwrap_or(0);
    meta::set(object, paths.replicas, replicas);
}

/// Mistakes in a Scale that was sent.
pub fn validate(scale: &Value) -> Vec<field::Error> {
    match meta::int(scale, "spec.replicas") {
        Some(replicas) if replicas < 0 => vec![field::Error::invalid(
            &Path::new("spec.replicas"),
            replicas,
            "must be greater than or equal to 0",
        )],
        _ => Vec::new(),
    }
}

/// The Scale of an object, if its kind has one.
pub fn of(kind: &Kind, object: &Value) -> Option<Value> {
    kind.scale.as_ref().map(|paths| read(paths, object))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_scale_shows_counts_and_the_selector_as_text() {
        let object = json!({"metadata": {"name": "web", "uid": "u", "labels": {"a": "b"}},
            "spec": {"replicas": 3, "selector": {"matchLabels": {"app": "web"}}}, "status": {"replicas": 2}});
        let scale = read(&ScalePaths::WORKLOAD, &object);
        assert_eq!(scale["metadata"], json!({"name": "web", "uid": "u"}));
        assert_eq!(scale["spec"], json!({"replicas": 3}));
        assert_eq!(
            scale["status"],
            json!({"replicas": 2, "selector": "app=web"})
        );
    }
}
