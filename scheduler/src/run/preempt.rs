//! Making room: victims end, and the node is kept for the pod.

use std::sync::Arc;

use super::Scheduler;
use super::bindings::Done;
use crate::cache::Candidate;
use crate::evict::{self, Victim};
use crate::preemption::Way;

impl Scheduler {
    pub(super) fn preempt(&mut self, pod: &Candidate, way: Way) {
        self.metrics.preempting(way.victims.len());
        let node = self.cluster.cache.node(way.node).name.clone();
        for key in &way.victims {
            let Some(uid) = self.cluster.cache.note_preempted(key) else {
                continue;
            };
            self.reports.preempted(pod, key, &uid, &node);
            let victim = Victim {
                key: key.to_string(),
                uid: uid.into(),
            };
            let (client, scheduler) = (self.client.clone(), pod.scheduler().to_owned());
            self.tasks.spawn(async move {
                let result = evict::evict(&client, &victim, &scheduler).await;
                Done::Evicted { victim, result }
            });
        }
        for key in self.nominations.giving_way_at(&node, pod) {
            self.nominate(&key, None);
        }
        self.nominate(&pod.key, Some(node));
    }

    /// Keeps the node for the pod, or none any more.
    pub(super) fn nominate(&mut self, key: &str, node: Option<Arc<str>>) {
        let before = self.queue.get(key).and_then(|pod| pod.nominated.clone());
        if before == node {
            return;
        }
        if let Some(pod) = self.queue.nominate(key, node.clone()) {
            self.nominations.set(pod);
            let (client, key) = (self.client.clone(), key.to_owned());
            self.tasks.spawn(async move {
                Done::Nominated(evict::nominate(&client, &key, node.as_deref()).await)
            });
        }
    }

    pub(super) fn on_evicted(&mut self, victim: &Victim, result: Result<(), crate::Error>) {
        if let Err(error) = result {
            tracing::warn!(
                error = &error as &dyn std::error::Error,
                "preemption failed"
            );
            self.cluster.cache.note_spared(&victim.key);
        }
    }
}
