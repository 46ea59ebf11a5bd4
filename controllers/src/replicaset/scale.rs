//! Making and removing a ReplicaSet's pods.

use std::borrow::Cow;
use std::sync::Arc;

use futures::future::join_all;

use super::{ReplicaSets, Replicated, rank};
use crate::error::Error;
use crate::object::Pod;
use crate::workload;

/// Pods made or removed by one reconcile.
const MOST_AT_ONCE: usize = 500;

impl<K: Replicated> ReplicaSets<K> {
    /// Makes missing pods, or removes those that are too many.
    pub(super) async fn scale(&self, set: &K, active: &[Arc<Pod>]) -> Result<(), Error> {
        let wanted = usize::try_from(set.spec().replicas).unwrap_or(0);
        if active.len() < wanted {
            let missing = (wanted - active.len()).min(MOST_AT_ONCE);
            self.create(set, missing).await
        } else {
            let surplus = (active.len() - wanted).min(MOST_AT_ONCE);
            self.remove(set, active, surplus).await
        }
    }

    async fn create(&self, set: &K, count: usize) -> Result<(), Error> {
        let mut pod = workload::pod_of(set);
        pod["metadata"]["generateName"] = workload::generated_name(set);
        let pod = |_| Cow::Borrowed(&pod);
        workload::create_many(&self.cluster, &self.recorder, set, count, pod).await
    }

    async fn remove(&self, set: &K, active: &[Arc<Pod>], count: usize) -> Result<(), Error> {
        let mut pods = active.to_vec();
        rank::by_loss(&mut pods);
        let remove_one = |pod| workload::delete_told(&self.cluster, &self.recorder, set, pod);
        let removed = join_all(pods.iter().take(count).map(|pod| remove_one(pod))).await;
        removed.into_iter().collect()
    }
}
