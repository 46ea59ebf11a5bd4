//! Reads JSON into a `Value` and notices keys given twice.

use serde_json::Value;

use crate::Problem;

/// A JSON document and the keys it gave twice.
#[derive(Clone, Debug, PartialEq)]
pub struct Document {
    pub value: Value,
    pub duplicates: Vec<Problem>,
}

/// The bytes are no JSON; displays as Go's decoder words it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SyntaxError(pub String);

impl std::fmt::Display for SyntaxError {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(&self.0)
    }
}

impl std::error::Error for SyntaxError {}

/// Reads one JSON document. Of a key given twice the last value counts.
pub fn read(bytes: &[u8]) -> Result<Document, SyntaxError> {
    let _ = bytes;
    todo!()
}
