//! Brings claims and volumes together.
//!
//! A claim and its volume name each other: `spec.claimRef` of the volume first, with
//! the claim's uid, then `spec.volumeName` of the claim. Each step is one write that
//! fails if somebody else wrote meanwhile, and each can be the last before a crash:
//! whoever looks next, from either side, goes on from there.

mod bound;
mod claim;
mod find;
mod notice;
mod offers;
mod reclaim;
mod volume;
mod write;

use std::sync::Arc;

use events::Recorder;
use tokio::task::JoinSet;
use tokio_util::sync::CancellationToken;

use super::claim_users::ClaimUsers;
use crate::cluster::Cluster;
use crate::controller::{self, Controller, Next};
use crate::error::Error;
use crate::key::Key;
use crate::object::{PersistentVolumeClaim, StorageClass};
use crate::queue::Queue;
use offers::Offers;

const WORKERS: usize = 4;

/// What the two controllers, of claims and of volumes, share.
struct Binder {
    cluster: Cluster,
    users: Arc<ClaimUsers>,
    recorder: Recorder,
    claims: Arc<Queue>,
    offers: Offers,
}

struct Claims(Arc<Binder>);
struct Volumes(Arc<Binder>);

pub fn start(
    cluster: &Cluster,
    users: &Arc<ClaimUsers>,
    tasks: &mut JoinSet<()>,
    shutdown: &CancellationToken,
) {
    let (claims, volumes) = (Queue::new(), Queue::new());
    // Before those who are told to look at the offers.
    let offers = Offers::of(&cluster.persistent_volumes);
    users.notice(&claims);
    notice::claims(cluster, &claims, &volumes);
    notice::volumes(cluster, &claims, &volumes);
    notice::classes(cluster, &claims);
    let binder = Arc::new(Binder {
        cluster: cluster.clone(),
        users: users.clone(),
        recorder: cluster.events.recorder("persistentvolume-controller"),
        claims: claims.clone(),
        offers,
    });
    controller::start(tasks, Claims(binder.clone()), claims, WORKERS, shutdown);
    controller::start(tasks, Volumes(binder), volumes, WORKERS, shutdown);
}

impl Binder {
    async fn informed(&self) {
        self.cluster.claims.synced().await;
        self.cluster.persistent_volumes.synced().await;
        self.cluster.storage_classes.synced().await;
        self.cluster.pods.synced().await;
    }

    fn class_of(&self, claim: &PersistentVolumeClaim) -> Option<Arc<StorageClass>> {
        let name = claim.class();
        let named = (!name.is_empty()).then(|| Key::new("", name))?;
        self.cluster.storage_classes.get(&named)
    }

    fn waits_for_consumer(&self, claim: &PersistentVolumeClaim) -> bool {
        let class = self.class_of(claim);
        class.is_some_and(|class| class.waits_for_consumer())
    }
}

impl Controller for Claims {
    const NAME: &'static str = "persistentvolume-binder";

    async fn informed(&self) {
        self.0.informed().await;
    }

    async fn reconcile(&self, key: &Key) -> Result<Next, Error> {
        if let Some(claim) = self.0.cluster.claims.get(key) {
            self.0.sync_claim(&claim).await?;
        }
        Ok(Next::WhenChanged)
    }
}

impl Controller for Volumes {
    const NAME: &'static str = "persistentvolume-binder";

    async fn informed(&self) {
        self.0.informed().await;
    }

    async fn reconcile(&self, key: &Key) -> Result<Next, Error> {
        if let Some(volume) = self.0.cluster.persistent_volumes.get(key) {
            self.0.sync_volume(&volume).await?;
        }
        Ok(Next::WhenChanged)
    }
}
