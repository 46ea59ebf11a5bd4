use schema::Node;
use serde_json::Value;

use crate::{Error, Writer};

/// Server-side apply of `applied` to `live` (`{}`-less: `Value::Null` when the
/// object does not exist yet). The result carries the new `managedFields`; it
/// equals `live` when the apply changes nothing, so that the caller need not write.
/// Defaults are the caller's, afterwards.
///
/// # Errors
/// [`Error::Conflicts`] unless `force`; [`Error::Schema`] when either object does
/// not fit the schema.
pub fn apply(
    live: &Value,
    applied: &Value,
    writer: &Writer<'_>,
    force: bool,
    node: &Node,
) -> Result<Value, Error> {
    let _ = (live, applied, writer, force, node);
    todo!()
}
