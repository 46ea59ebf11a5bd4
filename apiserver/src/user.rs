//! Who makes a request.

use std::collections::BTreeMap;

pub const MASTERS: &str = "system:masters";
pub const AUTHENTICATED: &str = "system:authenticated";
pub const UNAUTHENTICATED: &str = "system:unauthenticated";
pub const ANONYMOUS: &str = "system:anonymous";
pub const NODES: &str = "system:nodes";
/// The extra that says with which of their credentials a user came.
pub const CREDENTIAL_ID: &str = "authentication.kubernetes.io/credential-id";
pub const SERVICE_ACCOUNT_PREFIX: &str = "system:serviceaccount:";

/// An authenticated (or anonymous) user, as authorization and audits see them.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct User {
    pub name: String,
    pub uid: String,
    pub groups: Vec<String>,
    pub extra: BTreeMap<String, Vec<String>>,
}

impl User {
    pub fn new(name: impl Into<String>, groups: impl IntoIterator<Item = String>) -> Self {
        Self {
            name: name.into(),
            groups: groups.into_iter().collect(),
            ..Self::default()
        }
    }

    /// Who the cluster's own parts are, in process.
    pub fn admin(name: &str) -> Self {
        Self::new(name, [MASTERS.to_owned(), AUTHENTICATED.to_owned()])
    }

    pub fn anonymous() -> Self {
        Self::new(ANONYMOUS, [UNAUTHENTICATED.to_owned()])
    }

    pub fn service_account(namespace: &str, name: &str, uid: &str) -> Self {
        let mut user = Self::new(
            format!("{SERVICE_ACCOUNT_PREFIX}{namespace}:{name}"),
            service_account_groups(namespace),
        );
        user.uid = uid.to_owned();
        user
    }

    pub fn is_in(&self, group: &str) -> bool {
        self.groups.iter().any(|g| g == group)
    }

    /// The node's name, if the user is a node's kubelet.
    pub fn node(&self) -> Option<&str> {
        let name = self.name.strip_prefix("system:node:")?;
        self.is_in(NODES).then_some(name)
    }

    /// Namespace and name, if the user is a service account.
    pub fn as_service_account(&self) -> Option<(&str, &str)> {
        self.name
            .strip_prefix(SERVICE_ACCOUNT_PREFIX)?
            .split_once(':')
    }
}

pub fn service_account_groups(namespace: &str) -> [String; 3] {
    [
        "system:serviceaccounts".to_owned(),
        format!("system:serviceaccounts:{namespace}"),
        AUTHENTICATED.to_owned(),
    ]
}
