//! What the proxy and DNS know of the cluster: Services and their endpoints,
//! trimmed to what they use.
//!
//! One [`State`] a process. [`watch`] keeps it current; DNS reads it for every
//! question, the proxy asks which Services changed.

mod index;
mod object;
pub mod watch;

use std::collections::HashSet;
use std::net::Ipv4Addr;
use std::sync::{Arc, Mutex, PoisonError, RwLock, RwLockReadGuard};
use std::time::Duration;

use jiff::Timestamp;
use tokio::sync::Notify;

pub use index::Index;

/// Namespace and name of a Service or an EndpointSlice.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct ObjectName {
    pub namespace: Arc<str>,
    pub name: Arc<str>,
}

impl ObjectName {
    pub fn new(namespace: &str, name: &str) -> Self {
        Self {
            namespace: namespace.into(),
            name: name.into(),
        }
    }
}

impl std::fmt::Display for ObjectName {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{}/{}", self.namespace, self.name)
    }
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Protocol {
    Tcp,
    Udp,
}

impl Protocol {
    /// As it stands in DNS names and messages.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Tcp => "tcp",
            Self::Udp => "udp",
        }
    }
}

/// Where a Service's name leads.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Target {
    /// To addresses of its own, which the proxy answers.
    ClusterIps(Vec<Ipv4Addr>),
    /// To its endpoints: DNS tells them, the proxy has no part in it.
    Headless,
    /// To a name outside the cluster.
    ExternalName(String),
}

/// Which endpoints traffic may go to.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum TrafficPolicy {
    #[default]
    Cluster,
    /// Only those on the node that received it.
    Local,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ServicePort {
    /// Empty where a Service has but one port and did not name it.
    pub name: Arc<str>,
    pub protocol: Protocol,
    pub port: u16,
    pub node_port: Option<u16>,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Service {
    pub target: Target,
    pub ports: Vec<ServicePort>,
    /// Nodes' addresses at which it is reached from outside, on its own ports.
    pub balanced_at: Vec<Ipv4Addr>,
    /// How long a client stays with its endpoint after its last connection.
    pub affinity: Option<Duration>,
    pub publishes_not_ready: bool,
    pub internal_policy: TrafficPolicy,
    pub external_policy: TrafficPolicy,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Endpoint {
    pub ip: Ipv4Addr,
    pub readiness: Readiness,
    pub node: Option<Arc<str>>,
    /// The name it has under a headless Service.
    pub hostname: Option<Arc<str>>,
}

/// What an endpoint's conditions come to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Readiness {
    /// Takes traffic.
    Ready,
    /// Shutting down but still answering: taken where none is ready.
    ServingWhileTerminating,
    /// Takes none.
    NotReady,
}

/// A port of the endpoints in a slice: number by name, as targetPort may
/// differ from pod to pod.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SlicePort {
    pub name: Arc<str>,
    pub protocol: Protocol,
    pub port: u16,
}

/// An EndpointSlice of IPv4 addresses.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Slice {
    pub service: Arc<str>,
    pub ports: Vec<SlicePort>,
    pub endpoints: Vec<Endpoint>,
}

/// The picture of the cluster, shared by proxy and DNS.
#[derive(Debug, Default)]
pub struct State {
    index: RwLock<Index>,
    changed: Mutex<HashSet<ObjectName>>,
    change: Notify,
    /// When that happened which the latest changes of endpoints come from.
    triggers: Mutex<Vec<Timestamp>>,
}

/// As many changes at once are timed.
const TRIGGERS_MAX: usize = 1000;

impl State {
    pub fn new() -> Arc<Self> {
        Arc::default()
    }

    pub fn read(&self) -> RwLockReadGuard<'_, Index> {
        // A change of the index cannot panic half way: see `Index`.
        self.index.read().unwrap_or_else(PoisonError::into_inner)
    }

    pub fn put_service(&self, name: ObjectName, service: Service) {
        self.change(|index| index.put_service(name, service));
    }

    pub fn delete_service(&self, name: &ObjectName) {
        self.change(|index| index.delete_service(name));
    }

    /// Makes the Services exactly these: after a watch had to start over.
    pub fn replace_services(&self, services: Vec<(ObjectName, Service)>) {
        self.change(|index| index.replace_services(services));
    }

    pub fn put_slice(&self, name: ObjectName, slice: Slice) {
        self.change(|index| index.put_slice(name, slice));
    }

    /// Notes why the next change of endpoints is made.
    fn triggered(&self, at: Timestamp) {
        let mut triggers = self.triggers.lock().unwrap_or_else(PoisonError::into_inner);
        if triggers.len() < TRIGGERS_MAX {
            triggers.push(at);
        }
    }

    pub fn take_triggers(&self) -> Vec<Timestamp> {
        std::mem::take(&mut self.triggers.lock().unwrap_or_else(PoisonError::into_inner))
    }

    pub fn delete_slice(&self, name: &ObjectName) {
        self.change(|index| index.delete_slice(name));
    }

    /// Makes the slices exactly these: after a watch had to start over.
    pub fn replace_slices(&self, slices: Vec<(ObjectName, Slice)>) {
        self.change(|index| index.replace_slices(slices));
    }

    /// Waits until Services or their endpoints changed; names the Services,
    /// each to one caller once: there is one proxy.
    pub async fn changed(&self) -> HashSet<ObjectName> {
        loop {
            let changed = std::mem::take(&mut *self.lock_changed());
            if !changed.is_empty() {
                return changed;
            }
            self.change.notified().await;
        }
    }

    fn change(&self, change: impl FnOnce(&mut Index) -> Vec<ObjectName>) {
        let mut index = self.index.write().unwrap_or_else(PoisonError::into_inner);
        let changed = change(&mut index);
        drop(index);
        if !changed.is_empty() {
            self.lock_changed().extend(changed);
            self.change.notify_one();
        }
    }

    fn lock_changed(&self) -> std::sync::MutexGuard<'_, HashSet<ObjectName>> {
        // A set of names is sound whoever panicked while holding it.
        self.changed.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
