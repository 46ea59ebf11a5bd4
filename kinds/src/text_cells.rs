//! Texts that cells of several kinds show.

use apimachinery::meta;
use apimachinery::selector::LabelSelector;
use serde_json::{Map, Value};

pub const NONE: &str = "<none>";

/// `a=1,b=2`, or `<none>`.
pub fn labels(labels: Option<&Map<String, Value>>) -> String {
    match labels {
        Some(labels) if !labels.is_empty() => LabelSelector::from_map(labels).to_string(),
        _ => NONE.to_owned(),
    }
}

/// A `LabelSelector` object as text, or `<none>`.
pub fn selector(selector: Option<&Value>) -> String {
    let text = selector
        .and_then(|selector| LabelSelector::from_object(selector).ok())
        .map(|selector| selector.to_string());
    text.filter(|text| !text.is_empty())
        .unwrap_or_else(|| NONE.to_owned())
}

fn container_texts(template: &Value, field: &str) -> String {
    let containers = meta::items(template, "spec.containers").iter();
    let texts: Vec<&str> = containers.map(|c| meta::text(c, field)).collect();
    texts.join(",")
}

/// The names of a pod template's containers.
pub fn containers(template: &Value) -> String {
    container_texts(template, "name")
}

pub fn images(template: &Value) -> String {
    container_texts(template, "image")
}

/// The text, or `<none>` if there is none.
pub fn or_none(text: &str) -> &str {
    if text.is_empty() { NONE } else { text }
}

/// What a number or text prints as.
pub fn plain(value: &Value) -> String {
    value
        .as_str()
        .map_or_else(|| value.to_string(), str::to_owned)
}
