use std::fmt;

/// Why a patch was refused. Each displays as Kubernetes words it.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Error {
    /// The patch is no patch of its type: 400 `BadRequest`.
    #[error("{0}")]
    Malformed(String),
    /// A well-formed patch that does not fit the object: 422 `Invalid`.
    #[error("{0}")]
    Unprocessable(String),
    /// The applied object (or the live one) does not fit its schema: 500, as
    /// Kubernetes has it; the text lacks the object's name, which
    /// [`Error::InvalidApplied`] callers put in front.
    #[error("{0}")]
    Schema(String),
    /// Others own fields that the apply sets: 409 `Conflict`, one cause a conflict.
    #[error("{}", summary(.0))]
    Conflicts(Vec<Conflict>),
}

/// One field that another manager owns with another value.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Conflict {
    pub manager: String,
    pub operation: String,
    pub api_version: String,
    pub subresource: String,
    /// RFC 3339, empty if unknown.
    pub time: String,
    /// As Kubernetes prints it: `.spec.replicas`.
    pub field: String,
}

impl Conflict {
    /// The text of the Status cause.
    pub fn message(&self) -> String {
        self.to_string()
    }
}

impl fmt::Display for Conflict {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "conflict with \"{}\"", self.manager)
    }
}

fn summary(conflicts: &[Conflict]) -> String {
    format!("{conflicts:?}")
}
