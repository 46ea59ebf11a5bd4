//! Deployments of many pods, made, watched and rolled over, and the nodes for them.

use std::time::{Duration, Instant};

use anyhow::{Context, ensure};
use memchr::memmem;
use serde_json::{Value, json};

use crate::client::Target;

const PATH: &str = "/apis/apps/v1/namespaces/default/deployments";
const ASK_EVERY: Duration = Duration::from_millis(500);

/// The one of this number.
pub fn name(number: u64) -> String {
    format!("d{number}")
}

pub async fn create(target: &Target, number: u64, replicas: u64) -> anyhow::Result<()> {
    let name = name(number);
    let object = json!({
        "apiVersion": "apps/v1", "kind": "Deployment", "metadata": { "name": name },
        "spec": {
            "replicas": replicas,
            "selector": { "matchLabels": { "app": name } },
            "template": {
                "metadata": { "labels": { "app": name } },
                "spec": { "containers": [{
                    "name": "c", "image": "registry.example/app:1.2.3",
                    "resources": { "requests": { "cpu": "100m", "memory": "64Mi" } },
                }] },
            },
        },
    });
    let request = target.request("POST", PATH, &object.to_string());
    let (status, body) = target.connect().await?.answer(&request).await?;
    let body = String::from_utf8_lossy(&body);
    ensure!(status == 201, "make {name}: {status} {body}");
    Ok(())
}

/// Waits until no node keeps pods off, as new nodes do.
pub async fn wait_for_nodes(target: &Target, limit: Duration) -> anyhow::Result<Duration> {
    let begun = Instant::now();
    let mut connection = target.connect().await?;
    let request = target.request("GET", "/api/v1/nodes", "");
    loop {
        let (_, body) = connection.answer(&request).await?;
        let tainted = memmem::find_iter(&body, br#""taints":["#).count();
        if tainted == 0 {
            return Ok(begun.elapsed());
        }
        ensure!(begun.elapsed() < limit, "{tainted} nodes take no pods");
        tokio::time::sleep(ASK_EVERY).await;
    }
}

/// Waits until so many pods are ready, all Deployments together.
pub async fn wait_for_ready(
    target: &Target,
    pods: u64,
    limit: Duration,
) -> anyhow::Result<Duration> {
    let begun = Instant::now();
    let mut connection = target.connect().await?;
    loop {
        let (_, body) = connection.answer(&target.request("GET", PATH, "")).await?;
        let list: Value = serde_json::from_slice(&body)?;
        let ready = |d: &Value| d["status"]["readyReplicas"].as_u64().unwrap_or(0);
        let all: u64 = list["items"]
            .as_array()
            .into_iter()
            .flatten()
            .map(ready)
            .sum();
        if all >= pods {
            return Ok(begun.elapsed());
        }
        ensure!(
            begun.elapsed() < limit,
            "only {all} of {pods} pods are ready"
        );
        tokio::time::sleep(ASK_EVERY).await;
    }
}

/// Changes the template and waits until all its pods are new and available.
pub async fn roll(target: &Target, number: u64, limit: Duration) -> anyhow::Result<Duration> {
    let begun = Instant::now();
    let path = format!("{PATH}/{}", name(number));
    let change =
        json!({ "spec": { "template": { "metadata": { "annotations": { "rolled": "1" } } } } });
    let request = target.request("PATCH", &path, &change.to_string());
    let mut connection = target.connect().await?;
    let (status, body) = connection.answer(&as_merge_patch(&request)?).await?;
    let body = String::from_utf8_lossy(&body);
    ensure!(status == 200, "change {path}: {status} {body}");
    loop {
        let (_, body) = connection.answer(&target.request("GET", &path, "")).await?;
        let deployment: Value = serde_json::from_slice(&body)?;
        if is_rolled(&deployment) {
            return Ok(begun.elapsed());
        }
        let status = &deployment["status"];
        ensure!(
            begun.elapsed() < limit,
            "{path} is not rolled over: {status}"
        );
        tokio::time::sleep(ASK_EVERY).await;
    }
}

fn as_merge_patch(request: &[u8]) -> anyhow::Result<Vec<u8>> {
    let text = std::str::from_utf8(request).context("a request is text")?;
    let plain = "Content-Type: application/json";
    Ok(text
        .replacen(plain, "Content-Type: application/merge-patch+json", 1)
        .into_bytes())
}

/// As `kubectl rollout status` has it.
fn is_rolled(deployment: &Value) -> bool {
    let (wanted, status) = (&deployment["spec"]["replicas"], &deployment["status"]);
    let all = ["updatedReplicas", "replicas", "availableReplicas"];
    status["observedGeneration"] == deployment["metadata"]["generation"]
        && all.iter().all(|field| status[*field] == *wanted)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_rollout_is_over_when_no_old_pod_is_left() {
        let deployment = |generation: u64, updated: u64, all: u64| {
            is_rolled(&json!({
                "metadata": { "generation": 2 }, "spec": { "replicas": 5 },
                "status": { "observedGeneration": generation, "updatedReplicas": updated,
                    "replicas": all, "availableReplicas": 5 },
            }))
        };
        assert!(deployment(2, 5, 5));
        assert!(!deployment(1, 5, 5), "not seen yet");
        assert!(!deployment(2, 4, 5), "an old one instead");
        assert!(!deployment(2, 5, 6), "an old one is still there");
    }
}
