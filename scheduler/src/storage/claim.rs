//! A PersistentVolumeClaim, as the scheduler sees it.

use std::sync::Arc;

use apimachinery::Quantity;
use k8s_openapi::api::core::v1::PersistentVolumeClaim;

use crate::selector::Selector;

pub const SELECTED_NODE: &str = "volume.kubernetes.io/selected-node";
const BIND_COMPLETED: &str = "pv.kubernetes.io/bind-completed";
const OLD_CLASS: &str = "volume.beta.kubernetes.io/storage-class";
const ONE_POD: &str = "ReadWriteOncePod";

#[derive(Debug, Clone)]
pub struct Claim {
    pub key: Arc<str>,
    pub uid: String,
    pub resource_version: String,
    /// Named by its spec, whether or not the binding is complete.
    pub volume: Option<String>,
    pub is_bound: bool,
    pub is_lost: bool,
    pub is_ending: bool,
    pub class: Option<String>,
    pub attributes_class: Option<String>,
    pub access_modes: Vec<String>,
    pub volume_mode: String,
    /// None: any volume.
    pub selector: Option<Selector>,
    pub request: i64,
    pub selected_node: Option<String>,
    /// It was to be provisioned for a node, and is no more.
    pub was_unselected: bool,
}

impl Claim {
    pub fn of(claim: PersistentVolumeClaim) -> Self {
        let (meta, spec) = (claim.metadata, claim.spec.unwrap_or_default());
        let phase = claim.status.and_then(|s| s.phase).unwrap_or_default();
        let annotation = |name: &str| meta.annotations.as_ref()?.get(name).cloned();
        let volume = spec.volume_name.filter(|name| !name.is_empty());
        let is_complete = annotation(BIND_COMPLETED).is_some() || phase == "Bound";
        let requests = spec.resources.and_then(|r| r.requests).unwrap_or_default();
        let request = requests.get("storage").and_then(|q| bytes(&q.0));
        Self {
            key: crate::object::key(
                meta.namespace.as_deref().unwrap_or_default(),
                meta.name.as_deref().unwrap_or_default(),
            ),
            uid: meta.uid.clone().unwrap_or_default(),
            resource_version: meta.resource_version.clone().unwrap_or_default(),
            is_bound: volume.is_some() && is_complete,
            volume,
            is_lost: phase == "Lost",
            is_ending: meta.deletion_timestamp.is_some(),
            class: spec.storage_class_name.or_else(|| annotation(OLD_CLASS)),
            attributes_class: spec.volume_attributes_class_name,
            access_modes: spec.access_modes.unwrap_or_default(),
            volume_mode: spec.volume_mode.unwrap_or_else(|| "Filesystem".into()),
            selector: spec.selector.map(|s| Selector::read(Some(&s))),
            request: request.unwrap_or(0),
            selected_node: annotation(SELECTED_NODE),
            was_unselected: false,
        }
    }

    pub fn name(&self) -> &str {
        self.key.split_once('/').map_or("", |(_, name)| name)
    }

    /// At most one pod may use it.
    pub fn is_for_one_pod(&self) -> bool {
        self.access_modes.iter().any(|mode| mode == ONE_POD)
    }
}

pub fn bytes(quantity: &str) -> Option<i64> {
    Some(quantity.parse::<Quantity>().ok()?.value())
}
