//! A volume: free, set aside, bound, or left behind.

use std::sync::Arc;

use kube::Api;

use super::{Binder, notice};
use crate::error::Error;
use crate::object::volume::ClaimRef;
use crate::object::{PersistentVolume, PersistentVolumeClaim};
use crate::volumes::annotations::PROVISIONED_BY;

impl Binder {
    pub async fn sync_volume(&self, volume: &PersistentVolume) -> Result<(), Error> {
        let Some(of) = &volume.spec.claim_ref else {
            return self.set_phase(volume, "Available").await.map(drop);
        };
        let Some(uid) = of.uid() else {
            // Set aside for a claim that may come.
            self.claims.add(notice::key(of));
            return self.set_phase(volume, "Available").await.map(drop);
        };
        let Some(claim) = self.claim(of, uid).await? else {
            return self.release(volume).await;
        };
        match claim.volume() {
            None if claim.mode() != volume.mode() => self.tell_modes_differ(volume, &claim),
            None => self.claims.add(notice::key(of)),
            Some(name) if name == volume.name() => {
                self.set_phase(volume, "Bound").await?;
            }
            Some(_) => return self.claimed_elsewhere(volume).await,
        }
        Ok(())
    }

    /// The claim of this uid. A volume may be known before the claim it was made for,
    /// and must not be taken for one that was left behind.
    async fn claim(
        &self,
        of: &ClaimRef,
        uid: &str,
    ) -> Result<Option<Arc<PersistentVolumeClaim>>, Error> {
        let key = notice::key(of);
        let known = self.cluster.claims.get(&key);
        if let Some(claim) = known.filter(|claim| claim.uid() == Some(uid)) {
            return Ok(Some(claim));
        }
        let api: Api<PersistentVolumeClaim> =
            Api::namespaced(self.cluster.client.clone(), &of.namespace);
        let found = api.get_opt(&of.name).await;
        let found = found.map_err(Error::api("get", "PersistentVolumeClaim", &key))?;
        Ok(found.filter(|claim| claim.uid() == Some(uid)).map(Arc::new))
    }

    fn tell_modes_differ(&self, volume: &PersistentVolume, claim: &PersistentVolumeClaim) {
        let name = |metadata: &kube::api::ObjectMeta| metadata.name.clone().unwrap_or_default();
        let message = format!(
            "Cannot bind PersistentVolume to requested PersistentVolumeClaim \"{}\" due to incompatible volumeMode.",
            name(&claim.metadata)
        );
        self.recorder.warning(volume, "VolumeMismatch", message);
        let message = format!(
            "Cannot bind PersistentVolume \"{}\" to requested PersistentVolumeClaim due to incompatible volumeMode.",
            name(&volume.metadata)
        );
        self.recorder.warning(claim, "VolumeMismatch", message);
    }

    /// Its claim has another volume. One that was made for the claim is of no use to
    /// anybody; others are free again.
    async fn claimed_elsewhere(&self, volume: &PersistentVolume) -> Result<(), Error> {
        let is_made_for_it = volume.annotation(PROVISIONED_BY).is_some();
        if is_made_for_it && volume.spec.reclaim_policy.as_deref() == Some("Delete") {
            return self.release(volume).await;
        }
        let volume = self.unbind(volume).await?;
        self.set_phase(&volume, "Available").await.map(drop)
    }
}
