use kube::Client;
use tokio::task::JoinSet;
use tokio_util::sync::CancellationToken;

use crate::cluster::Cluster;
use crate::{Error, deployment, replicaset};

/// What differs from cluster to cluster.
#[derive(Debug, Clone, Default)]
pub struct Config {}

/// Runs all controllers until `shutdown`; each finishes what it is at.
///
/// # Errors
/// None ends the controllers today: what fails is logged and tried again.
pub async fn run(
    _config: Config,
    client: Client,
    shutdown: CancellationToken,
) -> Result<(), Error> {
    let cluster = Cluster::new(client);
    let mut tasks = JoinSet::new();
    deployment::start(&cluster, &mut tasks, &shutdown);
    replicaset::start(&cluster, &mut tasks, &shutdown);
    let informed = shutdown.run_until_cancelled(cluster.start(&mut tasks, &shutdown));
    informed.await;
    while tasks.join_next().await.is_some() {}
    Ok(())
}
