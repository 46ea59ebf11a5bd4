//! A node may write only what is its own (NodeRestriction).

mod labels;
mod pods;

use apimachinery::{Status, meta};
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use serde_json::Value;
use x509_parser::certification_request::X509CertificationRequest;
use x509_parser::prelude::FromDer;

use crate::registry::Registry;
use crate::registry::update::Part;

/// Signers whose certificates make whoever holds one a node.
const NODE_SIGNERS: [&str; 2] = [
    "kubernetes.io/kube-apiserver-client-kubelet",
    "kubernetes.io/kubelet-serving",
];

pub fn check_create(registry: &Registry<'_>, object: &Value) -> Result<(), Status> {
    let Some(node) = registry.call.user.node() else {
        return Ok(());
    };
    let refused = match (registry.kind.group(), registry.kind.plural()) {
        ("", "nodes") => new_node(node, object),
        ("", "pods") => pods::create(node, object),
        ("certificates.k8s.io", "certificatesigningrequests") => signing_request(node, object),
        _ => owned(registry, node, object),
    };
    refuse(registry, object, refused)
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
    let refused = match (registry.kind.group(), registry.kind.plural()) {
        ("", "nodes") => changed_node(node, new, old, part),
        ("", "pods") if part == Part::Status => pods::update_status(node, new, old),
        _ => owned(registry, node, old).or_else(|| owned(registry, node, new)),
    };
    refuse(registry, old, refused)
}

pub fn check_delete(registry: &Registry<'_>, old: &Value) -> Result<(), Status> {
    let Some(node) = registry.call.user.node() else {
        return Ok(());
    };
    let refused = match (registry.kind.group(), registry.kind.plural()) {
        ("", "pods") => pods::delete(node, old),
        _ => owned(registry, node, old),
    };
    refuse(registry, old, refused)
}

/// Before a pod is evicted.
pub fn check_eviction(registry: &Registry<'_>, pod: &Value) -> Result<(), Status> {
    let Some(node) = registry.call.user.node() else {
        return Ok(());
    };
    refuse(registry, pod, pods::evict(node, pod))
}

fn refuse(registry: &Registry<'_>, object: &Value, refused: Option<String>) -> Result<(), Status> {
    match refused {
        None => Ok(()),
        Some(why) => Err(Status::forbidden(
            registry.resource(),
            meta::name(object),
            &why,
        )),
    }
}

fn new_node(node: &str, object: &Value) -> Option<String> {
    let name = meta::name(object);
    if name != node {
        return Some(format!(
            "node {node:?} is not allowed to create node {name:?}"
        ));
    }
    if !meta::owner_references(object).is_empty() {
        return Some(format!(
            "node {node:?} is not allowed to set ownerReferences"
        ));
    }
    let set = labels::forbidden(object, &Value::Null);
    (!set.is_empty()).then(|| {
        format!(
            "node {node:?} is not allowed to set the following labels: {}",
            set.join(", ")
        )
    })
}

fn changed_node(node: &str, new: &Value, old: &Value, part: Part) -> Option<String> {
    let name = meta::name(old);
    if name != node {
        return Some(format!(
            "node {node:?} is not allowed to modify node {name:?}"
        ));
    }
    if part == Part::Main && new["spec"]["taints"] != old["spec"]["taints"] {
        return Some(format!("node {node:?} is not allowed to modify taints"));
    }
    if meta::owner_references(new) != meta::owner_references(old) {
        return Some(format!(
            "node {node:?} is not allowed to modify ownerReferences"
        ));
    }
    let modified = labels::forbidden(new, old);
    (!modified.is_empty()).then(|| {
        format!(
            "node {node:?} is not allowed to modify labels: {}",
            modified.join(", ")
        )
    })
}

/// Objects that are the node's because they bear its name.
fn owned(registry: &Registry<'_>, node: &str, object: &Value) -> Option<String> {
    let (group, plural) = (registry.kind.group(), registry.kind.plural());
    let is_own = match (group, plural) {
        ("coordination.k8s.io", "leases") | ("storage.k8s.io", "csinodes") => {
            meta::name(object) == node
        }
        ("resource.k8s.io", "resourceslices") => meta::text(object, "spec.nodeName") == node,
        _ => true,
    };
    if is_own {
        return None;
    }
    Some(match plural {
        "leases" => {
            "can only access node lease with the same name as the requesting node".to_owned()
        }
        "csinodes" => {
            "can only access CSINode with the same name as the requesting node".to_owned()
        }
        _ => {
            "can only access ResourceSlice with the same NodeName as the requesting node".to_owned()
        }
    })
}

/// A node asks for no other node's certificate.
fn signing_request(node: &str, request: &Value) -> Option<String> {
    if !NODE_SIGNERS.contains(&meta::text(request, "spec.signerName")) {
        return None;
    }
    let wanted = format!("system:node:{node}");
    match common_name(request) {
        None => Some("unable to parse csr".to_owned()),
        Some(name) if name != wanted => {
            Some(format!("can only create a node CSR with CN={wanted}"))
        }
        Some(_) => None,
    }
}

fn common_name(request: &Value) -> Option<String> {
    let pem = STANDARD.decode(meta::text(request, "spec.request")).ok()?;
    let (_, block) = x509_parser::pem::parse_x509_pem(&pem).ok()?;
    let (_, parsed) = X509CertificationRequest::from_der(&block.contents).ok()?;
    let subject = &parsed.certification_request_info.subject;
    let name = subject.iter_common_name().next()?;
    name.as_str().ok().map(str::to_owned)
}
