//! Security contexts.

mod windows;

use apimachinery::field::Error;

use crate::errors::{Errors, Seen};
use crate::node::Node;

const ID_MAX: i64 = i32::MAX as i64;
const SYSCTL_MAX: usize = 253;

pub fn validate_pod(spec: &Node, errors: &mut Errors) {
    let context = spec.at("securityContext");
    for field in ["fsGroup", "runAsUser", "runAsGroup"] {
        errors.in_range(&context.at(field), 0, ID_MAX);
    }
    for group in context.at("supplementalGroups").items() {
        errors.in_range(&group, 0, ID_MAX);
    }
    let share = spec.at("shareProcessNamespace");
    if share.is_true() && spec.at("hostPID").is_true() {
        let why = "ShareProcessNamespace and HostPID cannot both be enabled";
        let told = context.path.child("shareProcessNamespace");
        errors.push(Error::invalid(&told, true, why));
    }
    sysctls(spec, errors);
    errors.one_of_if_set(
        &context.at("fsGroupChangePolicy"),
        &["Always", "OnRootMismatch"],
    );
    seccomp(&context.at("seccompProfile"), errors);
    windows::options(&context.at("windowsOptions"), errors);
    app_armor(&context.at("appArmorProfile"), errors);
    errors.one_of_if_set(
        &context.at("supplementalGroupsPolicy"),
        &["Merge", "Strict"],
    );
    errors.one_of_if_set(
        &context.at("seLinuxChangePolicy"),
        &["MountOption", "Recursive"],
    );
}

/// A pod with users of its own shares nothing with the host.
pub fn host_users(spec: &Node, errors: &mut Errors) {
    if spec.at("hostUsers").value.as_bool() != Some(false) {
        return;
    }
    // Kubernetes spells two of these paths in capitals.
    let shared = [
        ("hostNetwork", "hostNetwork"),
        ("hostPID", "HostPID"),
        ("hostIPC", "HostIPC"),
    ];
    for (field, told) in shared {
        if spec.at(field).is_true() {
            let why = "when `pod.Spec.HostUsers` is false";
            errors.push(Error::forbidden(&spec.path.child(told), why));
        }
    }
}

fn sysctls(spec: &Node, errors: &mut Errors) {
    let mut seen = Seen::new();
    for sysctl in spec.at("securityContext.sysctls").items() {
        let name = sysctl.at("name");
        let text = name.text();
        if !errors.require(&name) {
        } else if !is_sysctl(text) {
            let why = format!(
                "must have at most {SYSCTL_MAX} characters and match regex ([a-z0-9]([-_a-z0-9]*[a-z0-9])?[\\./])*[a-z0-9]([-_a-z0-9]*[a-z0-9])?"
            );
            errors.invalid(&name, why);
        } else {
            errors.unique(&name, &mut seen);
        }
        host_sysctl(spec, &name, errors);
    }
}

fn is_sysctl(name: &str) -> bool {
    let edge = |b: u8| b.is_ascii_lowercase() || b.is_ascii_digit();
    let part = |part: &str| {
        let bytes = part.as_bytes();
        let inner = |&b: &u8| edge(b) || b == b'-' || b == b'_';
        matches!((bytes.first(), bytes.last()), (Some(&a), Some(&z)) if edge(a) && edge(z))
            && bytes.iter().all(inner)
    };
    name.len() <= SYSCTL_MAX && name.split(['.', '/']).all(part)
}

/// Sysctls of a namespace that the pod shares with the host would change the host.
fn host_sysctl(spec: &Node, name: &Node, errors: &mut Errors) {
    let plain = name.text().replace('/', ".");
    let network = plain.starts_with("net.");
    let ipc = plain.starts_with("kernel.shm")
        || plain.starts_with("kernel.msg")
        || plain.starts_with("fs.mqueue.")
        || plain == "kernel.sem";
    if network && spec.at("hostNetwork").is_true() {
        errors.invalid(name, "may not be specified when 'hostNetwork' is true");
    }
    if ipc && spec.at("hostIPC").is_true() {
        errors.invalid(name, "may not be specified when 'hostIPC' is true");
    }
}

const PROFILE_TYPES: &[&str] = &["Localhost", "RuntimeDefault", "Unconfined"];

fn seccomp(profile: &Node, errors: &mut Errors) {
    if !profile.exists() {
        return;
    }
    let (kind, file) = (profile.at("type"), profile.at("localhostProfile"));
    if errors.require_because(&kind, "type is required when seccompProfile is set") {
        errors.one_of(&kind, PROFILE_TYPES);
    }
    match (kind.text(), file.exists()) {
        ("Localhost", false) => {
            errors.required(&file, "must be set when seccomp type is Localhost");
        }
        ("Localhost", true) => errors.local_descending_path(&file),
        (_, true) => {
            let why = "can only be set when seccomp type is Localhost";
            errors.push(Error::invalid(&file.path, profile.value.clone(), why));
        }
        (_, false) => {}
    }
}

/// One less than the longest path.
const PROFILE_MAX: usize = 4095;

fn app_armor(profile: &Node, errors: &mut Errors) {
    if !profile.exists() {
        return;
    }
    let (kind, name) = (profile.at("type"), profile.at("localhostProfile"));
    match kind.text() {
        "Localhost" if name.text().trim() != name.text() => {
            errors.invalid(&name, "must not be padded with whitespace");
        }
        "Localhost" => {
            errors.require_because(&name, "must be set when AppArmor type is Localhost");
        }
        "RuntimeDefault" | "Unconfined" if name.exists() => {
            errors.invalid(&name, "can only be set when AppArmor type is Localhost");
        }
        "RuntimeDefault" | "Unconfined" => {}
        "" => errors.required(&kind, "type is required when appArmorProfile is set"),
        _ => {
            errors.one_of(&kind, PROFILE_TYPES);
        }
    }
    if kind.text() == "Localhost" && name.len() > PROFILE_MAX {
        errors.push(Error::too_long(&name.path, PROFILE_MAX));
    }
}

pub fn validate_container(context: &Node, host_users: bool, errors: &mut Errors) {
    if !context.exists() {
        return;
    }
    errors.in_range(&context.at("runAsUser"), 0, ID_MAX);
    errors.in_range(&context.at("runAsGroup"), 0, ID_MAX);
    let proc_mount = context.at("procMount");
    errors.one_of_if_set(&proc_mount, &["Default", "Unmasked"]);
    if host_users && proc_mount.text() == "Unmasked" {
        let why = "`hostUsers` must be false to use `Unmasked`";
        errors.invalid(&proc_mount, why);
    }
    seccomp(&context.at("seccompProfile"), errors);
    escalation(context, errors);
    windows::options(&context.at("windowsOptions"), errors);
    app_armor(&context.at("appArmorProfile"), errors);
}

fn escalation(context: &Node, errors: &mut Errors) {
    let allow = context.at("allowPrivilegeEscalation");
    if allow.value.as_bool() != Some(false) {
        return;
    }
    if context.at("privileged").is_true() {
        let why = "cannot set `allowPrivilegeEscalation` to false and `privileged` to true";
        errors.invalid(context, why);
    }
    for added in context.at("capabilities.add").items() {
        if added.text() == "CAP_SYS_ADMIN" {
            let why = "cannot set `allowPrivilegeEscalation` to false and `capabilities.Add` CAP_SYS_ADMIN";
            errors.invalid(context, why);
        }
    }
}
