//! Kubernetes' JSONPath templates, `{.items[*].metadata.name}`: what `-o
//! jsonpath=`, `-o custom-columns=` and `--sort-by` are written in.

use apimachinery::json_path::{self, JsonPath};
use serde_json::Value;

use super::json;

/// Ranges nest no deeper than this.
const DEEPEST: usize = 16;

/// A template, ready to be filled in.
#[derive(Clone, Debug, PartialEq)]
pub struct Template(Vec<Node>);

#[derive(Clone, Debug, PartialEq)]
enum Node {
    Text(String),
    Path(JsonPath),
    Range(JsonPath, Vec<Node>),
}

impl Template {
    /// The text of a template, with `{...}` around what is looked up.
    pub fn parse(text: &str) -> Result<Self, String> {
        let mut reader = Reader::default();
        let read = reader.read(text).and_then(|()| reader.end());
        read.map(Self)
            .map_err(|why| format!("error parsing jsonpath {text}, {why}"))
    }

    /// A single path, with or without braces and the first dot.
    pub fn parse_path(text: &str) -> Result<Self, String> {
        let bare = text.trim();
        let bare = bare.strip_prefix('{').unwrap_or(bare);
        let bare = bare.strip_suffix('}').unwrap_or(bare);
        path(bare).map(|path| Self(vec![Node::Path(path)]))
    }

    pub fn fill(&self, object: &Value) -> String {
        let mut out = String::new();
        fill(&self.0, object, &mut out);
        out
    }

    /// All that the template's paths lead to.
    pub fn values<'a>(&self, object: &'a Value) -> Vec<&'a Value> {
        let paths = self.0.iter().filter_map(|node| match node {
            Node::Path(path) => Some(path.find(object)),
            _ => None,
        });
        paths.flatten().collect()
    }
}

/// A path; the first dot may be left out, and what is looked up may be named.
fn path(text: &str) -> Result<JsonPath, String> {
    let below = text.strip_prefix(['$', '@']).unwrap_or(text);
    let dot = if below.starts_with(['.', '[']) || below.is_empty() {
        ""
    } else {
        "."
    };
    JsonPath::parse(&format!("{dot}{below}")).map_err(|error| error.to_string())
}

/// What has been read of a template.
#[derive(Default)]
struct Reader {
    /// What stands in no range.
    nodes: Vec<Node>,
    /// The ranges that are open, and what is in them so far.
    open: Vec<(JsonPath, Vec<Node>)>,
}

impl Reader {
    fn read(&mut self, text: &str) -> Result<(), String> {
        let mut rest = text;
        while let Some((before, after)) = rest.split_once('{') {
            if !before.is_empty() {
                self.push(Node::Text(before.to_owned()));
            }
            let (end, _) = json_path::outside_quotes(after)
                .find(|(_, c)| *c == '}')
                .ok_or("unclosed action")?;
            self.action(after[..end].trim())?;
            rest = &after[end + 1..];
        }
        if !rest.is_empty() {
            self.push(Node::Text(rest.to_owned()));
        }
        Ok(())
    }

    fn push(&mut self, node: Node) {
        let open = self.open.last_mut();
        open.map_or(&mut self.nodes, |(_, body)| body).push(node);
    }

    fn action(&mut self, text: &str) -> Result<(), String> {
        if text == "end" {
            let (over, body) = self.open.pop().ok_or("{end} without a range")?;
            self.push(Node::Range(over, body));
        } else if let Some(over) = text.strip_prefix("range ") {
            if self.open.len() == DEEPEST {
                return Err("ranges nest too deep".to_owned());
            }
            self.open.push((path(over.trim())?, Vec::new()));
        } else if text.starts_with(['"', '\'']) {
            let literal = json_path::unquoted(text)
                .ok_or_else(|| format!("unterminated quoted string {text}"))?;
            self.push(Node::Text(literal));
        } else {
            self.push(Node::Path(path(text)?));
        }
        Ok(())
    }

    fn end(self) -> Result<Vec<Node>, String> {
        if self.open.is_empty() {
            Ok(self.nodes)
        } else {
            Err("range without {end}".to_owned())
        }
    }
}

fn fill(nodes: &[Node], object: &Value, out: &mut String) {
    for node in nodes {
        match node {
            Node::Text(text) => out.push_str(text),
            Node::Path(path) => {
                let found: Vec<String> = path.find(object).into_iter().map(text_of).collect();
                out.push_str(&found.join(" "));
            }
            Node::Range(path, body) => {
                for item in path.find(object) {
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
