//! A claim that is not bound yet.

use std::cmp::Reverse;
use std::sync::Arc;

use super::{Binder, find};
use crate::error::Error;
use crate::key::Key;
use crate::object::{PersistentVolume, PersistentVolumeClaim, StorageClass};
use crate::volumes::annotations::{
    BIND_COMPLETED, BOUND_BY_CONTROLLER, PROVISIONER, PROVISIONER_BETA, SELECTED_NODE,
};

/// Provisioners of this prefix were part of Kubernetes; there are none left.
const IN_TREE: &str = "kubernetes.io/";

impl Binder {
    pub async fn sync_claim(&self, claim: &PersistentVolumeClaim) -> Result<(), Error> {
        if claim.annotation(BIND_COMPLETED).is_some() {
            return self.sync_bound(claim).await;
        }
        // No pod starts with a claim that is ending.
        if claim.is_ending() {
            return Ok(());
        }
        match claim.volume() {
            None => self.find_volume(claim).await,
            Some(name) => self.take_volume(claim, name).await,
        }
    }

    async fn find_volume(&self, claim: &PersistentVolumeClaim) -> Result<(), Error> {
        let waits = self.waits_for_consumer(claim);
        let volumes = self.offers.to(claim);
        if let Some(volume) = find::best(&volumes, claim, waits) {
            return self.bind(&volume, claim).await;
        }
        if !claim.names_a_class()
            && let Some(class) = self.default_class()
        {
            return self.set_class(claim, class.name()).await;
        }
        if waits && claim.annotation(SELECTED_NODE).is_none() {
            self.tell_what_it_waits_for(claim);
        } else if !claim.class().is_empty() {
            return self.ask_for_volume(claim).await;
        } else {
            let message =
                "no persistent volumes available for this claim and no storage class is set";
            self.recorder.normal(claim, "FailedBinding", message);
        }
        self.set_pending(claim).await
    }

    /// Of several defaults the newest counts, then the first by name.
    fn default_class(&self) -> Option<Arc<StorageClass>> {
        let mut classes = self.cluster.storage_classes.all();
        classes.retain(|class| class.is_default());
        let age = |class: &Arc<StorageClass>| {
            let made = class.metadata.creation_timestamp.as_ref().map(|at| at.0);
            (Reverse(made), class.name().to_owned())
        };
        classes.into_iter().min_by_key(age)
    }

    fn tell_what_it_waits_for(&self, claim: &PersistentVolumeClaim) {
        let pods = self.users.of(&Key::of(claim));
        let pods = pods.iter().filter(|pod| pod.spec.node_name.is_none());
        let names: Vec<&str> = pods.filter_map(|p| p.metadata.name.as_deref()).collect();
        let (reason, message) = match &*names {
            [] => (
                "WaitForFirstConsumer",
                "waiting for first consumer to be created before binding".to_owned(),
            ),
            [pod] => (
                "WaitForPodScheduled",
                format!("waiting for pod {pod} to be scheduled"),
            ),
            pods => (
                "WaitForPodScheduled",
                format!("waiting for pods {} to be scheduled", pods.join(",")),
            ),
        };
        self.recorder.normal(claim, reason, message);
    }

    /// Says on the claim who is to make its volume.
    async fn ask_for_volume(&self, claim: &PersistentVolumeClaim) -> Result<(), Error> {
        let Some(class) = self.class_of(claim) else {
            let message = format!(
                "storageclass.storage.k8s.io \"{}\" not found",
                claim.class()
            );
            self.recorder.warning(claim, "ProvisioningFailed", message);
            return Ok(());
        };
        let provisioner = &*class.provisioner;
        if provisioner.starts_with(IN_TREE) {
            let message = format!("no volume plugin matched name: {provisioner}");
            self.recorder.warning(claim, "ProvisioningFailed", message);
            return Ok(());
        }
        let names = [PROVISIONER, PROVISIONER_BETA];
        if names
            .iter()
            .all(|name| claim.annotation(name) == Some(provisioner))
        {
            return Ok(());
        }
        let annotations = names.map(|name| (name, provisioner));
        let claim = self.annotate(claim, &annotations).await?;
        let message = format!(
            "Waiting for a volume to be created either by the external provisioner '{provisioner}' or manually by the system administrator. If volume creation is delayed, please verify that the provisioner is running and correctly registered."
        );
        self.recorder
            .normal(&claim, "ExternalProvisioning", message);
        Ok(())
    }

    /// The claim names its volume, which may be there, free, and fit, or not.
    async fn take_volume(&self, claim: &PersistentVolumeClaim, name: &str) -> Result<(), Error> {
        let volume = self.cluster.persistent_volumes.get(&Key::new("", name));
        let Some(volume) = volume else {
            return self.set_pending(claim).await;
        };
        if volume.is_for(claim) {
            return self.bind(&volume, claim).await;
        }
        match self.why_not(&volume, claim) {
            None => return self.bind(&volume, claim).await,
            Some((reason, message)) => self.recorder.warning(claim, reason, message),
        }
        self.set_pending(claim).await
    }

    fn why_not(
        &self,
        volume: &PersistentVolume,
        claim: &PersistentVolumeClaim,
    ) -> Option<(&'static str, String)> {
        let name = volume.name();
        if let Some(other) = &volume.spec.claim_ref {
            let message = if claim.annotation(BOUND_BY_CONTROLLER).is_some() {
                format!(
                    "volume \"{name}\" already bound to a different claim \"{}/{}\" by controller, THIS SHOULD NEVER HAPPEN",
                    other.namespace, other.name
                )
            } else {
                format!("volume \"{name}\" already bound to a different claim.")
            };
            return Some(("FailedBinding", message));
        }
        let misfit = find::misfit(volume, claim)?;
        let message = format!("Cannot bind to requested volume \"{name}\": {misfit}");
        Some(("VolumeMismatch", message))
    }
}
