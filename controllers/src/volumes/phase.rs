//! What is written when a volume's phase changes.

use jiff::Timestamp;
use serde_json::{Value, json};

/// The status of a volume that is now in this phase, and why if it should not be.
pub fn status(phase: &str, why: Option<&str>) -> Value {
    // Times in the API are whole seconds.
    let now = Timestamp::now().strftime("%Y-%m-%dT%H:%M:%SZ").to_string();
    json!({ "status": {
        "phase": phase,
        "message": why,
        "reason": null,
        "lastPhaseTransitionTime": now,
    } })
}
