//! This node's object and lease: registered at start, kept alive, kept true.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use futures::StreamExt as _;
use jiff::Timestamp;
use k8s_openapi::api::core::v1::{Node, NodeSpec};
use k8s_openapi::apimachinery::pkg::apis::meta::v1::ObjectMeta;
use kube::api::{Patch, PatchParams, PostParams};
use kube::runtime::{WatchStreamExt as _, watcher};
use kube::{Api, Client};
use serde_json::json;
use tokio::sync::watch;
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;

use crate::config::Config;
use crate::error::{Error, Result};
use crate::eviction::Pressure;
use crate::resources::Allocatable;

mod lease;
pub mod machine;
mod status;
pub mod telling;

use machine::Machine;
use telling::NodeEvents;

/// A status that did not change is written this often all the same.
const REPORT: Duration = Duration::from_secs(300);
/// Whether the object says what is so is looked at this often.
const LOOK: Duration = Duration::from_secs(10);
const RETRY: Duration = Duration::from_millis(500);
/// The annotation that says where this node keeps volumes: the provisioner of
/// `local-path` reads it.
const STORAGE_DIR: &str = "skiff.dev/storage-dir";

/// The node's own object, and the tasks that keep it.
pub struct Keeper {
    pub client: Client,
    pub config: Config,
    pub machine: Machine,
    /// What there is, and what of it pods may have.
    pub capacity: Allocatable,
    pub allocatable: Allocatable,
    pub pressure: watch::Receiver<Pressure>,
    pub events: NodeEvents,
}

impl Keeper {
    /// Creates the object or brings it up to date, Ready from the start. An API
    /// server that is not there yet is waited for.
    ///
    /// # Errors
    /// The API server refuses this node.
    pub async fn register(&self, shutdown: &CancellationToken) -> Result<Node> {
        loop {
            match self.try_register().await {
                Ok(node) => return Ok(node),
                Err(kube::Error::Api(status))
                    if status.code == 403 || status.code == 401 || status.code == 422 =>
                {
                    let source = Box::new(kube::Error::Api(status));
                    return Err(Error::Register {
                        node: self.config.node_name.clone(),
                        source,
                    });
                }
                Err(e) => tracing::info!("register the node, trying again: {e}"),
            }
            tokio::select! {
                () = tokio::time::sleep(RETRY) => {}
                () = shutdown.cancelled() => return Ok(Node::default()),
            }
        }
    }

    async fn try_register(&self) -> kube::Result<Node> {
        let api = self.api();
        let name = &self.config.node_name;
        let node = match api.get_opt(name).await? {
            Some(node) => self.relabel(node).await?,
            None => match api.create(&PostParams::default(), &self.object()).await {
                Err(kube::Error::Api(status)) if status.code == 409 => api.get(name).await?,
                created => created?,
            },
        };
        self.report(&node).await
    }

    fn api(&self) -> Api<Node> {
        Api::all(self.client.clone())
    }

    fn object(&self) -> Node {
        let taints = (!self.config.taints.is_empty()).then(|| self.config.taints.clone());
        Node {
            metadata: ObjectMeta {
                name: Some(self.config.node_name.clone()),
                labels: Some(self.labels()),
                annotations: Some(self.annotations()),
                ..ObjectMeta::default()
            },
            spec: Some(NodeSpec {
                taints,
                pod_cidr: self.config.pod_cidr.map(|range| range.to_string()),
                pod_cidrs: self.config.pod_cidr.map(|range| vec![range.to_string()]),
                ..NodeSpec::default()
            }),
            status: Some(status::of_node(self, None, Timestamp::now())),
        }
    }

    fn labels(&self) -> BTreeMap<String, String> {
        let arch = machine::architecture().to_owned();
        let own = [
            ("kubernetes.io/hostname", self.config.node_name.clone()),
            ("kubernetes.io/os", "linux".to_owned()),
            ("kubernetes.io/arch", arch.clone()),
            ("beta.kubernetes.io/os", "linux".to_owned()),
            ("beta.kubernetes.io/arch", arch),
        ];
        let mut labels = self.config.labels.clone();
        labels.extend(own.into_iter().map(|(key, value)| (key.to_owned(), value)));
        labels
    }

    /// Where volumes are made, for whoever makes them.
    fn annotations(&self) -> BTreeMap<String, String> {
        let dir = self.config.storage_dir.to_string_lossy().into_owned();
        BTreeMap::from([(STORAGE_DIR.to_owned(), dir)])
    }

    /// Puts our labels and annotations on an object that is there already.
    async fn relabel(&self, node: Node) -> kube::Result<Node> {
        let (labels, annotations) = (self.labels(), self.annotations());
        if has_all(node.metadata.labels.as_ref(), &labels)
            && has_all(node.metadata.annotations.as_ref(), &annotations)
        {
            return Ok(node);
        }
        let patch = json!({"metadata": {"labels": labels, "annotations": annotations}});
        self.api()
            .patch(
                &self.config.node_name,
                &PatchParams::default(),
                &Patch::Merge(patch),
            )
            .await
    }

    /// Writes the status as it is now.
    async fn report(&self, before: &Node) -> kube::Result<Node> {
        let status = status::of_node(self, before.status.as_ref(), Timestamp::now());
        status::warn_of_pressure(before.status.as_ref(), &status);
        let patch = json!({"status": status});
        let patched = self
            .api()
            .patch_status(
                &self.config.node_name,
                &PatchParams::default(),
                &Patch::Strategic(patch),
            )
            .await?;
        self.events.tell_changes(before.status.as_ref(), &status);
        Ok(patched)
    }

    /// Renews the lease and keeps the status true, until `shutdown`.
    pub async fn keep(self, node: watch::Receiver<Arc<Node>>, shutdown: CancellationToken) {
        let heart = lease::Heart::new(self.client.clone(), &self.config.node_name, node.clone());
        let beating = heart.beat();
        let reporting = self.keep_reporting(node);
        tokio::select! {
            () = beating => {}
            () = reporting => {}
            () = shutdown.cancelled() => {}
        }
    }

    async fn keep_reporting(&self, node: watch::Receiver<Arc<Node>>) {
        let mut reported = Instant::now();
        let mut pressure = self.pressure.clone();
        let stop = &self.config.machine_stop;
        let mut is_stop_told = false;
        loop {
            tokio::select! {
                () = tokio::time::sleep(LOOK) => {}
                // An error is an agent that is ending.
                _ = pressure.changed() => {}
                () = stop.begun(), if !is_stop_told => is_stop_told = true,
            }
            let seen = node.borrow().clone();
            let wanted = status::of_node(self, seen.status.as_ref(), Timestamp::now());
            let due = reported.elapsed() >= REPORT;
            if !due && !status::differs(seen.status.as_ref(), &wanted) {
                continue;
            }
            match self.report(&seen).await {
                Ok(_) => reported = Instant::now(),
                Err(e) => tracing::warn!("write the node's status: {e}"),
            }
        }
    }
}

fn has_all(has: Option<&BTreeMap<String, String>>, wanted: &BTreeMap<String, String>) -> bool {
    let value = |key| has.and_then(|has| has.get(key));
    wanted
        .iter()
        .all(|(key, wanted)| value(key) == Some(wanted))
}

/// Watches the node's object, until `shutdown`.
pub fn follow(
    client: Client,
    name: &str,
    first: Node,
    shutdown: CancellationToken,
) -> watch::Receiver<Arc<Node>> {
    let (sender, receiver) = watch::channel(Arc::new(first));
    let config = watcher::Config::default().fields(&format!("metadata.name={name}"));
    let mut events = watcher(Api::<Node>::all(client), config)
        .default_backoff()
        .boxed();
    tokio::spawn(async move {
        loop {
            let event = tokio::select! {
                event = events.next() => event,
                () = shutdown.cancelled() => return,
            };
            match event {
                Some(Ok(watcher::Event::Apply(node) | watcher::Event::InitApply(node))) => {
                    sender.send_replace(Arc::new(node));
                }
                Some(Ok(_)) => {}
                Some(Err(e)) => tracing::debug!("watch the node: {e}"),
                None => return,
            }
        }
    });
    receiver
}

#[cfg(test)]
mod tests;
