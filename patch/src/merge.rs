use serde_json::Value;

use crate::Error;

/// RFC 7386. `patch` is the request's body, which must be an object.
pub fn merge(doc: &Value, patch: &[u8]) -> Result<Value, Error> {
    let _ = (doc, patch);
    todo!()
}
