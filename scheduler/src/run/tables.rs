//! Kinds of which there is one table each, kept as the API has them.

use std::sync::Arc;

use follow::Event;
use k8s_openapi::api::core::v1::{PersistentVolume, PersistentVolumeClaim};
use k8s_openapi::api::policy::v1::PodDisruptionBudget;
use k8s_openapi::api::storage::v1::{CSINode, StorageClass};
use tokio::time::Instant;

use super::Scheduler;
use crate::happened::Happened;
use crate::object::Namespace;
use crate::object::key;
use crate::storage::{Claim, Volume};
use crate::workloads::{ReplicaSet, ReplicationController, Service, StatefulSet, Workload};

/// A kind that is kept in a table.
pub(super) trait Kept: kube::Resource<DynamicType = ()> + Sized {
    /// What a change of the table may mean to waiting pods.
    const HAPPENED: Option<Happened<'static>>;

    /// Takes over one object; false if nothing that is kept of it has changed.
    fn put(self, scheduler: &mut Scheduler) -> bool;
    fn remove(scheduler: &mut Scheduler, key: &str);
    fn keys(scheduler: &Scheduler) -> Vec<String>;
}

impl Scheduler {
    pub(super) fn on_kept<K: Kept>(&mut self, event: Event<K>) {
        let kind = kind::<K>();
        let is_news = match event {
            Event::Init => {
                self.listed.remove(kind);
                false
            }
            Event::InitApply(object) => {
                self.list(kind, key_of(&object));
                object.put(self);
                false
            }
            Event::InitDone { .. } => {
                let listed = self.listed.remove(kind).unwrap_or_default();
                for key in K::keys(self) {
                    if !listed.contains(key.as_str()) {
                        K::remove(self, &key);
                    }
                }
                self.unknown.remove(kind);
                true
            }
            Event::Apply(object) => object.put(self),
            Event::Delete(object) => {
                K::remove(self, &key_of(&object));
                true
            }
        };
        if let Some(happened) = K::HAPPENED.filter(|_| is_news) {
            self.queue.wake(&happened, Instant::now());
            self.check_volumes();
        }
    }

    pub(super) fn list(&mut self, kind: &'static str, key: Arc<str>) {
        self.listed.entry(kind).or_default().insert(key);
    }
}

fn kind<K: Kept>() -> &'static str {
    let name = K::kind(&());
    let mut kinds = super::watches::KINDS.into_iter();
    let found = kinds.find(|kind| *kind == name);
    found.expect("every kind that is kept is watched")
}

/// Namespace and name, or the name of what is in none.
fn key_of<K: kube::Resource>(object: &K) -> Arc<str> {
    let meta = object.meta();
    let name = meta.name.as_deref().unwrap_or_default();
    match &meta.namespace {
        Some(namespace) => key(namespace, name),
        None => name.into(),
    }
}

impl Kept for Namespace {
    const HAPPENED: Option<Happened<'static>> = Some(Happened::NamespaceLabelled);

    fn put(self, scheduler: &mut Scheduler) -> bool {
        scheduler.cluster.namespaces.set(self)
    }
    fn remove(scheduler: &mut Scheduler, key: &str) {
        scheduler.cluster.namespaces.remove(key);
    }
    fn keys(scheduler: &Scheduler) -> Vec<String> {
        scheduler.cluster.namespaces.names()
    }
}

impl Kept for PersistentVolumeClaim {
    const HAPPENED: Option<Happened<'static>> = Some(Happened::Storage);

    fn put(self, scheduler: &mut Scheduler) -> bool {
        scheduler.cluster.storage.set_claim(Claim::of(self));
        true
    }
    fn remove(scheduler: &mut Scheduler, key: &str) {
        scheduler.cluster.storage.claims.remove(key);
    }
    fn keys(scheduler: &Scheduler) -> Vec<String> {
        let claims = scheduler.cluster.storage.claims.keys();
        claims.map(ToString::to_string).collect()
    }
}

impl Kept for PersistentVolume {
    const HAPPENED: Option<Happened<'static>> = Some(Happened::Storage);

    fn put(self, scheduler: &mut Scheduler) -> bool {
        let volume = Volume::of(self);
        let volumes = &mut scheduler.cluster.storage.volumes;
        volumes.insert(volume.name.clone(), volume);
        true
    }
    fn remove(scheduler: &mut Scheduler, key: &str) {
        scheduler.cluster.storage.volumes.remove(key);
    }
    fn keys(scheduler: &Scheduler) -> Vec<String> {
        scheduler.cluster.storage.volumes.keys().cloned().collect()
    }
}

impl Kept for StorageClass {
    const HAPPENED: Option<Happened<'static>> = Some(Happened::Storage);

    fn put(self, scheduler: &mut Scheduler) -> bool {
        let name = self.metadata.name.clone().unwrap_or_default();
        scheduler.cluster.storage.classes.insert(name, self);
        true
    }
    fn remove(scheduler: &mut Scheduler, key: &str) {
        scheduler.cluster.storage.classes.remove(key);
    }
    fn keys(scheduler: &Scheduler) -> Vec<String> {
        scheduler.cluster.storage.classes.keys().cloned().collect()
    }
}

impl Kept for CSINode {
    const HAPPENED: Option<Happened<'static>> = Some(Happened::Storage);

    fn put(self, scheduler: &mut Scheduler) -> bool {
        scheduler.cluster.storage.set_limits(self)
    }
    fn remove(scheduler: &mut Scheduler, key: &str) {
        scheduler.cluster.storage.limits.remove(key);
    }
    fn keys(scheduler: &Scheduler) -> Vec<String> {
        scheduler.cluster.storage.limits.keys().cloned().collect()
    }
}

impl Kept for PodDisruptionBudget {
    const HAPPENED: Option<Happened<'static>> = None;

    fn put(self, scheduler: &mut Scheduler) -> bool {
        scheduler.budgets.set(self);
        true
    }
    fn remove(scheduler: &mut Scheduler, key: &str) {
        let (namespace, name) = key.split_once('/').unwrap_or_default();
        scheduler.budgets.remove(namespace, name);
    }
    fn keys(scheduler: &Scheduler) -> Vec<String> {
        scheduler.budgets.keys()
    }
}

macro_rules! workload {
    ($type:ty) => {
        impl Kept for $type {
            const HAPPENED: Option<Happened<'static>> = None;

            fn put(self, scheduler: &mut Scheduler) -> bool {
                scheduler.cluster.workloads.set(&self);
                true
            }
            fn remove(scheduler: &mut Scheduler, key: &str) {
                scheduler.cluster.workloads.remove(<$type>::KIND, key);
            }
            fn keys(scheduler: &Scheduler) -> Vec<String> {
                scheduler.cluster.workloads.keys(<$type>::KIND)
            }
        }
    };
}

workload!(Service);
workload!(ReplicationController);
workload!(ReplicaSet);
workload!(StatefulSet);
