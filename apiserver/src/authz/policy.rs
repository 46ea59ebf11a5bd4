//! The roles and bindings that every cluster starts with, read from `policy.txt`.

use serde_json::{Value, json};

const TEXT: &str = include_str!("policy.txt");
const GROUP: &str = "rbac.authorization.k8s.io";
const API_VERSION: &str = "rbac.authorization.k8s.io/v1";

/// A line of `policy.txt` that says nothing; its number and text.
#[derive(Debug, thiserror::Error)]
#[error("line {0}: {1}")]
struct BadLine(usize, String);

struct Role {
    name: String,
    /// None: a ClusterRole.
    namespace: Option<String>,
    aggregated_to: Vec<String>,
    aggregates: Option<String>,
    rules: Vec<Value>,
}

/// What every cluster starts with, ready to be created. Objects that have a
/// namespace are Roles and RoleBindings, the others are of the cluster.
pub struct Policy {
    pub roles: Vec<Value>,
    pub bindings: Vec<Value>,
}

pub fn objects() -> Policy {
    let (roles, bindings) = read(TEXT).expect("the built-in policy reads: a test holds it to that");
    Policy {
        roles: roles.iter().map(|role| role_object(role, &roles)).collect(),
        bindings,
    }
}

fn read(text: &str) -> Result<(Vec<Role>, Vec<Value>), BadLine> {
    let mut roles: Vec<Role> = Vec::new();
    let mut bindings = Vec::new();
    for (at, line) in text.lines().enumerate() {
        let bad = || BadLine(at + 1, line.to_owned());
        let words: Vec<&str> = line.split_whitespace().collect();
        match words.as_slice() {
            [] => {}
            [first, ..] if first.starts_with('#') => {}
            ["role", name, rest @ ..] => roles.push(role(name, rest)),
            ["aggregates", which] => {
                roles.last_mut().ok_or_else(bad)?.aggregates = Some((*which).to_owned())
            }
            ["allow", rest @ ..] => {
                let rule = rule(rest).ok_or_else(bad)?;
                roles.last_mut().ok_or_else(bad)?.rules.push(rule);
            }
            ["bind", role, rest @ ..] => bindings.push(binding(role, rest).ok_or_else(bad)?),
            _ => return Err(bad()),
        }
    }
    Ok((roles, bindings))
}

fn role(name: &str, rest: &[&str]) -> Role {
    let namespace = match rest {
        ["in", namespace] => Some((*namespace).to_owned()),
        _ => None,
    };
    let labels = rest.iter().filter_map(|word| word.strip_prefix("+to="));
    Role {
        name: name.to_owned(),
        namespace,
        aggregated_to: labels.map(str::to_owned).collect(),
        aggregates: None,
        rules: Vec::new(),
    }
}

fn rule(words: &[&str]) -> Option<Value> {
    let list = |text: &str| -> Vec<String> { text.split(',').map(str::to_owned).collect() };
    match words {
        [verbs, "at", paths] => {
            Some(json!({ "verbs": list(verbs), "nonResourceURLs": list(paths) }))
        }
        [verbs, "on", resources, "in", groups, rest @ ..] => {
            let groups: Vec<String> = groups
                .split(',')
                .map(|g| {
                    if g == "core" {
                        String::new()
                    } else {
                        g.to_owned()
                    }
                })
                .collect();
            let mut rule =
                json!({ "verbs": list(verbs), "apiGroups": groups, "resources": list(resources) });
            match rest {
                [] => {}
                ["named", names] => rule["resourceNames"] = json!(list(names)),
                _ => return None,
            }
            Some(rule)
        }
        _ => None,
    }
}

fn metadata(name: &str, namespace: Option<&str>) -> Value {
    let mut metadata = json!({
        "name": name,
        "labels": { "kubernetes.io/bootstrapping": "rbac-defaults" },
        "annotations": { "rbac.authorization.kubernetes.io/autoupdate": "true" },
    });
    if let Some(namespace) = namespace {
        metadata["namespace"] = namespace.into();
    }
    metadata
}

fn aggregation_label(which: &str) -> String {
    format!("rbac.authorization.k8s.io/aggregate-to-{which}")
}

fn role_object(role: &Role, all: &[Role]) -> Value {
    let mut metadata = metadata(&role.name, role.namespace.as_deref());
    for to in &role.aggregated_to {
        metadata["labels"][aggregation_label(to)] = "true".into();
    }
    let mut object = json!({
        "apiVersion": API_VERSION, "metadata": metadata, "rules": rules_of(role, all),
        "kind": if role.namespace.is_some() { "Role" } else { "ClusterRole" },
    });
    if let Some(which) = &role.aggregates {
        let selector = json!({ "matchLabels": { aggregation_label(which): "true" } });
        object["aggregationRule"] = json!({ "clusterRoleSelectors": [selector] });
    }
    object
}

/// A role's own rules, or those of the roles it gathers, each once.
fn rules_of(role: &Role, all: &[Role]) -> Vec<Value> {
    let Some(which) = &role.aggregates else {
        return role.rules.clone();
    };
    let mut parts: Vec<&Role> = all
        .iter()
        .filter(|r| r.aggregated_to.contains(which))
        .collect();
    parts.sort_by(|a, b| a.name.cmp(&b.name));
    let mut rules: Vec<Value> = Vec::new();
    for rule in parts.iter().flat_map(|part| rules_of(part, all)) {
        if !rules.contains(&rule) {
            rules.push(rule);
        }
    }
    rules
}

/// `[in NAMESPACE] [as NAME] to SUBJECTS`
fn binding(role: &str, words: &[&str]) -> Option<Value> {
    let (mut namespace, mut name, mut rest) = (None, role, words);
    if let ["in", within, tail @ ..] = rest {
        (namespace, rest) = (Some(*within), tail);
    }
    if let ["as", other, tail @ ..] = rest {
        (name, rest) = (*other, tail);
    }
    let subjects = match rest {
        ["to"] => "",
        ["to", subjects] => subjects,
        _ => return None,
    };
    let subjects = subjects.split(',').filter_map(subject).collect();
    Some(binding_object(metadata(name, namespace), role, subjects))
}

fn binding_object(metadata: Value, role: &str, subjects: Vec<Value>) -> Value {
    let of = if metadata.get("namespace").is_some() {
        "Role"
    } else {
        "ClusterRole"
    };
    let mut object = json!({
        "apiVersion": API_VERSION,
        "kind": format!("{of}Binding"),
        "metadata": metadata,
        "roleRef": { "apiGroup": GROUP, "kind": of, "name": role },
    });
    if !subjects.is_empty() {
        object["subjects"] = subjects.into();
    }
    object
}

/// `user:X`, `group:system:masters`, `serviceaccount:kube-system/X`.
fn subject(text: &str) -> Option<Value> {
    let (kind, name) = text.split_once(':')?;
    match kind {
        "user" => Some(json!({ "apiGroup": GROUP, "kind": "User", "name": name })),
        "group" => Some(json!({ "apiGroup": GROUP, "kind": "Group", "name": name })),
        "serviceaccount" => {
            let (namespace, name) = name.split_once('/')?;
            Some(json!({ "kind": "ServiceAccount", "namespace": namespace, "name": name }))
        }
        _ => None,
    }
}

/// What lets a machine with a bootstrap token become a node, as kubeadm sets it up.
pub fn join_bindings() -> Vec<Value> {
    let group = |name: &str| vec![json!({ "apiGroup": GROUP, "kind": "Group", "name": name })];
    let named = |name: &str, role: &str, subject: &str| {
        binding_object(json!({ "name": name }), role, group(subject))
    };
    let csr = "system:certificates.k8s.io:certificatesigningrequests";
    let returning = crate::authn::node_key::GROUP;
    vec![
        named(
            "system:skiff:node-bootstrapper",
            "system:node-bootstrapper",
            "system:bootstrappers",
        ),
        named(
            "system:skiff:node-autoapprove",
            &format!("{csr}:nodeclient"),
            "system:bootstrappers",
        ),
        named(
            "system:skiff:node-renewal",
            &format!("{csr}:selfnodeclient"),
            "system:nodes",
        ),
        named(
            "system:skiff:returning-node-bootstrapper",
            "system:node-bootstrapper",
            returning,
        ),
        named(
            "system:skiff:returning-node-renewal",
            &format!("{csr}:selfnodeclient"),
            returning,
        ),
    ]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_built_in_policy_reads_and_admins_hold_what_editors_do() {
        let policy = objects();
        let find = |all: &[Value], name: &str| {
            let found = all.iter().find(|object| object["metadata"]["name"] == name);
            found.unwrap().clone()
        };
        find(&policy.bindings, "cluster-admin");
        let rules = |name: &str| {
            find(&policy.roles, name)["rules"]
                .as_array()
                .unwrap()
                .clone()
        };
        let admin = rules("admin");
        assert!(rules("edit").iter().all(|rule| admin.contains(rule)));
        let sees_secrets = |rule: &Value| {
            let resources = rule["resources"].as_array().unwrap();
            resources.contains(&json!("secrets"))
        };
        assert!(!rules("view").iter().any(sees_secrets));
    }

    #[test]
    fn every_binding_is_of_a_role_that_is_there() {
        let policy = objects();
        for binding in &policy.bindings {
            let of = |role: &&Value| {
                role["metadata"]["name"] == binding["roleRef"]["name"]
                    && role["metadata"]["namespace"] == binding["metadata"]["namespace"]
                    && role["kind"] == binding["roleRef"]["kind"]
            };
            assert_eq!(policy.roles.iter().filter(of).count(), 1, "{binding}");
        }
    }

    #[test]
    fn no_two_objects_have_one_name() {
        let policy = objects();
        let mut seen = std::collections::HashSet::new();
        for object in policy.roles.iter().chain(&policy.bindings) {
            let metadata = &object["metadata"];
            let name = format!(
                "{} {} {}",
                object["kind"], metadata["namespace"], metadata["name"]
            );
            assert!(seen.insert(name.clone()), "{name}");
        }
    }

    #[test]
    fn a_line_that_says_nothing_is_named() {
        assert!(matches!(
            read("role a\nallow get of pods"),
            Err(BadLine(2, _))
        ));
        assert!(matches!(read("bind a in"), Err(BadLine(1, _))));
    }
}
