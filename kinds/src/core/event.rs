//! Event, and what it shares with `events.k8s.io`.

use std::borrow::Cow;

use apimachinery::field::{Error, Path};
use apimachinery::{duration, meta, names};
use jiff::Timestamp;
use serde_json::{Value, json};

use crate::columns::{self, Column, NAME};
use crate::defaults::set_default;
use crate::errors::Errors;
use crate::kind::{FieldLabel, Kind, Storage, text_field};
use crate::node::Node;

pub static KIND: Kind = Kind {
    kind: "Event",
    list_kind: "EventList",
    plural: "events",
    singular: "event",
    short_names: &["ev"],
    storage: Storage::Stored { prefix: "events" },
    create_on_update: true,
    default,
    validate,
    validate_update: |new, _, errors| validate(new, errors),
    columns: COLUMNS,
    row,
    field_labels: &[
        text_field!("involvedObject.kind"),
        text_field!("involvedObject.namespace"),
        text_field!("involvedObject.name"),
        text_field!("involvedObject.uid"),
        text_field!("involvedObject.apiVersion"),
        text_field!("involvedObject.resourceVersion"),
        text_field!("involvedObject.fieldPath"),
        text_field!("reason"),
        text_field!("reportingComponent"),
        FieldLabel::new("source", source_component),
        text_field!("type"),
    ],
    ..Kind::BASE
};

pub const COLUMNS: &[Column] = &[
    Column::text("Last Seen", "When this last happened."),
    Column::text("Type", "Normal or Warning."),
    Column::text("Reason", "Why, in one word."),
    Column::text("Object", "What it happened to."),
    Column::text("Subobject", "Which part of the object.").wide(),
    Column::text("Source", "Who reports it.").wide(),
    Column::text("Message", "What happened."),
    Column::text("First Seen", "When this first happened.").wide(),
    Column::text("Count", "How often it happened.").wide(),
    NAME.wide(),
];

fn default(event: &mut Value) {
    set_default(event, "source", json!({}));
    for time in ["firstTimestamp", "lastTimestamp", "eventTime"] {
        if event.get(time).is_none() && event.is_object() {
            event[time] = Value::Null;
        }
    }
    set_default(event, "reportingComponent", "");
    set_default(event, "reportingInstance", "");
}

fn source_component(event: &Value) -> Cow<'_, str> {
    let component = meta::text(event, "source.component");
    if component.is_empty() {
        return meta::text(event, "reportingComponent").into();
    }
    component.into()
}

fn validate(event: &Node, errors: &mut Errors) {
    validate_as_stored(event, "reportingComponent", errors);
}

/// What events of both groups must be; `controller` is what the request's group calls who
/// reports.
pub(crate) fn validate_as_stored(event: &Node, controller: &str, errors: &mut Errors) {
    let namespace = event.at("metadata.namespace").text();
    let involved = event.at("involvedObject.namespace");
    let has_time = event.at("eventTime").exists();
    // What happened to something without a namespace is told in `default`.
    let fits = match (has_time, involved.text()) {
        (true, "") => matches!(namespace, "default" | "kube-system"),
        (true, _) => true,
        (false, "") => matches!(namespace, "" | "default"),
        (false, other) => other == namespace,
    };
    if !fits {
        errors.invalid_text(&involved, "does not match event.namespace");
    }
    if has_time {
        validate_timed(event, controller, errors);
    }
}

/// Events that carry an event time follow stricter rules.
fn validate_timed(event: &Node, controller: &str, errors: &mut Errors) {
    let reporter = event.at("reportingComponent");
    let place = Path::new(controller);
    if reporter.is_empty() {
        errors.push(Error::required(&place, ""));
    }
    for why in names::qualified(reporter.text()) {
        errors.push(Error::invalid(&place, reporter.text(), why));
    }
    for field in ["reportingInstance", "action", "reason"] {
        let text = event.at(field);
        errors.require(&text);
        too_long(&text, 128, errors);
    }
    too_long(&event.at("message"), 1024, errors);
}

fn too_long(text: &Node, most: usize, errors: &mut Errors) {
    if text.len() > most {
        let why = format!("can have at most {most} characters");
        errors.push(Error::invalid(&text.path, "", why));
    }
}

fn row(event: &Value, now: Timestamp) -> Vec<Value> {
    let event_time = meta::get(event, "eventTime").and_then(Value::as_str);
    let time = |field| meta::get(event, field).and_then(Value::as_str);
    let first = duration::age(time("firstTimestamp").or(event_time), now);
    let mut last =
        time("lastTimestamp").map_or(first.clone(), |time| duration::age(Some(time), now));
    let mut count = meta::int(event, "count").unwrap_or(0);
    if let Some(series) = meta::get(event, "series") {
        last = duration::age(series["lastObservedTime"].as_str(), now);
        count = meta::int(series, "count").unwrap_or(0);
    } else if count == 0 {
        count = 1;
    }
    vec![
        last.into(),
        meta::text(event, "type").into(),
        meta::text(event, "reason").into(),
        target(event).into(),
        meta::text(event, "involvedObject.fieldPath").into(),
        source(event).into(),
        meta::text(event, "message").trim().into(),
        first.into(),
        count.into(),
        columns::name(event),
    ]
}

fn target(event: &Value) -> String {
    let kind = meta::text(event, "involvedObject.kind").to_lowercase();
    match meta::text(event, "involvedObject.name") {
        "" => kind,
        name => format!("{kind}/{name}"),
    }
}

fn source(event: &Value) -> String {
    let (component, host) = match meta::text(event, "source.component") {
        "" => ("reportingComponent", "reportingInstance"),
        _ => ("source.component", "source.host"),
    };
    let (component, host) = (meta::text(event, component), meta::text(event, host));
    if host.is_empty() {
        return component.to_owned();
    }
    format!("{component}, {host}")
}
