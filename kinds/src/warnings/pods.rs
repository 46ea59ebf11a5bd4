//! Pods, and templates of them.

use serde_json::Value;

use super::{Warnings, containers, deprecated_node_labels, fraction, labels, name, volumes};
use crate::node::Node;

const SECCOMP: &str = "non-functional in v1.27+; use the \"seccompProfile\" field instead";
const SYSCTLS: &str = "non-functional in v1.11+; use the \"sysctls\" field instead";
/// Annotations that do nothing any more.
const ANNOTATIONS: &[(&str, &str)] = &[
    (
        "scheduler.alpha.kubernetes.io/critical-pod",
        "non-functional in v1.16+; use the \"priorityClassName\" field instead",
    ),
    ("seccomp.security.alpha.kubernetes.io/pod", SECCOMP),
    ("security.alpha.kubernetes.io/sysctls", SYSCTLS),
    ("security.alpha.kubernetes.io/unsafe-sysctls", SYSCTLS),
];
const SECCOMP_CONTAINER: &str = "container.seccomp.security.alpha.kubernetes.io/";
const APPARMOR_CONTAINER: &str = "container.apparmor.security.beta.kubernetes.io/";

/// A pod: on create only, since people seldom change one.
pub(crate) fn pod(new: &Value, old: Option<&Value>) -> Warnings {
    let mut warnings = Warnings::new();
    if old.is_none() {
        name(new, "the Pod's hostname", &mut warnings);
        template(&Node::root(new), &mut warnings);
    }
    warnings
}

/// Anything with a pod's metadata and spec.
pub(crate) fn template(pod: &Node, warnings: &mut Warnings) {
    let spec = &pod.at("spec");
    deprecated_node_labels(&spec.at("nodeSelector"), warnings);
    labels::affinity(&spec.at("affinity.nodeAffinity"), warnings);
    spread(spec, warnings);
    annotations(pod, warnings);
    for volume in spec.at("volumes").items() {
        volumes::volume(&volume, warnings);
    }
    repeated(&spec.at("hostAliases"), "ip", warnings);
    repeated(&spec.at("imagePullSecrets"), "name", warnings);
    for (resource, amount) in spec.at("overhead").entries() {
        if matches!(resource, "memory" | "ephemeral-storage") {
            fraction(&amount, warnings);
        }
    }
    for (_, list) in spec.present(containers::LISTS) {
        for container in list.items() {
            containers::amounts(&container, warnings);
            containers::environment(&container, warnings);
        }
    }
    containers::ports(spec, warnings);
    let grace = spec.at("terminationGracePeriodSeconds");
    if grace.int().is_some_and(|seconds| seconds < 0) {
        warnings.push(format!(
            "{}: must be >= 0; negative values are invalid and will be treated as 1",
            grace.path
        ));
    }
}

fn spread(spec: &Node, warnings: &mut Warnings) {
    for constraint in spec.at("topologySpreadConstraints").items() {
        let selector = constraint.at("labelSelector");
        if !selector.exists() {
            warnings.push(format!(
                "{}: a null labelSelector results in matching no pod",
                selector.path
            ));
        }
        labels::deprecated_label(&constraint.at("topologyKey"), warnings);
    }
}

/// A pod's own AppArmor annotations follow its fields; a template has none to follow.
fn annotations(pod: &Node, warnings: &mut Warnings) {
    let metadata = pod.at("metadata");
    for (key, annotation) in metadata.at("annotations").entries() {
        let known = ANNOTATIONS.iter().find(|(name, _)| *name == key);
        let why = if let Some((_, why)) = known {
            why
        } else if key.starts_with(SECCOMP_CONTAINER) {
            SECCOMP
        } else if key.starts_with(APPARMOR_CONTAINER) && !pod.value["kind"].is_string() {
            "deprecated since v1.30; use the \"appArmorProfile\" field instead"
        } else {
            continue;
        };
        warnings.push(format!("{}: {why}", annotation.path));
    }
}

/// Items of a list that have the same text in a field.
fn repeated(list: &Node, field: &str, warnings: &mut Warnings) {
    let mut seen = Vec::new();
    for item in list.items() {
        let one = item.at(field);
        if one.text().is_empty() {
            warnings.push(format!("{}: invalid empty {field} {:?}", one.path, ""));
        } else if seen.contains(&one.text()) {
            warnings.push(format!("{}: duplicate {field} {:?}", one.path, one.text()));
        }
        seen.push(one.text());
    }
}
