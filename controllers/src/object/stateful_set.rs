//! StatefulSets.

use k8s_openapi::api::apps::v1 as apps;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::ObjectMeta;
use objects::served_as;
use serde::{Deserialize, Serialize};
use serde_json::Value;

use super::one;
use crate::workload::Workload;

#[derive(Debug, Clone, Default, Serialize, Deserialize)]
pub struct StatefulSet {
    pub metadata: ObjectMeta,
    pub spec: StatefulSetSpec,
    #[serde(default)]
    pub status: apps::StatefulSetStatus,
}

#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct StatefulSetSpec {
    #[serde(default = "one")]
    pub replicas: i32,
    #[serde(default)]
    pub min_ready_seconds: i32,
    #[serde(default)]
    pub ordinals: Ordinals,
    pub pod_management_policy: Option<String>,
    #[serde(default)]
    pub persistent_volume_claim_retention_policy: Retention,
    pub revision_history_limit: Option<i32>,
    pub selector: Value,
    #[serde(default)]
    pub service_name: String,
    pub template: Value,
    #[serde(default)]
    pub update_strategy: Strategy,
    #[serde(default)]
    pub volume_claim_templates: Vec<Value>,
}

#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct Ordinals {
    pub start: i32,
}

/// What becomes of claims.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct Retention {
    pub when_deleted: Option<String>,
    pub when_scaled: Option<String>,
}

#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct Strategy {
    #[serde(rename = "type")]
    pub type_: Option<String>,
    pub rolling_update: Option<RollingUpdate>,
}

#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct RollingUpdate {
    pub partition: i32,
    pub max_unavailable: Value,
}

impl StatefulSet {
    /// Pods are made and removed one after the other.
    pub fn is_ordered(&self) -> bool {
        self.spec.pod_management_policy.as_deref() != Some("Parallel")
    }

    pub fn is_on_delete(&self) -> bool {
        self.spec.update_strategy.type_.as_deref() == Some("OnDelete")
    }

    /// Pods below this index keep their template.
    pub fn partition(&self) -> i64 {
        let rolling = self.spec.update_strategy.rolling_update.as_ref();
        rolling.map_or(0, |r| r.partition.into())
    }

    /// The ordinals that there should be pods of.
    pub fn ordinals(&self) -> std::ops::Range<i64> {
        let start = i64::from(self.spec.ordinals.start);
        start..start + i64::from(self.spec.replicas)
    }
}

impl Workload for StatefulSet {
    fn selector(&self) -> &Value {
        &self.spec.selector
    }

    fn template(&self) -> &Value {
        &self.spec.template
    }
}

served_as!(StatefulSet, apps::StatefulSet, NamespaceResourceScope);
