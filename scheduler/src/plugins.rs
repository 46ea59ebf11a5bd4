//! The rules that say where a pod may go and where it had better go.
//!
//! A plugin is one file and one entry in [`FILTERS`] or [`SCORES`]. Names,
//! messages and weights are those of Kubernetes' default plugins.

mod image_locality;
mod node_affinity;
mod node_name;
mod node_ports;
mod node_resources;
mod node_unschedulable;
mod taint_toleration;

use crate::cache::{Candidate, NodeInfo};

/// What has to change in the cluster before a refused pod is worth another try.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Wakeup {
    /// A node appeared or its labels, taints or allocatable changed.
    Node,
    /// The same, or a pod left a node.
    NodeOrPod,
}

/// A reason not to use a node, worded as Kubernetes words it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Refusal {
    pub reasons: Vec<String>,
    pub wakeup: Wakeup,
}

type Filter = fn(&Candidate, &NodeInfo) -> Result<(), Refusal>;
type Score = fn(&Candidate, &NodeInfo) -> i64;

/// How a plugin's raw scores become 0 to 100.
#[derive(Clone, Copy)]
pub enum Scale {
    /// They are that already.
    AsIs,
    /// The highest becomes 100.
    ToHighest,
    /// The highest becomes 0, and 0 becomes 100.
    Reversed,
}

pub struct Scorer {
    pub weight: i64,
    pub scale: Scale,
    pub score: Score,
}

/// In the order in which they refuse; the first refusal is the one reported.
pub const FILTERS: &[Filter] = &[
    node_unschedulable::filter,
    node_name::filter,
    taint_toleration::filter,
    node_affinity::filter,
    node_ports::filter,
    node_resources::filter,
];

pub const SCORES: &[Scorer] = &[
    Scorer {
        weight: 3,
        scale: Scale::Reversed,
        score: taint_toleration::score,
    },
    Scorer {
        weight: 2,
        scale: Scale::ToHighest,
        score: node_affinity::score,
    },
    Scorer {
        weight: 1,
        scale: Scale::AsIs,
        score: node_resources::least_allocated,
    },
    Scorer {
        weight: 1,
        scale: Scale::AsIs,
        score: node_resources::balanced,
    },
    Scorer {
        weight: 1,
        scale: Scale::AsIs,
        score: image_locality::score,
    },
];

impl Refusal {
    fn node(reason: impl Into<String>) -> Self {
        Self {
            reasons: vec![reason.into()],
            wakeup: Wakeup::Node,
        }
    }
}

#[cfg(test)]
mod tests;
