//! Kubernetes' dialect of JSONPath: `.spec.replicas`,
//! `.status.conditions[?(@.type=="Ready")].status`.
//!
//! Printer columns are paths; what `-o jsonpath=` takes has paths in braces.

mod parse;

use serde_json::Value;

pub use parse::{outside_quotes, unquoted};

/// A parsed path.
#[derive(Clone, Debug, PartialEq)]
pub struct JsonPath {
    steps: Vec<Step>,
}

#[derive(Clone, Debug, PartialEq)]
enum Step {
    Field(String),
    /// Negative: from the end.
    Index(i64),
    Slice {
        from: Option<i64>,
        to: Option<i64>,
        step: usize,
    },
    All,
    /// Everything at any depth.
    Deep,
    Several(Vec<Step>),
    Filter(Box<Filter>),
}

#[derive(Clone, Debug, PartialEq)]
struct Filter {
    left: Operand,
    /// None: the left side has to be there.
    test: Option<(Test, Operand)>,
}

#[derive(Clone, Debug, PartialEq)]
enum Operand {
    /// Below the item (`@`).
    Path(JsonPath),
    Literal(Value),
}

#[derive(Clone, Copy, Debug, PartialEq)]
enum Test {
    Equal,
    Unequal,
    Less,
    LessOrEqual,
    Greater,
    GreaterOrEqual,
}

/// Why a text is no path.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{0}")]
pub struct Malformed(String);

impl JsonPath {
    /// # Errors
    /// When the text is no path.
    pub fn parse(text: &str) -> Result<Self, Malformed> {
        parse::path(text)
    }

    /// Everything the path leads to; missing fields are none.
    pub fn find<'a>(&self, value: &'a Value) -> Vec<&'a Value> {
        let mut found = vec![value];
        for step in &self.steps {
            found = found
                .into_iter()
                .flat_map(|value| step.take(value))
                .collect();
        }
        found
    }
}

impl Step {
    fn take<'a>(&self, value: &'a Value) -> Vec<&'a Value> {
        match (self, value) {
            (Self::Field(name), _) => value.get(name.as_str()).into_iter().collect(),
            (Self::Index(at), Value::Array(items)) => {
                let at = absolute(*at, items.len());
                usize::try_from(at)
                    .ok()
                    .and_then(|at| items.get(at))
                    .into_iter()
                    .collect()
            }
            (Self::Slice { from, to, step }, Value::Array(items)) => {
                slice(items, *from, *to, *step)
            }
            (Self::All, Value::Array(items)) => items.iter().collect(),
            (Self::All, Value::Object(fields)) => fields.values().collect(),
            (Self::Deep, _) => {
                let mut all = Vec::new();
                descend(value, &mut all);
                all
            }
            (Self::Several(steps), _) => steps.iter().flat_map(|step| step.take(value)).collect(),
            (Self::Filter(filter), Value::Array(items)) => {
                items.iter().filter(|item| filter.holds(item)).collect()
            }
            (Self::Filter(filter), Value::Object(fields)) => {
                fields.values().filter(|item| filter.holds(item)).collect()
            }
            _ => Vec::new(),
        }
    }
}

fn absolute(at: i64, length: usize) -> i64 {
    let length = i64::try_from(length).unwrap_or(i64::MAX);
    if at < 0 {
        at.saturating_add(length)
    } else {
        at
    }
}

fn slice(items: &[Value], from: Option<i64>, to: Option<i64>, step: usize) -> Vec<&Value> {
    let clamp = |at: i64| {
        let at = usize::try_from(absolute(at, items.len())).unwrap_or(0);
        at.min(items.len())
    };
    let (from, to) = (from.map_or(0, clamp), to.map_or(items.len(), clamp));
    items
        .get(from..to)
        .unwrap_or(&[])
        .iter()
        .step_by(step.max(1))
        .collect()
}

fn descend<'a>(value: &'a Value, all: &mut Vec<&'a Value>) {
    all.push(value);
    match value {
        Value::Array(items) => items.iter().for_each(|item| descend(item, all)),
        Value::Object(fields) => fields.values().for_each(|value| descend(value, all)),
        _ => {}
    }
}

impl Operand {
    fn values<'a>(&'a self, item: &'a Value) -> Option<&'a Value> {
        match self {
            Self::Path(path) => path.find(item).first().copied(),
            Self::Literal(value) => Some(value),
        }
    }
}

impl Filter {
    fn holds(&self, item: &Value) -> bool {
        let left = self.left.values(item);
        let Some((test, right)) = &self.test else {
            return left.is_some();
        };
        let (Some(left), Some(right)) = (left, right.values(item)) else {
            return false;
        };
        let order = match (left, right) {
            (Value::Number(a), Value::Number(b)) => a.as_f64().partial_cmp(&b.as_f64()),
            (Value::String(a), Value::String(b)) => a.partial_cmp(b),
            (Value::Bool(a), Value::Bool(b)) => a.partial_cmp(b),
            _ => None,
        };
        match (test, order) {
            (Test::Unequal, order) => order.is_none_or(|o| o.is_ne()),
            (_, None) => false,
            (Test::Equal, Some(order)) => order.is_eq(),
            (Test::Less, Some(order)) => order.is_lt(),
            (Test::LessOrEqual, Some(order)) => order.is_le(),
            (Test::Greater, Some(order)) => order.is_gt(),
            (Test::GreaterOrEqual, Some(order)) => order.is_ge(),
        }
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[track_caller]
    fn found(path: &str) -> Value {
        let object = json!({"metadata": {"labels": {"a.b/c": "x"}}, "spec": {"n": 3, "list": [1, 2, 3, 4]},
            "status": {"conditions": [{"type": "Ready", "status": "True", "n": 1}, {"type": "Done", "status": "False"}]}});
        let path = JsonPath::parse(path).expect(path);
        path.find(&object).into_iter().cloned().collect()
    }

    #[test]
    fn paths_lead_where_kubectl_finds_them() {
        assert_eq!(found(".spec.n"), json!([3]));
        assert_eq!(found(".spec.none.deeper"), json!([]));
        assert_eq!(
            found(r#".status.conditions[?(@.type=="Ready")].status"#),
            json!(["True"])
        );
        assert_eq!(
            found(".status.conditions[?(@.type == 'Done')].status"),
            json!(["False"])
        );
        assert_eq!(
            found(".status.conditions[?(@.n>=1)].type"),
            json!(["Ready"])
        );
        assert_eq!(found(".status.conditions[?(@.n)].type"), json!(["Ready"]));
        assert_eq!(
            found(".status.conditions[*].type"),
            json!(["Ready", "Done"])
        );
        assert_eq!(found(".spec.list[-1:]"), json!([4]));
        assert_eq!(found(".spec.list[0:4:2]"), json!([1, 3]));
        assert_eq!(found(".spec.list[0,2]"), json!([1, 3]));
        assert_eq!(found(".spec.list[-1]"), json!([4]));
        assert_eq!(found(r".metadata.labels.a\.b/c"), json!(["x"]));
        assert_eq!(found(".metadata.labels['a.b/c']"), json!(["x"]));
        assert_eq!(found("..type"), json!(["Ready", "Done"]));
        assert_eq!(found("."), json!([found(".")[0].clone()]));
        assert_eq!(found("$.spec.n"), json!([3]));
        assert_eq!(found(r#".spec['n',"list"][1]"#), json!([2]));
    }

    #[test]
    fn a_malformed_path_is_refused() {
        for text in [".spec[", ".a[?(@.b", ".a['b", ".a[x]", ".a[?(@.b==\"c)]"] {
            assert!(JsonPath::parse(text).is_err(), "{text}");
        }
    }

    #[test]
    fn a_path_that_would_lead_nowhere_soon_is_refused() {
        assert!(JsonPath::parse(&"[?(@.a".repeat(9_000)).is_err());
        let nested = format!("{}.a{}", "[?(@".repeat(9_000), ")]".repeat(9_000));
        assert!(JsonPath::parse(&nested).is_err());
        assert!(JsonPath::parse(&"..".repeat(60)).is_err());
        assert!(JsonPath::parse(&".a".repeat(9_000)).is_err());
        assert_eq!(found("..conditions[?(@..n)]..type"), json!(["Ready"]));
    }
}
