//! A decision, and what follows from it.

use std::sync::Arc;

use tokio::time::Instant;

use super::Scheduler;
use crate::cache::Candidate;
use crate::cycle::{self, diagnosis::Diagnosis};
use crate::metrics::{self, Outcome};
use crate::plugins::{Context, volume_binding};
use crate::preemption::{NoWay, Search};
use crate::profile::Profile;

impl Scheduler {
    pub(super) fn schedule(&mut self, pod: &Candidate) {
        let Some(profile) = self.profile(pod.scheduler()) else {
            return;
        };
        self.cluster.cache.sort_nodes();
        let cx = Context {
            cluster: &self.cluster,
            pod,
            profile: &profile,
        };
        let start = Instant::now();
        let chosen = cycle::choose(cx, &self.nominations, &mut self.turn);
        self.metrics.decided(start);
        match chosen {
            Ok(index) => {
                let node = self.cluster.cache.node(index);
                let plan = volume_binding::plan(&self.cluster, pod, node);
                self.assume_and_bind(pod, index, plan);
            }
            Err(diagnosis) => self.park(pod, &profile, &diagnosis),
        }
    }

    /// The pod waits until something happens that helps; other pods may have to
    /// make room for it.
    fn park(&mut self, pod: &Candidate, profile: &Arc<Profile>, diagnosis: &Diagnosis) {
        let now = Instant::now();
        let wait = self.queue.wait_of(&pod.key);
        self.queue.park(&pod.key, diagnosis.refused_by(), now);
        let mut message = diagnosis.message();
        if profile.preempts && diagnosis.all > 0 {
            let search = Search {
                cx: Context {
                    cluster: &self.cluster,
                    pod,
                    profile,
                },
                nominations: &self.nominations,
                budgets: &self.budgets,
                diagnosis,
            };
            match search.run(self.turn) {
                Ok(way) => self.preempt(pod, way),
                Err(NoWay::NotEligible(reason)) => {
                    message = format!("{message} preemption: {reason}");
                }
                Err(NoWay::Unhelpful(reason)) => {
                    message = format!("{message} preemption: {reason}");
                    self.nominate(&pod.key, None);
                }
            }
        }
        metrics::attempted(&profile.name, Outcome::Unschedulable, wait);
        if self.conditions.set(pod, &message) {
            self.reports.failed(pod, &message);
        }
    }
}
