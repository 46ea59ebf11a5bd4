//! The rules that say where a pod may go and where it had better go.
//!
//! A plugin is one file and one entry in [`ALL`]. Names, messages and weights
//! are those of Kubernetes' default plugins. A filter looks at the pod once and
//! then at nodes; what has no say about a pod is skipped for it.

mod balanced_allocation;
mod image_locality;
mod inter_pod_affinity;
mod node_affinity;
mod node_ports;
mod node_resources;
mod node_unschedulable;
mod node_volume_limits;
mod scale;
mod taint_toleration;
mod topology_spread;
pub mod volume_binding;
mod volume_restrictions;
mod volume_zone;

use std::borrow::Cow;
use std::sync::Arc;

use crate::cache::{Candidate, NodeIndex, NodeInfo};
use crate::cluster::Cluster;
use crate::happened::Happened;
use crate::profile::Profile;
use crate::template::Template;

/// What a decision is made of.
#[derive(Clone, Copy)]
pub struct Context<'a> {
    pub cluster: &'a Cluster,
    pub pod: &'a Candidate,
    pub profile: &'a Profile,
}

pub struct Plugin {
    pub name: &'static str,
    /// How much its score counts unless a profile says otherwise.
    pub weight: i64,
    pub prepare: Option<Prepare>,
    pub score: Option<Score>,
    /// What has happened may make a pod fit that this plugin refused.
    pub helps: fn(&Happened<'_>, &Template) -> bool,
}

type Prepare = for<'a> fn(Context<'a>) -> Prepared<'a>;
/// A score from 0 to 100 for each of these nodes; none if the plugin has no preference.
type Score = fn(Context<'_>, &[&NodeInfo]) -> Option<Vec<i64>>;

/// A filter that has looked at the pod.
pub enum Prepared<'a> {
    /// It lets the pod go anywhere.
    Skip,
    /// It lets the pod go nowhere.
    Refused(Refusal),
    Filter(Box<dyn Filter + 'a>),
}

pub trait Filter {
    /// Whether the pod may go to this node.
    ///
    /// # Errors
    /// Why it may not.
    fn check(&self, node: &NodeInfo) -> Result<(), Refusal>;

    /// Takes as given, for the sake of argument, that a pod has moved.
    fn suppose(&mut self, _supposed: &Supposed<'_>) {}

    /// All nodes that it may let the pod go to, where it knows them by name.
    fn only(&self) -> Option<&[String]> {
        None
    }
}

/// A pod of this template that came to the node (`by` is 1) or left it (-1).
#[derive(Clone, Copy)]
pub struct Supposed<'s> {
    pub template: &'s Template,
    pub node: NodeIndex,
    pub by: i64,
    /// It was asked to end before.
    pub is_ending: bool,
}

impl<'s> Supposed<'s> {
    pub fn came(template: &'s Template, node: NodeIndex) -> Self {
        Self {
            template,
            node,
            by: 1,
            is_ending: false,
        }
    }

    pub fn left(template: &'s Template, node: NodeIndex) -> Self {
        Self {
            by: -1,
            ..Self::came(template, node)
        }
    }
}

impl<F: Fn(&NodeInfo) -> Result<(), Refusal>> Filter for F {
    fn check(&self, node: &NodeInfo) -> Result<(), Refusal> {
        self(node)
    }
}

/// A reason not to use a node, worded as Kubernetes words it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Refusal {
    pub reasons: Vec<Cow<'static, str>>,
    /// No other pod's leaving would change it.
    pub is_final: bool,
}

impl Refusal {
    pub fn passing(reason: impl Into<Cow<'static, str>>) -> Self {
        Self {
            reasons: vec![reason.into()],
            is_final: false,
        }
    }

    pub fn lasting(reason: impl Into<Cow<'static, str>>) -> Self {
        Self {
            reasons: vec![reason.into()],
            is_final: true,
        }
    }
}

impl<'a> Prepared<'a> {
    fn filter(filter: impl Filter + 'a) -> Self {
        Self::Filter(Box::new(filter))
    }

    /// A filter that keeps nothing beside the pod's template.
    fn check(pod: &'a Candidate, check: fn(&Template, &NodeInfo) -> Result<(), Refusal>) -> Self {
        let template: &'a Arc<Template> = &pod.template;
        Self::filter(move |node: &NodeInfo| check(template, node))
    }
}

/// In the order in which they refuse; the first refusal is the one reported.
pub const ALL: &[Plugin] = &[
    node_unschedulable::PLUGIN,
    taint_toleration::PLUGIN,
    node_affinity::PLUGIN,
    node_ports::PLUGIN,
    node_resources::PLUGIN,
    volume_restrictions::PLUGIN,
    node_volume_limits::PLUGIN,
    volume_binding::PLUGIN,
    volume_zone::PLUGIN,
    topology_spread::PLUGIN,
    inter_pod_affinity::PLUGIN,
    balanced_allocation::PLUGIN,
    image_locality::PLUGIN,
];

/// Some of [`ALL`].
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Hash)]
pub struct Set(u32);

impl Set {
    /// What refuses when there is no node at all: any new one may help.
    pub const NO_NODES: Self = Self(1 << 31);

    pub fn insert(&mut self, plugin: usize) {
        self.0 |= 1 << plugin;
    }

    /// Whether what has happened may help a pod that these have refused.
    pub fn are_helped(self, happened: &Happened<'_>, template: &Template) -> bool {
        if self.0 & Self::NO_NODES.0 != 0 && matches!(happened, Happened::NodeAdded(_)) {
            return true;
        }
        let mut refused = ALL
            .iter()
            .enumerate()
            .filter(|(at, _)| self.0 & (1 << at) != 0);
        refused.any(|(_, plugin)| (plugin.helps)(happened, template))
    }
}

#[cfg(test)]
mod tests;
