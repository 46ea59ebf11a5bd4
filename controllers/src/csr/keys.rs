//! The key that each node is known by: noted when a machine gets the first
//! certificate under a name, so that no other machine gets one under it.
//!
//! The note is a ConfigMap, which the API server reads too (`authn/node_key.rs`):
//! a node whose certificate has ended comes back by its key. It goes when the
//! Node is deleted, and with it the way back.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use jiff::{SignedDuration, Timestamp};
use k8s_openapi::api::core::v1::ConfigMap;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::ObjectMeta;
use kube::Api;
use kube::api::{DeleteParams, ListParams, Patch, PatchParams, PostParams};
use pki::node_key::{NOTE_FIELD, NOTE_NAMESPACE, is_same, note_of};
use serde_json::json;
use tokio::task::JoinSet;
use tokio_util::sync::CancellationToken;

use crate::cluster::Cluster;
use crate::controller::{self, Controller, Next, unless_there};
use crate::error::Error;
use crate::key::Key;
use crate::queue::Queue;

/// On every note.
const LABEL: &str = "skiff.dev/node-key";
/// A note without a Node is of a machine that joins just now, or of one that never
/// came: after this its certificate has ended.
const UNUSED_FOR: SignedDuration = SignedDuration::from_hours(24);
const AGAIN: Duration = Duration::from_secs(24 * 3600);

/// Whose key a node is known by, seen from a machine that asks.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Known {
    /// Nobody is known by the name.
    Nobody,
    /// By the key of the machine that asks.
    Asker,
    /// By another key.
    Another,
}

fn api(cluster: &Cluster) -> Api<ConfigMap> {
    Api::namespaced(cluster.client.clone(), NOTE_NAMESPACE)
}

fn failed(verb: &'static str, node: &str) -> impl FnOnce(kube::Error) -> Error + use<> {
    let key = Key::new(NOTE_NAMESPACE, &note_of(node));
    move |source| Error::Api {
        verb,
        kind: "ConfigMap",
        key,
        source,
    }
}

pub async fn look(cluster: &Cluster, node: &str, public: &str) -> Result<Known, Error> {
    let found = api(cluster).get_opt(&note_of(node)).await;
    let Some(note) = found.map_err(failed("read", node))? else {
        return Ok(Known::Nobody);
    };
    let noted = note.data.as_ref().and_then(|data| data.get(NOTE_FIELD));
    Ok(match noted {
        Some(noted) if is_same(noted, public) => Known::Asker,
        _ => Known::Another,
    })
}

/// Notes the key of a node that has none noted; says whose is noted now.
pub async fn claim(cluster: &Cluster, node: &str, public: &str) -> Result<Known, Error> {
    let note = ConfigMap {
        metadata: ObjectMeta {
            name: Some(note_of(node)),
            labels: Some(BTreeMap::from([(LABEL.to_owned(), String::new())])),
            ..ObjectMeta::default()
        },
        data: Some(BTreeMap::from([
            ("node".to_owned(), node.to_owned()),
            (NOTE_FIELD.to_owned(), public.to_owned()),
        ])),
        ..ConfigMap::default()
    };
    let made = api(cluster).create(&PostParams::default(), &note).await;
    match unless_there(made).map_err(failed("make", node))? {
        Some(_) => Ok(Known::Asker),
        // Another was faster.
        None => look(cluster, node, public).await,
    }
}

/// Notes the key whatever was noted before: somebody has said that it is right.
pub async fn put(cluster: &Cluster, node: &str, public: &str) -> Result<(), Error> {
    if claim(cluster, node, public).await? == Known::Asker {
        return Ok(());
    }
    let patch = Patch::Merge(json!({ "data": { NOTE_FIELD: public } }));
    let changed = api(cluster)
        .patch(&note_of(node), &PatchParams::default(), &patch)
        .await;
    changed.map(drop).map_err(failed("change", node))
}

/// Removes the notes of Nodes that are deleted.
pub struct Forgetting {
    cluster: Cluster,
    /// Of signing requests: one that waits for the name may have it now.
    requests: Arc<Queue>,
}

pub fn start(
    cluster: &Cluster,
    requests: &Arc<Queue>,
    tasks: &mut JoinSet<()>,
    shutdown: &CancellationToken,
) {
    let queue = Queue::new();
    let nodes = queue.clone();
    cluster.nodes.on_change(move |old, new| {
        if let (Some(node), None) = (old, new) {
            nodes.add(Key::of(node));
        }
    });
    let controller = Forgetting {
        cluster: cluster.clone(),
        requests: requests.clone(),
    };
    controller::start(tasks, controller, queue.clone(), 1, shutdown);
    let (cluster, shutdown) = (cluster.clone(), shutdown.clone());
    tasks.spawn(async move {
        shutdown.run_until_cancelled(sweep(&cluster, &queue)).await;
    });
}

impl Controller for Forgetting {
    const NAME: &'static str = "node-key";

    async fn informed(&self) {
        self.cluster.nodes.synced().await;
    }

    async fn reconcile(&self, key: &Key) -> Result<Next, Error> {
        if self.cluster.nodes.get(key).is_some() {
            return Ok(Next::WhenChanged);
        }
        let note = note_of(&key.name);
        let removed = api(&self.cluster)
            .delete(&note, &DeleteParams::default())
            .await;
        match removed {
            Ok(_) => {}
            Err(kube::Error::Api(status)) if status.code == 404 => {}
            Err(source) => return Err(failed("remove", &key.name)(source)),
        }
        for request in self.cluster.signing_requests.all() {
            let status = request.status.as_ref();
            if status.is_none_or(|status| status.conditions.is_none()) {
                self.requests.add(Key::of(&*request));
            }
        }
        Ok(Next::WhenChanged)
    }
}

/// Once a day, for what went while nobody looked: the notes without a Node.
async fn sweep(cluster: &Cluster, queue: &Queue) {
    cluster.nodes.synced().await;
    loop {
        match api(cluster)
            .list(&ListParams::default().labels(LABEL))
            .await
        {
            Ok(notes) => unused(cluster, &notes.items, Timestamp::now())
                .for_each(|node| queue.add(Key::new("", &node))),
            Err(error) => tracing::warn!(%error, "list the notes of nodes' keys"),
        }
        tokio::time::sleep(AGAIN).await;
    }
}

fn unused<'a>(
    cluster: &'a Cluster,
    notes: &'a [ConfigMap],
    now: Timestamp,
) -> impl Iterator<Item = String> + 'a {
    notes.iter().filter_map(move |note| {
        let node = note.data.as_ref()?.get("node")?;
        let made = note.metadata.creation_timestamp.as_ref()?.0;
        let is_old = now.duration_since(made) > UNUSED_FOR;
        let is_gone = cluster.nodes.get(&Key::new("", node)).is_none();
        (is_old && is_gone).then(|| node.clone())
    })
}
