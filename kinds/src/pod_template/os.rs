//! The operating system a pod is for: what the other one has cannot be set.

use apimachinery::field::Error;

use super::defaults::CONTAINER_LISTS;
use crate::errors::Errors;
use crate::node::Node;

pub fn validate(spec: &Node, errors: &mut Errors) {
    let os = spec.at("os");
    if !os.exists() {
        return;
    }
    let name = os.at("name");
    match name.text() {
        "" => errors.required(&name, "cannot be empty"),
        "linux" => linux(spec, errors),
        "windows" => windows(spec, errors),
        other => errors.push(Error::not_supported(&os.path, other, &["linux", "windows"])),
    }
}

fn each_context(spec: &Node, errors: &mut Errors, rule: impl Fn(&Node, &mut Errors)) {
    for (_, list) in spec.present(&CONTAINER_LISTS) {
        for container in list.items() {
            rule(&container.at("securityContext"), errors);
        }
    }
}

fn linux(spec: &Node, errors: &mut Errors) {
    let none = |context: &Node, errors: &mut Errors| {
        let why = "windows options cannot be set for a linux pod";
        errors.forbid(&context.at("windowsOptions"), why);
    };
    none(&spec.at("securityContext"), errors);
    each_context(spec, errors, none);
}

const NOT_ON_WINDOWS: &str = "cannot be set for a windows pod";

/// In the order Kubernetes tells them; those without a dot stand in the spec itself.
const POD_FIELDS: [&str; 15] = [
    "securityContext.appArmorProfile",
    "securityContext.seLinuxOptions",
    "hostUsers",
    "hostPID",
    "hostIPC",
    "securityContext.seccompProfile",
    "securityContext.fsGroup",
    "securityContext.fsGroupChangePolicy",
    "securityContext.sysctls",
    "shareProcessNamespace",
    "securityContext.runAsUser",
    "securityContext.runAsGroup",
    "securityContext.supplementalGroups",
    "securityContext.supplementalGroupsPolicy",
    "securityContext.seLinuxChangePolicy",
];
const CONTAINER_FIELDS: [&str; 10] = [
    "appArmorProfile",
    "seLinuxOptions",
    "seccompProfile",
    "capabilities",
    "readOnlyRootFilesystem",
    "privileged",
    "allowPrivilegeEscalation",
    "procMount",
    "runAsUser",
    "runAsGroup",
];

fn windows(spec: &Node, errors: &mut Errors) {
    for field in POD_FIELDS {
        let node = spec.at(field);
        let is_flag = matches!(field, "hostPID" | "hostIPC");
        if node.exists() && (!is_flag || node.is_true()) {
            errors.forbidden(&node, NOT_ON_WINDOWS);
        }
    }
    each_context(spec, errors, |context, errors| {
        for field in CONTAINER_FIELDS {
            errors.forbid(&context.at(field), NOT_ON_WINDOWS);
        }
    });
}

const HOST_PROCESS: &str = "windowsOptions.hostProcess";

/// Processes of the host are all of a pod or none of it.
pub fn host_process(spec: &Node, errors: &mut Errors) {
    let of_pod = spec.at("securityContext").at(HOST_PROCESS).value.as_bool();
    let (mut containers, mut of_host) = (0, 0);
    for (_, list) in spec.present(&CONTAINER_LISTS) {
        for container in list.items() {
            containers += 1;
            let context = container.at("securityContext");
            let own = context.at(HOST_PROCESS);
            let says = own.value.as_bool();
            if let (Some(pod), Some(own_value)) = (of_pod, says)
                && pod != own_value
            {
                let why = format!(
                    "pod hostProcess value must be identical if both are specified, was {pod}"
                );
                errors.invalid(&own, why);
            }
            of_host += usize::from(says.or(of_pod) == Some(true));
        }
    }
    if of_host == 0 {
        return;
    }
    if of_host != containers {
        let why = "If pod contains any hostProcess containers then all containers must be HostProcess containers";
        errors.push(Error::invalid(&spec.path, "", why));
    }
    let network = spec.at("hostNetwork");
    if !network.is_true() {
        let why = "hostNetwork must be true if pod contains any hostProcess containers";
        errors.push(Error::invalid(&network.path, false, why));
    }
}
