//! Volumes of kinds that are gone or going, and of odd sizes.

use serde_json::Value;

use super::{Warnings, annotation, fraction, is_due, labels};
use crate::node::Node;

const CLASS_ANNOTATION: &str = "volume.beta.kubernetes.io/storage-class";
const CLASS_WHY: &str = "deprecated since v1.8; use \"storageClassName\" attribute instead";

/// Sources of volumes, and what became of them.
const GOING: &[(&str, &str)] = &[
    (
        "photonPersistentDisk",
        "deprecated in v1.11, non-functional in v1.16+",
    ),
    (
        "gitRepo",
        "deprecated in v1.11, and disabled by default in v1.33+",
    ),
    ("scaleIO", "deprecated in v1.16, non-functional in v1.22+"),
    ("flocker", "deprecated in v1.22, non-functional in v1.25+"),
    ("storageos", "deprecated in v1.22, non-functional in v1.25+"),
    ("quobyte", "deprecated in v1.22, non-functional in v1.25+"),
    ("glusterfs", "deprecated in v1.25, non-functional in v1.26+"),
    ("cephfs", "deprecated in v1.28, non-functional in v1.31+"),
    ("rbd", "deprecated in v1.28, non-functional in v1.31+"),
];

/// The source of a volume, of a pod or persistent.
fn source(volume: &Node, warnings: &mut Warnings) {
    for (name, why) in GOING {
        let set = volume.at(name);
        if set.exists() {
            warnings.push(format!("{}: {why}", set.path));
        }
    }
}

/// A pod's volume.
pub(super) fn volume(volume: &Node, warnings: &mut Warnings) {
    source(volume, warnings);
    let template = volume.at("ephemeral");
    let template = template.at("volumeClaimTemplate");
    claim_spec(&template.at("spec"), warnings);
}

/// The spec of a claim, or of the template of one.
pub(crate) fn claim_spec(spec: &Node, warnings: &mut Warnings) {
    let requests = spec.at("resources");
    let requests = requests.at("requests");
    for (name, amount) in requests.entries() {
        if name == "storage" {
            fraction(&amount, warnings);
        }
    }
}

pub(crate) fn claim(new: &Value, old: Option<&Value>) -> Warnings {
    let mut warnings = Warnings::new();
    if is_due(new, old) {
        let claim = Node::root(new);
        annotation(&claim, CLASS_ANNOTATION, CLASS_WHY, &mut warnings);
        claim_spec(&claim.at("spec"), &mut warnings);
    }
    warnings
}

pub(crate) fn persistent_volume(new: &Value, old: Option<&Value>) -> Warnings {
    const MOUNT_OPTIONS: &str = "volume.beta.kubernetes.io/mount-options";
    let mut warnings = Warnings::new();
    if !is_due(new, old) {
        return warnings;
    }
    let volume = Node::root(new);
    annotation(&volume, CLASS_ANNOTATION, CLASS_WHY, &mut warnings);
    let why = "deprecated since v1.31; use \"mountOptions\" attribute instead";
    annotation(&volume, MOUNT_OPTIONS, why, &mut warnings);
    let spec = volume.at("spec");
    let policy = spec.at("persistentVolumeReclaimPolicy");
    if policy.text() == "Recycle" {
        warnings.push(format!(
            "{}: The Recycle reclaim policy is deprecated. Instead, the recommended approach is to use dynamic provisioning.",
            policy.path
        ));
    }
    let required = spec.at("nodeAffinity");
    labels::node_selector(&required.at("required"), &mut warnings);
    source(&spec, &mut warnings);
    warnings
}
