//! Node.

use apimachinery::field::Error;
use apimachinery::{meta, names};
use jiff::Timestamp;
use serde_json::Value;

use crate::columns::{self, AGE, Column, NAME};
use crate::defaults::{canonical_amounts, object, one_and_many, set_default};
use crate::errors::{Errors, Seen};
use crate::kind::{CONNECT_VERBS, Kind, Scope, Storage, Subresource, plain_field};
use crate::node::Node;
use crate::pod_template;
use crate::prepare;
use crate::text_cells::{NONE, or_none};

pub static KIND: Kind = Kind {
    kind: "Node",
    list_kind: "NodeList",
    plural: "nodes",
    singular: "node",
    short_names: &["no"],
    scope: Scope::Cluster,
    subresources: &[
        Subresource::new("proxy", ("", "v1", "NodeProxyOptions"), CONNECT_VERBS),
        Subresource::status(("", "v1", "Node")),
    ],
    storage: Storage::Stored { prefix: "nodes" },
    default,
    prepare_update: prepare::keep_status_only,
    validate,
    validate_update,
    validate_status_update: validate_update,
    columns: COLUMNS,
    row,
    field_labels: &[plain_field!("spec.unschedulable", "false")],
    ..Kind::BASE
};

const COLUMNS: &[Column] = &[
    NAME,
    Column::text(
        "Status",
        "Whether the node is ready, and whether pods are put on it.",
    ),
    Column::text("Roles", "What the node is for, from its labels."),
    AGE,
    Column::text("Version", "The version of the node's agent."),
    Column::text("Internal-IP", "The node's address inside the cluster.").wide(),
    Column::text("External-IP", "The node's address outside the cluster.").wide(),
    Column::text("OS-Image", "The operating system, from /etc/os-release.").wide(),
    Column::text("Kernel-Version", "The kernel, from uname -r.").wide(),
    Column::text(
        "Container-Runtime",
        "The container runtime and its version.",
    )
    .wide(),
];

const NODE_INFO: [&str; 10] = [
    "machineID",
    "systemUUID",
    "bootID",
    "kernelVersion",
    "osImage",
    "containerRuntimeVersion",
    "kubeletVersion",
    "kubeProxyVersion",
    "operatingSystem",
    "architecture",
];

fn default(node: &mut Value) {
    one_and_many(object(node, "spec"), "podCIDR", "podCIDRs");
    let status = object(node, "status");
    canonical_amounts(status, "capacity");
    canonical_amounts(status, "allocatable");
    if let Some(capacity) = status.get("capacity").cloned() {
        set_default(status, "allocatable", capacity);
    }
    let endpoints = object(status, "daemonEndpoints");
    set_default(object(endpoints, "kubeletEndpoint"), "Port", 0);
    let info = object(status, "nodeInfo");
    for field in NODE_INFO {
        set_default(info, field, "");
    }
}

const EFFECTS: &[&str] = &["NoSchedule", "PreferNoSchedule", "NoExecute"];

fn validate(node: &Node, errors: &mut Errors) {
    taints(node, errors);
    resources(node, errors);
    pod_cidrs(&node.at("spec.podCIDRs"), errors);
}

/// Kubernetes tells of taints as if they stood in the metadata.
fn taints(node: &Node, errors: &mut Errors) {
    let metadata = node.at("metadata");
    let told = Node::new(node.at("spec.taints").value, metadata.path.child("taints"));
    let mut seen = Seen::new();
    for taint in told.items() {
        validate_taint(&taint, &mut seen, errors);
    }
}

fn validate_taint(taint: &Node, seen: &mut Seen, errors: &mut Errors) {
    errors.follows(&taint.at("key"), names::qualified);
    let value = taint.at("value");
    let problems = names::label_value(value.text());
    if !problems.is_empty() {
        errors.invalid(&value, problems.join(";"));
    }
    let effect = taint.at("effect");
    errors.require_one_of(&effect, EFFECTS);
    let pair = format!("{}:{}", taint.at("key").text(), effect.text());
    if !seen.insert(pair) {
        let mut error = Error::duplicate(&taint.path, taint.value.clone());
        error.detail = "taints must be unique by key and effect pair".to_owned();
        errors.push(error);
    }
}

fn resources(node: &Node, errors: &mut Errors) {
    for list in ["status.capacity", "status.allocatable"] {
        let amounts = node.at(list);
        for (name, amount) in amounts.entries() {
            let told = Node::new(amount.value, amounts.path.child(name));
            pod_template::amount_of(name, &told, errors);
        }
    }
}

fn pod_cidrs(cidrs: &Node, errors: &mut Errors) {
    let parsed: Vec<_> = cidrs.items().map(|cidr| errors.cidr(&cidr)).collect();
    let families = |v6: bool| {
        let parsed = parsed.iter().flatten();
        parsed.filter(|cidr| cidr.addr().is_ipv6() == v6).count()
    };
    if cidrs.len() < 2 {
        return;
    }
    if families(false) > 1 || families(true) > 1 || cidrs.len() > 2 {
        let why = "may specify no more than one CIDR for each IP family";
        errors.invalid(cidrs, why);
    }
    let mut seen = Seen::new();
    for cidr in cidrs.items() {
        errors.unique(&cidr, &mut seen);
    }
}

fn validate_update(new: &Node, old: &Node, errors: &mut Errors) {
    resources(new, errors);
    let mut addresses = Seen::new();
    for address in new.at("status.addresses").items() {
        if !addresses.insert(address.value.to_string()) {
            errors.duplicate(&address);
        }
    }
    let (cidrs, before) = (new.at("spec.podCIDRs"), old.at("spec.podCIDRs"));
    if !before.is_empty() && cidrs.value != before.value {
        errors.forbidden(
            &cidrs,
            "node updates may not change podCIDR except from \"\" to valid",
        );
    }
    let (provider, before) = (new.at("spec.providerID"), old.at("spec.providerID"));
    if !before.is_empty() && provider.text() != before.text() {
        errors.forbidden(
            &provider,
            "node updates may not change providerID except from \"\" to valid",
        );
    }
    taints(new, errors);
    let (external, before) = (new.at("spec.externalID"), old.at("spec.externalID"));
    if external.text() != before.text() {
        errors.forbidden(&external, "may not be updated");
    }
}

fn row(node: &Value, now: Timestamp) -> Vec<Value> {
    let info = |field: &str| {
        let text = meta::get(node, "status.nodeInfo").map_or("", |info| meta::text(info, field));
        if text.is_empty() {
            "<unknown>".to_owned()
        } else {
            text.to_owned()
        }
    };
    vec![
        columns::name(node),
        status(node).into(),
        roles(node).into(),
        columns::age(node, now),
        meta::text(node, "status.nodeInfo.kubeletVersion").into(),
        address(node, "InternalIP").into(),
        address(node, "ExternalIP").into(),
        info("osImage").into(),
        info("kernelVersion").into(),
        info("containerRuntimeVersion").into(),
    ]
}

fn status(node: &Value) -> String {
    let mut conditions = meta::items(node, "status.conditions").iter();
    let ready = conditions.find(|condition| meta::text(condition, "type") == "Ready");
    let mut text = match ready.map(|condition| meta::text(condition, "status")) {
        Some("True") => "Ready".to_owned(),
        Some(_) => "NotReady".to_owned(),
        None => "Unknown".to_owned(),
    };
    if meta::flag(node, "spec.unschedulable") {
        text.push_str(",SchedulingDisabled");
    }
    text
}

fn roles(node: &Value) -> String {
    let labels = meta::labels(node).into_iter().flatten();
    let mut roles: Vec<&str> = labels
        .filter_map(
            |(key, value)| match key.strip_prefix("node-role.kubernetes.io/") {
                Some(role) => Some(role).filter(|role| !role.is_empty()),
                None if key == "kubernetes.io/role" => {
                    value.as_str().filter(|role| !role.is_empty())
                }
                None => None,
            },
        )
        .collect();
    roles.sort_unstable();
    roles.dedup();
    or_none(&roles.join(",")).to_owned()
}

fn address<'a>(node: &'a Value, kind: &str) -> &'a str {
    let mut addresses = meta::items(node, "status.addresses").iter();
    addresses
        .find(|address| meta::text(address, "type") == kind)
        .map_or(NONE, |address| meta::text(address, "address"))
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn a_cordoned_ready_node_says_both_and_shows_its_roles() {
        let node = json!({
            "metadata": {"labels": {"node-role.kubernetes.io/worker": "", "node-role.kubernetes.io/control-plane": ""}},
            "spec": {"unschedulable": true},
            "status": {"conditions": [{"type": "Ready", "status": "True"}]}});
        assert_eq!(status(&node), "Ready,SchedulingDisabled");
        assert_eq!(roles(&node), "control-plane,worker");
    }
}
