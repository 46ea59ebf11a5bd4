//! Kubernetes' JSONPath templates, `{.items[*].metadata.name}`: what `-o
//! jsonpath=`, `-o custom-columns=` and `--sort-by` are written in.

mod parse;

use serde_json::Value;

use super::json;

/// A template, ready to be filled in.
#[derive(Clone, Debug, PartialEq)]
pub struct Template(Vec<Node>);

#[derive(Clone, Debug, PartialEq)]
enum Node {
    Text(String),
    Path(Vec<Step>),
    Range(Vec<Step>, Vec<Node>),
}

#[derive(Clone, Debug, PartialEq)]
enum Step {
    Field(String),
    Fields(Vec<String>),
    All,
    /// This object, or whatever is anywhere below it.
    Below,
    Slice(Option<i64>, Option<i64>),
    Index(i64),
    Filter(Vec<Step>, Compare, Value),
    Exists(Vec<Step>),
}

#[derive(Clone, Copy, Debug, PartialEq)]
enum Compare {
    Equal,
    Unequal,
    Less,
    AtMost,
    More,
    AtLeast,
}

impl Template {
    /// The text of a template, with `{...}` around what is looked up.
    pub fn parse(text: &str) -> Result<Self, String> {
        parse::template(text).map(Self)
    }

    /// A single path, with or without braces and the first dot.
    pub fn parse_path(text: &str) -> Result<Self, String> {
        let bare = text.trim();
        let bare = bare.strip_prefix('{').unwrap_or(bare);
        let bare = bare.strip_suffix('}').unwrap_or(bare);
        let dotted = if bare.starts_with(['.', '[']) {
            bare.to_owned()
        } else {
            format!(".{bare}")
        };
        parse::path(&dotted).map(|path| Self(vec![Node::Path(path)]))
    }

    pub fn fill(&self, object: &Value) -> String {
        let mut out = String::new();
        fill(&self.0, object, &mut out);
        out
    }

    /// All that the template's paths lead to.
    pub fn values<'a>(&self, object: &'a Value) -> Vec<&'a Value> {
        let paths = self.0.iter().filter_map(|node| match node {
            Node::Path(path) => Some(walk(path, object)),
            _ => None,
        });
        paths.flatten().collect()
    }
}

fn fill(nodes: &[Node], object: &Value, out: &mut String) {
    for node in nodes {
        match node {
            Node::Text(text) => out.push_str(text),
            Node::Path(path) => {
                let found: Vec<String> = walk(path, object).into_iter().map(text_of).collect();
                out.push_str(&found.join(" "));
            }
            Node::Range(path, body) => {
                for item in walk(path, object) {
                    fill(body, item, out);
                }
            }
        }
    }
}

/// A string as it is, anything else as JSON.
pub fn text_of(value: &Value) -> String {
    match value {
        Value::String(text) => text.clone(),
        other => json::compact(other),
    }
}

fn walk<'a>(path: &[Step], from: &'a Value) -> Vec<&'a Value> {
    let mut found = vec![from];
    for step in path {
        found = found
            .into_iter()
            .flat_map(|value| next(step, value))
            .collect();
    }
    found
}

fn next<'a>(step: &Step, value: &'a Value) -> Vec<&'a Value> {
    match step {
        Step::Field(name) => value.get(name).into_iter().collect(),
        Step::Fields(names) => names.iter().filter_map(|name| value.get(name)).collect(),
        Step::All => children(value),
        Step::Below => {
            let mut found = vec![value];
            for child in children(value) {
                found.extend(next(&Step::Below, child));
            }
            found
        }
        Step::Index(at) => {
            let items = items(value);
            position(*at, items.len())
                .and_then(|at| items.get(at))
                .into_iter()
                .collect()
        }
        Step::Slice(from, to) => {
            let items = items(value);
            let bound = |at: Option<i64>, default: usize| {
                at.map_or(Some(default), |at| position(at, items.len()))
                    .unwrap_or(0)
                    .min(items.len())
            };
            let (from, to) = (bound(*from, 0), bound(*to, items.len()));
            items
                .get(from..to.max(from))
                .unwrap_or_default()
                .iter()
                .collect()
        }
        Step::Filter(path, compare, wanted) => {
            let fits = |item: &&Value| walk(path, item).iter().any(|v| is(v, *compare, wanted));
            children(value).into_iter().filter(fits).collect()
        }
        Step::Exists(path) => {
            let exists = |item: &&Value| !walk(path, item).is_empty();
            children(value).into_iter().filter(exists).collect()
        }
    }
}

fn children(value: &Value) -> Vec<&Value> {
    match value {
        Value::Array(items) => items.iter().collect(),
        Value::Object(fields) => fields.values().collect(),
        _ => Vec::new(),
    }
}

fn items(value: &Value) -> &[Value] {
    value.as_array().map_or(&[], Vec::as_slice)
}

/// Where an index is, counted from the end if below zero.
fn position(at: i64, length: usize) -> Option<usize> {
    match usize::try_from(at) {
        Ok(at) => Some(at),
        Err(_) => length.checked_sub(usize::try_from(at.unsigned_abs()).ok()?),
    }
}

fn is(value: &Value, compare: Compare, wanted: &Value) -> bool {
    let order = match (value.as_f64(), wanted.as_f64()) {
        (Some(a), Some(b)) => a.partial_cmp(&b),
        _ => Some(text_of(value).cmp(&text_of(wanted))),
    };
    order.is_some_and(|order| match compare {
        Compare::Equal => order.is_eq(),
        Compare::Unequal => order.is_ne(),
        Compare::Less => order.is_lt(),
        Compare::AtMost => order.is_le(),
        Compare::More => order.is_gt(),
        Compare::AtLeast => order.is_ge(),
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn filled(template: &str) -> String {
        let list = json!({ "items": [
            { "name": "a", "ip": "1", "tags": { "x.y/z": "t" }, "n": 1 },
            { "name": "b", "ip": "2", "n": 5 }, { "name": "c", "n": 9 } ] });
        Template::parse(template).unwrap().fill(&list)
    }

    #[test]
    fn paths_lead_to_all_they_match() {
        assert_eq!(filled("{.items[*].name}"), "a b c");
        assert_eq!(filled("{.items[0].name}-{.items[-1].name}"), "a-c");
        assert_eq!(filled("{.items[0:2].name}"), "a b");
        assert_eq!(filled("{..name}"), "a b c");
        assert_eq!(filled("{$.items[1]['name','ip']}"), "b 2");
        assert_eq!(filled(r"{.items[0].tags.x\.y/z}"), "t");
        assert_eq!(filled("{.items[0].tags}"), r#"{"x.y/z":"t"}"#);
        assert_eq!(filled("{.nosuch.field}"), "");
    }

    #[test]
    fn filters_keep_what_fits() {
        assert_eq!(filled(r#"{.items[?(@.name=="b")].ip}"#), "2");
        assert_eq!(filled("{.items[?(@.n>=5)].name}"), "b c");
        assert_eq!(filled("{.items[?(@.ip)].name}"), "a b");
        assert_eq!(filled("{.items[?(@.name!='a')].name}"), "b c");
    }

    #[test]
    fn range_repeats_what_is_in_it() {
        let lines = filled(r#"{range .items[*]}{.name}{"\t"}{.ip}{"\n"}{end}."#);
        assert_eq!(lines, "a\t1\nb\t2\nc\t\n.");
    }

    #[test]
    fn broken_template_is_an_error() {
        for broken in [
            "{.a",
            "{.a[}",
            "{range .a}x",
            "{.a[?(@.b==)]}",
            "{end}",
            "{.a[x]}",
        ] {
            assert!(Template::parse(broken).is_err(), "{broken}");
        }
    }
}
