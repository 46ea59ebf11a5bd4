//! Nodes that run pods in name only, to measure a cluster's server with.
//!
//! They are registered and renew their leases as kubelets do; a pod that comes
//! to one of them is Running and Ready at once, with an address made up, and
//! goes when it is asked to. Nothing is run. All of them together are one task
//! with one watch of pods, and keep next to nothing of a pod that runs.

mod api;
mod error;
mod heart;
mod node;
mod pod;
mod pods;

use std::time::Duration;

use kube::Client;
use tokio_util::sync::CancellationToken;

pub use error::Error;

/// How many nodes, and what they say they are.
#[derive(Debug, Clone)]
pub struct Config {
    pub nodes: usize,
    /// Nodes are named this and a number.
    pub prefix: String,
    pub cpu: String,
    pub memory: String,
    /// Pods that each holds.
    pub pods: usize,
    /// Zones that the nodes are in, in turn.
    pub zones: usize,
    /// Pods that may end succeed this long after they came; without it they run on.
    pub finish_after: Option<Duration>,
}

impl Default for Config {
    fn default() -> Self {
        Self {
            nodes: 1,
            prefix: "hollow-".into(),
            cpu: "32".into(),
            memory: "256Gi".into(),
            pods: 110,
            zones: 3,
            finish_after: None,
        }
    }
}

impl Config {
    /// The node's number, if it is one of ours.
    fn number(&self, node: &str) -> Option<usize> {
        let number = node.strip_prefix(&self.prefix)?.parse().ok()?;
        (number < self.nodes).then_some(number)
    }

    fn name(&self, number: usize) -> String {
        format!("{}{number}", self.prefix)
    }
}

/// Registers the nodes, tells when they are all there, and keeps them alive
/// until `shutdown`. They stay registered: without heartbeats the cluster
/// notices their end, as it does that of others.
///
/// # Errors
/// A node that the server will not have.
pub async fn run(
    config: Config,
    client: Client,
    shutdown: CancellationToken,
    ready: impl FnOnce(),
) -> Result<(), Error> {
    let registering = node::register(&config, &client);
    match shutdown.run_until_cancelled(registering).await {
        Some(registered) => registered?,
        None => return Ok(()),
    }
    ready();
    let alive = futures::future::join(
        heart::beat(&config, &client),
        pods::Runner::new(&config, &client).run(),
    );
    shutdown.run_until_cancelled(alive).await;
    Ok(())
}
