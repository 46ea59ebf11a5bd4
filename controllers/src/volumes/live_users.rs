//! Which pods use claims of a namespace, asked of the API server.
//!
//! A namespace that ends takes all its claims at once: one list answers for every
//! claim that was changed before it was made.

use std::sync::Arc;

use kube::api::{ListParams, ObjectList};
use kube::{Api, Client};
use tokio::sync::Mutex;

use super::claim_users;
use crate::error::Error;
use crate::key::Key;
use crate::object::{PersistentVolumeClaim, Pod};

/// The newest list.
pub struct LiveUsers {
    client: Client,
    newest: Mutex<Option<Arc<Listed>>>,
}

struct Listed {
    namespace: Arc<str>,
    revision: u64,
    /// Those that name claims.
    pods: Vec<Pod>,
}

impl LiveUsers {
    pub fn new(client: Client) -> Self {
        Self {
            client,
            newest: Mutex::default(),
        }
    }

    /// Whether a pod holds the claim, as of some time after its last change.
    pub async fn hold(&self, key: &Key, claim: &PersistentVolumeClaim) -> Result<bool, Error> {
        let mut newest = self.newest.lock().await;
        let fits = |listed: &&Arc<Listed>| {
            listed.namespace == key.namespace && listed.revision >= revision(claim)
        };
        let known = newest.as_ref().filter(fits);
        // Who used it then may be gone: that it was unused is all an old list can tell.
        if known.is_some_and(|listed| !listed.hold(claim)) {
            return Ok(false);
        }
        let listed = Arc::new(self.list(key).await?);
        *newest = Some(listed.clone());
        Ok(listed.hold(claim))
    }

    async fn list(&self, key: &Key) -> Result<Listed, Error> {
        let pods: Api<Pod> = Api::namespaced(self.client.clone(), &key.namespace);
        let list = pods.list(&ListParams::default()).await;
        let list = list.map_err(Error::api("list the pods that may use", "claim", key))?;
        Ok(Listed::of(key.namespace.clone(), list))
    }
}

impl Listed {
    fn of(namespace: Arc<str>, list: ObjectList<Pod>) -> Self {
        let revision = list.metadata.resource_version.as_deref();
        Self {
            namespace,
            revision: revision.and_then(|text| text.parse().ok()).unwrap_or(0),
            pods: list
                .items
                .into_iter()
                .filter(|pod| !pod.spec.claims.is_empty())
                .collect(),
        }
    }

    fn hold(&self, claim: &PersistentVolumeClaim) -> bool {
        self.pods.iter().any(|pod| claim_users::holds(pod, claim))
    }
}

/// Later than any list where it cannot be read.
fn revision(claim: &PersistentVolumeClaim) -> u64 {
    let version = claim.metadata.resource_version.as_deref();
    version
        .and_then(|text| text.parse().ok())
        .unwrap_or(u64::MAX)
}
