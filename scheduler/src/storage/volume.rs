//! A PersistentVolume, as the scheduler sees it.

use k8s_openapi::api::core::v1::{NodeSelector, PersistentVolume};
use objects::labels::Labels;

use super::claim::{Claim, bytes};
use crate::cache::NodeInfo;

#[derive(Debug, Clone)]
pub struct Volume {
    pub name: String,
    pub resource_version: String,
    pub labels: Labels,
    pub capacity: i64,
    access_modes: Vec<String>,
    volume_mode: String,
    class: String,
    attributes_class: Option<String>,
    /// Where it can be used; anywhere if there is none.
    required: Option<NodeSelector>,
    /// Key and uid of the claim that has it, or that it is kept for.
    claim: Option<(String, Option<String>)>,
    is_available: bool,
    /// Driver and handle.
    pub csi: Option<(String, String)>,
}

impl Volume {
    pub fn of(volume: PersistentVolume) -> Self {
        let (meta, spec) = (volume.metadata, volume.spec.unwrap_or_default());
        let phase = volume.status.and_then(|s| s.phase);
        let capacity = spec.capacity.unwrap_or_default();
        let claim = spec.claim_ref.map(|claim| {
            let namespace = claim.namespace.unwrap_or_default();
            let name = claim.name.unwrap_or_default();
            (format!("{namespace}/{name}"), claim.uid)
        });
        Self {
            name: meta.name.unwrap_or_default(),
            resource_version: meta.resource_version.unwrap_or_default(),
            labels: meta.labels.unwrap_or_default().into(),
            capacity: capacity
                .get("storage")
                .and_then(|q| bytes(&q.0))
                .unwrap_or(0),
            access_modes: spec.access_modes.unwrap_or_default(),
            volume_mode: spec.volume_mode.unwrap_or_else(|| "Filesystem".into()),
            class: spec.storage_class_name.unwrap_or_default(),
            attributes_class: spec.volume_attributes_class_name,
            required: spec.node_affinity.and_then(|affinity| affinity.required),
            claim,
            is_available: meta.deletion_timestamp.is_none()
                && matches!(phase.as_deref(), Some("Available")),
            csi: spec.csi.map(|csi| (csi.driver, csi.volume_handle)),
        }
    }

    /// It can be used on the node.
    pub fn reaches(&self, node: &NodeInfo) -> bool {
        let required = self.required.as_ref();
        required.is_none_or(|required| node.facts().matches(required))
    }

    /// It was kept for this claim before the claim was there.
    pub fn is_kept_for(&self, claim: &Claim) -> bool {
        let kept = self.claim.as_ref();
        kept.is_some_and(|(key, uid)| {
            **key == *claim.key && uid.as_ref().is_none_or(|uid| *uid == claim.uid)
        })
    }

    /// The claim could get it.
    pub fn suits(&self, claim: &Claim) -> bool {
        if !self.has_what_is_asked(claim) {
            return false;
        }
        if self.claim.is_some() {
            return self.is_kept_for(claim);
        }
        let selector = claim.selector.as_ref();
        self.is_available
            && self.class == claim.class.as_deref().unwrap_or_default()
            && selector.is_none_or(|selector| selector.matches(&self.labels))
    }

    fn has_what_is_asked(&self, claim: &Claim) -> bool {
        let has = |mode| self.access_modes.contains(mode);
        self.capacity >= claim.request
            && self.volume_mode == claim.volume_mode
            && self.attributes_class == claim.attributes_class
            && claim.access_modes.iter().all(has)
    }
}
