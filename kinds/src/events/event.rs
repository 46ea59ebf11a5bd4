//! Event, stored as the core group's.

use std::borrow::Cow;

use apimachinery::field::{Error, Path};
use apimachinery::meta;
use jiff::Timestamp;
use serde_json::{Value, json};

use crate::core;
use crate::errors::Errors;
use crate::kind::{Conversion, FieldLabel, Kind, Storage, text_field};
use crate::node::Node;

pub static KIND: Kind = Kind {
    group: "events.k8s.io",
    kind: "Event",
    list_kind: "EventList",
    plural: "events",
    singular: "event",
    short_names: &["ev"],
    storage: Storage::As(&CONVERSION),
    create_on_update: true,
    default,
    validate,
    validate_update,
    columns: core::event::COLUMNS,
    row,
    field_labels: &[
        text_field!("regarding.kind"),
        text_field!("regarding.namespace"),
        text_field!("regarding.name"),
        text_field!("regarding.uid"),
        text_field!("regarding.apiVersion"),
        text_field!("regarding.resourceVersion"),
        text_field!("regarding.fieldPath"),
        text_field!("reason"),
        text_field!("reportingController"),
        FieldLabel::new("source", source_component),
        text_field!("type"),
    ],
    ..Kind::BASE
};

static CONVERSION: Conversion = Conversion {
    stored: &core::event::KIND,
    to_stored,
    from_stored,
};

/// (here, in the core group)
const NAMES: [(&str, &str); 7] = [
    ("regarding", "involvedObject"),
    ("note", "message"),
    ("reportingController", "reportingComponent"),
    ("deprecatedSource", "source"),
    ("deprecatedFirstTimestamp", "firstTimestamp"),
    ("deprecatedLastTimestamp", "lastTimestamp"),
    ("deprecatedCount", "count"),
];

fn to_stored(event: &mut Value) {
    for (here, there) in NAMES {
        rename(event, here, there);
    }
    event["apiVersion"] = "v1".into();
}

fn from_stored(event: &mut Value) {
    for (here, there) in NAMES {
        rename(event, there, here);
    }
    event["apiVersion"] = "events.k8s.io/v1".into();
}

fn rename(event: &mut Value, from: &str, to: &str) {
    let Some(fields) = event.as_object_mut() else {
        return;
    };
    if let Some(value) = fields.remove(from) {
        fields.insert(to.to_owned(), value);
    }
}

fn default(event: &mut Value) {
    crate::defaults::set_default(event, "deprecatedSource", json!({}));
    for time in [
        "deprecatedFirstTimestamp",
        "deprecatedLastTimestamp",
        "eventTime",
    ] {
        if event.get(time).is_none() && event.is_object() {
            event[time] = Value::Null;
        }
    }
}

fn source_component(event: &Value) -> Cow<'_, str> {
    match meta::text(event, "deprecatedSource.component") {
        "" => meta::text(event, "reportingController").into(),
        component => component.into(),
    }
}

fn stored(event: &Node) -> Value {
    let mut stored = event.value.clone();
    to_stored(&mut stored);
    stored
}

/// Kubernetes names fields as they are stored, except for who reports.
fn validate(event: &Node, errors: &mut Errors) {
    let stored = stored(event);
    let event = Node::root(&stored);
    core::event::validate_as_stored(&event, "reportingController", errors);
    validate_series(&event, errors);
    errors.require(&event.at("eventTime"));
    let kind = event.at("type");
    if !matches!(kind.text(), "Normal" | "Warning") {
        let why = format!("has invalid value: {}", kind.text());
        errors.push(Error::invalid(&kind.path, "", why));
    }
    for field in ["firstTimestamp", "lastTimestamp", "count", "source"] {
        let old = event.at(field);
        if !is_unset(old.value) {
            errors.push(Error::invalid(&old.path, "", "needs to be unset"));
        }
    }
}

fn is_unset(value: &Value) -> bool {
    match value {
        Value::Object(fields) => fields.values().all(|v| v.as_str() == Some("")),
        Value::Number(count) => count.as_i64() == Some(0),
        other => other.is_null(),
    }
}

/// A series is of two at least, and was last seen at some time.
fn validate_series(event: &Node, errors: &mut Errors) {
    let series = event.at("series");
    if !series.exists() {
        return;
    }
    if series.at("count").int().unwrap_or(0) < 2 {
        let why = "should be at least 2";
        errors.push(Error::invalid(&Path::new("series.count"), "", why));
    }
    errors.require(&series.at("lastObservedTime"));
}

/// What happened stays what it was; only the series goes on.
fn validate_update(new: &Node, old: &Node, errors: &mut Errors) {
    let (now, was) = (stored(new), stored(old));
    let (new, old) = (Node::root(&now), Node::root(&was));
    core::event::validate_as_stored(&new, "reportingController", errors);
    if new.at("series").value != old.at("series").value {
        validate_series(&new, errors);
    }
    for (stored, shown) in [
        ("involvedObject", "involvedObject"),
        ("reason", "reason"),
        ("message", "message"),
        ("source", "source"),
        ("firstTimestamp", "firstTimestamp"),
        ("lastTimestamp", "lastTimestamp"),
        ("count", "count"),
        ("type", "type"),
        ("eventTime", "eventTime"),
        ("action", "action"),
        ("related", "related"),
        ("reportingComponent", "reportingController"),
        ("reportingInstance", "reportingInstance"),
    ] {
        let (now, was) = (new.at(stored), old.at(stored));
        if now.value != was.value {
            let path = Path::new(shown);
            errors.push(Error::invalid(
                &path,
                now.value.clone(),
                "field is immutable",
            ));
        }
    }
}

fn row(event: &Value, now: Timestamp) -> Vec<Value> {
    let mut event = event.clone();
    to_stored(&mut event);
    (core::event::KIND.row)(&event, now)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_event_survives_the_way_to_storage_and_back() {
        let event = json!({"apiVersion": "events.k8s.io/v1", "note": "n",
            "regarding": {"name": "x"}, "deprecatedCount": 2, "reason": "r"});
        let mut stored = event.clone();
        to_stored(&mut stored);
        assert_eq!(stored["message"], "n");
        assert_eq!(stored["apiVersion"], "v1");
        from_stored(&mut stored);
        assert_eq!(stored, event);
    }
}
