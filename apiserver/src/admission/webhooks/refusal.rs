//! A webhook's no as the answer to the client.

use apimachinery::{Status, meta};
use serde_json::{Value, json};

/// The webhook's own `Status` with its name in front of what it says.
pub fn denied(webhook: &str, result: &Value) -> Status {
    let denied_by = format!("admission webhook {webhook:?} denied the request");
    let (message, reason) = (meta::text(result, "message"), meta::text(result, "reason"));
    let message = if !message.is_empty() {
        format!("{denied_by}: {message}")
    } else if !reason.is_empty() {
        format!("{denied_by}: {reason}")
    } else {
        format!("{denied_by} without explanation")
    };
    let code = meta::int(result, "code").filter(|code| (400..=599).contains(code));
    let code = code.unwrap_or(400);
    let mut whole = json!({
        "kind": "Status", "apiVersion": "v1", "metadata": {}, "status": "Failure",
        "message": message, "code": code,
    });
    for field in ["reason", "details"] {
        if !result[field].is_null() {
            whole[field] = result[field].clone();
        }
    }
    serde_json::from_value(whole).unwrap_or_else(|_| Status::bad_request(message))
}

/// The webhook could not be asked, and its configuration says that this is a no.
pub fn unasked(webhook: &str, why: &str) -> Status {
    Status::internal(format!("failed calling webhook {webhook:?}: {why}"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_denial_without_words_says_so() {
        let status = denied("a.b.c", &Value::Null);
        assert_eq!(
            status.message,
            "admission webhook \"a.b.c\" denied the request without explanation"
        );
        assert_eq!(status.code, 400);
    }

    #[test]
    fn a_denial_keeps_the_webhooks_code_and_reason() {
        let status = denied(
            "a.b.c",
            &json!({ "code": 403, "reason": "Forbidden", "message": "no" }),
        );
        assert_eq!((status.code, status.reason.as_str()), (403, "Forbidden"));
        assert_eq!(
            status.message,
            "admission webhook \"a.b.c\" denied the request: no"
        );
    }

    #[test]
    fn a_denial_with_a_success_code_is_a_denial() {
        assert_eq!(denied("a.b.c", &json!({ "code": 200 })).code, 400);
    }
}
