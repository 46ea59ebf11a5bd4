//! The rolling update: up with the new, down with the old, never more than
//! `maxSurge` above and `maxUnavailable` below what is wanted.

use super::strategy::slack;
use super::{Deployments, Rollout, available, sum};
use crate::error::Error;

/// How many replicas the new set may have now.
pub fn replicas_of_new_set(rollout: &Rollout) -> i32 {
    let wanted = rollout.replicas();
    if rollout.is_recreate() {
        return wanted;
    }
    let have = rollout.new.as_ref().map_or(0, |set| set.spec.replicas);
    let current = sum(rollout.all(), |set| set.spec.replicas);
    let most = wanted + slack(&rollout.deployment).surge;
    if current >= most {
        return have;
    }
    have + (most - current).min(wanted - have).max(0)
}

/// How many replicas each old set should be left with, oldest first: first
/// those that are unhealthy go, then as many as the available ones allow.
pub fn replicas_of_old_sets(rollout: &Rollout) -> Vec<i32> {
    let mut left: Vec<i32> = rollout.old.iter().map(|set| set.spec.replicas).collect();
    let min_available = rollout.replicas() - slack(&rollout.deployment).unavailable;
    let new_unavailable = rollout
        .new
        .as_ref()
        .map_or(0, |set| set.spec.replicas - available(set));
    let all = sum(rollout.all(), |set| set.spec.replicas);
    let mut may_go = all - min_available - new_unavailable;
    for (set, left) in rollout.old.iter().zip(&mut left) {
        let unhealthy = (*left - available(set)).max(0).min(may_go.max(0));
        *left -= unhealthy;
        may_go -= unhealthy;
    }
    if may_go <= 0 {
        return left;
    }
    let mut surplus = sum(rollout.all(), available) - min_available;
    for left in &mut left {
        let go = (*left).min(surplus.max(0));
        *left -= go;
        surplus -= go;
    }
    left
}

impl Deployments {
    pub(super) async fn roll(&self, rollout: &mut Rollout) -> Result<(), Error> {
        self.ensure_new_set(rollout).await?;
        if self.scale_new_set(rollout).await? {
            return Ok(());
        }
        let left = replicas_of_old_sets(rollout);
        for (at, replicas) in left.into_iter().enumerate() {
            let set = rollout.old[at].clone();
            rollout.old[at] = self.scale_set(rollout, set, replicas).await?;
        }
        Ok(())
    }

    /// True if the new set was scaled; the old ones wait for what comes of it.
    async fn scale_new_set(&self, rollout: &mut Rollout) -> Result<bool, Error> {
        let Some(set) = rollout.new.clone() else {
            return Ok(false);
        };
        let wanted = rollout.replicas();
        let replicas = if set.spec.replicas > wanted {
            wanted
        } else {
            replicas_of_new_set(rollout)
        };
        let is_scaled = replicas != set.spec.replicas;
        rollout.new = Some(self.scale_set(rollout, set, replicas).await?);
        Ok(is_scaled)
    }
}
