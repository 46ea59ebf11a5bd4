//! Which writes a webhook or a policy is about: rules on operations and
//! resources, and selectors on namespaces and objects.

use apimachinery::meta;
use apimachinery::selector::LabelSelector;
use serde_json::Value;

use super::request::{GroupVersionResource, Operation, Request};
use crate::resources::Table;
use crate::served::Served;

/// What a configuration says of the writes it is about.
#[derive(Debug)]
pub struct Criteria {
    rules: Vec<Rule>,
    /// Only policies have these.
    excluded: Vec<Rule>,
    /// `matchPolicy: Exact`: other versions of a resource are not meant.
    is_exact: bool,
    namespaces: LabelSelector,
    objects: LabelSelector,
}

/// How a write is matched.
#[derive(Clone)]
pub enum Matched {
    No,
    /// As it is.
    AsIs,
    /// The rules name another version of the resource: it is to be shown as that.
    As(Served),
}

impl Matched {
    /// The version to convert the objects of the request to, which are of `own`. A Scale
    /// is the same below every version of its resource.
    pub fn conversion(&self, request: &Request<'_>, own: &Served) -> Option<&Served> {
        match self {
            Self::As(kind) if request.is_of(own) => Some(kind),
            _ => None,
        }
    }
}

#[derive(Debug)]
struct Rule {
    operations: Vec<String>,
    groups: Vec<String>,
    versions: Vec<String>,
    resources: Vec<String>,
    /// Empty: all.
    names: Vec<String>,
    scope: Scope,
}

#[derive(Debug, PartialEq, Eq)]
enum Scope {
    All,
    Cluster,
    Namespaced,
}

impl Criteria {
    /// `rules` and `excluded` are lists of rules; `of` holds `matchPolicy`,
    /// `namespaceSelector` and `objectSelector`.
    pub fn read(rules: &[Value], excluded: &[Value], of: &Value) -> Self {
        let selector = |field: &str| {
            let object = &of[field];
            if object.is_null() {
                return LabelSelector::everything();
            }
            LabelSelector::from_object(object).unwrap_or_else(|_| LabelSelector::nothing())
        };
        Self {
            rules: rules.iter().map(Rule::read).collect(),
            excluded: excluded.iter().map(Rule::read).collect(),
            is_exact: meta::text(of, "matchPolicy") == "Exact",
            namespaces: selector("namespaceSelector"),
            objects: selector("objectSelector"),
        }
    }

    /// Whether the rules name the write, and as what.
    pub fn match_rules(&self, request: &Request<'_>, table: &Table) -> Matched {
        let named = |resource: &GroupVersionResource| {
            self.rules
                .iter()
                .any(|rule| rule.matches(request, resource))
        };
        let excluded = |resource: &GroupVersionResource| {
            self.excluded
                .iter()
                .any(|rule| rule.matches(request, resource))
        };
        if excluded(&request.resource) {
            return Matched::No;
        }
        if named(&request.resource) {
            return Matched::AsIs;
        }
        if self.is_exact {
            return Matched::No;
        }
        for other in equivalents(table, &request.resource) {
            let resource = super::request::resource_of(other);
            if excluded(&resource) {
                return Matched::No;
            }
            if named(&resource) {
                return Matched::As(other.clone());
            }
        }
        Matched::No
    }

    /// Whether the object, as it is or as it was, is selected.
    pub fn selects_object(&self, object: &Value, old: &Value) -> bool {
        if self.objects.is_everything() {
            return true;
        }
        let selects = |one: &Value| one.is_object() && self.objects.matches_object(one);
        selects(object) || selects(old)
    }

    /// Whether the labels of the object's namespace have a say at all.
    pub fn selects_by_namespace(&self, request: &Request<'_>) -> bool {
        let is_namespace = is_namespaces(&request.resource);
        !self.namespaces.is_everything() && (request.is_namespaced || is_namespace)
    }

    /// `namespace` is the Namespace object.
    pub fn selects_namespace(&self, namespace: &Value) -> bool {
        self.namespaces.matches_object(namespace)
    }
}

pub fn is_namespaces(resource: &GroupVersionResource) -> bool {
    resource.group.is_empty() && resource.resource == "namespaces"
}

/// Other versions under which the same stored objects are served.
fn equivalents<'t>(
    table: &'t Table,
    resource: &GroupVersionResource,
) -> impl Iterator<Item = &'t Served> {
    let own = table.find(&resource.group, &resource.version, &resource.resource);
    let prefix = own.and_then(storage);
    let wanted = (resource.group.clone(), resource.version.clone());
    table.all().iter().filter(move |other| {
        prefix.is_some()
            && storage(other) == prefix
            && (other.group(), other.version()) != (wanted.0.as_str(), wanted.1.as_str())
    })
}

fn storage(kind: &Served) -> Option<&str> {
    kind.prefix()
}

impl Rule {
    fn read(rule: &Value) -> Self {
        let texts = |field: &str| -> Vec<String> {
            let items = meta::items(rule, field).iter();
            items
                .filter_map(|i| i.as_str().map(str::to_owned))
                .collect()
        };
        Self {
            operations: texts("operations"),
            groups: texts("apiGroups"),
            versions: texts("apiVersions"),
            resources: texts("resources"),
            names: texts("resourceNames"),
            scope: match meta::text(rule, "scope") {
                "Cluster" => Scope::Cluster,
                "Namespaced" => Scope::Namespaced,
                _ => Scope::All,
            },
        }
    }

    fn matches(&self, request: &Request<'_>, resource: &GroupVersionResource) -> bool {
        has(&self.operations, request.operation.as_str())
            && has(&self.groups, &resource.group)
            && has(&self.versions, &resource.version)
            && self.matches_resource(&resource.resource, request.subresource)
            && self.matches_scope(request, resource)
            && (self.names.is_empty() || self.names.contains(&request.name))
    }

    fn matches_resource(&self, resource: &str, subresource: &str) -> bool {
        self.resources.iter().any(|wanted| {
            let (name, below) = wanted.split_once('/').unwrap_or((wanted, ""));
            (name == "*" || name == resource) && (below == "*" || below == subresource)
        })
    }

    /// A Namespace is of the whole cluster, though it is in itself.
    fn matches_scope(&self, request: &Request<'_>, resource: &GroupVersionResource) -> bool {
        let is_namespaced = request.is_namespaced && !is_namespaces(resource);
        match self.scope {
            Scope::All => true,
            Scope::Cluster => !is_namespaced,
            Scope::Namespaced => is_namespaced,
        }
    }
}

fn has(list: &[String], wanted: &str) -> bool {
    list.iter().any(|item| item == "*" || item == wanted)
}

/// Policies never see these, as in Kubernetes: they are asked on the way to every
/// other decision. Webhooks do.
pub fn is_review(request: &Request<'_>) -> bool {
    let group = request.resource.group.as_str();
    matches!(group, "authentication.k8s.io" | "authorization.k8s.io")
}

/// What configures admission is not admitted by what it configures: a mistake in
/// it could not be mended.
pub fn is_exempt(request: &Request<'_>) -> bool {
    request.resource.group == "admissionregistration.k8s.io"
        && request.operation != Operation::Connect
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn rule(resources: &[&str]) -> Rule {
        Rule::read(&json!({
            "operations": ["CREATE"], "apiGroups": ["*"], "apiVersions": ["v1"], "resources": resources,
        }))
    }

    #[test]
    fn a_star_alone_names_no_subresource() {
        assert!(rule(&["*"]).matches_resource("pods", ""));
        assert!(!rule(&["*"]).matches_resource("pods", "status"));
        assert!(rule(&["*/*"]).matches_resource("pods", "status"));
        assert!(rule(&["*/*"]).matches_resource("pods", ""));
        assert!(rule(&["pods/*"]).matches_resource("pods", "exec"));
        assert!(rule(&["*/scale"]).matches_resource("deployments", "scale"));
        assert!(!rule(&["pods/*"]).matches_resource("services", "status"));
    }

    #[test]
    fn a_missing_selector_selects_everything() {
        let criteria = Criteria::read(&[], &[], &json!({}));
        assert!(criteria.selects_object(&json!({}), &Value::Null));
    }

    #[test]
    fn the_old_objects_labels_select_too() {
        let of = json!({ "objectSelector": { "matchLabels": { "a": "b" } } });
        let criteria = Criteria::read(&[], &[], &of);
        let labelled = json!({ "metadata": { "labels": { "a": "b" } } });
        assert!(criteria.selects_object(&json!({ "metadata": {} }), &labelled));
        assert!(!criteria.selects_object(&json!({ "metadata": {} }), &Value::Null));
    }
}
