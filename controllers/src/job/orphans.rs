//! Pods that no Job will count any more, freed of the finalizer that keeps them.

use std::sync::Arc;

use kube::Api;
use kube::api::{Patch, PatchParams};
use serde_json::json;
use tokio::task::JoinSet;
use tokio_util::sync::CancellationToken;

use crate::cluster::Cluster;
use crate::controller::{self, Controller, Next};
use crate::error::Error;
use crate::key::Key;
use crate::object::{Job, Pod, TRACKING, is_tracked};
use crate::owner;
use crate::queue::Queue;

const WORKERS: usize = 2;

struct Orphans {
    cluster: Cluster,
}

pub fn start(cluster: &Cluster, tasks: &mut JoinSet<()>, shutdown: &CancellationToken) {
    let queue = Queue::new();
    notice_pods(cluster, &queue);
    notice_jobs(cluster, &queue);
    let controller = Orphans {
        cluster: cluster.clone(),
    };
    controller::start(tasks, controller, queue, WORKERS, shutdown);
}

fn notice_pods(cluster: &Cluster, queue: &Arc<Queue>) {
    let (queue, known) = (queue.clone(), cluster.clone());
    cluster.pods.on_change(move |_, new| {
        let Some(pod) = new.filter(|pod| is_tracked(&pod.metadata)) else {
            return;
        };
        if known_job(&known, pod).is_none_or(|job| job.is_finished()) {
            queue.add(Key::of(pod));
        }
    });
}

fn notice_jobs(cluster: &Cluster, queue: &Arc<Queue>) {
    let (queue, pods) = (queue.clone(), cluster.pods.clone());
    cluster.jobs.on_change(move |old, new| {
        let ended = match new {
            Some(job) => Some(job).filter(|job| job.is_finished()),
            None => old,
        };
        let uid = ended.and_then(|job| job.metadata.uid.as_deref());
        for pod in uid.into_iter().flat_map(|uid| pods.owned_by(uid)) {
            if is_tracked(&pod.metadata) {
                queue.add(Key::of(&*pod));
            }
        }
    });
}

/// The Job that owns the pod, as far as the informer knows.
fn known_job(cluster: &Cluster, pod: &Pod) -> Option<Arc<Job>> {
    let owner = owner::controller(&pod.metadata).filter(|o| o.kind == "Job")?;
    let namespace = pod.metadata.namespace.as_deref().unwrap_or_default();
    let job = cluster.jobs.get(&Key::new(namespace, &owner.name))?;
    (job.metadata.uid.as_deref() == Some(&*owner.uid)).then_some(job)
}

impl Controller for Orphans {
    const NAME: &'static str = "job-orphans";

    async fn informed(&self) {
        self.cluster.jobs.synced().await;
        self.cluster.pods.synced().await;
    }

    async fn reconcile(&self, key: &Key) -> Result<Next, Error> {
        let pod = self.cluster.pods.get(key);
        let Some(pod) = pod.filter(|pod| is_tracked(&pod.metadata)) else {
            return Ok(Next::WhenChanged);
        };
        let is_over = match known_job(&self.cluster, &pod) {
            Some(job) => job.is_finished() && !job.is_managed_elsewhere(),
            None => !self.has_job(&pod).await?,
        };
        if is_over {
            release_this(&self.cluster, &pod).await?;
        }
        Ok(Next::WhenChanged)
    }
}

impl Orphans {
    /// Asks again: the informer of Jobs may lag behind that of pods.
    async fn has_job(&self, pod: &Pod) -> Result<bool, Error> {
        let Some(owner) = owner::controller(&pod.metadata).filter(|o| o.kind == "Job") else {
            return Ok(false);
        };
        let namespace = pod.metadata.namespace.as_deref().unwrap_or_default();
        let key = Key::new(namespace, &owner.name);
        let api: Api<Job> = Api::namespaced(self.cluster.client.clone(), namespace);
        let job = api.get_metadata_opt(&owner.name).await;
        let job = job.map_err(Error::api("get", "Job", &key))?;
        Ok(job.is_some_and(|job| job.metadata.uid.as_deref() == Some(&*owner.uid)))
    }
}

/// Takes the finalizer off, if the pod is still as we saw it: a Job may have adopted it.
async fn release_this(cluster: &Cluster, pod: &Pod) -> Result<(), Error> {
    let version = pod.metadata.resource_version.as_deref();
    release_at(cluster, pod, version).await
}

/// Takes the finalizer off a pod that is counted.
pub async fn release(cluster: &Cluster, pod: &Pod) -> Result<(), Error> {
    release_at(cluster, pod, None).await
}

async fn release_at(cluster: &Cluster, pod: &Pod, version: Option<&str>) -> Result<(), Error> {
    let key = Key::of(pod);
    let api: Api<Pod> = Api::namespaced(cluster.client.clone(), &key.namespace);
    let mut metadata = json!({
        "uid": pod.metadata.uid,
        "$deleteFromPrimitiveList/finalizers": [TRACKING],
    });
    if let Some(version) = version {
        metadata["resourceVersion"] = version.into();
    }
    let patch = Patch::Strategic(json!({ "metadata": metadata }));
    match api.patch(&key.name, &PatchParams::default(), &patch).await {
        Ok(pod) => {
            cluster.pods.note(pod);
            Ok(())
        }
        Err(kube::Error::Api(status)) if status.code == 404 => Ok(()),
        Err(source) => Err(Error::api("release", "Pod", &key)(source)),
    }
}
