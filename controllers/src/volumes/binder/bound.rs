//! A claim that was bound: it has its volume, or has lost it.

use super::Binder;
use crate::error::Error;
use crate::key::Key;
use crate::object::PersistentVolumeClaim;

impl Binder {
    pub async fn sync_bound(&self, claim: &PersistentVolumeClaim) -> Result<(), Error> {
        let Some(name) = claim.volume() else {
            let message =
                "Bound claim has lost reference to PersistentVolume. Data on the volume is lost!";
            return self.lose(claim, "ClaimLost", message).await;
        };
        let volume = self.cluster.persistent_volumes.get(&Key::new("", name));
        let Some(volume) = volume else {
            if self.is_there(name).await? {
                // The watch will bring it, and the claim with it.
                return Ok(());
            }
            let message = "Bound claim has lost its PersistentVolume. Data on the volume is lost!";
            return self.lose(claim, "ClaimLost", message).await;
        };
        let is_free = volume.spec.claim_ref.is_none();
        if is_free || volume.is_for(claim) {
            return self.bind(&volume, claim).await;
        }
        let message = "Two claims are bound to the same volume, this one is bound incorrectly";
        self.lose(claim, "ClaimMisbound", message).await
    }

    async fn lose(
        &self,
        claim: &PersistentVolumeClaim,
        reason: &'static str,
        message: &str,
    ) -> Result<(), Error> {
        if self.set_lost(claim).await? {
            self.recorder.warning(claim, reason, message);
        }
        Ok(())
    }
}
