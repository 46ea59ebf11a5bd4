//! Nobody may hand out more than they have: checks on writes of roles and bindings.

mod compact;

use std::sync::Arc;

use apimachinery::{Status, meta, status};
use serde_json::Value;
use store::Store;

use super::rules::Rule;
use super::{Action, Attributes, Authorizer};
use crate::keys;
use crate::user::{MASTERS, User};

const GROUP: &str = "rbac.authorization.k8s.io";

/// A write of an RBAC object.
pub struct Write<'a> {
    /// `roles`, `clusterroles`, `rolebindings` or `clusterrolebindings`.
    pub resource: &'a str,
    pub namespace: &'a str,
    pub name: &'a str,
    pub object: &'a Value,
    /// What is there, if anything is.
    pub old: Option<&'a Value>,
}

/// # Errors
/// 403 when the object grants what its writer does not hold, unless the writer
/// may `escalate` (roles) or `bind` (bindings); 404 when it binds a role that
/// there is not.
pub async fn check(
    authorizer: &Authorizer,
    store: &Arc<dyn Store>,
    user: &User,
    write: &Write<'_>,
) -> Result<(), Status> {
    if user.is_in(MASTERS) || write.only_lets_go() {
        return Ok(());
    }
    match write.resource {
        "roles" | "clusterroles" => check_role(authorizer, user, write),
        "rolebindings" | "clusterrolebindings" => {
            check_binding(authorizer, store, user, write).await
        }
        _ => Ok(()),
    }
}

impl Write<'_> {
    /// The garbage collector takes owners and finalizers from what it may not grant.
    fn only_lets_go(&self) -> bool {
        let Some(old) = self.old else { return false };
        let without = |object: &Value| {
            let mut object = object.clone();
            for field in [
                "ownerReferences",
                "finalizers",
                "managedFields",
                "resourceVersion",
            ] {
                meta::remove_meta(&mut object, field);
            }
            object
        };
        without(old) == without(self.object)
    }

    fn keeps(&self, fields: &[&str]) -> bool {
        let is_same = |old: &Value| fields.iter().all(|field| old[field] == self.object[field]);
        self.old.is_some_and(is_same)
    }
}

fn check_role(authorizer: &Authorizer, user: &User, write: &Write<'_>) -> Result<(), Status> {
    let (namespace, name) = (write.namespace, write.name);
    if write.keeps(&["rules", "aggregationRule"])
        || may(
            authorizer,
            user,
            "escalate",
            write.resource,
            namespace,
            name,
        )
    {
        return Ok(());
    }
    if write.object["aggregationRule"].is_object() && !write.keeps(&["aggregationRule"]) {
        // Whatever is labelled so later will be in it.
        covered(authorizer, user, write, &[Rule::all_resources()])?;
    }
    covered(authorizer, user, write, &Rule::read_all(write.object))
}

async fn check_binding(
    authorizer: &Authorizer,
    store: &Arc<dyn Store>,
    user: &User,
    write: &Write<'_>,
) -> Result<(), Status> {
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
    let known = authorizer.rbac().rules_of_role(kind, write.namespace, name);
    let rules = match known {
        Some(rules) => rules.to_vec(),
        None => stored_rules(store, resource, write.namespace, name).await?,
    };
    covered(authorizer, user, write, &rules)
}

/// A role that was made a moment ago may not have reached the authorizer.
async fn stored_rules(
    store: &Arc<dyn Store>,
    resource: &str,
    namespace: &str,
    name: &str,
) -> Result<Vec<Rule>, Status> {
    let missing = || Status::not_found(status::Resource::new(GROUP, resource), name);
    if name.is_empty() || name.contains('/') {
        return Err(missing());
    }
    let namespace = (resource == "roles").then_some(namespace);
    let found = store.get(&keys::object(resource, namespace, name)).await;
    let entry = found.map_err(crate::registry::store_failure)?;
    let entry = entry.ok_or_else(missing)?;
    let role: Value = serde_json::from_slice(&entry.value).map_err(Status::internal)?;
    Ok(Rule::read_all(&role))
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
    authorizer.allows_blocking(user, &Attributes::new(verb, target))
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
    let why = format!(
        "user {:?} (groups={}) is attempting to grant RBAC permissions not currently held:\n{}",
        user.name,
        compact::list(&user.groups),
        compact::describe(missing).join("\n")
    );
    Err(Status::forbidden(
        status::Resource::new(GROUP, write.resource),
        write.name,
        &why,
    ))
}
