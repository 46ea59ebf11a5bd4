//! Validation of containers: regular, init and ephemeral.

use apimachinery::field::Error;
use apimachinery::names;

use super::spec::Around;
use super::{env, mounts, ports, probe, resources, restart, security};
use crate::errors::{Errors, Seen};
use crate::node::Node;

const PULL_POLICIES: &[&str] = &["Always", "IfNotPresent", "Never"];
const MESSAGE_POLICIES: &[&str] = &["File", "FallbackToLogsOnError"];

/// All three lists; names are unique across them.
pub fn validate_containers(spec: &Node, around: &Around, errors: &mut Errors) {
    let mut names = Seen::new();
    regular_list(&spec.at("containers"), around, &mut names, errors);
    init_list(&spec.at("initContainers"), around, &mut names, errors);
    ephemeral_list(&spec.at("ephemeralContainers"), around, &mut names, errors);
    if around.place.is_pod() {
        for list in ["containers", "initContainers"] {
            for container in spec.at(list).items() {
                plain_image(&container, errors);
            }
        }
    }
}

fn regular_list(containers: &Node, around: &Around, names: &mut Seen, errors: &mut Errors) {
    if !errors.require(containers) {
        return;
    }
    for container in containers.items() {
        validate(&container, around, errors);
        errors.unique(&container.at("name"), names);
        probe::lifecycle(&container.at("lifecycle"), around.grace, errors);
        probe::all(&container, around.grace, errors);
        restart::validate(&container, errors);
    }
    let mut host_ports = Seen::new();
    for container in containers.items() {
        ports::host_ports(&container.at("ports"), &mut host_ports, errors);
    }
}

fn init_list(containers: &Node, around: &Around, names: &mut Seen, errors: &mut Errors) {
    for container in containers.items() {
        validate(&container, around, errors);
        restart::validate(&container, errors);
        let name = container.at("name");
        if names.contains(name.text()) {
            errors.duplicate(&name);
        } else if !name.is_empty() {
            names.insert(name.text().to_owned());
        }
        ports::host_ports(&container.at("ports"), &mut Seen::new(), errors);
        init(&container, around, errors);
    }
}

/// An init container that restarts always is a sidecar, and may do as containers do.
fn init(container: &Node, around: &Around, errors: &mut Errors) {
    if container.at("restartPolicy").text() == "Always" {
        probe::lifecycle(&container.at("lifecycle"), around.grace, errors);
        probe::all(container, around.grace, errors);
        return;
    }
    let why = "may not be set for init containers without restartPolicy=Always";
    for field in [
        "lifecycle",
        "livenessProbe",
        "readinessProbe",
        "startupProbe",
    ] {
        errors.forbid(&container.at(field), why);
    }
}

/// What holds for every container.
fn validate(container: &Node, around: &Around, errors: &mut Errors) {
    errors.require_name(&container.at("name"), names::dns_label);
    errors.require(&container.at("image"));
    let policy = container.at("terminationMessagePolicy");
    errors.require_one_of(&policy, MESSAGE_POLICIES);
    ports::validate(&container.at("ports"), errors);
    env::validate(&container.at("env"), errors);
    env::validate_from(&container.at("envFrom"), errors);
    mounts::validate(&container.at("volumeMounts"), around, container, errors);
    mounts::devices(&container.at("volumeDevices"), around, container, errors);
    errors.require_one_of(&container.at("imagePullPolicy"), PULL_POLICIES);
    resources::of_container(&container.at("resources"), around, errors);
    resize_policies(&container.at("resizePolicy"), around.restarts, errors);
    security::validate_container(&container.at("securityContext"), around.host_users, errors);
}

/// A template may still be edited before it makes pods.
fn plain_image(container: &Node, errors: &mut Errors) {
    let image = container.at("image");
    if image.text().trim() != image.text() {
        errors.invalid(&image, "must not have leading or trailing whitespace");
    }
}

/// What ephemeral containers cannot have: they are guests in a pod that runs.
const NOT_EPHEMERAL: [&str; 9] = [
    "ports",
    "resources",
    "resizePolicy",
    "restartPolicy",
    "restartPolicyRules",
    "livenessProbe",
    "readinessProbe",
    "startupProbe",
    "lifecycle",
];

fn ephemeral_list(containers: &Node, around: &Around, names: &mut Seen, errors: &mut Errors) {
    if containers.is_empty() {
        return;
    }
    let others = names.clone();
    for container in containers.items() {
        validate(&container, around, errors);
        plain_image(&container, errors);
        errors.unique(&container.at("name"), names);
        let target = container.at("targetContainerName");
        if !target.is_empty() && !others.contains(target.text()) {
            errors.not_found(&target);
        }
        let why = "cannot be set for an Ephemeral Container";
        for field in NOT_EPHEMERAL {
            let field = container.at(field);
            if !field.is_empty() {
                errors.forbidden(&field, why);
            }
        }
        for mount in container.at("volumeMounts").items() {
            for path in ["subPath", "subPathExpr"] {
                let path = mount.at(path);
                if !path.is_empty() {
                    errors.forbidden(&path, why);
                }
            }
        }
    }
}

const RESIZABLE: &[&str] = &["cpu", "memory"];
const RESIZE_RESTARTS: &[&str] = &["NotRequired", "RestartContainer"];

/// Kubernetes tells most of this of the list, not of the policy.
fn resize_policies(policies: &Node, pod_restarts: &str, errors: &mut Errors) {
    let mut seen = Seen::new();
    for policy in policies.items() {
        let (name, restart) = (policy.at("resourceName"), policy.at("restartPolicy"));
        if !seen.insert(name.text().to_owned()) {
            errors.push(Error::duplicate(&policy.path, name.text()));
        }
        for (field, supported) in [(&name, RESIZABLE), (&restart, RESIZE_RESTARTS)] {
            let told = Node::new(field.value, policies.path);
            errors.require_one_of(&told, supported);
        }
        if pod_restarts == "Never" && restart.text() != "NotRequired" {
            let why = "must be 'NotRequired' when `restartPolicy` is 'Never'";
            errors.push(Error::invalid(&policies.path, restart.text(), why));
        }
    }
}
