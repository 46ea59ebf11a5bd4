//! APIs that other servers serve, under this server's address.
//!
//! An APIService names a group, a version and the Service behind which their
//! server is. Requests for them are authenticated and authorized here and handed
//! on, with the user in headers that the other server believes for the
//! certificate it is shown. Discovery and OpenAPI show all APIs as one.
//!
//! A cluster without such servers pays one look at a counter a request.

mod authentication;
pub mod availability;
pub mod discovery;
pub mod local;
mod proxy;

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, PoisonError, RwLock};

use apimachinery::meta;
use serde_json::Value;
use tokio::sync::Notify;

use crate::KeyPair;
use crate::mirror::{Follower, Source, parse};
use crate::route::{Route, Target};
use crate::webhook;
use crate::webhook::resolve::Service;
use crate::webhook::trust::Roots;

pub use authentication::publish;
pub use proxy::forward;

/// As whom the server calls extension API servers.
#[derive(Clone)]
pub struct Aggregator {
    /// The certificate by which they know that the user headers are true.
    pub client: KeyPair,
    /// Who signed it; told in ConfigMap `extension-apiserver-authentication`.
    pub ca_pem: String,
}

/// One group and version that another server serves.
#[derive(Debug, Clone)]
pub struct Remote {
    /// The APIService's own.
    pub name: String,
    pub group: String,
    pub version: String,
    pub group_priority: i64,
    pub version_priority: i64,
    pub service: Service,
    /// What is wrong with the `caBundle`, if something is.
    pub roots: Result<Roots, String>,
    /// By the APIService's condition `Available`.
    pub is_available: bool,
    /// The `APIResourceList` it answered last.
    pub resources: Option<Arc<Value>>,
}

/// All of them at one moment, by the APIService's name.
pub type Remotes = BTreeMap<String, Arc<Remote>>;

pub struct Aggregation {
    /// What the server shows to extension servers.
    identity: Option<Arc<pki::Identity>>,
    count: AtomicUsize,
    remotes: RwLock<Arc<Remotes>>,
    /// Something is to be looked at anew.
    changed: Notify,
}

impl Aggregation {
    pub async fn load(
        source: &Source,
        identity: Option<Arc<pki::Identity>>,
    ) -> Result<Arc<Self>, store::Error> {
        let aggregation = Arc::new(Self {
            identity,
            count: AtomicUsize::new(0),
            remotes: RwLock::default(),
            changed: Notify::new(),
        });
        source.follow("apiservices", aggregation.clone()).await?;
        Ok(aggregation)
    }

    pub fn remotes(&self) -> Arc<Remotes> {
        let remotes = self.remotes.read().unwrap_or_else(PoisonError::into_inner);
        remotes.clone()
    }

    /// Who else serves what the request is for.
    pub fn remote_of(&self, route: &Route) -> Option<Arc<Remote>> {
        if self.count.load(Ordering::Acquire) == 0 {
            return None;
        }
        let (group, version) = match &route.target {
            Target::Resource(resource) => (resource.group.as_str(), resource.version.as_str()),
            Target::Path => group_version(&route.path)?,
        };
        self.remotes().get(&format!("{version}.{group}")).cloned()
    }

    fn change(&self, change: impl FnOnce(&mut Remotes)) {
        let mut held = self.remotes.write().unwrap_or_else(PoisonError::into_inner);
        let mut remotes = Remotes::clone(&held);
        change(&mut remotes);
        self.count.store(remotes.len(), Ordering::Release);
        *held = Arc::new(remotes);
    }

    fn note_resources(&self, name: &str, resources: Option<Arc<Value>>) {
        self.change(|remotes| {
            if let Some(remote) = remotes.get_mut(name) {
                Arc::make_mut(remote).resources = resources;
            }
        });
    }
}

/// `/apis/<group>/<version>`, alone or with an OpenAPI prefix.
fn group_version(path: &str) -> Option<(&str, &str)> {
    let segments: Vec<&str> = path.split('/').filter(|s| !s.is_empty()).collect();
    match segments.as_slice() {
        ["apis", group, version] | ["openapi", "v3", "apis", group, version] => {
            Some((group, version))
        }
        _ => None,
    }
}

impl Remote {
    /// None: the APIService is for what this server serves itself.
    fn read(name: &str, object: &Value) -> Option<Self> {
        let spec = &object["spec"];
        let service = meta::get(spec, "service").filter(|service| service.is_object())?;
        let roots = if meta::flag(spec, "insecureSkipTLSVerify") {
            Ok(Roots::Anybody)
        } else {
            webhook::bundle(meta::text(spec, "caBundle")).map_err(|error| error.to_string())
        };
        let mut conditions = meta::items(object, "status.conditions").iter();
        let is_available = conditions.any(|c| c["type"] == "Available" && c["status"] == "True");
        Some(Self {
            name: name.to_owned(),
            group: meta::text(spec, "group").to_owned(),
            version: meta::text(spec, "version").to_owned(),
            group_priority: meta::int(spec, "groupPriorityMinimum").unwrap_or(0),
            version_priority: meta::int(spec, "versionPriority").unwrap_or(0),
            service: Service::read(service),
            roots,
            is_available,
            resources: None,
        })
    }

    fn is_same_server(&self, other: &Self) -> bool {
        self.service == other.service && self.roots == other.roots
    }
}

impl Follower for Aggregation {
    fn put(&self, key: &str, object: &[u8]) {
        let Some(object) = parse(key, object) else {
            return;
        };
        let Some(mut remote) = Remote::read(key, &object) else {
            return self.delete(key);
        };
        self.change(|remotes| {
            let known = remotes.get(key);
            let same = known.filter(|known| known.is_same_server(&remote));
            match same {
                Some(same) => remote.resources.clone_from(&same.resources),
                None => self.changed.notify_one(),
            }
            remotes.insert(key.to_owned(), Arc::new(remote));
        });
    }

    fn delete(&self, key: &str) {
        if self.remotes().contains_key(key) {
            self.change(|remotes| drop(remotes.remove(key)));
        }
    }

    fn clear(&self) {
        if !self.remotes().is_empty() {
            self.change(BTreeMap::clear);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn discovery_and_openapi_of_a_version_are_the_other_servers() {
        assert_eq!(group_version("/apis/g.io/v1"), Some(("g.io", "v1")));
        assert_eq!(group_version("/apis/g.io/v1/"), Some(("g.io", "v1")));
        assert_eq!(
            group_version("/openapi/v3/apis/g.io/v1"),
            Some(("g.io", "v1"))
        );
        assert_eq!(group_version("/apis/g.io"), None);
        assert_eq!(group_version("/metrics"), None);
    }
}
