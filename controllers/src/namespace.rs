//! The end of a namespace: everything in it is deleted, then the namespace.
//!
//! Pods go first, so that what they depend on is there while they end. What
//! takes its time (graceful pods, finalizers) is waited for: its departure,
//! told by the garbage collector's watches, brings the next attempt.

mod conditions;
mod content;

use std::sync::Arc;
use std::time::Duration;

use kube::Api;
use kube::api::{Patch, PatchParams};
use serde_json::json;
use tokio::task::JoinSet;
use tokio_util::sync::CancellationToken;

use crate::cluster::Cluster;
use crate::controller::{self, Controller, Next};
use crate::error::Error;
use crate::key::Key;
use crate::object::Namespace;
use crate::queue::Queue;
use content::Remains;

const FINALIZER: &str = "kubernetes";
const WORKERS: usize = 10;
/// Looks again even if nobody told of a departure.
const LONGEST_WAIT: Duration = Duration::from_secs(15);

struct Namespaces {
    cluster: Cluster,
}

/// Starts the controller; call what it returns with the namespace of every
/// object that is gone.
pub fn start(
    cluster: &Cluster,
    tasks: &mut JoinSet<()>,
    shutdown: &CancellationToken,
) -> impl Fn(&str) + Send + Sync + 'static {
    let queue = Queue::new();
    let ending = queue.clone();
    cluster.namespaces.on_change(move |_, new| {
        if let Some(namespace) = new.filter(|n| n.is_ending()) {
            ending.add(Key::of(namespace));
        }
    });
    let controller = Namespaces {
        cluster: cluster.clone(),
    };
    controller::start(tasks, controller, queue.clone(), WORKERS, shutdown);
    note_departures(cluster, queue)
}

fn note_departures(cluster: &Cluster, queue: Arc<Queue>) -> impl Fn(&str) + Send + Sync + 'static {
    let namespaces = cluster.namespaces.clone();
    move |namespace| {
        let key = Key::new("", namespace);
        if namespaces.get(&key).is_some_and(|n| n.is_ending()) {
            queue.add(key);
        }
    }
}

impl Controller for Namespaces {
    const NAME: &'static str = "namespace";
    const REST: u32 = 5;

    async fn informed(&self) {
        self.cluster.namespaces.synced().await;
    }

    async fn reconcile(&self, key: &Key) -> Result<Next, Error> {
        let namespace = self.cluster.namespaces.get(key).filter(|n| n.is_ending());
        let Some(namespace) = namespace.filter(|n| n.has_finalizer(FINALIZER)) else {
            return Ok(Next::WhenChanged);
        };
        let remains = content::delete(&self.cluster.client, key).await?;
        if remains.is_nothing() {
            self.finalize(key, &namespace).await?;
            return Ok(Next::WhenChanged);
        }
        self.write_conditions(key, &namespace, &remains).await?;
        Ok(Next::After(LONGEST_WAIT))
    }
}

impl Namespaces {
    /// Gives up our hold of the namespace; without another it is gone.
    async fn finalize(&self, key: &Key, namespace: &Namespace) -> Result<(), Error> {
        let finalizers = namespace.spec.finalizers.iter().flatten();
        let kept: Vec<&String> = finalizers.filter(|f| *f != FINALIZER).collect();
        let body = json!({
            "apiVersion": "v1",
            "kind": "Namespace",
            "metadata": {
                "name": key.name,
                "uid": namespace.metadata.uid,
                "resourceVersion": namespace.metadata.resource_version,
            },
            "spec": { "finalizers": kept },
        });
        let failed = Error::api("finalize", "Namespace", key);
        let request = http::Request::put(format!("/api/v1/namespaces/{}/finalize", key.name))
            .header(http::header::CONTENT_TYPE, "application/json")
            .body(body.to_string().into_bytes())
            .map_err(kube::Error::HttpError);
        let request = match request {
            Ok(request) => request,
            Err(source) => return Err(failed(source)),
        };
        let answer = self.cluster.client.request::<Namespace>(request).await;
        answer.map(drop).map_err(failed)
    }

    async fn write_conditions(
        &self,
        key: &Key,
        namespace: &Namespace,
        remains: &Remains,
    ) -> Result<(), Error> {
        let known = namespace.status.conditions.as_deref().unwrap_or_default();
        let conditions = conditions::of(remains, known, jiff::Timestamp::now());
        if conditions == known {
            return Ok(());
        }
        let patch = json!({
            "metadata": { "uid": namespace.metadata.uid },
            "status": { "conditions": conditions },
        });
        let api: Api<Namespace> = Api::all(self.cluster.client.clone());
        let patched = api
            .patch_status(&key.name, &PatchParams::default(), &Patch::Merge(patch))
            .await
            .map_err(Error::api("write status of", "Namespace", key))?;
        self.cluster.namespaces.note(patched);
        Ok(())
    }
}
