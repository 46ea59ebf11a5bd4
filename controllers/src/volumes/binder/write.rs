//! The writes of a binding. Each is of an object as it was seen, and fails where
//! somebody else has written since.

use kube::Api;
use kube::api::{ObjectMeta, Patch, PatchParams};
use serde_json::{Map, Value, json};

use super::Binder;
use crate::error::Error;
use crate::key::Key;
use crate::object::{PersistentVolume, PersistentVolumeClaim};
use crate::volumes::annotations::{BIND_COMPLETED, BOUND_BY_CONTROLLER};
use crate::volumes::phase;

const YES: &str = "yes";

/// Which part of an object a patch is for.
#[derive(Clone, Copy)]
enum Part {
    Spec,
    Status,
}

impl Binder {
    /// Does all that is still to do to make the two each other's.
    pub async fn bind(
        &self,
        volume: &PersistentVolume,
        claim: &PersistentVolumeClaim,
    ) -> Result<(), Error> {
        let volume = self.claim_volume(volume, claim).await?;
        let volume = self.set_phase(&volume, "Bound").await?;
        let claim = self.name_volume(claim, &volume).await?;
        self.set_bound(&claim, &volume).await
    }

    /// Whether there is such a volume just now.
    pub async fn is_there(&self, volume: &str) -> Result<bool, Error> {
        let api: Api<PersistentVolume> = Api::all(self.cluster.client.clone());
        let found = api.get_opt(volume).await;
        let key = Key::new("", volume);
        let found = found.map_err(Error::api("get", "PersistentVolume", &key))?;
        Ok(found.is_some())
    }

    async fn claim_volume(
        &self,
        volume: &PersistentVolume,
        claim: &PersistentVolumeClaim,
    ) -> Result<PersistentVolume, Error> {
        let of = volume.spec.claim_ref.as_ref();
        if volume.is_for(claim) && of.and_then(|of| of.uid()).is_some() {
            return Ok(volume.clone());
        }
        let mut patch = json!({ "spec": { "claimRef": events::reference(claim) } });
        if !volume.is_for(claim) {
            patch["metadata"] = json!({ "annotations": { BOUND_BY_CONTROLLER: YES } });
        }
        self.patch_volume(volume, Part::Spec, patch).await
    }

    /// Gives the volume back: it is free, or set aside as its user has set it aside.
    pub async fn unbind(&self, volume: &PersistentVolume) -> Result<PersistentVolume, Error> {
        let patch = if volume.annotation(BOUND_BY_CONTROLLER).is_some() {
            json!({ "metadata": { "annotations": { BOUND_BY_CONTROLLER: null } }, "spec": { "claimRef": null } })
        } else {
            json!({ "spec": { "claimRef": { "uid": null, "resourceVersion": null } } })
        };
        self.patch_volume(volume, Part::Spec, patch).await
    }

    pub async fn set_phase(
        &self,
        volume: &PersistentVolume,
        phase: &str,
    ) -> Result<PersistentVolume, Error> {
        if volume.phase() == phase {
            return Ok(volume.clone());
        }
        let status = phase::status(phase, None);
        self.patch_volume(volume, Part::Status, status).await
    }

    pub async fn set_failed(
        &self,
        volume: &PersistentVolume,
        message: &str,
    ) -> Result<PersistentVolume, Error> {
        let status = phase::status("Failed", Some(message));
        self.patch_volume(volume, Part::Status, status).await
    }

    async fn name_volume(
        &self,
        claim: &PersistentVolumeClaim,
        volume: &PersistentVolume,
    ) -> Result<PersistentVolumeClaim, Error> {
        let is_named = claim.volume() == Some(volume.name());
        if is_named && claim.annotation(BIND_COMPLETED).is_some() {
            return Ok(claim.clone());
        }
        let mut annotations = Map::from_iter([(BIND_COMPLETED.to_owned(), YES.into())]);
        if !is_named {
            annotations.insert(BOUND_BY_CONTROLLER.to_owned(), YES.into());
        }
        let patch = json!({ "metadata": { "annotations": annotations }, "spec": { "volumeName": volume.name() } });
        self.patch_claim(claim, Part::Spec, patch).await
    }

    async fn set_bound(
        &self,
        claim: &PersistentVolumeClaim,
        volume: &PersistentVolume,
    ) -> Result<(), Error> {
        let (status, spec) = (&claim.status, &volume.spec);
        let is_bound = claim.phase() == "Bound";
        if is_bound && status.access_modes == spec.access_modes {
            return Ok(());
        }
        let mut patch = json!({ "phase": "Bound", "accessModes": spec.access_modes });
        // Later it may say that the claim has grown: that is not ours to undo.
        if !is_bound {
            patch["capacity"] = json!(spec.capacity);
            if let Some(class) = &spec.volume_attributes_class_name {
                patch["currentVolumeAttributesClassName"] = json!(class);
            }
        }
        let patch = json!({ "status": patch });
        self.patch_claim(claim, Part::Status, patch).await.map(drop)
    }

    pub async fn set_pending(&self, claim: &PersistentVolumeClaim) -> Result<(), Error> {
        if claim.phase() == "Pending" {
            return Ok(());
        }
        let patch = json!({ "status": { "phase": "Pending" } });
        self.patch_claim(claim, Part::Status, patch).await.map(drop)
    }

    /// Whether that is news.
    pub async fn set_lost(&self, claim: &PersistentVolumeClaim) -> Result<bool, Error> {
        if claim.phase() == "Lost" {
            return Ok(false);
        }
        let status = json!({ "phase": "Lost", "accessModes": null, "capacity": null });
        let patch = json!({ "status": status });
        self.patch_claim(claim, Part::Status, patch).await?;
        Ok(true)
    }

    pub async fn set_class(&self, claim: &PersistentVolumeClaim, class: &str) -> Result<(), Error> {
        let patch = json!({ "spec": { "storageClassName": class } });
        self.patch_claim(claim, Part::Spec, patch).await.map(drop)
    }

    pub async fn annotate(
        &self,
        claim: &PersistentVolumeClaim,
        annotations: &[(&str, &str)],
    ) -> Result<PersistentVolumeClaim, Error> {
        let annotations = annotations.iter().map(|(k, v)| ((*k).to_owned(), json!(v)));
        let annotations = Map::from_iter(annotations);
        let patch = json!({ "metadata": { "annotations": annotations } });
        self.patch_claim(claim, Part::Spec, patch).await
    }

    async fn patch_volume(
        &self,
        volume: &PersistentVolume,
        part: Part,
        patch: Value,
    ) -> Result<PersistentVolume, Error> {
        let api: Api<PersistentVolume> = Api::all(self.cluster.client.clone());
        let patch = Patch::Merge(as_seen(&volume.metadata, patch));
        let params = PatchParams::default();
        let patched = match part {
            Part::Spec => api.patch(volume.name(), &params, &patch).await,
            Part::Status => api.patch_status(volume.name(), &params, &patch).await,
        };
        let key = Key::of(volume);
        let patched = patched.map_err(Error::api("bind", "PersistentVolume", &key))?;
        self.cluster.persistent_volumes.note(patched.clone());
        Ok(patched)
    }

    async fn patch_claim(
        &self,
        claim: &PersistentVolumeClaim,
        part: Part,
        patch: Value,
    ) -> Result<PersistentVolumeClaim, Error> {
        let key = Key::of(claim);
        let api: Api<PersistentVolumeClaim> =
            Api::namespaced(self.cluster.client.clone(), &key.namespace);
        let patch = Patch::Merge(as_seen(&claim.metadata, patch));
        let params = PatchParams::default();
        let patched = match part {
            Part::Spec => api.patch(&key.name, &params, &patch).await,
            Part::Status => api.patch_status(&key.name, &params, &patch).await,
        };
        let patched = patched.map_err(Error::api("bind", "PersistentVolumeClaim", &key))?;
        self.cluster.claims.note(patched.clone());
        Ok(patched)
    }
}

/// The patch, of the object as it was seen only.
fn as_seen(metadata: &ObjectMeta, mut patch: Value) -> Value {
    patch["metadata"]["uid"] = json!(metadata.uid);
    patch["metadata"]["resourceVersion"] = json!(metadata.resource_version);
    patch
}
