//! DaemonSets.

use k8s_openapi::api::apps::v1 as apps;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::ObjectMeta;
use objects::served_as;
use serde::{Deserialize, Serialize};
use serde_json::Value;

use super::Strategy;
use crate::workload::Workload;

#[derive(Debug, Clone, Default, Serialize, Deserialize)]
pub struct DaemonSet {
    pub metadata: ObjectMeta,
    pub spec: DaemonSetSpec,
    #[serde(default)]
    pub status: Option<apps::DaemonSetStatus>,
}

#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct DaemonSetSpec {
    #[serde(default)]
    pub min_ready_seconds: i32,
    pub revision_history_limit: Option<i32>,
    pub selector: Value,
    pub template: Value,
    #[serde(default)]
    pub update_strategy: Strategy,
}

impl DaemonSet {
    pub fn is_on_delete(&self) -> bool {
        self.spec.update_strategy.type_.as_deref() == Some("OnDelete")
    }
}

impl Workload for DaemonSet {
    fn selector(&self) -> &Value {
        &self.spec.selector
    }

    fn template(&self) -> &Value {
        &self.spec.template
    }
}

served_as!(DaemonSet, apps::DaemonSet, NamespaceResourceScope);
