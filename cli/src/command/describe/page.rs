//! A page of `TITLE:  text` lines, as `describe` shows objects.

use serde_json::{Map, Value};

use crate::print::Tabs;

/// Lines with tabs where text is to line up.
#[derive(Default)]
pub struct Page(String);

/// Annotations longer than this go below their key.
const LONGEST: usize = 140;
/// What `kubectl apply` keeps here is the whole object again.
const LAST_APPLIED: &str = "kubectl.kubernetes.io/last-applied-configuration";

impl Page {
    pub fn line(&mut self, depth: usize, text: &str) {
        self.0.extend(std::iter::repeat_n("  ", depth));
        self.0.push_str(text);
        self.0.push('\n');
    }

    pub fn field(&mut self, depth: usize, name: &str, text: &str) {
        self.line(depth, &format!("{name}:\t{text}"));
    }

    /// Only where there is something to show.
    pub fn field_if(&mut self, depth: usize, name: &str, text: &str) {
        if !text.is_empty() {
            self.field(depth, name, text);
        }
    }

    /// One a line, the first beside the name; `<none>` where there are none.
    pub fn list(&mut self, depth: usize, name: &str, values: &[String]) {
        let Some((first, others)) = values.split_first() else {
            return self.field(depth, name, "<none>");
        };
        self.field(depth, name, first);
        for value in others {
            self.line(depth, &format!("\t{value}"));
        }
    }

    pub fn labels(&mut self, depth: usize, name: &str, labels: &Value) {
        self.list(depth, name, &pairs(labels));
    }

    pub fn annotations(&mut self, annotations: &Value) {
        let mut lines = Vec::new();
        for (key, value) in fields(annotations) {
            let value = value.as_str().unwrap_or_default();
            if key == LAST_APPLIED {
                continue;
            }
            if value.len() + key.len() + 2 <= LONGEST && !value.contains('\n') {
                lines.push(format!("{key}: {value}"));
                continue;
            }
            lines.push(format!("{key}:"));
            lines.extend(
                value
                    .lines()
                    .map(|line| match line.char_indices().nth(LONGEST) {
                        Some((at, _)) => format!("  {}...", &line[..at]),
                        None => format!("  {line}"),
                    }),
            );
        }
        self.list(0, "Annotations", &lines);
    }

    /// `Controlled By:  ReplicaSet/web-5d4`
    pub fn controller(&mut self, object: &Value) {
        let owners = array(object, "/metadata/ownerReferences");
        if let Some(owner) = owners.iter().find(|owner| owner["controller"] == true) {
            let name = format!("{}/{}", string(owner, "/kind"), string(owner, "/name"));
            self.field(0, "Controlled By", &name);
        }
    }

    pub fn text(&self) -> String {
        Tabs::PAGE.align(&self.0)
    }
}

/// `key=value` of each.
pub fn pairs(value: &Value) -> Vec<String> {
    let pair = |(key, value): (&String, &Value)| format!("{key}={}", show(value));
    fields(value).map(pair).collect()
}

pub fn fields(value: &Value) -> impl Iterator<Item = (&String, &Value)> {
    value.as_object().into_iter().flat_map(Map::iter)
}

pub fn array<'a>(value: &'a Value, pointer: &str) -> &'a [Value] {
    let found = value.pointer(pointer).and_then(Value::as_array);
    found.map_or(&[], Vec::as_slice)
}

pub fn string<'a>(value: &'a Value, pointer: &str) -> &'a str {
    value
        .pointer(pointer)
        .and_then(Value::as_str)
        .unwrap_or_default()
}

pub fn number(value: &Value, pointer: &str) -> i64 {
    value.pointer(pointer).and_then(Value::as_i64).unwrap_or(0)
}

/// Any scalar as text.
pub fn show(value: &Value) -> String {
    match value {
        Value::Null => String::new(),
        Value::String(text) => text.clone(),
        other => other.to_string(),
    }
}

pub fn or_none(text: &str) -> &str {
    or(text, "<none>")
}

pub fn or<'a>(text: &'a str, missing: &'a str) -> &'a str {
    if text.is_empty() { missing } else { text }
}

/// `Mon, 23 Nov 2026 06:22:16 +0000`
pub fn time(text: &str) -> String {
    match text.parse::<jiff::Timestamp>() {
        Ok(time) => time.strftime("%a, %d %b %Y %H:%M:%S +0000").to_string(),
        Err(_) => "<unset>".into(),
    }
}

/// `True` for `true`, as Kubernetes writes statuses.
pub fn truth(value: &Value) -> &'static str {
    if value == true { "True" } else { "False" }
}

/// A label selector: `a=b,c in (d,e)`.
pub fn selector(selector: &Value) -> String {
    let mut parts = pairs(&selector["matchLabels"]);
    for wanted in array(selector, "/matchExpressions") {
        let key = string(wanted, "/key");
        let values: Vec<String> = array(wanted, "/values").iter().map(show).collect();
        let values = values.join(",");
        parts.push(match string(wanted, "/operator") {
            "In" => format!("{key} in ({values})"),
            "NotIn" => format!("{key} notin ({values})"),
            "DoesNotExist" => format!("!{key}"),
            _ => key.to_owned(),
        });
    }
    if parts.is_empty() {
        "<none>".into()
    } else {
        parts.join(",")
    }
}
