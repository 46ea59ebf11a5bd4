//! What the API server refused, in kubectl's words.

use std::fmt;

/// An error that the API server answered with.
#[derive(Debug)]
pub struct ServerError {
    code: u16,
    reason: String,
    message: String,
}

impl fmt::Display for ServerError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.reason.as_str() {
            "" => write!(f, "Error from server: {}", self.message),
            // The message of these says of itself what it is.
            "Invalid" => write!(f, "The {}", self.message.trim_start_matches("The ")),
            reason => write!(f, "Error from server ({reason}): {}", self.message),
        }
    }
}

impl std::error::Error for ServerError {}

/// Tells what the server refused from what kept it from answering.
pub fn refused(error: kube::Error) -> anyhow::Error {
    match error {
        kube::Error::Api(status) => anyhow::Error::new(ServerError {
            code: status.code,
            reason: status.reason.clone(),
            message: status.message.clone(),
        }),
        other => anyhow::Error::new(other)
            .context("the API server cannot be reached; does the cluster run?"),
    }
}

pub fn is_not_found(error: &anyhow::Error) -> bool {
    error
        .downcast_ref::<ServerError>()
        .is_some_and(|error| error.code == 404)
}
