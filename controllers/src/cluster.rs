//! The cluster as the controllers see it: one informer a kind, shared.

use std::sync::Arc;

use kube::Client;
use kube::runtime::watcher;
use tokio::task::JoinSet;
use tokio_util::sync::CancellationToken;

use crate::informer::{Informer, Object};
use crate::object::{Deployment, Pod, ReplicaSet};

/// Everything a controller may look at, and the client to change it with.
#[derive(Clone)]
pub struct Cluster {
    pub client: Client,
    pub pods: Arc<Informer<Pod>>,
    pub replica_sets: Arc<Informer<ReplicaSet>>,
    pub deployments: Arc<Informer<Deployment>>,
}

impl Cluster {
    /// Informers that know nothing yet; handlers are added before `start`.
    pub fn new(client: Client) -> Self {
        Self {
            client,
            pods: Informer::new(),
            replica_sets: Informer::new(),
            deployments: Informer::new(),
        }
    }

    /// Starts all informers and waits until each has listed its kind.
    pub async fn start(&self, tasks: &mut JoinSet<()>, shutdown: &CancellationToken) {
        let mut start = Starter {
            client: &self.client,
            tasks,
            shutdown,
        };
        start.informer(&self.pods);
        start.informer(&self.replica_sets);
        start.informer(&self.deployments);
        self.pods.synced().await;
        self.replica_sets.synced().await;
        self.deployments.synced().await;
    }
}

struct Starter<'a> {
    client: &'a Client,
    tasks: &'a mut JoinSet<()>,
    shutdown: &'a CancellationToken,
}

impl Starter<'_> {
    fn informer<K>(&mut self, informer: &Arc<Informer<K>>)
    where
        K: Object,
    {
        let config = watcher::Config::default();
        let running = informer
            .clone()
            .run(self.client.clone(), config, self.shutdown.clone());
        self.tasks.spawn(running);
    }
}
