//! GET of one object: bytes from the store, handed out as they are.

use apimachinery::Status;
use bytes::Bytes;

use super::{Registry, versions};

impl Registry<'_> {
    pub async fn get(&self, name: &str) -> Result<Bytes, Status> {
        if let Some(text) = self.call.query.text("resourceVersion") {
            self.check_reached(parse_revision(text)?).await?;
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
