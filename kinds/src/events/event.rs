//! Event, stored as the core group's.

use std::borrow::Cow;

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
    validate_update: |new, _, errors| validate(new, errors),
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

fn validate(event: &Node, errors: &mut Errors) {
    let namespace = event.at("metadata.namespace").text();
    let regarding = event.at("regarding.namespace");
    let fits = match regarding.text() {
        "" => matches!(namespace, "default" | "kube-system"),
        other => other == namespace,
    };
    if !fits {
        errors.invalid_text(&regarding, "does not match event.namespace");
    }
    errors.require(&event.at("eventTime"));
    for field in [
        "reportingController",
        "reportingInstance",
        "action",
        "reason",
    ] {
        errors.require(&event.at(field));
    }
    errors.one_of(&event.at("type"), &["Normal", "Warning"]);
    for (field, most) in [
        ("reportingInstance", 128),
        ("action", 128),
        ("reason", 128),
        ("note", 1024),
    ] {
        let node = event.at(field);
        if node.len() > most {
            errors.invalid(&node, format!("can have at most {most} characters"));
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
