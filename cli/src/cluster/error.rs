//! What the API server refused, in kubectl's words.

use std::fmt;

use serde_json::{Value, json};

/// An error that the API server answered with.
#[derive(Debug)]
pub struct ServerError {
    code: u16,
    reason: String,
    message: String,
    /// What is wrong with each field, where there is more than one.
    causes: Vec<String>,
    /// What we tried, where the message does not tell (`error when ...`).
    tried: Option<String>,
}

impl fmt::Display for ServerError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let tried = self.tried.as_ref().map(|tried| format!("{tried}: "));
        let tried = tried.unwrap_or_default();
        match self.reason.as_str() {
            "" => write!(f, "Error from server: {tried}{}", self.message),
            // The message of these says of itself what it is.
            "Invalid" if self.message.starts_with("The ") => write!(f, "{}", self.message),
            "Invalid" => {
                let what = self
                    .message
                    .split(" is invalid:")
                    .next()
                    .unwrap_or_default();
                if self.causes.len() < 2 {
                    return write!(f, "The {}", self.message);
                }
                write!(f, "The {what} is invalid: ")?;
                self.causes
                    .iter()
                    .try_for_each(|cause| write!(f, "\n* {cause}"))
            }
            reason => write!(f, "Error from server ({reason}): {tried}{}", self.message),
        }
    }
}

impl std::error::Error for ServerError {}

/// The error that a `Status` object tells of.
pub fn server_error(status: &Value) -> anyhow::Error {
    let field = |name: &str| status[name].as_str().unwrap_or_default().to_owned();
    let causes = status["details"]["causes"].as_array().into_iter().flatten();
    let code = status["code"]
        .as_u64()
        .and_then(|code| u16::try_from(code).ok());
    anyhow::Error::new(ServerError {
        code: code.unwrap_or(0),
        reason: field("reason"),
        message: field("message"),
        causes: causes.map(cause).collect(),
        tried: None,
    })
}

fn cause(cause: &Value) -> String {
    let text = |name: &str| cause[name].as_str().unwrap_or_default();
    format!("{}: {}", text("field"), text("message"))
}

/// Tells what the server refused from what kept it from answering.
pub fn refused(error: kube::Error) -> anyhow::Error {
    match error {
        // An answer in words of its own, such as a kubelet's.
        kube::Error::Api(status) if status.reason == "Failed to parse error data" => {
            server_error(&json!({ "code": status.code, "message": status.message }))
        }
        kube::Error::Api(status) => match serde_json::to_value(&status) {
            Ok(status) => server_error(&status),
            Err(_) => anyhow::anyhow!("Error from server: {}", status.message),
        },
        other => anyhow::anyhow!(
            "the API server cannot be reached; does the cluster run? {}",
            causes(&other)
        ),
    }
}

/// The error and what it comes from, each said once.
fn causes(error: &dyn std::error::Error) -> String {
    let mut text = error.to_string();
    let mut source = error.source();
    while let Some(cause) = source {
        let said = cause.to_string();
        if !text.contains(&said) {
            text.push_str(&format!(": {said}"));
        }
        source = cause.source();
    }
    text
}

/// Adds what was tried to what the server said about it.
pub fn when(error: anyhow::Error, tried: &str) -> anyhow::Error {
    match error.downcast::<ServerError>() {
        Ok(refused) => anyhow::Error::new(ServerError {
            tried: Some(tried.to_owned()),
            ..refused
        }),
        Err(other) => other,
    }
}

pub fn is_not_found(error: &anyhow::Error) -> bool {
    has_code(error, 404)
}

pub fn is_conflict(error: &anyhow::Error) -> bool {
    has_code(error, 409)
}

pub fn has_code(error: &anyhow::Error, code: u16) -> bool {
    let refused = error.downcast_ref::<ServerError>();
    refused.is_some_and(|refused| refused.code == code)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn words(status: Value) -> String {
        server_error(&status).to_string()
    }

    #[test]
    fn refusals_are_told_as_kubectl_tells_them() {
        let missing =
            json!({ "code": 404, "reason": "NotFound", "message": "pods \"x\" not found" });
        assert_eq!(
            words(missing.clone()),
            "Error from server (NotFound): pods \"x\" not found"
        );
        let tried = when(server_error(&missing), "error when deleting \"f\"");
        assert_eq!(
            tried.to_string(),
            "Error from server (NotFound): error when deleting \"f\": pods \"x\" not found"
        );
        assert!(is_not_found(&tried));
    }

    #[test]
    fn several_invalid_fields_are_listed_one_a_line() {
        let causes = json!([{ "field": "a", "message": "Required value" }, { "field": "b", "message": "Too long" }]);
        let status = json!({ "code": 422, "reason": "Invalid", "message": "Pod \"x\" is invalid: [a: .., b: ..]",
            "details": { "causes": causes } });
        assert_eq!(
            words(status),
            "The Pod \"x\" is invalid: \n* a: Required value\n* b: Too long"
        );
        let one = json!({ "code": 422, "reason": "Invalid", "message": "Pod \"x\" is invalid: a: Required value" });
        assert_eq!(words(one), "The Pod \"x\" is invalid: a: Required value");
    }
}
