use std::fmt;

/// Why a patch was refused. Each displays as Kubernetes words it.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Error {
    /// The patch is no patch of its type: 400 `BadRequest`.
    #[error("{0}")]
    Malformed(String),
    /// A well-formed patch that does not fit the object: 422 `Invalid`. Kubernetes
    /// keeps the detail to itself; it is here for the log.
    #[error("the server rejected our request due to an error in our request")]
    Unprocessable(String),
    /// What Kubernetes reports as a failure of its own, such as a list item
    /// without its merge key: 500 with this text.
    #[error("{0}")]
    Internal(String),
    /// The applied object does not fit its schema: 500. Before the text belongs
    /// `failed to create typed patch object (<namespace>/<name>; <version>, Kind=<kind>): `,
    /// with the namespace as the applied object gives it.
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
    /// `Apply` or `Update`.
    pub operation: String,
    pub api_version: String,
    pub subresource: String,
    /// As Kubernetes prints it: `.spec.replicas`.
    pub field: String,
}

impl Conflict {
    /// The message of the Status cause.
    pub fn message(&self) -> String {
        self.to_string()
    }

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
