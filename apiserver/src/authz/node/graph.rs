//! Which objects the pods of each node use, followed from the store: pods by
//! their spec, and volumes by way of the claims that pods use.

use std::collections::{HashMap, HashSet};
use std::sync::{Arc, PoisonError, RwLock, RwLockReadGuard, RwLockWriteGuard};

use apimachinery::meta;
use memchr::memmem;
use serde_json::Value;

use super::uses;
use crate::bytes_json;
use crate::mirror::{self, Follower, Source};

#[derive(Default)]
pub struct Graph(RwLock<State>);

#[derive(Default)]
struct State {
    pods: HashMap<String, Pod>,
    /// How many pods of a node use an object: `node`, then `secrets/ns/name`.
    counts: HashMap<String, HashMap<String, usize>>,
    volumes: HashMap<String, Volume>,
    /// Which volumes read a Secret: `ns/name`, then the volumes' names.
    by_secret: HashMap<String, HashSet<String>>,
    /// The node that each attachment is to.
    attachments: HashMap<String, String>,
}

struct Pod {
    node: String,
    objects: HashSet<String>,
}

struct Volume {
    /// `ns/name`, empty: nobody's.
    claim: String,
    secrets: Vec<String>,
}

impl Graph {
    pub async fn load(source: &Source) -> Result<Arc<Self>, store::Error> {
        let graph = Arc::new(Self::default());
        source.follow("pods", Arc::new(Pods(graph.clone()))).await?;
        let volumes = Arc::new(Volumes(graph.clone()));
        source.follow("persistentvolumes", volumes).await?;
        let attachments = Arc::new(Attachments(graph.clone()));
        source.follow("volumeattachments", attachments).await?;
        Ok(graph)
    }

    /// Whether a pod of the node uses the object, or is it.
    pub fn relates(&self, node: &str, resource: &str, namespace: &str, name: &str) -> bool {
        let state = self.read();
        let key = format!("{namespace}/{name}");
        match resource {
            "pods" => state.pods.get(&key).is_some_and(|pod| pod.node == node),
            "persistentvolumes" => state.uses_volume(node, name),
            "volumeattachments" => state.attachments.get(name).is_some_and(|on| on == node),
            "secrets" => {
                let volumes = state.by_secret.get(&key).into_iter().flatten();
                state.uses(node, resource, &key)
                    || volumes
                        .into_iter()
                        .any(|volume| state.uses_volume(node, volume))
            }
            _ => state.uses(node, resource, &key),
        }
    }

    /// Whether the pod is known to run on another node.
    pub fn is_elsewhere(&self, node: &str, namespace: &str, name: &str) -> bool {
        let state = self.read();
        let pod = state.pods.get(&format!("{namespace}/{name}"));
        pod.is_some_and(|pod| pod.node != node)
    }

    fn read(&self) -> RwLockReadGuard<'_, State> {
        self.0.read().unwrap_or_else(PoisonError::into_inner)
    }

    fn write(&self) -> RwLockWriteGuard<'_, State> {
        self.0.write().unwrap_or_else(PoisonError::into_inner)
    }
}

impl State {
    fn uses(&self, node: &str, resource: &str, key: &str) -> bool {
        let objects = self.counts.get(node);
        objects.is_some_and(|objects| objects.contains_key(&format!("{resource}/{key}")))
    }

    fn uses_volume(&self, node: &str, volume: &str) -> bool {
        let volume = self.volumes.get(volume);
        volume.is_some_and(|v| self.uses(node, "persistentvolumeclaims", &v.claim))
    }

    fn add_pod(&mut self, key: &str, pod: Pod) {
        let counts = self.counts.entry(pod.node.clone()).or_default();
        for object in &pod.objects {
            *counts.entry(object.clone()).or_default() += 1;
        }
        self.pods.insert(key.to_owned(), pod);
    }

    fn forget_pod(&mut self, key: &str) {
        let Some(pod) = self.pods.remove(key) else {
            return;
        };
        let Some(counts) = self.counts.get_mut(&pod.node) else {
            return;
        };
        for object in &pod.objects {
            if let Some(count) = counts.get_mut(object) {
                *count -= 1;
                if *count == 0 {
                    counts.remove(object);
                }
            }
        }
        if counts.is_empty() {
            self.counts.remove(&pod.node);
        }
    }

    fn add_volume(&mut self, name: &str, volume: Volume) {
        self.forget_volume(name);
        for secret in &volume.secrets {
            let volumes = self.by_secret.entry(secret.clone()).or_default();
            volumes.insert(name.to_owned());
        }
        self.volumes.insert(name.to_owned(), volume);
    }

    fn forget_volume(&mut self, name: &str) {
        let Some(volume) = self.volumes.remove(name) else {
            return;
        };
        for secret in &volume.secrets {
            if let Some(volumes) = self.by_secret.get_mut(secret) {
                volumes.remove(name);
                if volumes.is_empty() {
                    self.by_secret.remove(secret);
                }
            }
        }
    }
}

struct Pods(Arc<Graph>);

impl Follower for Pods {
    fn put(&self, key: &str, pod: &[u8]) {
        // Most pods come by here often; few need to be parsed.
        let node = match memmem::find(pod, b"\"nodeName\":") {
            Some(_) => bytes_json::scalar_at(pod, &["spec", "nodeName"]),
            None => String::new(),
        };
        let mut state = self.0.write();
        if node.is_empty() {
            return state.forget_pod(key);
        }
        // What a pod uses never changes once it is on a node, but for ephemeral
        // containers and the claims that are made for it.
        let may_grow = |mark: &[u8]| memmem::find(pod, mark).is_some();
        if state.pods.get(key).is_some_and(|old| old.node == node)
            && !may_grow(b"\"ephemeralContainers\"")
            && !may_grow(b"\"resourceClaim")
        {
            return;
        }
        let Some(pod) = mirror::parse(key, pod) else {
            return;
        };
        state.forget_pod(key);
        let objects = uses::of_pod(&pod);
        state.add_pod(key, Pod { node, objects });
    }

    fn delete(&self, key: &str) {
        self.0.write().forget_pod(key);
    }

    fn clear(&self) {
        let mut state = self.0.write();
        state.pods.clear();
        state.counts.clear();
    }
}

struct Volumes(Arc<Graph>);

impl Follower for Volumes {
    fn put(&self, key: &str, volume: &[u8]) {
        let Some(volume) = mirror::parse(key, volume) else {
            return;
        };
        let claim = &volume["spec"]["claimRef"];
        let (namespace, name) = (meta::text(claim, "namespace"), meta::text(claim, "name"));
        let claim = if name.is_empty() {
            String::new()
        } else {
            format!("{namespace}/{name}")
        };
        let secrets = uses::secrets_of_volume(&volume, namespace);
        self.0.write().add_volume(key, Volume { claim, secrets });
    }

    fn delete(&self, key: &str) {
        self.0.write().forget_volume(key);
    }

    fn clear(&self) {
        let mut state = self.0.write();
        state.volumes.clear();
        state.by_secret.clear();
    }
}

struct Attachments(Arc<Graph>);

impl Follower for Attachments {
    fn put(&self, key: &str, attachment: &[u8]) {
        let attachment: Option<Value> = mirror::parse(key, attachment);
        let node = attachment
            .as_ref()
            .map_or("", |a| meta::text(a, "spec.nodeName"));
        let mut state = self.0.write();
        state.attachments.insert(key.to_owned(), node.to_owned());
    }

    fn delete(&self, key: &str) {
        self.0.write().attachments.remove(key);
    }

    fn clear(&self) {
        self.0.write().attachments.clear();
    }
}

#[cfg(test)]
impl Graph {
    /// Feeds one object, as the store would.
    pub fn feed(self: &Arc<Self>, object: &Value) {
        let key = match meta::namespace(object) {
            "" => meta::name(object).to_owned(),
            namespace => format!("{namespace}/{}", meta::name(object)),
        };
        let bytes = object.to_string().into_bytes();
        match meta::kind(object) {
            "Pod" => Pods(self.clone()).put(&key, &bytes),
            "PersistentVolume" => Volumes(self.clone()).put(&key, &bytes),
            "VolumeAttachment" => Attachments(self.clone()).put(&key, &bytes),
            other => panic!("no {other} in the graph"),
        }
    }

    pub fn forget_pod(self: &Arc<Self>, key: &str) {
        Pods(self.clone()).delete(key);
    }
}
