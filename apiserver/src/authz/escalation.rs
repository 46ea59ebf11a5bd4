//! Nobody may hand out more than they have: checks on writes of roles and bindings.

use apimachinery::{Status, status};
use serde_json::Value;

use super::rules::Rule;
use super::{Action, Attributes, Authorizer};
use crate::user::{MASTERS, User};

const GROUP: &str = "rbac.authorization.k8s.io";

/// A write of an RBAC object.
pub struct Write<'a> {
    /// `roles`, `clusterroles`, `rolebindings` or `clusterrolebindings`.
    pub resource: &'a str,
    pub namespace: &'a str,
    pub name: &'a str,
    pub object: &'a Value,
}

/// # Errors
/// 403 when the object grants what its writer does not hold, unless the writer
/// may `escalate` (roles) or `bind` (bindings).
pub fn check(authorizer: &Authorizer, user: &User, write: &Write<'_>) -> Result<(), Status> {
    if user.is_in(MASTERS) {
        return Ok(());
    }
    match write.resource {
        "roles" | "clusterroles" => {
            if may(
                authorizer,
                user,
                "escalate",
                write.resource,
                write.namespace,
                write.name,
            ) {
                return Ok(());
            }
            covered(authorizer, user, write, &Rule::read_all(write.object))
        }
        "rolebindings" | "clusterrolebindings" => check_binding(authorizer, user, write),
        _ => Ok(()),
    }
}

fn check_binding(authorizer: &Authorizer, user: &User, write: &Write<'_>) -> Result<(), Status> {
    let role = &write.object["roleRef"];
    let kind = role["kind"].as_str().unwrap_or("");
    let name = role["name"].as_str().unwrap_or("");
    let resource = if kind == "ClusterRole" {
        "clusterroles"
    } else {
        "roles"
    };
    if may(authorizer, user, "bind", resource, write.namespace, name) {
        return Ok(());
    }
    match authorizer.rbac().rules_of_role(kind, write.namespace, name) {
        Some(rules) => covered(authorizer, user, write, &rules),
        None => Err(Status::not_found(
            status::Resource::new(GROUP, resource),
            name,
        )),
    }
}

fn may(
    authorizer: &Authorizer,
    user: &User,
    verb: &str,
    resource: &str,
    namespace: &str,
    name: &str,
) -> bool {
    let target = Action::Resource {
        group: GROUP,
        resource,
        subresource: "",
        namespace,
        name,
    };
    authorizer.allows(user, &Attributes { verb, target })
}

fn covered(
    authorizer: &Authorizer,
    user: &User,
    write: &Write<'_>,
    rules: &[Rule],
) -> Result<(), Status> {
    let held = authorizer.rbac().rules_of(user, write.namespace);
    let missing: Vec<Rule> = rules
        .iter()
        .flat_map(Rule::atoms)
        .filter(|atom| !held.iter().any(|rule| rule.covers(atom)))
        .collect();
    if missing.is_empty() {
        return Ok(());
    }
    let listed: Vec<String> = missing.iter().map(describe).collect();
    let why = format!(
        "user {:?} (groups={:?}) is attempting to grant RBAC permissions not currently held:\n{}",
        user.name,
        user.groups,
        listed.join("\n")
    );
    Err(Status::forbidden(
        status::Resource::new(GROUP, write.resource),
        write.name,
        &why,
    ))
}

fn describe(rule: &Rule) -> String {
    let mut parts = Vec::new();
    let mut part = |label: &str, list: &[String]| {
        if !list.is_empty() {
            parts.push(format!("{label}:{list:?}"));
        }
    };
    part("APIGroups", &rule.groups);
    part("NonResourceURLs", &rule.paths);
    part("Resources", &rule.resources);
    part("ResourceNames", &rule.names);
    part("Verbs", &rule.verbs);
    format!("{{{}}}", parts.join(", "))
}
