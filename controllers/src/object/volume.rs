//! PersistentVolumes, the claims on them, and their classes.

use std::collections::BTreeMap;

use apimachinery::Quantity;
use k8s_openapi::api::core::v1 as core;
use k8s_openapi::api::storage::v1 as storage;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::ObjectMeta;
use objects::served_as;
use serde::Deserialize;
use serde_json::Value;

/// Amounts by resource, as they are written.
pub type Amounts = BTreeMap<String, Value>;

#[derive(Debug, Clone, Default, PartialEq, Deserialize)]
#[serde(default)]
pub struct PersistentVolume {
    #[serde(deserialize_with = "super::small_meta::read")]
    pub metadata: ObjectMeta,
    pub spec: VolumeSpec,
    pub status: VolumeStatus,
}

#[derive(Debug, Clone, Default, PartialEq, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct VolumeSpec {
    pub access_modes: Vec<String>,
    pub capacity: Amounts,
    pub claim_ref: Option<ClaimRef>,
    #[serde(rename = "persistentVolumeReclaimPolicy")]
    pub reclaim_policy: Option<String>,
    pub storage_class_name: Option<String>,
    pub volume_mode: Option<String>,
    pub volume_attributes_class_name: Option<String>,
    pub local: Option<core::LocalVolumeSource>,
    pub node_affinity: Option<core::VolumeNodeAffinity>,
}

/// The claim that a volume is for. Without a uid, it waits for one of the name.
#[derive(Debug, Clone, Default, PartialEq, Eq, Deserialize)]
#[serde(default)]
pub struct ClaimRef {
    pub namespace: String,
    pub name: String,
    pub uid: Option<String>,
}

#[derive(Debug, Clone, Default, PartialEq, Deserialize)]
#[serde(default)]
pub struct VolumeStatus {
    pub phase: Option<String>,
    pub message: Option<String>,
}

#[derive(Debug, Clone, Default, PartialEq, Deserialize)]
#[serde(default)]
pub struct PersistentVolumeClaim {
    #[serde(deserialize_with = "super::small_meta::read")]
    pub metadata: ObjectMeta,
    pub spec: ClaimSpec,
    pub status: ClaimStatus,
}

#[derive(Debug, Clone, Default, PartialEq, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct ClaimSpec {
    pub access_modes: Vec<String>,
    pub resources: Requests,
    /// As it is written: read when it is asked.
    pub selector: Option<Value>,
    pub storage_class_name: Option<String>,
    pub volume_attributes_class_name: Option<String>,
    pub volume_mode: Option<String>,
    pub volume_name: Option<String>,
    pub data_source_ref: Option<Value>,
    pub data_source: Option<Value>,
}

#[derive(Debug, Clone, Default, PartialEq, Deserialize)]
#[serde(default)]
pub struct Requests {
    pub requests: Amounts,
}

#[derive(Debug, Clone, Default, PartialEq, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct ClaimStatus {
    pub phase: Option<String>,
    pub access_modes: Vec<String>,
    pub capacity: Amounts,
    pub current_volume_attributes_class_name: Option<String>,
}

#[derive(Debug, Clone, Default, PartialEq, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct StorageClass {
    #[serde(deserialize_with = "super::small_meta::read")]
    pub metadata: ObjectMeta,
    pub provisioner: String,
    pub reclaim_policy: Option<String>,
    pub volume_binding_mode: Option<String>,
    pub mount_options: Option<Vec<String>>,
}

/// The class' older place, on volumes and claims.
const CLASS_ANNOTATION: &str = "volume.beta.kubernetes.io/storage-class";
const IS_DEFAULT: &str = "storageclass.kubernetes.io/is-default-class";
const IS_DEFAULT_BETA: &str = "storageclass.beta.kubernetes.io/is-default-class";

pub fn annotation<'a>(metadata: &'a ObjectMeta, name: &str) -> Option<&'a str> {
    let annotations = metadata.annotations.as_ref()?;
    annotations.get(name).map(String::as_str)
}

fn class<'a>(metadata: &'a ObjectMeta, named: Option<&'a String>) -> &'a str {
    annotation(metadata, CLASS_ANNOTATION)
        .or(named.map(String::as_str))
        .unwrap_or_default()
}

fn storage(amounts: &Amounts) -> Quantity {
    let amount = amounts.get("storage");
    amount
        .and_then(|amount| Quantity::from_json(amount).ok())
        .unwrap_or_default()
}

impl PersistentVolume {
    pub fn name(&self) -> &str {
        self.metadata.name.as_deref().unwrap_or_default()
    }

    pub fn annotation(&self, name: &str) -> Option<&str> {
        annotation(&self.metadata, name)
    }

    /// Empty: of no class.
    pub fn class(&self) -> &str {
        class(&self.metadata, self.spec.storage_class_name.as_ref())
    }

    pub fn size(&self) -> Quantity {
        storage(&self.spec.capacity)
    }

    pub fn mode(&self) -> &str {
        self.spec.volume_mode.as_deref().unwrap_or("Filesystem")
    }

    pub fn phase(&self) -> &str {
        self.status.phase.as_deref().unwrap_or_default()
    }

    pub fn is_ending(&self) -> bool {
        self.metadata.deletion_timestamp.is_some()
    }

    pub fn has_finalizer(&self, finalizer: &str) -> bool {
        has_finalizer(&self.metadata, finalizer)
    }

    /// For this very claim, or for one of its name when it comes.
    pub fn is_for(&self, claim: &PersistentVolumeClaim) -> bool {
        self.spec.claim_ref.as_ref().is_some_and(|of| {
            Some(&of.name) == claim.metadata.name.as_ref()
                && Some(&of.namespace) == claim.metadata.namespace.as_ref()
                && of.uid().is_none_or(|uid| Some(uid) == claim.uid())
        })
    }
}

impl ClaimRef {
    pub fn uid(&self) -> Option<&str> {
        self.uid.as_deref().filter(|uid| !uid.is_empty())
    }
}

impl PersistentVolumeClaim {
    pub fn uid(&self) -> Option<&str> {
        self.metadata.uid.as_deref()
    }

    pub fn annotation(&self, name: &str) -> Option<&str> {
        annotation(&self.metadata, name)
    }

    /// Empty: of no class.
    pub fn class(&self) -> &str {
        class(&self.metadata, self.spec.storage_class_name.as_ref())
    }

    /// Says that it is of a class, or of none.
    pub fn names_a_class(&self) -> bool {
        self.spec.storage_class_name.is_some() || self.annotation(CLASS_ANNOTATION).is_some()
    }

    pub fn size(&self) -> Quantity {
        storage(&self.spec.resources.requests)
    }

    pub fn mode(&self) -> &str {
        self.spec.volume_mode.as_deref().unwrap_or("Filesystem")
    }

    pub fn phase(&self) -> &str {
        self.status.phase.as_deref().unwrap_or_default()
    }

    /// The volume that it has or wants.
    pub fn volume(&self) -> Option<&str> {
        let name = self.spec.volume_name.as_deref();
        name.filter(|name| !name.is_empty())
    }

    pub fn is_ending(&self) -> bool {
        self.metadata.deletion_timestamp.is_some()
    }

    pub fn has_finalizer(&self, finalizer: &str) -> bool {
        has_finalizer(&self.metadata, finalizer)
    }
}

impl StorageClass {
    pub fn name(&self) -> &str {
        self.metadata.name.as_deref().unwrap_or_default()
    }

    /// Its claims wait until a pod that uses them has a node.
    pub fn waits_for_consumer(&self) -> bool {
        self.volume_binding_mode.as_deref() == Some("WaitForFirstConsumer")
    }

    pub fn is_default(&self) -> bool {
        [IS_DEFAULT, IS_DEFAULT_BETA]
            .iter()
            .any(|name| annotation(&self.metadata, name) == Some("true"))
    }
}

fn has_finalizer(metadata: &ObjectMeta, finalizer: &str) -> bool {
    let finalizers = metadata.finalizers.as_deref().unwrap_or_default();
    finalizers.iter().any(|f| f == finalizer)
}

served_as!(
    PersistentVolume,
    core::PersistentVolume,
    ClusterResourceScope
);
served_as!(
    PersistentVolumeClaim,
    core::PersistentVolumeClaim,
    NamespaceResourceScope
);
served_as!(StorageClass, storage::StorageClass, ClusterResourceScope);
