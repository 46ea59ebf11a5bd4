//! Changing the size of ReplicaSets, and of a whole Deployment at once.

use std::sync::Arc;

use kube::api::Patch;
use serde_json::json;

use super::strategy::slack;
use super::{Deployments, Rollout, annotation, available, sum};
use crate::error::Error;
use crate::object::ReplicaSet;

impl Rollout {
    /// Somebody changed `spec.replicas` since the sets were last told.
    pub(super) fn is_scaled(&self) -> bool {
        let wanted = self.replicas().to_string();
        let mut active = self.all().filter(|set| set.spec.replicas > 0);
        active.any(|set| {
            annotation::get(&**set, annotation::DESIRED).is_some_and(|told| told != wanted)
        })
    }

    /// The new set has all the replicas there should be, and they are available.
    fn is_saturated(&self) -> bool {
        let wanted = self.replicas();
        self.new.as_ref().is_some_and(|set| {
            set.spec.replicas == wanted
                && available(set) == wanted
                && annotation::get(&**set, annotation::DESIRED) == Some(&wanted.to_string())
        })
    }
}

impl Deployments {
    /// Gives a set this many replicas, and tells it the size of the whole, but
    /// for one that has none and gets none.
    pub(super) async fn scale_set(
        &self,
        rollout: &Rollout,
        set: Arc<ReplicaSet>,
        replicas: i32,
    ) -> Result<Arc<ReplicaSet>, Error> {
        let before = set.spec.replicas;
        let mut annotations = annotation::size(&rollout.deployment);
        annotations.retain(|name, value| annotation::get(&*set, name) != value.as_str());
        let stays_empty = before == 0 && replicas == 0;
        if stays_empty || (before == replicas && annotations.is_empty()) {
            return Ok(set);
        }
        let patch = json!({
            "metadata": { "annotations": annotations },
            "spec": { "replicas": replicas },
        });
        let scaled = self.patch_set(&set, &Patch::Merge(patch)).await?;
        if before != replicas {
            let way = if before < replicas { "up" } else { "down" };
            let name = set.metadata.name.as_deref().unwrap_or_default();
            let note = format!("Scaled {way} replica set {name} from {before} to {replicas}");
            self.recorder
                .normal(&*rollout.deployment, "ScalingReplicaSet", note);
        }
        Ok(scaled)
    }

    /// Brings a Deployment to its new size without moving the rollout on.
    pub(super) async fn scale_all(&self, rollout: &mut Rollout) -> Result<(), Error> {
        let sizes = sizes(rollout);
        let sets: Vec<Arc<ReplicaSet>> = rollout.all().cloned().collect();
        for (set, replicas) in sets.into_iter().zip(sizes) {
            self.scale_set(rollout, set, replicas).await?;
        }
        let deployment = rollout.deployment.clone();
        *rollout = self.rollout(&rollout.key, deployment);
        Ok(())
    }
}

/// The replicas for each set of `rollout.all()`, in that order.
pub(super) fn sizes(rollout: &Rollout) -> Vec<i32> {
    let now: Vec<i32> = rollout.all().map(|set| set.spec.replicas).collect();
    let active = now.iter().filter(|replicas| **replicas > 0).count();
    if active <= 1 {
        // The one that is active, or else the newest, takes it all.
        let newest = newest(rollout);
        let only = now.iter().position(|r| *r > 0).or(newest);
        let mut sizes = now;
        if let Some(at) = only {
            sizes[at] = rollout.replicas();
        }
        return sizes;
    }
    if rollout.is_saturated() {
        let mut sizes = vec![0; now.len()];
        sizes[now.len() - 1] = rollout.replicas();
        return sizes;
    }
    if rollout.is_recreate() {
        return now;
    }
    proportional(rollout, now)
}

fn newest(rollout: &Rollout) -> Option<usize> {
    let sets: Vec<&Arc<ReplicaSet>> = rollout.all().collect();
    if rollout.new.is_some() {
        return Some(sets.len() - 1);
    }
    let created = |at: &usize| sets[*at].metadata.creation_timestamp.as_ref().map(|t| t.0);
    (0..sets.len()).max_by_key(created)
}

/// Shares the difference among the active sets by their size, largest first;
/// what rounding leaves goes to the largest.
fn proportional(rollout: &Rollout, now: Vec<i32>) -> Vec<i32> {
    let wanted = rollout.replicas();
    let allowed = if wanted > 0 {
        wanted + slack(&rollout.deployment).surge
    } else {
        0
    };
    let to_add = allowed - sum(rollout.all(), |set| set.spec.replicas);
    let told: Vec<i32> = rollout.all().map(|set| told_size(rollout, set)).collect();
    let mut order: Vec<usize> = (0..now.len()).filter(|at| now[*at] > 0).collect();
    order.sort_by_key(|at| std::cmp::Reverse(now[*at]));
    let mut sizes = now.clone();
    let mut added = 0;
    for at in &order {
        let share = f64::from(now[*at]) * f64::from(allowed) / f64::from(told[*at].max(1));
        let share = share.round() as i32 - now[*at];
        let left = to_add - added;
        let part = if to_add > 0 {
            share.clamp(0, left.max(0))
        } else {
            share.clamp(left.min(0), 0)
        };
        sizes[*at] += part;
        added += part;
    }
    if let Some(largest) = order.first() {
        sizes[*largest] = (sizes[*largest] + to_add - added).max(0);
    }
    sizes
}

/// The most pods of all sets that this one was last told there may be. After a
/// crash between two of them they were not told alike.
fn told_size(rollout: &Rollout, set: &ReplicaSet) -> i32 {
    let told = annotation::get(set, annotation::MAX).and_then(|max| max.parse().ok());
    told.unwrap_or_else(|| rollout.replicas())
}
