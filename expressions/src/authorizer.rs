//! What `authorizer` asks: may this user do that?

use std::fmt;

/// Answers the checks of expressions. Called while one evaluates: it must not wait.
pub trait Authorizer: Send + Sync {
    /// May the user of the request do this?
    fn check(&self, check: &Check) -> Decision;

    /// The same for a service account.
    fn check_service_account(&self, namespace: &str, name: &str, check: &Check) -> Decision;
}

/// One question: a path, or a verb on a resource.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Check {
    pub path: Option<String>,
    pub group: String,
    pub resource: String,
    pub subresource: String,
    pub namespace: String,
    pub name: String,
    pub verb: String,
    pub field_selector: String,
    pub label_selector: String,
}

#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Decision {
    pub allowed: bool,
    pub reason: String,
    pub error: Option<String>,
}

/// The word for it in logs: never the selectors' content.
impl fmt::Display for Check {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.path {
            Some(path) => write!(f, "{} {path}", self.verb),
            None => write!(f, "{} {}.{}", self.verb, self.resource, self.group),
        }
    }
}
