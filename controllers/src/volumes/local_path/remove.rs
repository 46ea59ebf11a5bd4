//! The end of a volume: its directory first, then the object.
//!
//! The node's kubelet removes the directory when it is asked to, by the way of the
//! API server. As long as it has not, the volume stays, and says why: on a node that
//! is away for good, whoever knows that takes the finalizer off.

use events::Recorder;
use http::Request;
use kube::Api;
use kube::api::{DeleteParams, Patch, PatchParams, Preconditions};
use tokio::task::JoinSet;
use tokio_util::sync::CancellationToken;

use super::{FINALIZER, HOSTNAME, PROVISIONER, node_of_host, storage_dir};
use crate::cluster::Cluster;
use crate::controller::{self, Controller, Next};
use crate::error::Error;
use crate::key::Key;
use crate::object::{Node, PersistentVolume};
use crate::queue::Queue;
use crate::volumes::annotations::PROVISIONED_BY;
use crate::volumes::{finalizer, phase};

const WORKERS: usize = 4;

struct Remover {
    cluster: Cluster,
    recorder: Recorder,
}

/// What is to be done about a volume.
#[derive(Debug, PartialEq, Eq)]
enum Due {
    Nothing,
    /// The directory, then the object.
    Remove,
    /// The directory stays: its owner wants to keep it.
    LetGo,
}

pub fn start(cluster: &Cluster, tasks: &mut JoinSet<()>, shutdown: &CancellationToken) {
    let queue = Queue::new();
    let volumes = queue.clone();
    cluster.persistent_volumes.on_change(move |_, new| {
        if let Some(volume) = new.filter(|volume| due(volume) != Due::Nothing) {
            volumes.add(Key::of(volume));
        }
    });
    notice_nodes(cluster, &queue);
    let controller = Remover {
        cluster: cluster.clone(),
        recorder: cluster.events.recorder(PROVISIONER),
    };
    controller::start(tasks, controller, queue, WORKERS, shutdown);
}

/// A node that is back can remove what it was asked to.
fn notice_nodes(cluster: &Cluster, queue: &std::sync::Arc<Queue>) {
    let (queue, volumes) = (queue.clone(), cluster.persistent_volumes.clone());
    cluster.nodes.on_change(move |old, new| {
        let is_back = new.is_some_and(Node::is_ready) && !old.is_some_and(Node::is_ready);
        if !is_back {
            return;
        }
        let host = new.and_then(|node| node.label(HOSTNAME));
        for volume in volumes.all() {
            if due(&volume) == Due::Remove && host_of(&volume) == host {
                queue.add(Key::of(&*volume));
            }
        }
    });
}

fn due(volume: &PersistentVolume) -> Due {
    let is_ours = volume.annotation(PROVISIONED_BY) == Some(PROVISIONER);
    let is_left = matches!(volume.phase(), "Released" | "Failed");
    let is_deleted =
        volume.is_ending() && volume.has_finalizer(FINALIZER) && volume.phase() != "Bound";
    let is_to_go = volume.spec.reclaim_policy.as_deref() == Some("Delete");
    match (is_ours, is_to_go) {
        (true, true) if is_deleted || (is_left && !volume.is_ending()) => Due::Remove,
        (true, false) if is_deleted => Due::LetGo,
        _ => Due::Nothing,
    }
}

/// The host name of the node that the volume is on.
fn host_of(volume: &PersistentVolume) -> Option<&str> {
    let required = volume.spec.node_affinity.as_ref()?.required.as_ref()?;
    let terms = required.node_selector_terms.iter();
    let mut all = terms.flat_map(|term| term.match_expressions.iter().flatten());
    let host = all.find(|r| r.key == HOSTNAME && r.operator == "In")?;
    match host.values.as_deref() {
        Some([host]) => Some(host),
        _ => None,
    }
}

impl Controller for Remover {
    const NAME: &'static str = "local-path-remover";

    async fn informed(&self) {
        self.cluster.persistent_volumes.synced().await;
        self.cluster.nodes.synced().await;
    }

    async fn reconcile(&self, key: &Key) -> Result<Next, Error> {
        let Some(volume) = self.cluster.persistent_volumes.get(key) else {
            return Ok(Next::WhenChanged);
        };
        match due(&volume) {
            Due::Nothing => {}
            Due::LetGo => self.let_go(&volume, key).await?,
            Due::Remove => match self.place(&volume) {
                Ok((node, directory)) => {
                    if let Err(error) = self.remove_directory(&node, &directory, key).await {
                        self.fail(&volume, key, &error.to_string()).await?;
                        return Err(error);
                    }
                    self.delete(&volume, key).await?;
                }
                Err(why) => self.fail(&volume, key, &why).await?,
            },
        }
        Ok(Next::WhenChanged)
    }
}

impl Remover {
    /// The node and the name of the directory there.
    fn place(&self, volume: &PersistentVolume) -> Result<(String, String), String> {
        let host = host_of(volume).unwrap_or_default();
        let node = node_of_host(&self.cluster, host).ok_or_else(|| {
            format!(
                "node \"{host}\" is gone; if it does not come back, remove the finalizer {FINALIZER}"
            )
        })?;
        let path = volume.spec.local.as_ref().map(|local| &*local.path);
        let (path, dir) = (
            path.unwrap_or_default(),
            storage_dir(&node).unwrap_or_default(),
        );
        let directory = path.strip_prefix(dir).and_then(|d| d.strip_prefix('/'));
        let directory = directory.filter(|name| !dir.is_empty() && !name.contains('/'));
        let directory = directory.ok_or_else(|| {
            format!("{path} is not where node \"{host}\" keeps its volumes (\"{dir}\")")
        })?;
        let name = node.metadata.name.clone().unwrap_or_default();
        Ok((name, directory.to_owned()))
    }

    /// Asks the node's kubelet; what is not there counts as removed.
    async fn remove_directory(&self, node: &str, directory: &str, key: &Key) -> Result<(), Error> {
        let path = format!("/api/v1/nodes/{node}/proxy/storage/{directory}");
        let request = Request::delete(path)
            .body(Vec::new())
            .expect("the names of nodes and directories can stand in a path");
        let removed = self.cluster.client.request_text(request).await;
        removed.map(drop).map_err(Error::api(
            "remove the directory of",
            "PersistentVolume",
            key,
        ))
    }

    async fn delete(&self, volume: &PersistentVolume, key: &Key) -> Result<(), Error> {
        let api: Api<PersistentVolume> = Api::all(self.cluster.client.clone());
        if !volume.is_ending() {
            let params = DeleteParams::default().preconditions(Preconditions {
                uid: volume.metadata.uid.clone(),
                resource_version: None,
            });
            let deleted = api.delete(&key.name, &params).await;
            let deleted = deleted.map_err(Error::api("delete", "PersistentVolume", key))?;
            if let Some(volume) = deleted.left() {
                return self.let_go(&volume, key).await;
            }
        }
        self.let_go(volume, key).await
    }

    async fn let_go(&self, volume: &PersistentVolume, key: &Key) -> Result<(), Error> {
        let api: Api<PersistentVolume> = Api::all(self.cluster.client.clone());
        let written = finalizer::remove(&api, &volume.metadata, FINALIZER).await;
        written
            .map(drop)
            .map_err(Error::api("let go of", "PersistentVolume", key))
    }

    async fn fail(&self, volume: &PersistentVolume, key: &Key, why: &str) -> Result<(), Error> {
        if volume.status.message.as_deref() == Some(why) {
            return Ok(());
        }
        self.recorder.warning(volume, "VolumeFailedDelete", why);
        let api: Api<PersistentVolume> = Api::all(self.cluster.client.clone());
        let patch = Patch::Merge(phase::status("Failed", Some(why)));
        let patched = api
            .patch_status(&key.name, &PatchParams::default(), &patch)
            .await;
        let patched = patched.map_err(Error::api("tell of", "PersistentVolume", key))?;
        self.cluster.persistent_volumes.note(patched);
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::{Value, json};

    fn volume(phase: &str, policy: &str, metadata: Value) -> PersistentVolume {
        let mut volume = json!({ "metadata": { "annotations": { PROVISIONED_BY: PROVISIONER }, "finalizers": [FINALIZER] },
            "spec": { "persistentVolumeReclaimPolicy": policy }, "status": { "phase": phase } });
        let fields = metadata.as_object().cloned().unwrap_or_default();
        volume["metadata"].as_object_mut().unwrap().extend(fields);
        serde_json::from_value(volume).unwrap()
    }

    #[test]
    fn only_what_nobody_has_any_more_is_removed() {
        let ending = json!({ "deletionTimestamp": "2026-01-01T00:00:00Z" });
        let let_go = json!({ "deletionTimestamp": "2026-01-01T00:00:00Z", "finalizers": [] });
        let theirs = json!({ "annotations": { PROVISIONED_BY: "example.com/disks" } });
        let asked = [
            ("Bound", "Delete", json!({}), Due::Nothing),
            ("Available", "Delete", json!({}), Due::Nothing),
            ("Released", "Delete", json!({}), Due::Remove),
            ("Failed", "Delete", json!({}), Due::Remove),
            ("Released", "Retain", json!({}), Due::Nothing),
            ("Released", "Delete", theirs, Due::Nothing),
            ("Bound", "Delete", ending.clone(), Due::Nothing),
            ("Available", "Delete", ending.clone(), Due::Remove),
            ("Released", "Retain", ending.clone(), Due::LetGo),
            ("Released", "Delete", let_go, Due::Nothing),
        ];
        for (phase, policy, metadata, expected) in asked {
            let text = format!("{phase} {policy} {metadata}");
            assert_eq!(due(&volume(phase, policy, metadata)), expected, "{text}");
        }
    }
}
