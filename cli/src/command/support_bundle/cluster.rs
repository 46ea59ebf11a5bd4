//! The cluster, as its API shows it.

use std::time::Duration;

use futures::AsyncReadExt as _;
use http::Request;
use serde_json::{Value, json};

use super::archive::Archive;
use super::secrets;
use crate::cluster::{Cluster, Resource, encode, refused, text};

const PATIENCE: Duration = Duration::from_secs(30);
/// Objects of a kind: a page, and how many pages.
const PAGE: usize = 500;
const PAGES: usize = 10;
/// Nodes whose own metrics are asked for.
const NODES: usize = 50;
const LARGEST_TEXT: u64 = 8 << 20;

pub async fn gather(archive: &mut Archive, cluster: &Cluster, with_objects: bool) {
    for path in ["/version", "/readyz?verbose", "/livez?verbose", "/metrics"] {
        let name = path
            .trim_start_matches('/')
            .split('?')
            .next()
            .unwrap_or_default();
        add_text(archive, cluster, path, &format!("cluster/{name}.txt")).await;
    }
    if with_objects {
        for resource in cluster.resources().to_vec() {
            let is_listed =
                resource.is_preferred && resource.verbs.iter().any(|verb| verb == "list");
            // The events of `events.k8s.io` are those of the core group.
            if is_listed && resource.group != "events.k8s.io" {
                add_objects(archive, cluster, &resource).await;
            }
        }
    }
    match cluster.get("/api/v1/nodes").await {
        Ok(nodes) => {
            let nodes = nodes["items"].as_array().into_iter().flatten();
            for node in nodes.take(NODES) {
                add_node(archive, cluster, text(node, "/metadata/name")).await;
            }
        }
        Err(error) => archive.missed("nodes", &format!("{error:#}")),
    }
}

async fn add_node(archive: &mut Archive, cluster: &Cluster, node: &str) {
    for (path, name) in [
        ("metrics", "metrics.txt"),
        ("metrics/resource", "resources.txt"),
        ("stats/summary", "summary.json"),
    ] {
        let path = format!("/api/v1/nodes/{node}/proxy/{path}");
        add_text(archive, cluster, &path, &format!("nodes/{node}/{name}")).await;
    }
}

async fn add_text(archive: &mut Archive, cluster: &Cluster, path: &str, name: &str) {
    match tokio::time::timeout(PATIENCE, read(cluster, path)).await {
        Ok(Ok(body)) => archive.add(name, body),
        Ok(Err(error)) => archive.missed(name, &format!("{error:#}")),
        Err(_) => archive.missed(name, "no answer in time"),
    }
}

async fn read(cluster: &Cluster, path: &str) -> anyhow::Result<Vec<u8>> {
    let request = Request::get(path).body(Vec::new())?;
    let answer = cluster
        .client
        .request_stream(request)
        .await
        .map_err(refused)?;
    let mut body = Vec::new();
    std::pin::pin!(answer.take(LARGEST_TEXT))
        .read_to_end(&mut body)
        .await?;
    Ok(body)
}

async fn add_objects(archive: &mut Archive, cluster: &Cluster, resource: &Resource) {
    let group = if resource.group.is_empty() {
        "core"
    } else {
        &resource.group
    };
    let name = format!("objects/{group}/{}.json", resource.plural);
    let path = cluster.path(resource, None, None);
    let is_secret = resource.group.is_empty() && resource.plural == "secrets";
    let listed = tokio::time::timeout(PATIENCE, list(cluster, &path)).await;
    let (mut items, is_all) = match listed {
        Ok(Ok(listed)) => listed,
        Ok(Err(error)) => return archive.missed(&name, &format!("{error:#}")),
        Err(_) => return archive.missed(&name, "no answer in time"),
    };
    if items.is_empty() {
        return;
    }
    for item in &mut items {
        if is_secret {
            secrets::hide_secret(item);
        } else {
            secrets::hide_in(item);
        }
    }
    if !is_all {
        archive.missed(&name, &format!("all but the first {}", items.len()));
    }
    let list = json!({ "apiVersion": resource.api_version(), "kind": format!("{}List", resource.kind), "items": items });
    archive.add(name, format!("{list:#}"));
}

/// The first pages, and whether that is all.
async fn list(cluster: &Cluster, path: &str) -> anyhow::Result<(Vec<Value>, bool)> {
    let (mut items, mut next) = (Vec::new(), String::new());
    for _ in 0..PAGES {
        let page = format!("{path}?limit={PAGE}&continue={}", encode(&next));
        let mut page = cluster.get(&page).await?;
        if let Value::Array(found) = page["items"].take() {
            items.extend(found);
        }
        next = text(&page, "/metadata/continue").to_owned();
        if next.is_empty() {
            return Ok((items, true));
        }
    }
    Ok((items, false))
}
