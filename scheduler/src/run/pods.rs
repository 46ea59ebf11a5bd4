//! What becomes of the cache and the queue when pods change.

use follow::Event;
use tokio::time::Instant;

use super::Scheduler;
use crate::cache::Candidate;
use crate::happened::Happened;
use crate::object::Pod;

const KIND: &str = "Pod";

impl Scheduler {
    pub(super) fn on_pod(&mut self, event: Event<Pod>) {
        match event {
            Event::Init => drop(self.listed.remove(KIND)),
            Event::InitApply(pod) => {
                self.list(KIND, pod.key());
                self.see(pod);
            }
            Event::InitDone { .. } => {
                self.drop_unlisted_pods();
                self.unknown.remove(KIND);
            }
            Event::Apply(pod) => self.see(pod),
            Event::Delete(pod) => self.lose(&pod.key()),
        }
    }

    fn see(&mut self, pod: Pod) {
        if pod.is_finished() {
            return self.lose(&pod.key());
        }
        match pod.node().map(str::to_owned) {
            Some(node) => self.see_placed(pod, &node),
            None => self.see_waiting(pod),
        }
    }

    fn see_placed(&mut self, mut pod: Pod, node: &str) {
        let key = pod.key();
        let template = self.templates.take(&mut pod);
        self.forget_waiting(&key);
        if !self.cluster.cache.set_pod(&pod, node, template.clone()) {
            return;
        }
        let happened = if pod.is_ending() {
            Happened::PodLeft(&template)
        } else {
            Happened::PodPlaced(&template)
        };
        self.queue.wake(&happened, Instant::now());
    }

    fn see_waiting(&mut self, mut pod: Pod) {
        let key = pod.key();
        let is_ours = self.profile(pod.scheduler()).is_some();
        if !is_ours || pod.is_ending() || !pod.spec.scheduling_gates.is_empty() {
            return self.lose(&key);
        }
        if let Some(message) = pod.unschedulable() {
            self.conditions.know(&key, message);
        }
        let template = self.templates.take(&mut pod);
        let candidate = Candidate::new(&pod, template);
        let known = self.queue.get(&key).map(|known| &known.uid);
        if known != Some(&candidate.uid) {
            if self.has_node(&candidate) {
                // An older state of a pod that we have bound since.
                return;
            }
            self.nominations.set(&candidate);
        }
        self.queue.add(candidate);
    }

    fn has_node(&self, pod: &Candidate) -> bool {
        let placed = self.cluster.cache.pod(&pod.key);
        placed.is_some_and(|placed| placed.uid == pod.uid)
    }

    fn lose(&mut self, key: &str) {
        let nominated = self.queue.get(key).filter(|pod| pod.nominated.is_some());
        let nominated = nominated.map(|pod| pod.template.clone());
        self.forget_waiting(key);
        let placed = self.cluster.cache.remove_pod(key);
        let left = placed.map(|placed| placed.template).or(nominated);
        if let Some(template) = left {
            self.queue
                .wake(&Happened::PodLeft(&template), Instant::now());
        }
    }

    /// The pod waits for a node no more.
    fn forget_waiting(&mut self, key: &str) {
        self.queue.remove(key);
        self.conditions.forget(key);
        self.nominations.remove(key);
        if let Some(plan) = self.volumes.remove(key) {
            self.cluster.storage.take_back(&plan);
        }
    }

    fn drop_unlisted_pods(&mut self) {
        let listed = self.listed.remove(KIND).unwrap_or_default();
        // Also those whose binding is on its way: a list shows them without a node.
        let mut known = self.cluster.cache.pod_keys();
        known.extend(self.queue.keys());
        for key in known {
            if !listed.contains(&key) {
                self.lose(&key);
            }
        }
    }
}

#[cfg(test)]
mod tests;
