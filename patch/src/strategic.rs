use schema::Node;
use serde_json::Value;

use crate::Error;

/// Kubernetes' strategic merge patch. `patch` is the request's body, which must be an object.
pub fn strategic(doc: &Value, patch: &[u8], node: &Node) -> Result<Value, Error> {
    let _ = (doc, patch, node);
    todo!()
}
