//! The strategy Recreate: all old pods go before the first new one comes.

use super::{Deployments, Rollout};
use crate::error::Error;

impl Deployments {
    pub(super) async fn recreate(&self, rollout: &mut Rollout) -> Result<(), Error> {
        self.revise_existing(rollout).await?;
        let mut is_scaled = false;
        for at in 0..rollout.old.len() {
            let set = rollout.old[at].clone();
            is_scaled |= set.spec.replicas > 0;
            rollout.old[at] = self.scale_set(rollout, set, 0).await?;
        }
        if is_scaled || self.has_old_pods(rollout) {
            return Ok(());
        }
        self.ensure_new_set(rollout).await?;
        if let Some(set) = rollout.new.clone() {
            let replicas = rollout.replicas();
            rollout.new = Some(self.scale_set(rollout, set, replicas).await?);
        }
        Ok(())
    }

    /// A pod that is being deleted still runs, and may hold what the new ones need.
    fn has_old_pods(&self, rollout: &Rollout) -> bool {
        let uids = rollout.old.iter().filter_map(|s| s.metadata.uid.as_deref());
        uids.flat_map(|uid| self.cluster.pods.owned_by(uid))
            .any(|pod| !pod.is_finished())
    }
}
