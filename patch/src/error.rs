use std::fmt;

/// Why a patch was refused. Each displays as Kubernetes words it.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Error {
    /// The patch is no patch of its type: 400 `BadRequest`.
    #[error("{0}")]
    Malformed(String),
    /// More operations than Kubernetes takes: 413 `RequestEntityTooLarge`.
    #[error("The allowed maximum operations in a JSON patch is {limit}, got {got}")]
    TooMany { limit: usize, got: usize },
    /// A well-formed patch that does not fit the object: 422 `Invalid`. Kubernetes
    /// keeps the detail to itself; it is here for the log.
    #[error("the server rejected our request due to an error in our request")]
    Unprocessable(String),
    /// What Kubernetes reports as a failure of its own (a list item without its
    /// merge key, an applied field that no schema has): 500.
    #[error("{0}")]
    Internal(String),
    /// Others own fields that the apply sets: 409 `Conflict`, one cause a conflict.
    #[error("{}", summary(.0))]
    Conflicts(Vec<Conflict>),
}

/// One field that another manager owns with another value; displays as the
/// message of the Status cause.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Conflict {
    pub manager: String,
    /// `Apply` or `Update`.
    pub operation: String,
    pub api_version: String,
    pub subresource: String,
    /// As Kubernetes prints it: `.spec.replicas`.
    pub field: String,
}

impl Conflict {
    fn owner(&self) -> String {
        let mut owner = format!("{:?}", self.manager);
        if !self.subresource.is_empty() {
            owner += &format!(" with subresource {:?}", self.subresource);
        }
        if self.operation == "Update" {
            owner += &format!(" using {}", self.api_version);
        }
        owner
    }
}

impl fmt::Display for Conflict {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "conflict with {}", self.owner())
    }
}

/// Conflicts of one owner stand together, as Kubernetes lists them.
fn summary(conflicts: &[Conflict]) -> String {
    if let [only] = conflicts {
        return format!("Apply failed with 1 conflict: {only}: {}", only.field);
    }
    let mut lines = Vec::new();
    let mut owner = String::new();
    for conflict in conflicts {
        if owner != conflict.owner() {
            owner = conflict.owner();
            lines.push(format!("conflicts with {owner}:"));
        }
        lines.push(format!("- {}", conflict.field));
    }
    format!(
        "Apply failed with {} conflicts: {}",
        conflicts.len(),
        lines.join("\n")
    )
}
