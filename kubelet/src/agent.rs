//! What all pods of the node share.

use std::collections::HashMap;
use std::io;
use std::sync::{Arc, Mutex, PoisonError};

use images::Images;
use k8s_openapi::api::core::v1::{Node, Pod, PodStatus};
use kube::Client;
use netproxy::PodNetwork;
use runtime::{Runtime, Sandbox};
use tokio::sync::watch;
use tokio_util::sync::CancellationToken;

use crate::admission::Ledger;
use crate::clock::Jumps;
use crate::config::Config;
use crate::dirs::PodDirs;
use crate::eviction::Pressure;
use crate::garbage::ImageGarbage;
use crate::node::telling::NodeEvents;
use crate::objects::Changes;
use crate::pod::Sender;
use crate::pod_events::Recorder;
use crate::resources::Allocatable;
use crate::services::Services;
use crate::spec::NodeLimits;
use crate::storage::Storage;

/// The node's services, as the pods' tasks use them.
pub struct Agent {
    pub config: Config,
    pub client: Client,
    pub runtime: Runtime,
    pub images: Images,
    /// There once the node's range of addresses is known.
    pub network: watch::Receiver<Option<Arc<PodNetwork>>>,
    pub changes: Changes,
    pub services: Services,
    pub events: Recorder,
    pub node_events: NodeEvents,
    /// What the node is short of.
    pub pressure: watch::Receiver<Pressure>,
    pub image_garbage: ImageGarbage,
    /// When the clock is set.
    pub jumps: Jumps,
    pub ledger: Ledger,
    pub limits: NodeLimits,
    pub allocatable: Allocatable,
    pub storage: Storage,
    /// This node's object, as last seen.
    pub node: watch::Receiver<Arc<Node>>,
    pub pods: Registry,
    pub shutdown: CancellationToken,
}

impl Agent {
    /// # Errors
    /// The pod's names cannot be those of directories.
    pub fn dirs(&self, pod: &Pod) -> io::Result<PodDirs> {
        let text = |value: &Option<String>| value.clone().unwrap_or_default();
        let (namespace, name, uid) = (
            text(&pod.metadata.namespace),
            text(&pod.metadata.name),
            text(&pod.metadata.uid),
        );
        PodDirs::new(
            &self.config.data_dir,
            &self.config.log_dir,
            &namespace,
            &name,
            &uid,
        )
    }

    /// Waits for the pod network.
    pub async fn network(&self) -> Option<Arc<PodNetwork>> {
        let mut network = self.network.clone();
        let ready = network.wait_for(Option::is_some).await.ok()?;
        ready.clone()
    }
}

/// A container of a live pod, as the kubelet API sees it.
#[derive(Clone, Debug)]
pub struct ContainerView {
    pub name: String,
    /// The container that runs now.
    pub running: Option<String>,
    /// Runs before the latest one.
    pub restarts: u32,
    /// Whether any run was begun.
    pub ran: bool,
    /// Why there is no run now, if one is still to come.
    pub waiting: Option<String>,
}

/// A pod of this node, as the kubelet API sees it.
#[derive(Clone)]
pub struct PodView {
    pub pod: Arc<Pod>,
    pub status: PodStatus,
    pub sandbox: Option<Sandbox>,
    pub containers: Vec<ContainerView>,
    /// Where the pod's task is told what happens.
    pub task: Sender,
}

struct Known {
    /// Which pod of a name came later.
    number: u64,
    view: Arc<PodView>,
}

/// The live pods by uid.
pub struct Registry {
    views: Mutex<HashMap<String, Known>>,
    /// Counts up at every change.
    changes: watch::Sender<u64>,
}

impl Default for Registry {
    fn default() -> Self {
        Self {
            views: Mutex::default(),
            changes: watch::Sender::new(0),
        }
    }
}

impl Registry {
    fn views(&self) -> std::sync::MutexGuard<'_, HashMap<String, Known>> {
        self.views.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub fn put(&self, uid: &str, view: PodView) {
        let view = Arc::new(view);
        let mut views = self.views();
        let number = match views.get(uid) {
            Some(known) => known.number,
            None => views.values().map(|k| k.number + 1).max().unwrap_or(0),
        };
        views.insert(uid.to_owned(), Known { number, view });
        drop(views);
        self.changes.send_modify(|count| *count += 1);
    }

    pub fn remove(&self, uid: &str) {
        self.views().remove(uid);
        self.changes.send_modify(|count| *count += 1);
    }

    /// Tells when any pod changed.
    pub fn changes(&self) -> watch::Receiver<u64> {
        self.changes.subscribe()
    }

    pub fn get(&self, uid: &str) -> Option<Arc<PodView>> {
        self.views().get(uid).map(|known| known.view.clone())
    }

    pub fn has(&self, uid: &str) -> bool {
        self.views().contains_key(uid)
    }

    pub fn all(&self) -> Vec<Arc<PodView>> {
        let views = self.views();
        views.values().map(|known| known.view.clone()).collect()
    }

    /// The pod of this name; of several, the latest: others are going away, though those
    /// deleted without grace do not say so.
    pub fn find(&self, namespace: &str, name: &str, uid: Option<&str>) -> Option<Arc<PodView>> {
        let matches = |known: &&Known| {
            let metadata = &known.view.pod.metadata;
            metadata.namespace.as_deref() == Some(namespace)
                && metadata.name.as_deref() == Some(name)
                && uid.is_none_or(|uid| metadata.uid.as_deref() == Some(uid))
        };
        let views = self.views();
        let found = views.values().filter(matches);
        let latest = found.max_by_key(|known| known.number);
        latest.map(|known| known.view.clone())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn view(uid: &str) -> PodView {
        let pod =
            serde_json::json!({ "metadata": { "namespace": "d", "name": "web-0", "uid": uid } });
        PodView {
            pod: Arc::new(serde_json::from_value(pod).unwrap()),
            status: PodStatus::default(),
            sandbox: None,
            containers: Vec::new(),
            task: tokio::sync::mpsc::unbounded_channel().0,
        }
    }

    #[test]
    fn the_latest_pod_of_a_name_is_found_while_an_earlier_one_goes_away() {
        let pods = Registry::default();
        for n in 0..20 {
            let uid = n.to_string();
            pods.put(&uid, view(&uid));
        }
        pods.put("3", view("3"));
        let uid = |pods: &Registry| {
            pods.find("d", "web-0", None)
                .unwrap()
                .pod
                .metadata
                .uid
                .clone()
        };
        assert_eq!(uid(&pods).as_deref(), Some("19"));
        pods.remove("19");
        assert_eq!(uid(&pods).as_deref(), Some("18"));
        assert!(pods.find("d", "web-0", Some("3")).is_some());
    }
}
