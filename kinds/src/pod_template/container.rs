//! Validation of containers: regular, init and ephemeral.

use apimachinery::names;

use super::spec::{Around, Place};
use super::{env, mounts, ports, probe, resources, security};
use crate::errors::{Errors, Seen};
use crate::node::Node;

const PULL_POLICIES: &[&str] = &["Always", "IfNotPresent", "Never"];
const MESSAGE_POLICIES: &[&str] = &["FallbackToLogsOnError", "File"];

/// All three lists; names are unique across them.
pub fn validate_containers(spec: &Node, around: &Around, errors: &mut Errors) {
    let mut names = Seen::new();
    let containers = spec.at("containers");
    if errors.require(&containers) {
        let mut host_ports = Seen::new();
        for container in containers.items() {
            validate(&container, around, &mut names, errors);
            regular(&container, errors);
            ports::host_ports(&container.at("ports"), &mut host_ports, errors);
        }
    }
    for container in spec.at("initContainers").items() {
        validate(&container, around, &mut names, errors);
        init(&container, errors);
        ports::host_ports(&container.at("ports"), &mut Seen::new(), errors);
    }
    let ephemeral = spec.at("ephemeralContainers");
    for container in ephemeral.items() {
        validate(&container, around, &mut names, errors);
        self::ephemeral(&container, &names, errors);
    }
}

/// What holds for every container.
fn validate(container: &Node, around: &Around, names: &mut Seen, errors: &mut Errors) {
    let name = container.at("name");
    if errors.require_name(&name, names::dns_label) {
        errors.unique(&name, names);
    }
    image(container, around.place, errors);
    errors.one_of(&container.at("terminationMessagePolicy"), MESSAGE_POLICIES);
    ports::validate(&container.at("ports"), around.host_network, errors);
    env::validate(&container.at("env"), errors);
    env::validate_from(&container.at("envFrom"), errors);
    mounts::validate(&container.at("volumeMounts"), around, container, errors);
    mounts::devices(&container.at("volumeDevices"), around, container, errors);
    errors.require_one_of(&container.at("imagePullPolicy"), PULL_POLICIES);
    resources::resources(&container.at("resources"), errors);
    resize_policies(&container.at("resizePolicy"), errors);
    security::validate_container(&container.at("securityContext"), errors);
}

fn image(container: &Node, place: Place, errors: &mut Errors) {
    let image = container.at("image");
    if !errors.require(&image) {
        return;
    }
    // A template may still be edited before it makes pods.
    let text = image.text();
    if place == Place::Pod && text.trim() != text {
        errors.invalid(&image, "must not have leading or trailing whitespace");
    }
}

fn regular(container: &Node, errors: &mut Errors) {
    probe::lifecycle(&container.at("lifecycle"), errors);
    probe::liveness(&container.at("livenessProbe"), errors);
    probe::validate(&container.at("readinessProbe"), errors);
    probe::liveness(&container.at("startupProbe"), errors);
    let policy = container.at("restartPolicy");
    errors.one_of_if_set(&policy, &["Always", "OnFailure", "Never"]);
}

/// An init container that restarts always is a sidecar, and may do as containers do.
fn init(container: &Node, errors: &mut Errors) {
    let policy = container.at("restartPolicy");
    errors.one_of_if_set(&policy, &["Always", "OnFailure", "Never"]);
    if policy.text() == "Always" {
        probe::lifecycle(&container.at("lifecycle"), errors);
        probe::liveness(&container.at("livenessProbe"), errors);
        probe::validate(&container.at("readinessProbe"), errors);
        probe::liveness(&container.at("startupProbe"), errors);
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

fn ephemeral(container: &Node, names: &Seen, errors: &mut Errors) {
    let target = container.at("targetContainerName");
    if !target.is_empty() && !names.contains(target.text()) {
        errors.not_found(&target);
    }
    let unfit = [
        "ports",
        "lifecycle",
        "livenessProbe",
        "readinessProbe",
        "startupProbe",
        "resizePolicy",
        "restartPolicy",
    ];
    let fields = unfit.map(|field| container.at(field));
    let resources = container.at("resources");
    for field in fields.iter().chain([&resources]).filter(|f| !f.is_empty()) {
        errors.forbidden(field, "cannot be set for an Ephemeral Container");
    }
    for mount in container.at("volumeMounts").items() {
        let sub_path = mount.at("subPath");
        if !sub_path.is_empty() {
            errors.forbidden(&sub_path, "cannot be set for an Ephemeral Container");
        }
    }
}

fn resize_policies(policies: &Node, errors: &mut Errors) {
    let mut seen = Seen::new();
    for policy in policies.items() {
        let name = policy.at("resourceName");
        errors.unique(&name, &mut seen);
        errors.one_of(&name, &["cpu", "memory"]);
        let restart = policy.at("restartPolicy");
        errors.require_one_of(&restart, &["NotRequired", "RestartContainer"]);
    }
}
