//! All that is watched, as one stream.

use follow::Event;
use futures::StreamExt;
use futures::stream::{BoxStream, SelectAll, select_all};
use k8s_openapi::api::core::v1::{PersistentVolume, PersistentVolumeClaim};
use k8s_openapi::api::policy::v1::PodDisruptionBudget;
use k8s_openapi::api::storage::v1::{CSINode, StorageClass};
use kube::{Api, Client};

use super::Scheduler;
use crate::object::Namespace;
use crate::workloads::{ReplicaSet, ReplicationController, Service, StatefulSet};

/// What a watch has shown, and what is to be made of it.
pub type Seen = Box<dyn FnOnce(&mut Scheduler) + Send>;

/// What is known once each of these was listed.
pub const KINDS: [&str; 12] = [
    "Pod",
    "Node",
    "Namespace",
    "PersistentVolumeClaim",
    "PersistentVolume",
    "StorageClass",
    "CSINode",
    "PodDisruptionBudget",
    "Service",
    "ReplicationController",
    "ReplicaSet",
    "StatefulSet",
];

pub fn all(client: &Client) -> SelectAll<BoxStream<'static, Seen>> {
    let unfinished = "status.phase!=Succeeded,status.phase!=Failed";
    select_all([
        watch(client, unfinished, Scheduler::on_pod),
        watch(client, "", Scheduler::on_node),
        watch(client, "", Scheduler::on_kept::<Namespace>),
        watch(client, "", Scheduler::on_kept::<PersistentVolumeClaim>),
        watch(client, "", Scheduler::on_kept::<PersistentVolume>),
        watch(client, "", Scheduler::on_kept::<StorageClass>),
        watch(client, "", Scheduler::on_kept::<CSINode>),
        watch(client, "", Scheduler::on_kept::<PodDisruptionBudget>),
        watch(client, "", Scheduler::on_kept::<Service>),
        watch(client, "", Scheduler::on_kept::<ReplicationController>),
        watch(client, "", Scheduler::on_kept::<ReplicaSet>),
        watch(client, "", Scheduler::on_kept::<StatefulSet>),
    ])
}

fn watch<K>(
    client: &Client,
    fields: &str,
    take: fn(&mut Scheduler, Event<K>),
) -> BoxStream<'static, Seen>
where
    K: kube::Resource<DynamicType = ()> + Clone + std::fmt::Debug + Send + 'static,
    K: serde::de::DeserializeOwned,
{
    let events = follow::objects(Api::<K>::all(client.clone()), fields);
    let seen = events.filter_map(move |event| std::future::ready(seen(event, take)));
    seen.boxed()
}

fn seen<K>(
    event: Result<Event<K>, follow::Error>,
    take: fn(&mut Scheduler, Event<K>),
) -> Option<Seen>
where
    K: kube::Resource<DynamicType = ()> + Send + 'static,
{
    match event {
        Ok(event) => Some(Box::new(move |scheduler| take(scheduler, event))),
        Err(error) => {
            tracing::warn!(
                kind = %K::kind(&()),
                error = &error as &dyn std::error::Error,
                "watch broke"
            );
            None
        }
    }
}
