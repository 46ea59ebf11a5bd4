//! Which pods are each other's replicas: those of one Service or of one owner.
//!
//! Pods without constraints of their own are spread by this.

use std::collections::{BTreeMap, HashMap};
use std::sync::Arc;

use k8s_openapi::api::apps::v1 as apps;
use k8s_openapi::api::core::v1 as core;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::{LabelSelector, ObjectMeta};
use objects::served_as;
use serde::Deserialize;

use crate::object::key;
use crate::selector::Selector;
use crate::template::Template;

/// A Service or a ReplicationController: its selector is a map.
#[derive(Debug, Clone, Default, Deserialize)]
#[serde(default)]
struct Mapped {
    selector: BTreeMap<String, String>,
}

#[derive(Debug, Clone, Default, Deserialize)]
#[serde(default)]
struct Selecting {
    selector: Option<LabelSelector>,
}

macro_rules! workload {
    ($type:ident, $spec:ident, $real:ty) => {
        #[derive(Debug, Clone, Default, Deserialize)]
        #[serde(default)]
        pub struct $type {
            #[serde(deserialize_with = "crate::object::metadata")]
            pub metadata: ObjectMeta,
            spec: $spec,
        }

        served_as!($type, $real, NamespaceResourceScope);
    };
}

workload!(Service, Mapped, core::Service);
workload!(ReplicationController, Mapped, core::ReplicationController);
workload!(ReplicaSet, Selecting, apps::ReplicaSet);
workload!(StatefulSet, Selecting, apps::StatefulSet);

/// What selects pods, whatever its kind.
pub trait Workload {
    const KIND: &'static str;
    fn metadata(&self) -> &ObjectMeta;
    fn selector(&self) -> Selector;
}

macro_rules! selects {
    ($type:ident, $spec:ident => $selector:expr) => {
        impl Workload for $type {
            const KIND: &'static str = stringify!($type);
            fn metadata(&self) -> &ObjectMeta {
                &self.metadata
            }
            fn selector(&self) -> Selector {
                let $spec = &self.spec.selector;
                $selector
            }
        }
    };
}

selects!(Service, labels => mapped(labels));
selects!(ReplicationController, labels => mapped(labels));
selects!(ReplicaSet, selector => Selector::read(selector.as_ref()));
selects!(StatefulSet, selector => Selector::read(selector.as_ref()));

/// A Service without a selector selects nothing.
fn mapped(labels: &BTreeMap<String, String>) -> Selector {
    if labels.is_empty() {
        return Selector::default();
    }
    Selector::of(labels)
}

/// Selectors by kind, namespace and name.
#[derive(Default)]
pub struct Workloads {
    services: HashMap<Box<str>, HashMap<String, Selector>>,
    owners: HashMap<&'static str, HashMap<Arc<str>, Selector>>,
}

impl Workloads {
    pub fn set<K: Workload>(&mut self, workload: &K) {
        let meta = workload.metadata();
        let (namespace, name) = place(meta);
        if K::KIND == Service::KIND {
            let services = self.services.entry(namespace.into()).or_default();
            services.insert(name.to_owned(), workload.selector());
        } else {
            let owners = self.owners.entry(K::KIND).or_default();
            owners.insert(key(namespace, name), workload.selector());
        }
    }

    pub fn remove(&mut self, kind: &str, key: &str) {
        if kind != Service::KIND {
            if let Some(owners) = self.owners.get_mut(kind) {
                owners.remove(key);
            }
            return;
        }
        let (namespace, name) = key.split_once('/').unwrap_or_default();
        if let Some(services) = self.services.get_mut(namespace) {
            services.remove(name);
        }
    }

    pub fn keys(&self, kind: &str) -> Vec<String> {
        if kind != Service::KIND {
            let owners = self.owners.get(kind).into_iter().flatten();
            return owners.map(|(key, _)| key.to_string()).collect();
        }
        let services = self.services.iter().flat_map(|(namespace, services)| {
            let names = services.keys();
            names.map(move |name| format!("{namespace}/{name}"))
        });
        services.collect()
    }

    /// Selects the pod's replicas, if it has any.
    pub fn replicas_of(&self, pod: &Template) -> Option<Selector> {
        let services = self.services.get(&pod.namespace).into_iter().flatten();
        let serving = services.map(|(_, selector)| selector);
        let serving = serving.filter(|selector| selector.matches(&pod.labels));
        let owner = pod.owner.as_ref().and_then(|(kind, name)| {
            let owners = self.owners.get(&**kind)?;
            owners.get(&key(&pod.namespace, name))
        });
        serving
            .chain(owner)
            .cloned()
            .reduce(|all, selector| all.and(&selector))
    }
}

fn place(meta: &ObjectMeta) -> (&str, &str) {
    (
        meta.namespace.as_deref().unwrap_or_default(),
        meta.name.as_deref().unwrap_or_default(),
    )
}
