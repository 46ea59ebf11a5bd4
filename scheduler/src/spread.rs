//! How evenly a pod wants its like to be spread over a topology.

use k8s_openapi::api::core::v1::TopologySpreadConstraint;
use objects::labels::Labels;

use crate::selector::Selector;

/// Whether nodes that would refuse the pod anyway are counted.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum NodePolicy {
    Honor,
    Ignore,
}

#[derive(Debug, Clone)]
pub struct Constraint {
    pub max_skew: i64,
    pub topology_key: Box<str>,
    pub is_required: bool,
    pub selector: Selector,
    pub min_domains: usize,
    pub node_affinity: NodePolicy,
    pub node_taints: NodePolicy,
}

impl Constraint {
    /// `labels` are those of the pod that has this constraint.
    pub fn of(constraint: &TopologySpreadConstraint, labels: &Labels) -> Self {
        let selector = Selector::read(constraint.label_selector.as_ref())
            .with_keys_of(constraint.match_label_keys.as_ref(), labels);
        let min = constraint.min_domains.unwrap_or(1);
        Self {
            max_skew: i64::from(constraint.max_skew),
            topology_key: constraint.topology_key.as_str().into(),
            is_required: constraint.when_unsatisfiable != "ScheduleAnyway",
            selector,
            min_domains: usize::try_from(min).unwrap_or(1),
            node_affinity: policy(
                constraint.node_affinity_policy.as_deref(),
                NodePolicy::Honor,
            ),
            node_taints: policy(constraint.node_taints_policy.as_deref(), NodePolicy::Ignore),
        }
    }
}

fn policy(written: Option<&str>, default: NodePolicy) -> NodePolicy {
    match written {
        Some("Honor") => NodePolicy::Honor,
        Some("Ignore") => NodePolicy::Ignore,
        _ => default,
    }
}
