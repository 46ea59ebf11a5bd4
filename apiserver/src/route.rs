//! From a request line to what is asked for: verb, resource, namespace, name.
//!
//! Nothing is looked up here, so that a request can be authorized before the
//! server says whether the resource exists. All names borrow from the path.

use apimachinery::selector::FieldSelector;
use http::Method;
use percent_encoding::percent_decode_str;

use crate::query::Query;

/// `/apis/<group>/<version>/namespaces/<namespace>/<resource>/<name>/<subresource>`.
const SEGMENTS: usize = 8;

/// What a request asks for, in the words that RBAC rules use.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Route {
    pub verb: Verb,
    /// The path as it came, without its query.
    pub path: String,
    pub target: Target,
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Target {
    /// `/healthz`, `/api`, `/openapi/v2`: only the path matters.
    Path,
    Resource(Resource),
}

#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Resource {
    pub group: String,
    pub version: String,
    pub namespace: Option<String>,
    pub resource: String,
    pub name: Option<String>,
    pub subresource: Option<String>,
    /// What follows the subresource (`proxy` takes any path).
    pub rest: Option<Box<str>>,
    /// What a collection is narrowed to.
    pub selected: Option<Box<Selected>>,
}

/// The selectors of a request for a collection, as they were sent.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Selected {
    pub fields: Option<String>,
    pub labels: Option<String>,
    /// The one name that they leave: who may read an object may list and watch it so.
    pub name: Option<String>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Verb {
    Get,
    List,
    Watch,
    Create,
    Update,
    Patch,
    Delete,
    DeleteCollection,
    /// A method that no API resource has (OPTIONS, TRACE, ...).
    Other,
}

impl Verb {
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Get => "get",
            Self::List => "list",
            Self::Watch => "watch",
            Self::Create => "create",
            Self::Update => "update",
            Self::Patch => "patch",
            Self::Delete => "delete",
            Self::DeleteCollection => "deletecollection",
            Self::Other => "",
        }
    }

    pub fn is_write(self) -> bool {
        !matches!(self, Self::Get | Self::List | Self::Watch | Self::Other)
    }

    fn of(method: &Method, has_name: bool, is_watch: bool) -> Self {
        match (method.as_str(), has_name) {
            ("GET" | "HEAD", _) if is_watch => Self::Watch,
            ("GET" | "HEAD", true) => Self::Get,
            ("GET" | "HEAD", false) => Self::List,
            ("POST", _) => Self::Create,
            ("PUT", _) => Self::Update,
            ("PATCH", _) => Self::Patch,
            ("DELETE", true) => Self::Delete,
            ("DELETE", false) => Self::DeleteCollection,
            _ => Self::Other,
        }
    }
}

impl Route {
    /// Reads method, path and query. Percent-encoded names are decoded. The query is the one
    /// that the request is answered by, so that both always mean the same.
    pub fn parse(method: &Method, path: &str, query: &Query) -> Self {
        let mut segments = Vec::with_capacity(SEGMENTS);
        segments.extend(path.split('/').filter(|segment| !segment.is_empty()));
        let parsed = match segments.as_slice() {
            ["api", version, rest @ ..] if !rest.is_empty() => resource("", version, rest),
            ["apis", group, version, rest @ ..] if !rest.is_empty() => {
                resource(group, version, rest)
            }
            _ => None,
        };
        let Some((mut target, old_watch)) = parsed else {
            return Self {
                verb: path_verb(method),
                path: path.to_owned(),
                target: Target::Path,
            };
        };
        // Who asks for one object gets that one, whatever else the query says.
        let is_collection = target.name.is_none();
        let is_watch = old_watch || is_collection && query.flag("watch");
        let verb = Verb::of(method, target.name.is_some(), is_watch);
        if matches!(verb, Verb::List | Verb::Watch | Verb::DeleteCollection) {
            target.selected = selected(verb, query);
        }
        Self {
            verb,
            path: path.to_owned(),
            target: Target::Resource(target),
        }
    }
}

/// A request for a bare path is authorized by its method's verb.
fn path_verb(method: &Method) -> Verb {
    match *method {
        Method::GET | Method::HEAD => Verb::Get,
        Method::POST => Verb::Create,
        Method::PUT => Verb::Update,
        Method::PATCH => Verb::Patch,
        Method::DELETE => Verb::Delete,
        _ => Verb::Other,
    }
}

/// Kubernetes takes every value for yes but `0` and `false`.
pub fn is_yes(value: &str) -> bool {
    value != "0" && !value.eq_ignore_ascii_case("false")
}

fn selected(verb: Verb, query: &Query) -> Option<Box<Selected>> {
    let fields = query.text("fieldSelector");
    let labels = query.text("labelSelector");
    fields.or(labels)?;
    let is_read = verb != Verb::DeleteCollection;
    Some(Box::new(Selected {
        name: fields.filter(|_| is_read).and_then(name_in),
        fields: fields.map(str::to_owned),
        labels: labels.map(str::to_owned),
    }))
}

/// The name that a selector such as `metadata.name=x` leaves.
fn name_in(selector: &str) -> Option<String> {
    let selector: FieldSelector = selector.parse().ok()?;
    let name = selector.exact("metadata.name")?;
    let is_segment = !name.is_empty() && !name.contains(['/', '%']) && name != "." && name != "..";
    is_segment.then(|| name.to_owned())
}

/// The flag says whether the path had the old `/watch/` prefix.
fn resource(group: &str, version: &str, rest: &[&str]) -> Option<(Resource, bool)> {
    let (rest, is_watch) = match rest {
        ["watch", tail @ ..] if !tail.is_empty() => (tail, true),
        _ => (rest, false),
    };
    let mut found = Resource {
        group: group.to_owned(),
        version: version.to_owned(),
        ..Resource::default()
    };
    let tail = match rest {
        // A namespace itself, or one of its own subresources.
        ["namespaces"] => {
            found.resource = "namespaces".into();
            return Some((found, is_watch));
        }
        ["namespaces", name] | ["namespaces", name, "status" | "finalize"] => {
            found.resource = "namespaces".into();
            found.namespace = Some(decode(name));
            found.name = found.namespace.clone();
            found.subresource = rest.get(2).map(|s| (*s).to_owned());
            return Some((found, is_watch));
        }
        ["namespaces", namespace, tail @ ..] => {
            found.namespace = Some(decode(namespace));
            tail
        }
        _ => rest,
    };
    found.resource = tail.first().map(|s| decode(s))?;
    found.name = tail.get(1).map(|s| decode(s));
    found.subresource = tail.get(2).map(|s| decode(s));
    if tail.len() > 3 {
        found.rest = Some(tail[3..].join("/").into());
    }
    Some((found, is_watch))
}

/// Undoes percent-encoding; bytes that are no UTF-8 become U+FFFD.
pub fn decode(text: &str) -> String {
    if !text.contains('%') {
        return text.to_owned();
    }
    percent_decode_str(text).decode_utf8_lossy().into_owned()
}

/// As `decode`, and `+` is a space (query strings).
pub fn decode_query(text: &str) -> String {
    if text.contains('+') {
        decode(&text.replace('+', " "))
    } else {
        decode(text)
    }
}

#[cfg(test)]
mod tests;
