//! ControllerRevisions: templates that a workload has had.

use k8s_openapi::api::apps::v1 as apps;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::ObjectMeta;
use objects::served_as;
use serde::{Deserialize, Serialize};
use serde_json::Value;

#[derive(Debug, Clone, Default, Serialize, Deserialize)]
pub struct ControllerRevision {
    pub metadata: ObjectMeta,
    #[serde(default)]
    pub data: Value,
    #[serde(default)]
    pub revision: i64,
}

impl ControllerRevision {
    pub fn name(&self) -> &str {
        self.metadata.name.as_deref().unwrap_or_default()
    }

    pub fn label(&self, name: &str) -> Option<&str> {
        let labels = self.metadata.labels.as_ref();
        labels?.get(name).map(String::as_str)
    }
}

served_as!(
    ControllerRevision,
    apps::ControllerRevision,
    NamespaceResourceScope
);
