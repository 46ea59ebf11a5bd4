//! Waiting until the cluster counts a node as Ready.

use std::time::Duration;

use k8s_openapi::api::core::v1::Node;
use kube::{Api, Client};
use tokio_util::sync::CancellationToken;

/// What came of waiting.
pub enum Found {
    /// The node is Ready; it takes no pods while it is short of something.
    Ready { pressures: Vec<String> },
    /// Not within the time, or the server cannot be asked.
    NotYet,
}

/// Waits until `node` is Ready; `None` if skiff is to end before that is known.
pub async fn wait(
    client: Client,
    node: &str,
    patience: Duration,
    shutdown: &CancellationToken,
) -> Option<Found> {
    let nodes: Api<Node> = Api::all(client);
    let ready = kube::runtime::wait::await_condition(nodes, node, is_ready);
    let ready = tokio::time::timeout(patience, ready);
    Some(match shutdown.run_until_cancelled(ready).await? {
        Ok(Ok(node)) => Found::Ready {
            pressures: pressures(node.as_ref()),
        },
        Ok(Err(_)) | Err(_) => Found::NotYet,
    })
}

impl Found {
    pub fn words(&self, node: &str) -> String {
        match self {
            Self::Ready { pressures } if pressures.is_empty() => format!("node {node} is Ready"),
            Self::Ready { pressures } => format!(
                "node {node} is Ready, but takes no pods: {}",
                pressures.join(", ")
            ),
            Self::NotYet => {
                format!("node {node} runs, but the cluster does not count it as Ready yet")
            }
        }
    }
}

fn pressures(node: Option<&Node>) -> Vec<String> {
    let names = true_conditions(node).filter(|name| name.ends_with("Pressure"));
    names.map(str::to_owned).collect()
}

fn is_ready(node: Option<&Node>) -> bool {
    true_conditions(node).any(|name| name == "Ready")
}

fn true_conditions(node: Option<&Node>) -> impl Iterator<Item = &str> {
    let status = node.and_then(|node| node.status.as_ref());
    let conditions = status.and_then(|status| status.conditions.as_ref());
    let conditions = conditions.into_iter().flatten();
    conditions
        .filter(|c| c.status == "True")
        .map(|c| c.type_.as_str())
}
