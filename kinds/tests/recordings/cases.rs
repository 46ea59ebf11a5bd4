//! Recorded requests and answers.

use std::collections::HashMap;
use std::path::Path;

use apimachinery::{field, meta};
use kinds::Kind;
use serde_json::Value;

pub struct Case {
    pub name: String,
    pub method: String,
    pub path: String,
    pub body: Value,
    pub status: u64,
    pub answer: Value,
}

/// The cases of an area; `None`, and a reason, where the recordings are not at hand.
pub fn load(area: &str) -> Option<Vec<Case>> {
    let dir = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../shared");
    let file = dir.join(format!(
        "reference/kubernetes-v1.23.16/recordings/{area}.json"
    ));
    let Ok(text) = std::fs::read_to_string(&file) else {
        println!("skipped: no recordings at {}", file.display());
        return None;
    };
    let cases: Vec<Value> = serde_json::from_str(&text).expect("recordings are JSON");
    Some(
        cases
            .iter()
            .filter(|case| case["name"].is_string())
            .map(Case::read)
            .collect(),
    )
}

impl Case {
    fn read(case: &Value) -> Self {
        Case {
            name: meta::text(case, "name").to_owned(),
            method: meta::text(case, "request.method").to_owned(),
            path: meta::text(case, "request.path").to_owned(),
            body: case["request"]["body"].clone(),
            status: case["response"]["status"].as_u64().unwrap_or(0),
            answer: case["response"]["body"].clone(),
        }
    }

    /// (group, version, namespace, the rest)
    fn parts(&self) -> (&str, &str, Option<&str>, Vec<&str>) {
        let path = self.path.split('?').next().unwrap_or_default();
        let mut parts: Vec<&str> = path.trim_start_matches('/').split('/').collect();
        let (group, version, from) = match parts.first() {
            Some(&"api") => ("", parts[1], 2),
            Some(&"apis") if parts.len() > 3 => (parts[1], parts[2], 3),
            _ => ("", "", parts.len()),
        };
        let mut rest = parts.split_off(from);
        let mut namespace = None;
        if rest.first() == Some(&"namespaces") && rest.len() > 2 {
            namespace = Some(rest[1]);
            rest.drain(..2);
        }
        (group, version, namespace, rest)
    }

    /// The stored kind the request is about; `None` for subresources and reviews.
    pub fn kind(&self) -> Option<&'static Kind> {
        let (group, version, _, rest) = self.parts();
        let kind = kinds::find(group, version, rest.first()?)?;
        let is_object = rest.len() <= 2 && kind.prefix().is_some();
        is_object.then_some(kind)
    }
}

fn without_nulls(value: &Value) -> Value {
    match value {
        Value::Object(fields) => {
            let kept = fields.iter().filter(|(_, value)| !value.is_null());
            kept.map(|(key, value)| (key.clone(), without_nulls(value)))
                .collect()
        }
        Value::Array(items) => items.iter().map(without_nulls).collect(),
        other => other.clone(),
    }
}

/// The object a POST makes, as far as the table decides.
pub fn created(kind: &Kind, case: &Case) -> Value {
    let mut object = without_nulls(&case.body);
    if let (_, _, Some(namespace), _) = case.parts() {
        meta::set_meta(&mut object, "namespace", namespace);
    }
    if meta::name(&object).is_empty() && !meta::generate_name(&object).is_empty() {
        let name = meta::name(&case.answer).to_owned();
        meta::set_meta(&mut object, "name", name);
    }
    let uid = match meta::uid(&case.answer) {
        "" => "refused",
        uid => uid,
    };
    meta::set_meta(&mut object, "uid", uid);
    // Admission finds each pod an account.
    if kind.kind == "Pod" && meta::text(&object, "spec.serviceAccountName").is_empty() {
        meta::set(&mut object, "spec.serviceAccountName", "default");
    }
    (kind.default)(&mut object);
    (kind.prepare_create)(&mut object);
    object
}

/// The object a PUT or PATCH makes of another.
pub fn updated(kind: &Kind, case: &Case, old: &Value) -> Value {
    let mut object = match case.method.as_str() {
        "PUT" => without_nulls(&case.body),
        _ => merged(old, &case.body),
    };
    for field in ["uid", "creationTimestamp", "namespace", "generation"] {
        if let Some(value) = old["metadata"].get(field) {
            meta::set_meta(&mut object, field, value.clone());
        }
    }
    (kind.default)(&mut object);
    (kind.prepare_update)(&mut object, old);
    object
}

fn merged(old: &Value, patch: &Value) -> Value {
    let (Some(fields), Value::Object(changes)) = (old.as_object(), patch) else {
        return patch.clone();
    };
    let mut new = fields.clone();
    for (key, change) in changes {
        let before = new.get(key).unwrap_or(&Value::Null);
        let value = merged(before, change);
        new.insert(key.clone(), value);
    }
    Value::Object(new)
}

/// Differences in field and reason, and whether even the texts are alike.
pub fn compare_causes(causes: &Value, found: &[field::Error]) -> (Vec<String>, bool) {
    let causes = causes.as_array().map_or(&[][..], Vec::as_slice);
    let place = |cause: &Value| {
        format!(
            "{} {}",
            meta::text(cause, "field"),
            meta::text(cause, "reason")
        )
    };
    let want: Vec<String> = causes.iter().map(place).collect();
    let got: Vec<String> = found
        .iter()
        .map(|error| format!("{} {}", error.field, error.mistake.reason()))
        .collect();
    if want != got {
        let found: Vec<String> = found.iter().map(ToString::to_string).collect();
        return (vec![format!("want {want:?}, got {found:?}")], false);
    }
    let texts = causes.iter().zip(found);
    let same = texts
        .clone()
        .all(|(cause, error)| meta::text(cause, "message") == error.body());
    for (cause, error) in
        texts.filter(|(cause, error)| meta::text(cause, "message") != error.body())
    {
        println!(
            "text: {}: {}\n   was {}",
            error.field,
            error.body(),
            meta::text(cause, "message")
        );
    }
    (Vec::new(), same)
}

/// Columns that differ, and cells of those objects whose recording is known.
pub fn compare_table(kind: &Kind, case: &Case, stored: &HashMap<String, Value>) -> Vec<String> {
    let shape = |name: &str, data_type: &str, format: &str, priority: i64| {
        format!("{name} {data_type} {format} {priority}")
    };
    let want: Vec<String> = meta::items(&case.answer, "columnDefinitions")
        .iter()
        .map(|c| {
            let priority = meta::int(c, "priority").unwrap_or(0);
            shape(
                meta::text(c, "name"),
                meta::text(c, "type"),
                meta::text(c, "format"),
                priority,
            )
        })
        .collect();
    let columns = kind.columns.iter();
    let got: Vec<String> = columns
        .map(|c| shape(c.name, c.data_type, c.format, i64::from(c.priority)))
        .collect();
    // Newer releases have more columns, and the recorded ones in the same order.
    let gone: Vec<&String> = want.iter().filter(|column| !got.contains(column)).collect();
    if !gone.is_empty() {
        return vec![format!("want columns {gone:?}, got {got:?}")];
    }
    let mut problems = Vec::new();
    for row in meta::items(&case.answer, "rows") {
        let path = case.path.split('?').next().unwrap_or_default();
        let name = meta::text(row, "object.metadata.name");
        if let Some(object) = stored.get(&format!("{path}/{name}")) {
            let now = jiff::Timestamp::UNIX_EPOCH;
            compare_cells(kind, case, row, &(kind.row)(object, now), &mut problems);
        }
    }
    problems
}

fn compare_cells(
    kind: &Kind,
    case: &Case,
    row: &Value,
    cells: &[Value],
    problems: &mut Vec<String>,
) {
    if kind.columns.len() != cells.len() {
        problems.push(format!(
            "{} columns, {} cells",
            kind.columns.len(),
            cells.len()
        ));
    }
    let recorded = meta::items(&case.answer, "columnDefinitions").iter();
    let names = recorded.map(|column| meta::text(column, "name"));
    for (name, want) in names.zip(meta::items(row, "cells")) {
        let at = kind.columns.iter().position(|column| column.name == name);
        let got = at.and_then(|at| cells.get(at));
        let moving = ["Age", "Last Seen", "First Seen", "Status", "Volume"];
        if got != Some(want) && !moving.contains(&name) {
            problems.push(format!("{name}: want {want}, got {got:?}"));
        }
    }
}
