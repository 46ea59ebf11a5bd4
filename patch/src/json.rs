use serde_json::Value;

use crate::Error;

/// RFC 6902. `patch` is the request's body.
pub fn json(doc: &Value, patch: &[u8]) -> Result<Value, Error> {
    let _ = (doc, patch);
    todo!()
}
