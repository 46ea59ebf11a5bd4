//! A node may write only what is its own (NodeRestriction).

use apimachinery::{Status, meta};
use serde_json::Value;

use crate::registry::Registry;
use crate::registry::update::Part;

const MIRROR: &str = "kubernetes.io/config.mirror";

pub fn check_create(registry: &Registry<'_>, object: &Value) -> Result<(), Status> {
    let Some(node) = registry.call.user.node() else {
        return Ok(());
    };
    match (registry.kind.group(), registry.kind.plural()) {
        ("", "nodes") if meta::name(object) != node => refuse(
            registry,
            object,
            &format!(
                "node {node:?} is not allowed to create node {:?}",
                meta::name(object)
            ),
        ),
        ("", "pods") if meta::annotation(object, MIRROR).is_none() => refuse(
            registry,
            object,
            &format!(
                "pod does not have {MIRROR:?} annotation, node {node:?} can only create mirror pods"
            ),
        ),
        ("", "pods") if meta::text(object, "spec.nodeName") != node => refuse(
            registry,
            object,
            &format!("node {node:?} can only create pods with spec.nodeName set to itself"),
        ),
        ("coordination.k8s.io", "leases") if meta::name(object) != node => refuse(
            registry,
            object,
            "can only access node lease with the same name as the requesting node",
        ),
        ("storage.k8s.io", "csinodes") if meta::name(object) != node => refuse(
            registry,
            object,
            "can only access CSINode with the same name as the requesting node",
        ),
        _ => Ok(()),
    }
}

pub fn check_update(
    registry: &Registry<'_>,
    new: &Value,
    old: &Value,
    part: Part,
) -> Result<(), Status> {
    let Some(node) = registry.call.user.node() else {
        return Ok(());
    };
    match (registry.kind.group(), registry.kind.plural()) {
        ("", "nodes") if meta::name(old) != node => refuse(
            registry,
            old,
            &format!(
                "node {node:?} is not allowed to modify node {:?}",
                meta::name(old)
            ),
        ),
        ("", "nodes") if part == Part::Main && new["spec"]["taints"] != old["spec"]["taints"] => {
            refuse(
                registry,
                old,
                &format!("node {node:?} is not allowed to modify taints"),
            )
        }
        ("", "pods") if part == Part::Status && meta::text(old, "spec.nodeName") != node => refuse(
            registry,
            old,
            &format!(
                "node {node:?} can only update pod status for pods with spec.nodeName set to itself"
            ),
        ),
        ("", "pods") if part == Part::Status && meta::labels(new) != meta::labels(old) => refuse(
            registry,
            old,
            &format!("node {node:?} cannot update labels through pod status"),
        ),
        _ => Ok(()),
    }
}

pub fn check_delete(registry: &Registry<'_>, old: &Value) -> Result<(), Status> {
    let Some(node) = registry.call.user.node() else {
        return Ok(());
    };
    let is_pod = registry.kind.group().is_empty() && registry.kind.plural() == "pods";
    if is_pod && meta::text(old, "spec.nodeName") != node {
        return refuse(
            registry,
            old,
            &format!("node {node:?} can only delete pods with spec.nodeName set to itself"),
        );
    }
    Ok(())
}

fn refuse(registry: &Registry<'_>, object: &Value, why: &str) -> Result<(), Status> {
    Err(Status::forbidden(
        registry.resource(),
        meta::name(object),
        why,
    ))
}
