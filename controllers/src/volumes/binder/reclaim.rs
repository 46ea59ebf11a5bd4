//! A volume whose claim is gone.

use super::Binder;
use crate::error::Error;
use crate::object::PersistentVolume;
use crate::volumes::annotations::PROVISIONED_BY;

impl Binder {
    pub async fn release(&self, volume: &PersistentVolume) -> Result<(), Error> {
        if matches!(volume.phase(), "Released" | "Failed") {
            return self.reclaim(volume).await;
        }
        let volume = self.set_phase(volume, "Released").await?;
        self.reclaim(&volume).await
    }

    /// What is kept is kept; who made a volume removes it. Of the rest nobody knows
    /// how to remove it, and the volume says so.
    async fn reclaim(&self, volume: &PersistentVolume) -> Result<(), Error> {
        let (reason, message) = match volume.spec.reclaim_policy.as_deref() {
            None | Some("Retain") => return Ok(()),
            Some("Delete") if volume.annotation(PROVISIONED_BY).is_some() => return Ok(()),
            Some("Delete") => (
                "VolumeFailedDelete",
                format!(
                    "error getting deleter volume plugin for volume \"{}\": no deletable volume plugin matched",
                    volume.name()
                ),
            ),
            Some("Recycle") => (
                "VolumeFailedRecycle",
                "No recycler plugin found for the volume!".to_owned(),
            ),
            Some(_) => (
                "VolumeUnknownReclaimPolicy",
                "Volume has unrecognized reclaim policy".to_owned(),
            ),
        };
        if volume.phase() == "Failed" {
            return Ok(());
        }
        let volume = self.set_failed(volume, &message).await?;
        self.recorder.warning(&volume, reason, message);
        Ok(())
    }
}
