//! A scheduler's name, and how pods that ask for it are placed.

use k8s_openapi::api::core::v1::{NodeAffinity, TopologySpreadConstraint};

use crate::plugins;
use crate::requests::Resource;
use crate::scoring::Scoring;
use crate::spread::Constraint;

#[derive(Debug, Clone)]
pub struct Profile {
    /// Pods with this `spec.schedulerName` are placed by it.
    pub name: String,
    /// Places in [`plugins::ALL`].
    pub filters: Vec<usize>,
    /// With weights.
    pub scores: Vec<(usize, i64)>,
    pub preempts: bool,
    pub fit: Scoring,
    /// What is to be used alike.
    pub balanced: Vec<Resource>,
    /// How much being wanted near by a pod that requires it counts.
    pub hard_affinity_weight: i64,
    pub ignore_preferred_of_others: bool,
    pub added_affinity: Option<NodeAffinity>,
    pub spread: DefaultSpread,
    /// Percentage of nodes looked at; of many nodes fewer, if there is none.
    pub look_at: Option<usize>,
}

/// How pods without constraints of their own are spread.
#[derive(Debug, Clone)]
pub enum DefaultSpread {
    /// Over hosts and zones, whether or not nodes have a zone.
    System(Vec<Constraint>),
    List(Vec<Constraint>),
}

impl DefaultSpread {
    pub fn system() -> Self {
        let over = |key: &str, max_skew| {
            constraint(&TopologySpreadConstraint {
                topology_key: key.into(),
                max_skew,
                when_unsatisfiable: "ScheduleAnyway".into(),
                ..TopologySpreadConstraint::default()
            })
        };
        Self::System(vec![
            over("kubernetes.io/hostname", 3),
            over("topology.kubernetes.io/zone", 5),
        ])
    }

    pub fn list(constraints: &[TopologySpreadConstraint]) -> Self {
        Self::List(constraints.iter().map(constraint).collect())
    }

    pub fn constraints(&self) -> &[Constraint] {
        match self {
            Self::System(constraints) | Self::List(constraints) => constraints,
        }
    }

    /// Nodes without one of the keys do not count.
    pub fn needs_all_keys(&self) -> bool {
        matches!(self, Self::List(_))
    }
}

fn constraint(constraint: &TopologySpreadConstraint) -> Constraint {
    Constraint::of(constraint, &Default::default())
}

impl Profile {
    /// Kubernetes' default plugins with their default arguments.
    pub fn named(name: impl Into<String>) -> Self {
        let all = || plugins::ALL.iter().enumerate();
        let filters = all().filter(|(_, plugin)| plugin.prepare.is_some());
        let scores = all().filter(|(_, plugin)| plugin.score.is_some());
        Self {
            name: name.into(),
            filters: filters.map(|(at, _)| at).collect(),
            scores: scores.map(|(at, plugin)| (at, plugin.weight)).collect(),
            preempts: true,
            fit: Scoring::default(),
            balanced: vec![Resource::Cpu, Resource::Memory],
            hard_affinity_weight: 1,
            ignore_preferred_of_others: false,
            added_affinity: None,
            spread: DefaultSpread::system(),
            look_at: None,
        }
    }
}
