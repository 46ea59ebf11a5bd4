//! Default roles and bindings, mended at each start: permissions and subjects
//! that a newer version knows or somebody took away are added; what an
//! administrator added stays. An object whose annotation
//! `rbac.authorization.kubernetes.io/autoupdate` is `false` is left alone.

use std::sync::Arc;

use apimachinery::{Status, meta};
use http::Method;
use serde_json::{Value, json};

use super::{RBAC, failure, is_served, send};
use crate::Error;
use crate::api::Api;
use crate::authz::policy::Policy;
use crate::authz::rules::Rule;

const AUTOUPDATE: &str = "rbac.authorization.kubernetes.io/autoupdate";
/// How often a write is tried again that another server's overtook.
const ATTEMPTS: usize = 5;

/// What is to be done about an object that is there.
#[derive(Debug, PartialEq)]
enum Change {
    Nothing,
    Update(Value),
    /// What it binds cannot be changed.
    Replace,
}

pub async fn run(api: &Arc<Api>, policy: &Policy) -> Result<(), Error> {
    // Roles first: a binding without its role gives nothing.
    for objects in [&policy.roles, &policy.bindings] {
        let work = objects.iter().map(|object| one(api, object));
        futures::future::try_join_all(work).await?;
    }
    Ok(())
}

fn collection(object: &Value) -> String {
    let plural = format!("{}s", meta::kind(object).to_lowercase());
    match meta::namespace(object) {
        "" => format!("{RBAC}/{plural}"),
        namespace => format!("{RBAC}/namespaces/{namespace}/{plural}"),
    }
}

async fn one(api: &Arc<Api>, wanted: &Value) -> Result<(), Error> {
    let collection = collection(wanted);
    if !is_served(api, &collection) {
        return Ok(());
    }
    let mut last = Ok(());
    for _ in 0..ATTEMPTS {
        match attempt(api, &collection, wanted).await {
            Ok(()) => return Ok(()),
            Err(status) if status.code == 409 => last = Err(failure(wanted, &status)),
            Err(status) => return Err(failure(wanted, &status)),
        }
    }
    last
}

async fn attempt(api: &Arc<Api>, collection: &str, wanted: &Value) -> Result<(), Status> {
    let path = format!("{collection}/{}", meta::name(wanted));
    let there = match send(api, Method::GET, &path, &Value::Null).await {
        Ok(there) => there,
        Err(status) if status.code == 404 => {
            return send(api, Method::POST, collection, wanted).await.map(drop);
        }
        Err(status) => return Err(status),
    };
    match change(wanted, &there) {
        Change::Nothing => {}
        Change::Update(mended) => {
            tracing::info!(path, "mend a default role or binding");
            send(api, Method::PUT, &path, &mended).await?;
        }
        Change::Replace => {
            tracing::info!(path, "replace a default binding");
            send(api, Method::DELETE, &path, &Value::Null).await?;
            send(api, Method::POST, collection, wanted).await?;
        }
    }
    Ok(())
}

fn change(wanted: &Value, there: &Value) -> Change {
    if meta::annotation(there, AUTOUPDATE) == Some("false") {
        return Change::Nothing;
    }
    if there["roleRef"] != wanted["roleRef"] {
        return Change::Replace;
    }
    let mut mended = there.clone();
    add_metadata(&mut mended, wanted, "labels");
    add_metadata(&mut mended, wanted, "annotations");
    add_rules(&mut mended, wanted);
    add_selectors(&mut mended, wanted);
    add_subjects(&mut mended, wanted);
    if mended == *there {
        Change::Nothing
    } else {
        Change::Update(mended)
    }
}

/// What is there wins.
fn add_metadata(mended: &mut Value, wanted: &Value, field: &str) {
    let pairs = wanted["metadata"][field].as_object();
    for (key, value) in pairs.into_iter().flatten() {
        let held = meta::entry(meta::entry(mended, "metadata"), field);
        if held.get(key).is_none() {
            held[key] = value.clone();
        }
    }
}

/// A rule whose permissions are held already, however written, is not added.
fn add_rules(mended: &mut Value, wanted: &Value) {
    let held = Rule::read_all(mended);
    let is_missing = |rule: &&Value| {
        let atoms = Rule::read(rule).atoms();
        !atoms
            .iter()
            .all(|atom| held.iter().any(|rule| rule.covers(atom)))
    };
    let missing = meta::items(wanted, "rules").iter().filter(is_missing);
    push_all(mended, "rules", missing.cloned().collect());
}

fn add_selectors(mended: &mut Value, wanted: &Value) {
    let path = "aggregationRule.clusterRoleSelectors";
    let held = meta::items(mended, path);
    let missing = meta::items(wanted, path).iter();
    let missing: Vec<Value> = missing.filter(|one| !held.contains(one)).cloned().collect();
    if !missing.is_empty() {
        let all = [held, missing.as_slice()].concat();
        meta::set(mended, path, json!(all));
    }
}

fn add_subjects(mended: &mut Value, wanted: &Value) {
    let identity = |subject: &Value| {
        ["kind", "namespace", "name"].map(|field| meta::text(subject, field).to_owned())
    };
    let held: Vec<_> = meta::items(mended, "subjects")
        .iter()
        .map(identity)
        .collect();
    let missing = meta::items(wanted, "subjects").iter();
    let missing = missing.filter(|subject| !held.contains(&identity(subject)));
    push_all(mended, "subjects", missing.cloned().collect());
}

fn push_all(object: &mut Value, field: &str, mut items: Vec<Value>) {
    if items.is_empty() {
        return;
    }
    match object.get_mut(field).and_then(Value::as_array_mut) {
        Some(list) => list.append(&mut items),
        None => object[field] = items.into(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn role(rules: Value) -> Value {
        json!({ "kind": "ClusterRole", "metadata": { "name": "r", "annotations": { AUTOUPDATE: "true" } }, "rules": rules })
    }

    fn rule(resources: &[&str], verbs: &[&str]) -> Value {
        json!({ "apiGroups": [""], "resources": resources, "verbs": verbs })
    }

    #[test]
    fn a_role_gains_what_it_lacks_and_keeps_what_was_added() {
        let wanted = role(json!([
            rule(&["pods"], &["get"]),
            rule(&["nodes"], &["list"])
        ]));
        let there = role(json!([rule(&["pods", "secrets"], &["get", "watch"])]));
        let Change::Update(mended) = change(&wanted, &there) else {
            panic!("it lacks nodes");
        };
        let rules = [
            rule(&["pods", "secrets"], &["get", "watch"]),
            rule(&["nodes"], &["list"]),
        ];
        assert_eq!(mended["rules"], json!(rules));
        assert_eq!(change(&wanted, &mended), Change::Nothing);
    }

    #[test]
    fn what_is_not_to_be_updated_stays() {
        let wanted = role(json!([rule(&["pods"], &["get"])]));
        let mut there = role(json!([]));
        there["metadata"]["annotations"][AUTOUPDATE] = "false".into();
        assert_eq!(change(&wanted, &there), Change::Nothing);
    }

    #[test]
    fn a_binding_gains_subjects_and_is_replaced_when_it_binds_another_role() {
        let subject = |name: &str| json!({ "kind": "Group", "name": name });
        let binding = |role: &str, subjects: &[&str]| {
            let subjects: Vec<_> = subjects.iter().map(|name| subject(name)).collect();
            json!({ "kind": "ClusterRoleBinding", "metadata": { "name": "b" },
                "roleRef": { "kind": "ClusterRole", "name": role }, "subjects": subjects })
        };
        let wanted = binding("r", &["a"]);
        let mended = change(&wanted, &binding("r", &["b"]));
        assert_eq!(mended, Change::Update(binding("r", &["b", "a"])));
        assert_eq!(change(&wanted, &binding("other", &["a"])), Change::Replace);
    }
}
