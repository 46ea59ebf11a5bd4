//! What RoleBinding and ClusterRoleBinding have in common.

use apimachinery::field::Error;
use apimachinery::{meta, names};
use jiff::Timestamp;
use serde_json::{Value, json};

use crate::columns::{self, AGE, Column, NAME};
use crate::defaults::{each, is, object, set_text};
use crate::errors::Errors;
use crate::node::Node;

const GROUP: &str = "rbac.authorization.k8s.io";

pub const COLUMNS: &[Column] = &[
    NAME,
    Column::text("Role", "The role that is given."),
    AGE,
    Column::text("Users", "Users in the roleBinding").wide(),
    Column::text("Groups", "Groups in the roleBinding").wide(),
    Column::text("ServiceAccounts", "ServiceAccounts in the roleBinding").wide(),
];

pub fn default(binding: &mut Value) {
    set_text(object(binding, "roleRef"), "apiGroup", GROUP);
    each(binding, "subjects", |subject| {
        if is(subject, "kind", "User") || is(subject, "kind", "Group") {
            set_text(subject, "apiGroup", GROUP);
        }
    });
}

pub fn validate(binding: &Node, kinds: &[&str], errors: &mut Errors) {
    let role = binding.at("roleRef");
    errors.one_of(&role.at("apiGroup"), &[GROUP]);
    errors.one_of(&role.at("kind"), kinds);
    let name = role.at("name");
    if errors.require(&name) {
        errors.follows(&name, names::path_segment);
    }
    // A role of the cluster knows no namespace to leave out.
    let namespaced = kinds.len() > 1;
    for subject in binding.at("subjects").items() {
        validate_subject(&subject, namespaced, errors);
    }
}

fn validate_subject(subject: &Node, namespaced: bool, errors: &mut Errors) {
    let (name, group) = (subject.at("name"), subject.at("apiGroup"));
    errors.require(&name);
    match subject.at("kind").text() {
        "ServiceAccount" => {
            errors.follows_if_set(&name, names::dns_subdomain);
            if !group.is_empty() {
                errors.one_of(&group, &[""]);
            }
            let namespace = subject.at("namespace");
            if !namespaced {
                errors.require(&namespace);
            }
        }
        "User" | "Group" => {
            errors.one_of(&group, &[GROUP]);
        }
        _ => {
            errors.one_of(&subject.at("kind"), &["ServiceAccount", "User", "Group"]);
        }
    }
}

pub fn validate_update(new: &Node, old: &Node, kinds: &[&str], errors: &mut Errors) {
    validate(new, kinds, errors);
    let (now, was) = (new.at("roleRef"), old.at("roleRef"));
    if now.value != was.value {
        // Under the names that the fields have in Go, as 1.37 shows its own types.
        let shown = json!({
            "APIGroup": now.at("apiGroup").value, "Kind": now.at("kind").value, "Name": now.at("name").value,
        });
        errors.push(Error::invalid(&now.path, shown, "field is immutable"));
    }
}

pub fn row(binding: &Value, now: Timestamp) -> Vec<Value> {
    let role = format!(
        "{}/{}",
        meta::text(binding, "roleRef.kind"),
        meta::text(binding, "roleRef.name")
    );
    let of = |kind: &str| -> String {
        let subjects = meta::items(binding, "subjects").iter();
        let named = subjects.filter(|subject| meta::text(subject, "kind") == kind);
        named.map(subject_name).collect::<Vec<_>>().join(", ")
    };
    vec![
        columns::name(binding),
        role.into(),
        columns::age(binding, now),
        of("User").into(),
        of("Group").into(),
        of("ServiceAccount").into(),
    ]
}

fn subject_name(subject: &Value) -> String {
    let name = meta::text(subject, "name");
    match meta::text(subject, "namespace") {
        "" => name.to_owned(),
        namespace => format!("{namespace}/{name}"),
    }
}
