//! What happens in a cluster that may let a waiting pod go somewhere.

use crate::cache::{NodeInfo, Offer};
use crate::template::Template;

#[derive(Clone, Copy)]
pub enum Happened<'a> {
    NodeAdded(&'a NodeInfo),
    NodeChanged {
        before: &'a Offer,
        now: &'a NodeInfo,
    },
    /// Which may leave what is left more even.
    NodeRemoved,
    /// A pod came to a node, or one on a node has other labels now.
    PodPlaced(&'a Template),
    /// A pod left its node, or was asked to.
    PodLeft(&'a Template),
    /// A claim, volume, class or driver is there or has changed.
    Storage,
    NamespaceLabelled,
}

impl<'a> Happened<'a> {
    /// The node that is new or offers something else now.
    pub fn node(&self) -> Option<&'a NodeInfo> {
        match self {
            Self::NodeAdded(node) | Self::NodeChanged { now: node, .. } => Some(node),
            _ => None,
        }
    }
}
