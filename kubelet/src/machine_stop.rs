//! The end of the machine: its pods stop first, those of least priority first,
//! each with its grace, as far as there is time.
//!
//! Their objects stay as they are, so that after a reboot the same pods run
//! again on this node, by their restart policy.
//! See <https://kubernetes.io/docs/concepts/cluster-administration/node-shutdown/>.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use tokio::time::Instant;
use tokio_util::sync::CancellationToken;

use crate::agent::{PodView, Registry};
use crate::pod::Sender;
use crate::pod::message::Message;

/// Pods of at least this priority are critical: others depend on them.
pub const CRITICAL: i32 = 2_000_000_000;

/// How long pods are given when the machine stops, under Kubernetes' names.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ShutdownGrace {
    /// For all pods; nothing is waited for if it is zero.
    pub all: Duration,
    /// What of it is kept for critical pods.
    pub critical: Duration,
}

/// Tells the agent that the machine stops, and whoever stops it that the pods have.
#[derive(Clone, Debug, Default)]
pub struct MachineStop {
    begun: CancellationToken,
    done: CancellationToken,
}

impl MachineStop {
    /// Stops the pods. Nothing is started from here on.
    pub fn begin(&self) {
        self.begun.cancel();
    }

    pub fn has_begun(&self) -> bool {
        self.begun.is_cancelled()
    }

    /// Returns when it begins.
    pub async fn begun(&self) {
        self.begun.cancelled().await;
    }

    /// Returns when no pod runs any more, or their time is over.
    pub async fn done(&self) {
        self.done.cancelled().await;
    }
}

/// Pods that stop together, and until when they may take.
#[derive(Debug, PartialEq, Eq)]
struct Group<T> {
    grace: Duration,
    members: Vec<T>,
}

/// The groups in the order to stop them, from (priority, pod).
fn groups<T>(pods: impl Iterator<Item = (i32, T)>, grace: ShutdownGrace) -> Vec<Group<T>> {
    let mut by_rank: BTreeMap<bool, Vec<T>> = BTreeMap::new();
    for (priority, pod) in pods {
        by_rank.entry(priority >= CRITICAL).or_default().push(pod);
    }
    let group = |(is_critical, members)| Group {
        grace: if is_critical {
            grace.critical
        } else {
            grace.all.saturating_sub(grace.critical)
        },
        members,
    };
    by_rank.into_iter().map(group).collect()
}

/// Stops all pods; `tasks` are theirs by uid.
pub async fn stop_pods(
    stop: MachineStop,
    grace: ShutdownGrace,
    tasks: Vec<(String, Sender)>,
    registry: &Registry,
) {
    let priority = |uid: &str| {
        let view = registry.get(uid)?;
        view.pod.spec.as_ref()?.priority
    };
    let known = tasks
        .into_iter()
        .map(|(uid, task)| (priority(&uid).unwrap_or(0), (uid, task)));
    for group in groups(known, grace) {
        let count = group.members.len();
        tracing::info!(
            "the machine stops: {count} pods have {:?} to end",
            group.grace
        );
        let end = Instant::now() + group.grace;
        for (_, task) in &group.members {
            // A task that has ended has nothing to stop.
            let _ = task.send(Message::MachineStops(group.grace));
        }
        let uids = group.members.into_iter().map(|(uid, _)| uid).collect();
        let stopped = until_stopped(registry, uids);
        if tokio::time::timeout_at(end, stopped).await.is_err() {
            tracing::warn!(
                "the machine stops: not all pods have ended within {:?}",
                group.grace
            );
        }
    }
    stop.done.cancel();
}

/// Waits until nothing of these pods runs.
async fn until_stopped(registry: &Registry, uids: Vec<String>) {
    let mut changes = registry.changes();
    let runs = |view: Arc<PodView>| {
        view.containers
            .iter()
            .any(|container| container.running.is_some())
    };
    while uids.iter().any(|uid| registry.get(uid).is_some_and(runs)) {
        if changes.changed().await.is_err() {
            return;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const GRACE: ShutdownGrace = ShutdownGrace {
        all: Duration::from_secs(30),
        critical: Duration::from_secs(10),
    };

    #[test]
    fn critical_pods_stop_last_and_in_time_of_their_own() {
        let pods = [
            (CRITICAL, "dns"),
            (0, "web"),
            (CRITICAL + 1000, "network"),
            (-5, "batch"),
        ];
        let found = groups(pods.into_iter(), GRACE);
        let expected = [(20, vec!["web", "batch"]), (10, vec!["dns", "network"])];
        let found: Vec<_> = found
            .into_iter()
            .map(|g| (g.grace.as_secs(), g.members))
            .collect();
        assert_eq!(found, expected);
    }

    #[tokio::test]
    async fn a_machine_without_pods_stops_at_once() {
        let stop = MachineStop::default();
        stop.begin();
        stop.begun().await;
        stop_pods(stop.clone(), GRACE, Vec::new(), &Registry::default()).await;
        stop.done().await;
    }

    #[tokio::test(start_paused = true)]
    async fn pods_that_do_not_end_are_not_waited_for_longer_than_their_time() {
        let registry = Registry::default();
        let pod = serde_json::json!({ "metadata": { "uid": "u" }, "spec": { "containers": [], "priority": 5 } });
        registry.put(
            "u",
            PodView {
                pod: Arc::new(serde_json::from_value(pod).unwrap()),
                status: Default::default(),
                sandbox: None,
                containers: vec![crate::agent::ContainerView {
                    name: "c".into(),
                    running: Some("id".into()),
                    restarts: 0,
                    ran: true,
                    waiting: None,
                }],
                task: tokio::sync::mpsc::unbounded_channel().0,
            },
        );
        let (sender, mut told) = tokio::sync::mpsc::unbounded_channel();
        let (stop, begun) = (MachineStop::default(), Instant::now());
        stop_pods(stop.clone(), GRACE, vec![("u".into(), sender)], &registry).await;
        assert!(
            matches!(told.try_recv(), Ok(Message::MachineStops(grace)) if grace.as_secs() == 20)
        );
        assert_eq!(begun.elapsed().as_secs(), 20);
        stop.done().await;
    }
}
