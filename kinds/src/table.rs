//! Every built-in kind.

use crate::core;
use crate::kind::Kind;

static ALL: &[&Kind] = &[
    &core::config_map::KIND,
    &core::namespace::KIND,
    &core::pod::KIND,
];

/// Every built-in kind, by group, then as discovery lists them.
pub fn all() -> &'static [&'static Kind] {
    ALL
}

/// The kind served as `plural` in a group and version.
pub fn find(group: &str, version: &str, plural: &str) -> Option<&'static Kind> {
    let mut kinds = ALL.iter().copied();
    kinds.find(|k| k.plural == plural && k.group == group && k.version == version)
}

pub fn find_kind(group: &str, version: &str, kind: &str) -> Option<&'static Kind> {
    let mut kinds = ALL.iter().copied();
    kinds.find(|k| k.kind == kind && k.group == group && k.version == version)
}
