//! Which requests a schema is about.

use apimachinery::field::Error;
use apimachinery::names;
use serde_json::Value;

use crate::errors::Errors;
use crate::node::Node;

const VERBS: &[&str] = &[
    "create",
    "delete",
    "deletecollection",
    "get",
    "list",
    "patch",
    "proxy",
    "update",
    "watch",
];
const ALL: &str = "*";

pub(super) fn validate(rule: &Node, errors: &mut Errors) {
    let subjects = rule.at("subjects");
    errors.require_because(&subjects, "subjects must contain at least one value");
    for subject in subjects.items() {
        validate_subject(&subject, errors);
    }
    let (resources, others) = (rule.at("resourceRules"), rule.at("nonResourceRules"));
    if resources.is_empty() && others.is_empty() {
        errors.required(
            rule,
            "at least one of resourceRules and nonResourceRules has to be non-empty",
        );
    }
    for resource in resources.items() {
        resource_rule(&resource, errors);
    }
    for other in others.items() {
        other_rule(&other, errors);
    }
}

/// A subject is of one kind and has what that kind has, and nothing else.
fn validate_subject(subject: &Node, errors: &mut Errors) {
    const KINDS: &[(&str, &str)] = &[
        ("Group", "group"),
        ("ServiceAccount", "serviceAccount"),
        ("User", "user"),
    ];
    let kind = subject.at("kind");
    let Some((_, own)) = KINDS.iter().find(|(name, _)| *name == kind.text()) else {
        errors.one_of(&kind, &["Group", "ServiceAccount", "User"]);
        return;
    };
    let part = subject.at(own);
    if part.exists() {
        validate_who(&part, kind.text(), errors);
    } else {
        let why = format!("{own} is required when subject kind is '{}'", kind.text());
        errors.required(&part, &why);
    }
    for (of, field) in KINDS.iter().filter(|(_, field)| field != own) {
        let other = subject.at(field);
        if other.exists() {
            let why = format!("{field} is forbidden when subject kind is not '{of}'");
            errors.forbidden(&other, why);
        }
    }
}

fn validate_who(who: &Node, kind: &str, errors: &mut Errors) {
    let name = who.at("name");
    let named = errors.require(&name);
    if kind != "ServiceAccount" {
        return;
    }
    if named && name.text() != ALL {
        errors.follows(&name, names::dns_subdomain);
    }
    let namespace = who.at("namespace");
    if errors.require_because(&namespace, "must specify namespace for service account") {
        errors.follows(&namespace, names::dns_label);
    }
}

/// All, or some: not both. True if there are some.
fn some(list: &Node, nothing: &str, mixed: &str, errors: &mut Errors) -> bool {
    if !errors.require_because(list, nothing) {
        return false;
    }
    let is_all = list.items().any(|item| item.text() == ALL);
    if is_all && list.len() > 1 {
        let why = format!("if '*' is present, must not specify other {mixed}");
        errors.invalid(list, why);
    }
    !is_all
}

fn verbs(rule: &Node, errors: &mut Errors) {
    let verbs = rule.at("verbs");
    let nothing = "verbs must contain at least one value";
    if some(&verbs, nothing, "verbs", errors)
        && verbs.items().any(|verb| !VERBS.contains(&verb.text()))
    {
        errors.push(Error::not_supported(
            &verbs.path,
            verbs.value.clone(),
            VERBS,
        ));
    }
}

fn resource_rule(rule: &Node, errors: &mut Errors) {
    verbs(rule, errors);
    let groups = rule.at("apiGroups");
    let nothing = "resource rules must supply at least one api group";
    some(&groups, nothing, "api groups", errors);
    let resources = rule.at("resources");
    let nothing = "resource rules must supply at least one resource";
    some(&resources, nothing, "resources", errors);
    let namespaces = rule.at("namespaces");
    if namespaces.is_empty() && rule.at("clusterScope").is_true() {
        return;
    }
    let nothing = "resource rules that are not cluster scoped must supply at least one namespace";
    if some(&namespaces, nothing, "namespaces", errors) {
        for namespace in namespaces.items() {
            for why in names::dns_label(namespace.text()) {
                let why =
                    format!("each member of this list must be '*' or a DNS-1123 label; {why}");
                errors.invalid_text(&namespace, why);
            }
        }
    }
}

fn other_rule(rule: &Node, errors: &mut Errors) {
    verbs(rule, errors);
    let urls = rule.at("nonResourceURLs");
    let nothing = "nonResourceURLs must contain at least one value";
    if some(&urls, nothing, "non-resource URLs", errors) {
        for url in urls.items() {
            if let Some(why) = wrong_path(url.text()) {
                errors.invalid_text(&url, why);
            }
        }
    }
}

fn wrong_path(path: &str) -> Option<&'static str> {
    let stars = path.matches('*').count();
    let why = match path {
        "" => "must not be empty",
        "/" => return None,
        path if !path.starts_with('/') => "must start with slash",
        path if path.contains(' ') => "must not contain white-space",
        path if path.contains("//") => "must not contain double slash",
        path if stars > 1 || (stars == 1 && !path.ends_with("/*")) => {
            "wildcard can only do suffix matching"
        }
        _ => return None,
    };
    Some(why)
}

/// Conditions have types, each once.
pub(in crate::flowcontrol) fn validate_status(object: &Node, errors: &mut Errors) {
    let conditions = object.at("status");
    let mut seen: Vec<&Value> = Vec::new();
    for condition in conditions.at("conditions").items() {
        let kind = condition.at("type");
        if seen.contains(&kind.value) {
            errors.push(Error::duplicate(&kind.path, kind.text()));
        }
        seen.push(kind.value);
        errors.require_because(&kind, "must not be empty");
    }
}
