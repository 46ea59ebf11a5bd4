//! The claims that pods bring along (generic ephemeral volumes): made for the pod,
//! owned by it, and so gone with it.

use std::sync::Arc;

use events::Recorder;
use k8s_openapi::api::core::v1 as core;
use kube::Api;
use kube::api::{ObjectMeta, PostParams};
use tokio::task::JoinSet;
use tokio_util::sync::CancellationToken;

use super::claim_users::{self, ClaimUsers};
use crate::cluster::Cluster;
use crate::controller::{self, Controller, Next};
use crate::error::Error;
use crate::key::Key;
use crate::object::Pod;
use crate::owner;
use crate::queue::Queue;

const WORKERS: usize = 4;

struct EphemeralVolumes {
    cluster: Cluster,
    recorder: Recorder,
}

pub fn start(
    cluster: &Cluster,
    users: &Arc<ClaimUsers>,
    tasks: &mut JoinSet<()>,
    shutdown: &CancellationToken,
) {
    let queue = Queue::new();
    let pods = queue.clone();
    cluster.pods.on_change(move |old, new| {
        let Some(pod) = new.filter(|_| old.is_none()) else {
            return;
        };
        if pod.spec.claims.iter().any(|claim| claim.is_ephemeral) {
            pods.add(Key::of(pod));
        }
    });
    let (pods, users) = (queue.clone(), users.clone());
    cluster.claims.on_change(move |old, new| {
        if let (Some(gone), None) = (old, new) {
            let left = users.of(&Key::of(gone));
            left.iter().for_each(|pod| pods.add(Key::of(&**pod)));
        }
    });
    let controller = EphemeralVolumes {
        cluster: cluster.clone(),
        recorder: cluster.events.recorder("ephemeral_volume"),
    };
    controller::start(tasks, controller, queue, WORKERS, shutdown);
}

impl Controller for EphemeralVolumes {
    const NAME: &'static str = "ephemeral-volume";

    async fn informed(&self) {
        self.cluster.pods.synced().await;
        self.cluster.claims.synced().await;
    }

    async fn reconcile(&self, key: &Key) -> Result<Next, Error> {
        let Some(pod) = self.cluster.pods.get(key) else {
            return Ok(Next::WhenChanged);
        };
        if pod.metadata.deletion_timestamp.is_some() {
            return Ok(Next::WhenChanged);
        }
        for claim in pod.spec.claims.iter().filter(|claim| claim.is_ephemeral) {
            let claim = Key::new(&key.namespace, &claim.name);
            match self.cluster.claims.get(&claim) {
                None => self.make(&pod, &claim).await?,
                Some(there) if claim_users::is_made_for(&there, &pod) => {}
                Some(_) => {
                    let why =
                        format!("PVC {claim} was not created for pod {key} (pod is not owner)");
                    self.tell(&pod, &claim, &why);
                }
            }
        }
        Ok(Next::WhenChanged)
    }
}

impl EphemeralVolumes {
    async fn make(&self, pod: &Pod, key: &Key) -> Result<(), Error> {
        let Some(claim) = self.wanted(pod, key).await? else {
            return Ok(());
        };
        let api: Api<core::PersistentVolumeClaim> =
            Api::namespaced(self.cluster.client.clone(), &key.namespace);
        let made = api.create(&PostParams::default(), &claim).await;
        let made = controller::unless_there(made);
        if let Err(error) = &made {
            self.tell(pod, key, &error.to_string());
        }
        made.map_err(Error::api("create", "PersistentVolumeClaim", key))?;
        Ok(())
    }

    /// The claim as the pod has it in its template, which nobody keeps in memory.
    async fn wanted(
        &self,
        pod: &Pod,
        key: &Key,
    ) -> Result<Option<core::PersistentVolumeClaim>, Error> {
        let of = Key::of(pod);
        let api: Api<core::Pod> = Api::namespaced(self.cluster.client.clone(), &of.namespace);
        let found = api.get_opt(&of.name).await;
        let found = found.map_err(Error::api("get", "Pod", &of))?;
        let found = found.filter(|found| found.metadata.uid == pod.metadata.uid);
        let volumes = found.and_then(|found| found.spec?.volumes);
        let name = volume(pod, key);
        let volume = volumes.into_iter().flatten().find(|v| v.name == name);
        let template = volume.and_then(|volume| volume.ephemeral?.volume_claim_template);
        Ok(template.map(|template| {
            let given = template.metadata.unwrap_or_default();
            core::PersistentVolumeClaim {
                metadata: ObjectMeta {
                    name: Some(key.name.to_string()),
                    labels: given.labels,
                    annotations: given.annotations,
                    owner_references: Some(vec![owner::reference(pod)]),
                    ..ObjectMeta::default()
                },
                spec: Some(template.spec),
                status: None,
            }
        }))
    }

    fn tell(&self, pod: &Pod, claim: &Key, why: &str) {
        let message = format!("ephemeral volume {}: {why}", volume(pod, claim));
        self.recorder.warning(pod, "FailedBinding", message);
    }
}

/// The volume that a claim is named after: `<pod>-<volume>`.
fn volume<'a>(pod: &Pod, claim: &'a Key) -> &'a str {
    let pod = pod.metadata.name.as_deref().unwrap_or_default();
    let rest = claim.name.strip_prefix(pod);
    rest.and_then(|rest| rest.strip_prefix('-'))
        .unwrap_or_default()
}
