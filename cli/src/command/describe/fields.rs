//! An object's fields as an indented outline, in kubectl's form for kinds that
//! it has no words of its own for: `Host IP:  10.0.0.1`.

use serde_json::{Map, Value};

use super::Page;

const WIDTH: usize = 18;

/// Metadata first, then everything else but what the server keeps for itself.
pub fn describe(object: &Value) -> Page {
    let metadata = &object["metadata"];
    let mut lines = Vec::new();
    entry(&mut lines, 0, "Name", &metadata["name"]);
    if metadata["namespace"].is_string() {
        entry(&mut lines, 0, "Namespace", &metadata["namespace"]);
    }
    pairs(&mut lines, "Labels", &metadata["labels"]);
    pairs(&mut lines, "Annotations", &metadata["annotations"]);
    entry(&mut lines, 0, "API Version", &object["apiVersion"]);
    entry(&mut lines, 0, "Kind", &object["kind"]);
    entry(&mut lines, 0, "Created", &metadata["creationTimestamp"]);
    for field in ["deletionTimestamp", "finalizers", "ownerReferences"] {
        if !metadata[field].is_null() {
            entry(&mut lines, 0, &title(field), &metadata[field]);
        }
    }
    for (name, value) in object.as_object().into_iter().flatten() {
        if !["metadata", "apiVersion", "kind"].contains(&name.as_str()) {
            entry(&mut lines, 0, &title(name), value);
        }
    }
    let mut page = Page::default();
    lines.iter().for_each(|line| page.line(0, line));
    page
}

/// Labels and annotations: one a line, the first beside the title.
fn pairs(lines: &mut Vec<String>, name: &str, value: &Value) {
    let mut title = format!("{name}:");
    let pairs = value.as_object().filter(|pairs| !pairs.is_empty());
    let Some(pairs) = pairs else {
        lines.push(format!("{title:WIDTH$}<none>"));
        return;
    };
    for (key, value) in pairs {
        let value = value.as_str().unwrap_or_default().trim_end();
        lines.push(format!("{title:WIDTH$}{key}={value}"));
        title.clear();
    }
}

fn entry(lines: &mut Vec<String>, depth: usize, name: &str, value: &Value) {
    let indent = "  ".repeat(depth);
    match value {
        Value::Object(fields) if !fields.is_empty() => {
            lines.push(format!("{indent}{name}:"));
            outline(lines, depth + 1, fields);
        }
        Value::Array(items) if items.iter().any(Value::is_object) => {
            lines.push(format!("{indent}{name}:"));
            for (at, item) in items.iter().enumerate() {
                if at > 0 {
                    lines.push(format!("{indent}  --"));
                }
                if let Value::Object(fields) = item {
                    outline(lines, depth + 1, fields);
                }
            }
        }
        Value::Array(items) => {
            let text: Vec<String> = items.iter().map(plain).collect();
            line(lines, &indent, name, &text.join(", "));
        }
        other => line(lines, &indent, name, &plain(other)),
    }
}

fn line(lines: &mut Vec<String>, indent: &str, name: &str, text: &str) {
    let title = format!("{indent}{name}:");
    lines.push(format!(
        "{title:WIDTH$}{}{text}",
        if title.len() >= WIDTH { " " } else { "" }
    ));
}

fn outline(lines: &mut Vec<String>, depth: usize, fields: &Map<String, Value>) {
    for (name, value) in fields {
        if name != "managedFields" {
            entry(lines, depth, &title(name), value);
        }
    }
}

fn plain(value: &Value) -> String {
    match value {
        Value::Null => "<none>".into(),
        Value::String(text) if text.is_empty() => "<none>".into(),
        Value::String(text) => text.clone(),
        Value::Object(_) => "<none>".into(),
        other => other.to_string(),
    }
}

/// `hostIP` reads `Host IP`, `podCIDRs` reads `Pod CIDRs`.
fn title(name: &str) -> String {
    // A label or file name is what it is.
    if name.contains(['.', '/', '-', '_']) {
        return name.to_owned();
    }
    let mut text = String::new();
    let mut last_lower = false;
    for (at, c) in name.chars().enumerate() {
        if at == 0 {
            text.extend(c.to_uppercase());
        } else {
            if c.is_uppercase() && last_lower {
                text.push(' ');
            }
            text.push(c);
        }
        last_lower = c.is_lowercase() || c.is_ascii_digit();
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn field_names_become_words() {
        assert_eq!(title("hostIP"), "Host IP");
        assert_eq!(
            title("terminationGracePeriodSeconds"),
            "Termination Grace Period Seconds"
        );
        assert_eq!(title("app.kubernetes.io/name"), "app.kubernetes.io/name");
    }

    #[test]
    fn object_is_told_metadata_first_and_its_lists_item_by_item() {
        let object = json!({ "apiVersion": "v1", "kind": "X",
            "metadata": { "name": "a", "labels": { "k": "v" } },
            "spec": { "ports": [{ "port": 1 }, { "port": 2 }] } });
        let text = describe(&object).text();
        assert!(
            text.starts_with("Name:             a\nLabels:           k=v\n"),
            "{text}"
        );
        let ports = "  Ports:\n    Port:         1\n    --\n    Port:         2\n";
        assert!(text.ends_with(ports), "{text}");
    }
}
