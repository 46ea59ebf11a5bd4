use std::sync::Arc;
use std::time::Duration;

use ipnet::Ipv4Net;
use kube::Client;
use tokio::task::JoinSet;
use tokio_util::sync::CancellationToken;

use crate::cluster::Cluster;
use crate::{
    Error, autoscaler, bootstrap_token, cluster_role_aggregation, cron_job, csr, daemonset,
    deployment, disruption_budget, endpoint_mirror, endpoint_slices, endpoints, garbage_collector,
    job, load_balancer, namespace, node_ipam, node_lifecycle, node_ttl, pod_gc, replicaset,
    root_ca, service_account, statefulset, taint_eviction, ttl_after_finished, volumes,
};

/// What differs from cluster to cluster.
#[derive(Clone)]
pub struct Config {
    /// Where the pods' addresses come from; a /24 of it for each node.
    pub cluster_cidr: Ipv4Net,
    /// Signs certificates, and is what pods are told to trust.
    pub authority: Arc<pki::Authority>,
    /// A node that has not been heard of for this long is not ready.
    pub node_monitor_grace_period: Duration,
    /// The same for a node that has never said anything.
    pub node_startup_grace_period: Duration,
    /// How long the pods of a removed node are kept.
    pub lost_node_quarantine: Duration,
    /// Finished pods beyond this many are removed, the oldest first.
    pub terminated_pods_kept: usize,
    /// How often an autoscaler looks at its metrics.
    pub autoscaler_period: Duration,
    /// The longest life of a certificate that is asked for through the API.
    pub longest_certificate: Duration,
}

impl Config {
    pub fn new(cluster_cidr: Ipv4Net, authority: Arc<pki::Authority>) -> Self {
        Self {
            cluster_cidr,
            authority,
            node_monitor_grace_period: Duration::from_secs(50),
            node_startup_grace_period: Duration::from_secs(60),
            lost_node_quarantine: Duration::from_secs(40),
            terminated_pods_kept: 12_500,
            autoscaler_period: Duration::from_secs(15),
            longest_certificate: Duration::from_secs(365 * 24 * 3600),
        }
    }
}

/// Runs all controllers until `shutdown`; each finishes what it is at.
///
/// # Errors
/// None ends the controllers today: what fails is logged and tried again.
pub async fn run(config: Config, client: Client, shutdown: CancellationToken) -> Result<(), Error> {
    crate::metrics::tell();
    let cluster = Cluster::new(client);
    let mut tasks = JoinSet::new();
    service_account::start(&cluster, &mut tasks, &shutdown);
    root_ca::start(&config, &cluster, &mut tasks, &shutdown);
    node_ipam::start(&config, &cluster, &mut tasks, &shutdown);
    node_ttl::start(&cluster, &mut tasks, &shutdown);
    node_lifecycle::start(&config, &cluster, &mut tasks, &shutdown);
    taint_eviction::start(&cluster, &mut tasks, &shutdown);
    pod_gc::start(&config, &cluster, &mut tasks, &shutdown);
    cluster_role_aggregation::start(&cluster, &mut tasks, &shutdown);
    csr::start(&config, &cluster, &mut tasks, &shutdown);
    bootstrap_token::start(&cluster, &mut tasks, &shutdown);
    deployment::start(&cluster, &mut tasks, &shutdown);
    replicaset::start(&cluster, &mut tasks, &shutdown);
    job::start(&cluster, &mut tasks, &shutdown);
    ttl_after_finished::start(&cluster, &mut tasks, &shutdown);
    cron_job::start(&cluster, &mut tasks, &shutdown);
    autoscaler::start(&config, &cluster, &mut tasks, &shutdown);
    statefulset::start(&cluster, &mut tasks, &shutdown);
    daemonset::start(&cluster, &mut tasks, &shutdown);
    disruption_budget::start(&cluster, &mut tasks, &shutdown);
    endpoint_slices::start(&cluster, &mut tasks, &shutdown);
    endpoints::start(&cluster, &mut tasks, &shutdown);
    endpoint_mirror::start(&cluster, &mut tasks, &shutdown);
    volumes::start(&cluster, &mut tasks, &shutdown);
    load_balancer::start(&cluster, &mut tasks, &shutdown);
    let on_gone = namespace::start(&cluster, &mut tasks, &shutdown);
    garbage_collector::start(&cluster, &mut tasks, &shutdown, Box::new(on_gone));
    cluster.start(&mut tasks, &shutdown);
    while tasks.join_next().await.is_some() {}
    Ok(())
}
