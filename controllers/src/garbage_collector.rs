//! Garbage collection: what belongs to an object goes with it, or before it, or
//! is let go, as its deletion says.
//!
//! The graph knows all objects and their owners, and says which to look at.
//! Nothing is deleted on its word alone: the object, and every owner that the
//! graph does not know to be there, are asked for first.

mod graph;
mod patch;
mod watches;

use std::sync::Arc;

use k8s_openapi::apimachinery::pkg::apis::meta::v1::ObjectMeta;
use kube::api::{DeleteParams, Preconditions, PropagationPolicy};
use tokio::task::JoinSet;
use tokio_util::sync::CancellationToken;

use crate::cluster::Cluster;
use crate::controller::{self, Controller, Next};
use crate::error::Error;
use crate::key::Key;
use crate::queue::Queue;
use graph::{FOREGROUND, Life, ORPHAN, Object, Owner};
pub use watches::OnGone;
use watches::World;

const WORKERS: usize = 20;

struct GarbageCollector {
    cluster: Cluster,
    world: Arc<World>,
}

/// What has become of an owner.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Fate {
    There,
    Gone,
    /// Waits for its dependents to go before it.
    Waiting,
    /// Nobody can tell, so nothing is deleted for its sake.
    Unknown,
}

pub fn start(
    cluster: &Cluster,
    tasks: &mut JoinSet<()>,
    shutdown: &CancellationToken,
    on_gone: OnGone,
) {
    let queue = Queue::new();
    let world = World::new(queue.clone(), on_gone);
    tasks.spawn(watches::run(
        world.clone(),
        cluster.client.clone(),
        shutdown.clone(),
    ));
    let controller = GarbageCollector {
        cluster: cluster.clone(),
        world,
    };
    controller::start(tasks, controller, queue, WORKERS, shutdown);
}

impl Controller for GarbageCollector {
    const NAME: &'static str = "garbage-collector";

    async fn informed(&self) {
        self.world.completed().await;
        let objects = self.world.graph().len();
        tracing::debug!(objects, "the graph of owners is complete");
    }

    async fn reconcile(&self, uid: &Key) -> Result<Next, Error> {
        let uid = &*uid.name;
        let object = self.world.graph().get(uid).cloned();
        let Some(object) = object else {
            return Ok(Next::WhenChanged);
        };
        match object.life {
            Life::Ending => {}
            Life::Alive => self.collect(uid, &object).await?,
            Life::EndingAfterDependents => self.end_after_dependents(uid, &object).await?,
            Life::EndingWithoutDependents => self.let_dependents_go(uid, &object).await?,
        }
        Ok(Next::WhenChanged)
    }
}

impl GarbageCollector {
    /// Deletes the object if none of its owners is there.
    async fn collect(&self, uid: &str, object: &Object) -> Result<(), Error> {
        let is_owned = {
            let graph = self.world.graph();
            let mut owners = object.owners.iter();
            owners.all(|owner| graph.is_alive(owner, &object.namespace))
        };
        if is_owned {
            return Ok(());
        }
        let Some(live) = self.live(uid, object).await? else {
            self.world.remove(uid);
            return Ok(());
        };
        if live.deletion_timestamp.is_some() {
            return Ok(());
        }
        let mut fates = Vec::new();
        for owner in graph::owners(&live) {
            let fate = self.fate(&owner, object).await?;
            fates.push((owner, fate));
        }
        let is = |wanted| fates.iter().any(|(_, fate)| *fate == wanted);
        if fates.is_empty() || is(Fate::Unknown) {
            return Ok(());
        }
        if is(Fate::There) {
            let lost = |owner: &str| {
                let mut fates = fates.iter();
                fates.any(|(o, fate)| *fate != Fate::There && *o.uid == *owner)
            };
            return self.drop_owners(object, &live, lost).await;
        }
        if is(Fate::Waiting) && self.has_dependents(uid) {
            self.break_circle(uid, object, &live).await?;
            return self
                .delete(object, &live, PropagationPolicy::Foreground)
                .await;
        }
        self.delete(object, &live, policy(&live)).await
    }

    async fn fate(&self, owner: &Owner, dependent: &Object) -> Result<Fate, Error> {
        let namespace = &*dependent.namespace;
        let known = {
            let graph = self.world.graph();
            let known = graph.get(&owner.uid);
            known
                .filter(|o| o.is_meant_by(owner, namespace))
                .map(|o| o.life)
        };
        if let Some(life) = known {
            return Ok(fate_of(life));
        }
        let served = self.world.served();
        let Some(resource) = served.of_kind(&owner.group, &owner.kind) else {
            tracing::debug!(
                kind = &*owner.kind,
                group = &*owner.group,
                "owner of a kind that is not served"
            );
            return Ok(Fate::Unknown);
        };
        if resource.is_namespaced && namespace.is_empty() {
            tracing::debug!(
                object = &*dependent.name,
                "owner in a namespace of an object in none"
            );
            return Ok(Fate::Unknown);
        }
        let place = if resource.is_namespaced {
            namespace
        } else {
            ""
        };
        let found = resource
            .api(&self.cluster.client, place)
            .get_metadata_opt(&owner.name)
            .await;
        let found = found.map_err(Error::api("get", "owner", &Key::new(place, &owner.name)))?;
        let found = found.filter(|o| o.metadata.uid.as_deref() == Some(&*owner.uid));
        Ok(found.map_or(Fate::Gone, |o| fate_of(graph::life(&o.metadata))))
    }

    /// Lets the object end once no dependent is left that it waits for.
    async fn end_after_dependents(&self, uid: &str, object: &Object) -> Result<(), Error> {
        let waited_for: Vec<_> = {
            let graph = self.world.graph();
            let waited_for = graph.waited_for(uid);
            waited_for.map(|(uid, o)| (uid.clone(), o.life)).collect()
        };
        if waited_for.is_empty() {
            return self.drop_finalizer(uid, object, FOREGROUND).await;
        }
        let alive = waited_for
            .into_iter()
            .filter(|(_, life)| *life == Life::Alive);
        self.world.look_at(alive.map(|(uid, _)| uid).collect());
        Ok(())
    }

    /// Takes the object out of its dependents' owners, then lets it end.
    async fn let_dependents_go(&self, uid: &str, object: &Object) -> Result<(), Error> {
        let dependents: Vec<_> = {
            let graph = self.world.graph();
            let dependents = graph.dependents(uid);
            dependents
                .map(|(uid, o)| (uid.clone(), o.clone()))
                .collect()
        };
        for (dependent, object) in dependents {
            if let Some(live) = self.live(&dependent, &object).await? {
                self.drop_owners(&object, &live, |owner| owner == uid)
                    .await?;
            }
        }
        self.drop_finalizer(uid, object, ORPHAN).await
    }

    fn has_dependents(&self, uid: &str) -> bool {
        self.world.graph().dependents(uid).next().is_some()
    }

    /// Two objects that wait for each other would wait forever.
    async fn break_circle(
        &self,
        uid: &str,
        object: &Object,
        live: &ObjectMeta,
    ) -> Result<(), Error> {
        let is_circle = {
            let graph = self.world.graph();
            let mut dependents = graph.dependents(uid);
            dependents.any(|(_, o)| o.life == Life::EndingAfterDependents)
        };
        if is_circle {
            return self.stop_blocking(object, live).await;
        }
        Ok(())
    }

    async fn live(&self, uid: &str, object: &Object) -> Result<Option<ObjectMeta>, Error> {
        let key = Key::new(&object.namespace, &object.name);
        let api = object.resource.api(&self.cluster.client, &object.namespace);
        let found = api.get_metadata_opt(&object.name).await;
        let found = found.map_err(Error::api("get", "object", &key))?;
        let found = found.map(|o| o.metadata);
        Ok(found.filter(|meta| meta.uid.as_deref() == Some(uid)))
    }

    async fn delete(
        &self,
        object: &Object,
        live: &ObjectMeta,
        policy: PropagationPolicy,
    ) -> Result<(), Error> {
        let key = Key::new(&object.namespace, &object.name);
        let params = DeleteParams {
            propagation_policy: Some(policy),
            preconditions: Some(Preconditions {
                uid: live.uid.clone(),
                resource_version: live.resource_version.clone(),
            }),
            ..DeleteParams::default()
        };
        let api = object.resource.api(&self.cluster.client, &object.namespace);
        match api.delete(&object.name, &params).await {
            Ok(_) => Ok(()),
            Err(kube::Error::Api(status)) if status.code == 404 => Ok(()),
            Err(source) => Err(Error::api("delete", "garbage", &key)(source)),
        }
    }
}

fn fate_of(life: Life) -> Fate {
    match life {
        Life::EndingAfterDependents => Fate::Waiting,
        _ => Fate::There,
    }
}

/// What the object's own finalizers ask for.
fn policy(live: &ObjectMeta) -> PropagationPolicy {
    let finalizers = live.finalizers.as_deref().unwrap_or_default();
    let has = |wanted: &str| finalizers.iter().any(|f| f == wanted);
    if has(ORPHAN) {
        PropagationPolicy::Orphan
    } else if has(FOREGROUND) {
        PropagationPolicy::Foreground
    } else {
        PropagationPolicy::Background
    }
}
