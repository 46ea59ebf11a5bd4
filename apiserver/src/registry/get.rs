//! GET of one object: bytes from the store, handed out as they are.

use apimachinery::Status;
use bytes::Bytes;

use super::{Registry, too_new, versions};

impl Registry<'_> {
    pub async fn get(&self, name: &str) -> Result<Bytes, Status> {
        if let Some(text) = self.call.query.text("resourceVersion") {
            let wanted = parse_revision(text)?;
            let current = self.api.store.revision().0;
            if wanted > current {
                return Err(too_new(wanted, current));
            }
        }
        versions::bytes(self.kind, &self.entry(name).await?)
    }
}

/// # Errors
/// 500 without a reason: Kubernetes never classified this one.
pub fn parse_revision(text: &str) -> Result<u64, Status> {
    text.parse().map_err(|_| {
        Status::unclassified(format!(
            "resourceVersion: Invalid value: {text:?}: strconv.ParseUint: parsing {text:?}: invalid syntax"
        ))
    })
}
