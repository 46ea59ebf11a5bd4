//! PersistentVolumeClaims grow only where their class can make volumes grow.

use apimachinery::{Quantity, Status, meta};
use serde_json::Value;

use super::{Admission, refusal};
use crate::registry::Registry;
use crate::registry::update::Part;

const SIZE: &str = "spec.resources.requests.storage";

impl Admission {
    pub(super) fn check_claim_growth(
        &self,
        registry: &Registry<'_>,
        new: &Value,
        old: &Value,
        part: Part,
    ) -> Result<(), Status> {
        if part != Part::Main || !registry.kind.is("", "persistentvolumeclaims") {
            return Ok(());
        }
        let size = |claim| meta::get(claim, SIZE).and_then(|s| Quantity::from_json(s).ok());
        let grows = size(new) > size(old);
        if !grows || self.class_expands(new) {
            return Ok(());
        }
        let why = "only dynamically provisioned pvc can be resized and the storageclass that provisions the pvc must support resize";
        Err(refusal(registry, new, why))
    }

    fn class_expands(&self, claim: &Value) -> bool {
        let class = meta::text(claim, "spec.storageClassName");
        let class = self.storage_classes.get(class);
        class.is_some_and(|class| class["allowVolumeExpansion"] == true)
    }
}
