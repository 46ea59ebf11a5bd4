//! How a command ended, as it travels: a Kubernetes `Status`, or plain text in the oldest protocols.

use serde_json::{Value, json};

/// How the command ended.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Outcome {
    Exited(i32),
    /// It could not be run; the text is for the user.
    Failed(String),
}

impl Outcome {
    pub(crate) fn to_status(&self) -> String {
        let status = match self {
            Self::Exited(0) => json!({"metadata": {}, "status": "Success"}),
            Self::Exited(code) => json!({
                "metadata": {}, "status": "Failure", "reason": "NonZeroExitCode",
                "message": format!("command terminated with non-zero exit code: exit status {code}"),
                "details": {"causes": [{"reason": "ExitCode", "message": code.to_string()}]},
            }),
            Self::Failed(message) => json!({
                "metadata": {}, "status": "Failure", "reason": "InternalError", "code": 500,
                "message": message, "details": {"causes": [{"message": message}]},
            }),
        };
        status.to_string()
    }

    /// What protocols before `v4` send; success is silence.
    pub(crate) fn to_text(&self) -> String {
        match self {
            Self::Exited(0) => String::new(),
            Self::Exited(code) => {
                format!("command terminated with non-zero exit code: exit status {code}")
            }
            Self::Failed(message) => message.clone(),
        }
    }

    pub(crate) fn from_status(text: &[u8]) -> Self {
        let status: Value = serde_json::from_slice(text).unwrap_or_default();
        if status["status"] == "Success" {
            return Self::Exited(0);
        }
        let causes = status["details"]["causes"]
            .as_array()
            .map_or(&[][..], Vec::as_slice);
        let code = causes.iter().find(|cause| cause["reason"] == "ExitCode");
        match code.and_then(|cause| cause["message"].as_str()?.parse().ok()) {
            Some(code) => Self::Exited(code),
            None => Self::Failed(
                status["message"]
                    .as_str()
                    .unwrap_or("the command failed")
                    .to_owned(),
            ),
        }
    }

    pub(crate) fn from_text(text: &[u8]) -> Self {
        let text = String::from_utf8_lossy(text).into_owned();
        let code = text
            .rsplit_once("exit status ")
            .and_then(|(_, code)| code.trim().parse().ok());
        match code {
            _ if text.is_empty() => Self::Exited(0),
            Some(code) => Self::Exited(code),
            None => Self::Failed(text),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn outcomes_survive_both_ways_of_telling_them() {
        for outcome in [
            Outcome::Exited(0),
            Outcome::Exited(137),
            Outcome::Failed("no such file".to_owned()),
        ] {
            assert_eq!(
                Outcome::from_status(outcome.to_status().as_bytes()),
                outcome
            );
            assert_eq!(Outcome::from_text(outcome.to_text().as_bytes()), outcome);
        }
    }
}
