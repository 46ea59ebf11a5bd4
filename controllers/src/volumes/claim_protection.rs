//! A claim that pods use ends after they do.

use std::sync::Arc;

use kube::Api;
use tokio::task::JoinSet;
use tokio_util::sync::CancellationToken;

use super::claim_users::{self, ClaimUsers};
use super::finalizer;
use super::live_users::LiveUsers;
use crate::cluster::Cluster;
use crate::controller::{self, Controller, Next};
use crate::error::Error;
use crate::key::Key;
use crate::object::PersistentVolumeClaim;
use crate::queue::Queue;

const FINALIZER: &str = "kubernetes.io/pvc-protection";
const WORKERS: usize = 4;

struct ClaimProtection {
    cluster: Cluster,
    users: Arc<ClaimUsers>,
    live: LiveUsers,
}

pub fn start(
    cluster: &Cluster,
    users: &Arc<ClaimUsers>,
    tasks: &mut JoinSet<()>,
    shutdown: &CancellationToken,
) {
    let queue = Queue::new();
    users.notice(&queue);
    let claims = queue.clone();
    cluster.claims.on_change(move |_, new| {
        if let Some(claim) = new.filter(|claim| claim.is_ending() == claim.has_finalizer(FINALIZER))
        {
            claims.add(Key::of(claim));
        }
    });
    let controller = ClaimProtection {
        cluster: cluster.clone(),
        users: users.clone(),
        live: LiveUsers::new(cluster.client.clone()),
    };
    controller::start(tasks, controller, queue, WORKERS, shutdown);
}

impl Controller for ClaimProtection {
    const NAME: &'static str = "persistentvolumeclaim-protection";

    async fn informed(&self) {
        self.cluster.claims.synced().await;
        self.cluster.pods.synced().await;
    }

    async fn reconcile(&self, key: &Key) -> Result<Next, Error> {
        let Some(claim) = self.cluster.claims.get(key) else {
            return Ok(Next::WhenChanged);
        };
        let api: Api<PersistentVolumeClaim> =
            Api::namespaced(self.cluster.client.clone(), &key.namespace);
        let written = match (claim.is_ending(), claim.has_finalizer(FINALIZER)) {
            (true, true) if !self.is_used(key, &claim).await? => {
                finalizer::remove(&api, &claim.metadata, FINALIZER).await
            }
            (false, false) => finalizer::add(&api, &claim.metadata, FINALIZER).await,
            _ => return Ok(Next::WhenChanged),
        };
        let written = written.map_err(Error::api("protect", "PersistentVolumeClaim", key))?;
        // What lost its last finalizer is gone: the watch tells of it.
        if !written.is_ending() {
            self.cluster.claims.note(written);
        }
        Ok(Next::WhenChanged)
    }
}

impl ClaimProtection {
    /// Asks the API server too: a pod may have got its node just now, and its node
    /// may have begun with it before the claim was deleted.
    async fn is_used(&self, key: &Key, claim: &PersistentVolumeClaim) -> Result<bool, Error> {
        let known = self.users.of(key);
        if known.iter().any(|pod| claim_users::holds(pod, claim)) {
            return Ok(true);
        }
        self.live.hold(key, claim).await
    }
}
