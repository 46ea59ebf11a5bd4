//! What is read of the pods of Jobs only.

use jiff::{SignedDuration, Timestamp};
use k8s_openapi::apimachinery::pkg::apis::meta::v1::ObjectMeta;

use super::{WireContainerStatus, WireStatus};
use crate::owner;

/// Keeps a pod until its Job has counted it.
pub const TRACKING: &str = "batch.kubernetes.io/job-tracking";
pub const INDEX: &str = "batch.kubernetes.io/job-completion-index";
/// How often the pods of this index had failed before, on Jobs with a limit an index.
pub const FAILURES: &str = "batch.kubernetes.io/job-index-failure-count";
pub const IGNORED_FAILURES: &str = "batch.kubernetes.io/job-index-ignored-failure-count";

#[derive(Debug, Clone, Default, PartialEq)]
pub struct JobPod {
    pub index: Option<u32>,
    pub failures: u32,
    pub ignored_failures: u32,
    /// All restarts of all its containers.
    pub restarts: i32,
    pub exits: Box<[Exit]>,
    pub conditions: Box<[PodCondition]>,
    /// When it ended, as far as it says; where it has not, of no meaning.
    pub finished_at: Timestamp,
}

#[derive(Debug, Clone, PartialEq)]
pub struct PodCondition {
    pub type_: String,
    pub status: String,
}

/// A container that has ended.
#[derive(Debug, Clone, PartialEq)]
pub struct Exit {
    pub container: String,
    pub code: i32,
}

pub fn is_tracked(metadata: &ObjectMeta) -> bool {
    let finalizers = metadata.finalizers.as_deref().unwrap_or_default();
    finalizers.iter().any(|f| f == TRACKING)
}

impl JobPod {
    /// Nothing for the pods of others, which are most.
    pub(super) fn of(metadata: &ObjectMeta, status: &WireStatus) -> Option<Box<Self>> {
        let is_jobs = owner::controller(metadata).is_some_and(|o| o.kind == "Job");
        if !is_jobs && !is_tracked(metadata) {
            return None;
        }
        let number = |name| {
            let annotations = metadata.annotations.as_ref();
            annotations.and_then(|a| a.get(name)?.parse().ok())
        };
        let containers = || {
            let own = status.container_statuses.iter();
            own.chain(&status.init_container_statuses)
        };
        Some(Box::new(Self {
            index: number(INDEX),
            failures: number(FAILURES).unwrap_or(0),
            ignored_failures: number(IGNORED_FAILURES).unwrap_or(0),
            restarts: containers().map(|c| c.restart_count).sum(),
            exits: containers().filter_map(exit).collect(),
            conditions: conditions(status),
            finished_at: finished_at(metadata, status),
        }))
    }
}

fn conditions(status: &WireStatus) -> Box<[PodCondition]> {
    let conditions = status.conditions.iter().map(|c| PodCondition {
        type_: c.type_.clone(),
        status: c.status.clone(),
    });
    conditions.collect()
}

fn exit(container: &WireContainerStatus) -> Option<Exit> {
    Some(Exit {
        container: container.name.clone(),
        code: container.state.terminated.as_ref()?.exit_code,
    })
}

/// When the last container ended, or the pod was not ready any more, or should
/// have been gone.
fn finished_at(metadata: &ObjectMeta, status: &WireStatus) -> Timestamp {
    let ends = status.container_statuses.iter().map(|container| {
        let end = container.state.terminated.as_ref()?;
        end.finished_at.as_ref().map(|t| t.0)
    });
    let ends: Option<Vec<Timestamp>> = ends.collect();
    let last = ends.and_then(|ends| ends.into_iter().max());
    let ready = status.conditions.iter().find(|c| c.type_ == "Ready");
    let unready = || {
        let ready = ready.filter(|c| c.status == "False")?;
        ready.last_transition_time.as_ref().map(|t| t.0)
    };
    let deleted = || {
        let grace = metadata.deletion_grace_period_seconds.unwrap_or(0);
        let due = metadata.deletion_timestamp.as_ref()?.0;
        Some(due - SignedDuration::from_secs(grace.max(0)))
    };
    let created = || metadata.creation_timestamp.as_ref().map(|t| t.0);
    last.or_else(unready)
        .or_else(deleted)
        .or_else(created)
        .unwrap_or_default()
}
