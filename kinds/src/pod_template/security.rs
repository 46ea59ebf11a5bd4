//! Security contexts.

use apimachinery::field::Error;

use crate::errors::{Errors, Seen};
use crate::node::Node;

const ID_MAX: i64 = i32::MAX as i64;
const SYSCTL_MAX: usize = 253;

pub fn validate_pod(spec: &Node, errors: &mut Errors) {
    let context = spec.at("securityContext");
    for field in ["runAsUser", "runAsGroup", "fsGroup"] {
        errors.in_range(&context.at(field), 0, ID_MAX);
    }
    for group in context.at("supplementalGroups").items() {
        errors.in_range(&group, 0, ID_MAX);
    }
    let share = spec.at("shareProcessNamespace");
    if share.is_true() && spec.at("hostPID").is_true() {
        let why = "ShareProcessNamespace and HostPID cannot both be enabled";
        errors.invalid(&share, why);
    }
    sysctls(spec, errors);
    errors.one_of_if_set(
        &context.at("fsGroupChangePolicy"),
        &["Always", "OnRootMismatch"],
    );
    errors.one_of_if_set(
        &context.at("supplementalGroupsPolicy"),
        &["Merge", "Strict"],
    );
    seccomp(&context.at("seccompProfile"), errors);
    app_armor(&context.at("appArmorProfile"), errors);
    host_users(spec, errors);
}

fn host_users(spec: &Node, errors: &mut Errors) {
    let own_users = spec.at("hostUsers").value.as_bool() == Some(false);
    for field in ["hostNetwork", "hostPID", "hostIPC"] {
        let host = spec.at(field);
        if own_users && host.is_true() {
            let why = format!("when `hostUsers` is false, `{field}` must not be set");
            errors.forbidden(&host, why);
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

fn seccomp(profile: &Node, errors: &mut Errors) {
    if !profile.exists() {
        return;
    }
    let (kind, file) = (profile.at("type"), profile.at("localhostProfile"));
    let types = &["Localhost", "RuntimeDefault", "Unconfined"];
    if !errors.require_because(&kind, "type is required when seccompProfile is set")
        || !errors.one_of(&kind, types)
    {
        return;
    }
    match (kind.text(), file.exists()) {
        ("Localhost", false) => {
            errors.required(&file, "must be set when seccomp type is Localhost");
        }
        ("Localhost", true) => errors.local_descending_path(&file),
        (_, true) => errors.invalid(&file, "can only be set when seccomp type is Localhost"),
        (_, false) => {}
    }
}

fn app_armor(profile: &Node, errors: &mut Errors) {
    if !profile.exists() {
        return;
    }
    let (kind, name) = (profile.at("type"), profile.at("localhostProfile"));
    let types = &["Localhost", "RuntimeDefault", "Unconfined"];
    if !errors.require_because(&kind, "type is required when appArmorProfile is set")
        || !errors.one_of(&kind, types)
    {
        return;
    }
    match (kind.text(), name.is_empty()) {
        ("Localhost", true) => {
            errors.required(&name, "must be set when AppArmor type is Localhost");
        }
        ("Localhost", false) if name.text().trim() != name.text() => {
            errors.invalid(&name, "must not be padded with whitespace");
        }
        ("Localhost", false) => {}
        (_, false) => errors.invalid(&name, "can only be set when AppArmor type is Localhost"),
        (_, true) => {}
    }
}

pub fn validate_container(context: &Node, errors: &mut Errors) {
    if !context.exists() {
        return;
    }
    errors.in_range(&context.at("runAsUser"), 0, ID_MAX);
    errors.in_range(&context.at("runAsGroup"), 0, ID_MAX);
    errors.one_of_if_set(&context.at("procMount"), &["Default", "Unmasked"]);
    seccomp(&context.at("seccompProfile"), errors);
    app_armor(&context.at("appArmorProfile"), errors);
    escalation(context, errors);
}

fn escalation(context: &Node, errors: &mut Errors) {
    let allow = context.at("allowPrivilegeEscalation");
    if allow.value.as_bool() != Some(false) {
        return;
    }
    if context.at("privileged").is_true() {
        let why = "cannot set `allowPrivilegeEscalation` to false and `privileged` to true";
        errors.push(Error::invalid(&context.path, context.value.clone(), why));
    }
    let added = context.at("capabilities.add");
    if added
        .items()
        .any(|cap| matches!(cap.text(), "SYS_ADMIN" | "CAP_SYS_ADMIN"))
    {
        let why =
            "cannot set `allowPrivilegeEscalation` to false and `capabilities.Add` CAP_SYS_ADMIN";
        errors.push(Error::invalid(&context.path, context.value.clone(), why));
    }
}
