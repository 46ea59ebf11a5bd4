//! The changes to metadata that the collector makes: owners dropped, owners no
//! longer kept waiting, finalizers dropped.

use k8s_openapi::apimachinery::pkg::apis::meta::v1::{ObjectMeta, OwnerReference};
use kube::api::{Patch, PatchParams};
use serde_json::{Value, json};

use super::GarbageCollector;
use super::graph::Object;
use crate::error::Error;
use crate::key::Key;

impl GarbageCollector {
    /// Takes those owners off the object that `is_lost` says.
    pub(super) async fn drop_owners(
        &self,
        object: &Object,
        live: &ObjectMeta,
        is_lost: impl Fn(&str) -> bool,
    ) -> Result<(), Error> {
        let before = live.owner_references.as_deref().unwrap_or_default();
        let kept = before.iter().filter(|owner| !is_lost(&owner.uid));
        let kept: Vec<&OwnerReference> = kept.collect();
        if kept.len() == before.len() {
            return Ok(());
        }
        self.patch(object, live, json!({ "ownerReferences": kept }))
            .await
    }

    /// Keeps no owner waiting for the object any more.
    pub(super) async fn stop_blocking(
        &self,
        object: &Object,
        live: &ObjectMeta,
    ) -> Result<(), Error> {
        let mut owners = live.owner_references.clone().unwrap_or_default();
        for owner in &mut owners {
            owner.block_owner_deletion = Some(false);
        }
        self.patch(object, live, json!({ "ownerReferences": owners }))
            .await
    }

    pub(super) async fn drop_finalizer(
        &self,
        uid: &str,
        object: &Object,
        finalizer: &str,
    ) -> Result<(), Error> {
        let Some(live) = self.live(uid, object).await? else {
            return Ok(());
        };
        let before = live.finalizers.as_deref().unwrap_or_default();
        let kept: Vec<&String> = before.iter().filter(|f| *f != finalizer).collect();
        if kept.len() == before.len() {
            return Ok(());
        }
        self.patch(object, &live, json!({ "finalizers": kept }))
            .await
    }

    /// Refused with a conflict if the object has changed since it was read.
    async fn patch(
        &self,
        object: &Object,
        live: &ObjectMeta,
        mut metadata: Value,
    ) -> Result<(), Error> {
        metadata["uid"] = json!(live.uid);
        metadata["resourceVersion"] = json!(live.resource_version);
        let patch = Patch::Merge(json!({ "metadata": metadata }));
        let api = object.resource.api(&self.cluster.client, &object.namespace);
        let params = PatchParams::default();
        match api.patch_metadata(&object.name, &params, &patch).await {
            Ok(_) => Ok(()),
            Err(kube::Error::Api(status)) if status.code == 404 => Ok(()),
            Err(source) => {
                let key = Key::new(&object.namespace, &object.name);
                Err(Error::api("patch", "object", &key)(source))
            }
        }
    }
}
