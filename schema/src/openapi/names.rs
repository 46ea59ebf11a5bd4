//! What Kubernetes calls operations, tags and definitions.

use super::Dialect;

/// `AppsV1`, `CoreV1`, `RbacAuthorizationV1`.
pub(super) fn group_version(group: &str, version: &str) -> String {
    format!("{}{}", group_name(group), capital(version))
}

/// `apps_v1`, `core_v1`, `rbacAuthorization_v1`.
pub(super) fn tag(group: &str, version: &str) -> String {
    let name = group_name(group);
    let mut chars = name.chars();
    let first = chars.next().map(|c| c.to_ascii_lowercase());
    let name: String = first.into_iter().chain(chars).collect();
    if version.is_empty() {
        name
    } else {
        format!("{name}_{version}")
    }
}

fn group_name(group: &str) -> String {
    let group = match group {
        "" => "core",
        group => group.strip_suffix(".k8s.io").unwrap_or(group),
    };
    group.split('.').map(capital).collect()
}

pub(super) fn capital(word: &str) -> String {
    let mut chars = word.chars();
    let first = chars.next().map(|c| c.to_ascii_uppercase());
    first.into_iter().chain(chars).collect()
}

pub(super) fn reference(dialect: Dialect, definition: &str) -> String {
    match dialect {
        Dialect::V2 => format!("#/definitions/{definition}"),
        Dialect::V3 => format!("#/components/schemas/{definition}"),
    }
}

/// Where a group and version are served.
pub(super) fn base(group: &str, version: &str) -> String {
    match group {
        "" => format!("/api/{version}"),
        group => format!("/apis/{group}/{version}"),
    }
}
