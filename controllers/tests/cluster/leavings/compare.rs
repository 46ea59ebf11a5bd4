//! What was recorded and is not found.

use serde_json::Value;

use super::plain;

/// Where `found` lacks or has otherwise what is in `recorded`; it may have more.
pub fn differences(recorded: &Value, found: &Value) -> Vec<String> {
    let mut differences = Vec::new();
    compare(
        &plain::dump(recorded),
        &plain::dump(found),
        "",
        &mut differences,
    );
    differences
}

fn compare(recorded: &Value, found: &Value, path: &str, differences: &mut Vec<String>) {
    match (recorded, found) {
        (Value::Object(fields), Value::Object(_)) => {
            for (key, value) in fields {
                let path = match path {
                    "" => key.clone(),
                    path => format!("{path}.{key}"),
                };
                compare(value, &found[key], &path, differences);
            }
        }
        (Value::Array(items), Value::Array(others)) => {
            list(items, others, path, differences);
        }
        _ if recorded == found || recorded.is_null() => {}
        _ => differences.push(format!("{path}: {recorded} was recorded, {found} is there")),
    }
}

fn list(items: &[Value], others: &[Value], path: &str, differences: &mut Vec<String>) {
    let is_told = |item: &Value| !item["text"].is_null();
    let has_type = |item: &Value| !item["type"].is_null();
    if items.iter().chain(others).any(is_told) {
        for (mark, here, there) in [("-", items, others), ("+", others, items)] {
            let missing = here.iter().filter(|item| !there.contains(item));
            differences.extend(missing.map(|item| format!("{path} {mark} {}", item["text"])));
        }
    } else if !items.is_empty() && items.iter().all(has_type) {
        // Conditions.
        for item in items {
            let of_type = others.iter().find(|other| other["type"] == item["type"]);
            let path = format!("{path}[{}]", item["type"].as_str().unwrap_or_default());
            compare(item, of_type.unwrap_or(&Value::Null), &path, differences);
        }
    } else if items.len() == others.len() {
        for (at, (item, other)) in items.iter().zip(others).enumerate() {
            let name = item["metadata"]["name"].as_str().map(str::to_owned);
            let path = format!("{path}[{}]", name.unwrap_or_else(|| at.to_string()));
            compare(item, other, &path, differences);
        }
    } else {
        let (recorded, found) = (items.len(), others.len());
        differences.push(format!(
            "{path}: {recorded} were recorded, {found} are there"
        ));
    }
}
