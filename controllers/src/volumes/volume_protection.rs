//! A volume that is bound ends after its claim.

use kube::Api;
use tokio::task::JoinSet;
use tokio_util::sync::CancellationToken;

use super::finalizer;
use crate::cluster::Cluster;
use crate::controller::{self, Controller, Next};
use crate::error::Error;
use crate::key::Key;
use crate::object::PersistentVolume;
use crate::queue::Queue;

const FINALIZER: &str = "kubernetes.io/pv-protection";
const WORKERS: usize = 2;

struct VolumeProtection {
    cluster: Cluster,
}

pub fn start(cluster: &Cluster, tasks: &mut JoinSet<()>, shutdown: &CancellationToken) {
    let queue = Queue::new();
    let volumes = queue.clone();
    cluster.persistent_volumes.on_change(move |_, new| {
        if let Some(volume) =
            new.filter(|volume| volume.is_ending() == volume.has_finalizer(FINALIZER))
        {
            volumes.add(Key::of(volume));
        }
    });
    let controller = VolumeProtection {
        cluster: cluster.clone(),
    };
    controller::start(tasks, controller, queue, WORKERS, shutdown);
}

impl Controller for VolumeProtection {
    const NAME: &'static str = "persistentvolume-protection";

    async fn informed(&self) {
        self.cluster.persistent_volumes.synced().await;
    }

    async fn reconcile(&self, key: &Key) -> Result<Next, Error> {
        let Some(volume) = self.cluster.persistent_volumes.get(key) else {
            return Ok(Next::WhenChanged);
        };
        let is_used = volume.phase() == "Bound";
        let api: Api<PersistentVolume> = Api::all(self.cluster.client.clone());
        let written = match (volume.is_ending(), volume.has_finalizer(FINALIZER)) {
            (true, true) if !is_used => finalizer::remove(&api, &volume.metadata, FINALIZER).await,
            (false, false) => finalizer::add(&api, &volume.metadata, FINALIZER).await,
            _ => return Ok(Next::WhenChanged),
        };
        let written = written.map_err(Error::api("protect", "PersistentVolume", key))?;
        // What lost its last finalizer is gone: the watch tells of it.
        if !written.is_ending() {
            self.cluster.persistent_volumes.note(written);
        }
        Ok(Next::WhenChanged)
    }
}
