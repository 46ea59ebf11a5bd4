//! Every built-in kind.

use crate::kind::Kind;
use crate::{apps, coordination, core, discovery, events};

static ALL: &[&Kind] = &[
    &core::config_map::KIND,
    &core::endpoints::KIND,
    &core::event::KIND,
    &core::namespace::KIND,
    &core::node::KIND,
    &core::pod::KIND,
    &core::secret::KIND,
    &core::service::KIND,
    &core::service_account::KIND,
    &apps::deployment::KIND,
    &apps::replica_set::KIND,
    &coordination::lease::KIND,
    &discovery::endpoint_slice::KIND,
    &events::event::KIND,
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
