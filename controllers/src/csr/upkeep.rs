//! When a signing request is removed.

use jiff::{SignedDuration, Timestamp};
use k8s_openapi::api::certificates::v1::CertificateSigningRequest;

const UNDECIDED: SignedDuration = SignedDuration::from_hours(24);
const DECIDED: SignedDuration = SignedDuration::from_hours(1);

/// A day after it was made, or an hour after it was decided.
pub fn end(request: &CertificateSigningRequest) -> Timestamp {
    let made = request.metadata.creation_timestamp.as_ref().map(|t| t.0);
    let undecided = made.map(|at| at + UNDECIDED);
    let conditions = request
        .status
        .as_ref()
        .and_then(|s| s.conditions.as_deref());
    let decided = conditions
        .unwrap_or_default()
        .iter()
        .filter_map(|condition| {
            let at = condition.last_update_time.as_ref()?;
            Some(at.0 + DECIDED)
        });
    decided.chain(undecided).min().unwrap_or(Timestamp::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn end_of(conditions: serde_json::Value) -> String {
        let request = json!({ "metadata": { "creationTimestamp": "2026-01-01T00:00:00Z" },
            "spec": { "request": "", "signerName": "s" }, "status": { "conditions": conditions } });
        end(&serde_json::from_value(request).unwrap()).to_string()
    }

    #[test]
    fn undecided_request_is_kept_for_a_day_and_a_decided_one_for_an_hour() {
        assert_eq!(end_of(json!([])), "2026-01-02T00:00:00Z");
        let approved = json!([{ "type": "Approved", "status": "True", "lastUpdateTime": "2026-01-01T10:00:00Z" }]);
        assert_eq!(end_of(approved), "2026-01-01T11:00:00Z");
    }
}
