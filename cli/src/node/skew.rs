//! Whether this agent may be a node of its servers' cluster, by their versions.

use std::time::Duration;

use anyhow::bail;
use kube::Client;
use release::{Fit, Release};
use tokio::task::JoinSet;
use tokio_util::sync::CancellationToken;

/// How long a start waits for a server's answer; pods that run are worth more than it.
const PATIENCE: Duration = Duration::from_secs(5);
const PAUSE: Duration = Duration::from_secs(2);

/// Asks a server for its version. Where none answers in time, that is done in `tasks` later on,
/// one of which fails if this agent is not to be a node.
///
/// # Errors
/// This agent is newer than the server.
pub async fn check(
    client: &Client,
    tasks: &mut JoinSet<anyhow::Result<()>>,
    shutdown: &CancellationToken,
) -> anyhow::Result<()> {
    if let Ok(judged) = tokio::time::timeout(PATIENCE, judge(client)).await {
        return judged;
    }
    let (client, shutdown) = (client.clone(), shutdown.clone());
    tasks.spawn(async move {
        let judged = shutdown.run_until_cancelled(judge(&client)).await;
        judged.unwrap_or(Ok(()))?;
        shutdown.cancelled().await;
        Ok(())
    });
    Ok(())
}

/// Waits for the first answer.
async fn judge(client: &Client) -> anyhow::Result<()> {
    loop {
        match client.apiserver_version().await {
            Ok(info) => return allow(release::kubernetes(), &info.git_version),
            Err(_) => tokio::time::sleep(PAUSE).await,
        }
    }
}

fn allow(agent: &str, server: &str) -> anyhow::Result<()> {
    let (agent, server): (Release, Release) = (agent.parse()?, server.parse()?);
    match release::fit(&agent, &server) {
        Fit::Good => Ok(()),
        Fit::TooOld => {
            tracing::warn!(
                "this agent is {agent}, more than three minor versions older than the server, which is {server}: \
                 upgrade it (skiff upgrade)"
            );
            Ok(())
        }
        Fit::Newer => bail!(
            "this agent is {agent}, newer than the server, which is {server}: upgrade the servers first, \
             or install the server's version here; an agent may be older than its server, never newer"
        ),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_newer_agent_is_refused_by_both_names() {
        let refused = allow("v1.37.0+skiff-0.2.0", "v1.37.0+skiff-0.1.0");
        let refused = refused.unwrap_err().to_string();
        for name in ["skiff 0.2.0", "skiff 0.1.0"] {
            assert!(refused.contains(name), "{refused}");
        }
        allow("v1.37.0+skiff-0.1.0", "v1.37.0+skiff-0.2.0").unwrap();
        allow("v1.37.0+skiff-0.1.0", "v1.37.0+skiff-0.9.0").unwrap();
    }
}
