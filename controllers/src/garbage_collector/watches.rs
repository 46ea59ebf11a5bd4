//! Keeps the graph by a watch, of metadata only, of everything that is served.

use std::borrow::Cow;
use std::collections::{HashMap, HashSet};
use std::pin::pin;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, RwLock};
use std::time::Duration;

use follow::Event;
use futures::StreamExt;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::ObjectMeta;
use kube::api::ApiResource;
use kube::{Api, Client};
use serde::Deserialize;
use tokio::sync::{Notify, watch};
use tokio::time::{sleep, timeout};
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

use super::graph::{self, Graph, Object, Uid};
use crate::key::Key;
use crate::object::small_meta;
use crate::queue::Queue;
use crate::resources::{self, Resource, Served};

/// A resource that cannot be listed must not keep all others from being
/// collected.
const LONGEST_LIST: Duration = Duration::from_secs(30);
/// A new kind is served a moment after its definition was stored.
const SETTLE: Duration = Duration::from_millis(100);
const RETRY: Duration = Duration::from_secs(2);

/// Told of the namespace of every object that is gone.
pub type OnGone = Box<dyn Fn(&str) + Send + Sync>;

/// The graph, and what is served at the moment.
pub struct World {
    graph: Mutex<Graph>,
    served: RwLock<Arc<Served>>,
    queue: Arc<Queue>,
    on_gone: OnGone,
    kinds_changed: Notify,
    is_complete: watch::Sender<bool>,
}

impl World {
    pub fn new(queue: Arc<Queue>, on_gone: OnGone) -> Arc<Self> {
        Arc::new(Self {
            graph: Mutex::default(),
            served: RwLock::default(),
            queue,
            on_gone,
            kinds_changed: Notify::new(),
            is_complete: watch::Sender::new(false),
        })
    }

    pub fn graph(&self) -> MutexGuard<'_, Graph> {
        self.graph.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub fn served(&self) -> Arc<Served> {
        let served = self.served.read();
        served.unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// Waits until everything has been listed once.
    pub async fn completed(&self) {
        let mut complete = self.is_complete.subscribe();
        // The sender lives as long as self.
        let _ = complete.wait_for(|is_complete| *is_complete).await;
    }

    pub fn look_at(&self, uids: Vec<Uid>) {
        for uid in uids {
            self.queue.add(Key::new("", &uid));
        }
    }

    /// Owners may have come and gone before a watch, or while it was broken: of their
    /// end nobody is told but those they owned.
    fn look_at_lost(&self, owners: &Resource) {
        let lost = self.graph().without_owner(owners);
        self.look_at(lost);
    }

    fn put(&self, resource: &Arc<Resource>, seen: Seen) -> Option<Uid> {
        let meta = seen.metadata;
        let uid: Uid = meta.uid.as_deref()?.into();
        let object = Object {
            resource: resource.clone(),
            namespace: meta.namespace.as_deref().unwrap_or_default().into(),
            name: meta.name.as_deref().unwrap_or_default().into(),
            owners: graph::owners(&meta).into(),
            life: graph::life(&meta),
        };
        let wake = self.graph().put(uid.clone(), object);
        self.look_at(wake);
        Some(uid)
    }

    /// Takes an object out of the graph.
    pub fn remove(&self, uid: &str) {
        let (object, wake) = self.graph().remove(uid);
        self.look_at(wake);
        if let Some(object) = object.filter(|object| !object.namespace.is_empty()) {
            (self.on_gone)(&object.namespace);
        }
    }
}

/// Discovers what is served, watches it, and does so again when a definition of
/// kinds changes, until `shutdown`.
pub async fn run(world: Arc<World>, client: Client, shutdown: CancellationToken) {
    let mut watches = Watches {
        world: world.clone(),
        client: client.clone(),
        running: HashMap::new(),
        tasks: TaskTracker::new(),
        shutdown: shutdown.child_token(),
    };
    let following = async {
        loop {
            match resources::discover(&client).await {
                Ok(served) => {
                    watches.follow(served).await;
                    world.kinds_changed.notified().await;
                    sleep(SETTLE).await;
                }
                Err(error) => {
                    warn(&error, "cannot discover what is served; trying again");
                    sleep(RETRY).await;
                }
            }
        }
    };
    shutdown.run_until_cancelled(pin!(following)).await;
    watches.tasks.close();
    watches.tasks.wait().await;
}

fn warn(error: &kube::Error, what: &str) {
    tracing::warn!(error = error as &dyn std::error::Error, "{what}");
}

/// An object of any kind, as far as the graph is concerned.
#[derive(Debug, Clone, Deserialize)]
struct Seen {
    #[serde(deserialize_with = "small_meta::of_dependent")]
    metadata: ObjectMeta,
}

impl kube::Resource for Seen {
    type DynamicType = ApiResource;
    type Scope = kube::core::DynamicResourceScope;

    fn kind(of: &ApiResource) -> Cow<'_, str> {
        of.kind.as_str().into()
    }
    fn group(of: &ApiResource) -> Cow<'_, str> {
        of.group.as_str().into()
    }
    fn version(of: &ApiResource) -> Cow<'_, str> {
        of.version.as_str().into()
    }
    fn api_version(of: &ApiResource) -> Cow<'_, str> {
        of.api_version.as_str().into()
    }
    fn plural(of: &ApiResource) -> Cow<'_, str> {
        of.plural.as_str().into()
    }
    fn meta(&self) -> &ObjectMeta {
        &self.metadata
    }
    fn meta_mut(&mut self) -> &mut ObjectMeta {
        &mut self.metadata
    }
}

struct Watches {
    world: Arc<World>,
    client: Client,
    running: HashMap<String, Running>,
    tasks: TaskTracker,
    shutdown: CancellationToken,
}

struct Running {
    resource: Arc<Resource>,
    stop: CancellationToken,
}

impl Watches {
    async fn follow(&mut self, served: Served) {
        let wanted: HashMap<String, Resource> = served
            .resources
            .iter()
            .filter(|r| is_collected(r))
            .map(|r| (r.full_name(), r.clone()))
            .collect();
        *self
            .world
            .served
            .write()
            .unwrap_or_else(PoisonError::into_inner) = Arc::new(served);
        self.stop_unserved(&wanted);
        let mut listed = Vec::new();
        for (name, resource) in wanted {
            if !self.running.contains_key(&name) {
                listed.push(self.start(name, Arc::new(resource)));
            }
        }
        let all = futures::future::join_all(listed.into_iter().map(once_listed));
        if timeout(LONGEST_LIST, all).await.is_err() {
            tracing::warn!("some resources cannot be listed; collecting garbage without them");
        }
        self.world.is_complete.send_replace(true);
    }

    fn stop_unserved(&mut self, wanted: &HashMap<String, Resource>) {
        let world = &self.world;
        self.running.retain(|name, running| {
            let is_wanted = wanted.get(name) == Some(&*running.resource);
            if !is_wanted {
                running.stop.cancel();
                let gone = world.graph().unlisted(&running.resource, &HashSet::new());
                gone.iter().for_each(|uid| world.remove(uid));
            }
            is_wanted
        });
    }

    fn start(&mut self, name: String, resource: Arc<Resource>) -> watch::Receiver<bool> {
        let (listed, is_listed) = watch::channel(false);
        let stop = self.shutdown.child_token();
        let following = follow(
            self.world.clone(),
            self.client.clone(),
            resource.clone(),
            listed,
        );
        let until = stop.clone();
        self.tasks.spawn(async move {
            until.run_until_cancelled(following).await;
        });
        self.running.insert(name, Running { resource, stop });
        is_listed
    }
}

async fn once_listed(mut listed: watch::Receiver<bool>) {
    // A watch that has ended will not list any more.
    let _ = listed.wait_for(|is_listed| *is_listed).await.map(drop);
}

/// Events own nothing and are owned by nothing, and there are many of them.
fn is_collected(resource: &Resource) -> bool {
    let verbs = ["get", "list", "watch", "delete"];
    verbs.iter().all(|verb| resource.allows(verb)) && resource.api.plural != "events"
}

fn defines_kinds(resource: &Resource) -> bool {
    resource.is("apiextensions.k8s.io", "customresourcedefinitions")
        || resource.is("apiregistration.k8s.io", "apiservices")
}

async fn follow(
    world: Arc<World>,
    client: Client,
    resource: Arc<Resource>,
    is_listed: watch::Sender<bool>,
) {
    let api: Api<Seen> = Api::all_with(client, &resource.api);
    let mut events = pin!(follow::objects(api, ""));
    let mut listed = HashSet::new();
    while let Some(event) = events.next().await {
        match event {
            Ok(Event::Init) => listed.clear(),
            Ok(Event::InitApply(object)) => listed.extend(world.put(&resource, object)),
            Ok(Event::InitDone { .. }) => {
                let gone = world.graph().unlisted(&resource, &listed);
                gone.iter().for_each(|uid| world.remove(uid));
                world.look_at_lost(&resource);
                listed = HashSet::new();
                is_listed.send_replace(true);
                // One that came while its kind was not watched is only listed.
                note_new_kinds(&world, &resource);
            }
            Ok(Event::Apply(object)) => {
                world.put(&resource, object);
                note_new_kinds(&world, &resource);
            }
            Ok(Event::Delete(object)) => {
                world.remove(object.metadata.uid.as_deref().unwrap_or_default());
                note_new_kinds(&world, &resource);
            }
            Err(error) => {
                let (resource, error) = (resource.full_name(), &error as &dyn std::error::Error);
                tracing::debug!(resource, error, "watch of metadata broke");
            }
        }
    }
}

fn note_new_kinds(world: &World, resource: &Resource) {
    if defines_kinds(resource) {
        world.kinds_changed.notify_one();
    }
}
