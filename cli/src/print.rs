//! How objects are shown.

use clap::ValueEnum;
use serde_json::Value;

/// `-o`, as kubectl has it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum Output {
    Wide,
    Yaml,
    Json,
    Name,
}

/// Columns to add to the server's table.
#[derive(Clone, Copy, Debug, Default)]
pub struct Extra {
    pub wide: bool,
    pub namespace: bool,
    pub labels: bool,
    pub no_headers: bool,
}

/// The whole object, without what nobody reads.
pub fn whole(object: &Value, output: Output, show_managed_fields: bool) -> anyhow::Result<String> {
    let mut object = object.clone();
    if !show_managed_fields {
        strip_managed_fields(&mut object);
    }
    match output {
        Output::Json => Ok(serde_json::to_string_pretty(&object)? + "\n"),
        _ => Ok(serde_yaml::to_string(&object)?),
    }
}

fn strip_managed_fields(object: &mut Value) {
    if let Some(metadata) = object.get_mut("metadata").and_then(Value::as_object_mut) {
        metadata.remove("managedFields");
    }
    for item in object
        .get_mut("items")
        .and_then(Value::as_array_mut)
        .into_iter()
        .flatten()
    {
        strip_managed_fields(item);
    }
}

/// The rows of a server's `Table`; `prefix` (`pod/`) goes before names.
pub fn rows(table: &Value, extra: Extra, prefix: &str) -> Vec<Vec<String>> {
    let columns = table["columnDefinitions"]
        .as_array()
        .cloned()
        .unwrap_or_default();
    let is_shown = |column: &Value| extra.wide || column["priority"].as_i64().unwrap_or(0) == 0;
    let shown: Vec<usize> = (0..columns.len())
        .filter(|at| is_shown(&columns[*at]))
        .collect();
    let mut lines = Vec::new();
    if !extra.no_headers {
        let names = shown.iter().map(|at| {
            columns[*at]["name"]
                .as_str()
                .unwrap_or_default()
                .to_uppercase()
        });
        lines.push(with_extra(names.collect(), extra, "NAMESPACE", "LABELS"));
    }
    for row in table["rows"].as_array().into_iter().flatten() {
        let mut cells: Vec<String> = shown.iter().map(|at| cell(&row["cells"][*at])).collect();
        if let Some(first) = cells.first_mut() {
            first.insert_str(0, prefix);
        }
        let metadata = &row["object"]["metadata"];
        let namespace = metadata["namespace"].as_str().unwrap_or_default();
        lines.push(with_extra(cells, extra, namespace, &labels(metadata)));
    }
    lines
}

fn with_extra(mut cells: Vec<String>, extra: Extra, namespace: &str, labels: &str) -> Vec<String> {
    if extra.namespace {
        cells.insert(0, namespace.to_owned());
    }
    if extra.labels {
        cells.push(labels.to_owned());
    }
    cells
}

/// `a=b,c=d`, or `<none>`.
pub fn labels(metadata: &Value) -> String {
    let pairs = metadata["labels"].as_object().into_iter().flatten();
    let pairs: Vec<String> = pairs.map(|(k, v)| format!("{k}={}", cell(v))).collect();
    if pairs.is_empty() {
        "<none>".into()
    } else {
        pairs.join(",")
    }
}

fn cell(value: &Value) -> String {
    match value {
        Value::Null => "<none>".into(),
        Value::String(text) if text.is_empty() => String::new(),
        Value::String(text) => text.clone(),
        other => other.to_string(),
    }
}

/// Lines up columns, three blanks between them.
pub fn aligned(lines: &[Vec<String>]) -> String {
    let columns = lines.iter().map(Vec::len).max().unwrap_or(0);
    let width = |at: usize| {
        lines
            .iter()
            .filter_map(|l| l.get(at))
            .map(|c| c.chars().count())
            .max()
            .unwrap_or(0)
    };
    let widths: Vec<usize> = (0..columns).map(width).collect();
    let mut text = String::new();
    for line in lines {
        let mut out = String::new();
        for (at, cell) in line.iter().enumerate() {
            let pad = if at + 1 < line.len() {
                widths[at] + 3
            } else {
                0
            };
            out.push_str(&format!("{cell:pad$}"));
        }
        text.push_str(out.trim_end());
        text.push('\n');
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn table() -> Value {
        json!({ "columnDefinitions": [{ "name": "Name", "priority": 0 }, { "name": "IP", "priority": 1 }],
            "rows": [{ "cells": ["a", "10.0.0.1"], "object": { "metadata": { "namespace": "n", "labels": { "x": "y" } } } }] })
    }

    #[test]
    fn wide_columns_are_shown_when_asked_for() {
        assert_eq!(rows(&table(), Extra::default(), ""), [["NAME"], ["a"]]);
        let wide = Extra {
            wide: true,
            ..Extra::default()
        };
        assert_eq!(
            rows(&table(), wide, "pod/"),
            [["NAME", "IP"], ["pod/a", "10.0.0.1"]]
        );
    }

    #[test]
    fn namespace_goes_first_and_labels_last() {
        let extra = Extra {
            namespace: true,
            labels: true,
            ..Extra::default()
        };
        assert_eq!(rows(&table(), extra, "")[1], ["n", "a", "x=y"]);
    }

    #[test]
    fn columns_line_up_without_trailing_blanks() {
        let lines = [
            vec!["NAME".into(), "AGE".into()],
            vec!["longer".into(), "1s".into()],
        ];
        assert_eq!(aligned(&lines), "NAME     AGE\nlonger   1s\n");
    }
}
