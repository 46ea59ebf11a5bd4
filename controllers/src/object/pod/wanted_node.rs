//! The node that a pod asks for by name, as those of DaemonSets do.

use k8s_openapi::api::core::v1 as core;
use serde::Deserialize;

#[derive(Default, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct WireAffinity {
    node_affinity: Option<core::NodeAffinity>,
}

impl WireAffinity {
    /// The one value of a required `metadata.name In [value]`.
    pub fn node(self) -> Option<Box<str>> {
        let required = self
            .node_affinity?
            .required_during_scheduling_ignored_during_execution?;
        let terms = required.node_selector_terms.into_iter();
        let fields = terms.flat_map(|term| term.match_fields.unwrap_or_default());
        let mut names = fields.filter(|r| r.key == "metadata.name" && r.operator == "In");
        let values = names.next()?.values?;
        match <[String; 1]>::try_from(values) {
            Ok([name]) => Some(name.into()),
            Err(_) => None,
        }
    }
}
