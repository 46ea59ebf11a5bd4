//! Pods created in this process, with no socket between, for a profiler that
//! counts instructions: they are the same on a busy machine as on a quiet one.
//!
//!     cargo build --release -p apiserver --example creates
//!     valgrind --tool=callgrind .../release/examples/creates 4000
//!
//! Two counts of pods tell the price of one pod without that of the start.

use std::net::{Ipv4Addr, SocketAddr};
use std::sync::Arc;
use std::time::Instant;

use anyhow::Context;
use apiserver::{Config, KeyPair, Server};
use http::Request;
use http::header::CONTENT_TYPE;
use kube::Client;
use serde_json::json;

#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

#[tokio::main(flavor = "current_thread")]
async fn main() -> anyhow::Result<()> {
    let count: usize = match std::env::args().nth(1) {
        Some(count) => count.parse().context("the first argument counts pods")?,
        None => 4000,
    };
    let dir = tempfile::tempdir()?;
    let store = store::Log::open(dir.path().join("store"), store::Options::default())?;
    let server = start(dir.path(), store.clone()).await?;
    let client = server.client();
    let account = json!({"metadata": {"name": "default"}});
    post(&client, "serviceaccounts", account.to_string()).await?;
    let begun = Instant::now();
    for number in 0..count {
        post(&client, "pods", pod(number)).await?;
    }
    let each = begun.elapsed().as_secs_f64() * 1e6 / count.max(1) as f64;
    println!("{count} pods, {each:.0} us each, waiting for the disk among it");
    server.stop().await;
    store.close().await;
    Ok(())
}

async fn start(dir: &std::path::Path, store: Arc<store::Log>) -> anyhow::Result<Server> {
    let authority = pki::Authority::load_or_create(&dir.join("pki"), "ca", "skiff-ca")?;
    let serving = authority.issue(&pki::Request {
        common_name: "kube-apiserver".into(),
        addresses: vec![Ipv4Addr::LOCALHOST.into()],
        usages: vec![pki::Usage::Server],
        ..pki::Request::default()
    })?;
    let config = Config {
        listen: SocketAddr::from((Ipv4Addr::LOCALHOST, 0)),
        serving: KeyPair {
            cert_pem: serving.cert_pem,
            key_pem: serving.key_pem,
        },
        client_ca_pem: authority.cert_pem().to_owned(),
        kubelet: None,
        token_key: Arc::new(pki::TokenKey::load_or_create(&dir.join("sa.key"))?),
        issuer: Config::ISSUER.to_owned(),
        store,
        service_range: "10.96.0.0/12".parse()?,
        node_ports: Config::NODE_PORTS,
        tokens: Vec::new(),
        advertise: None,
        access: apiserver::Access::default(),
    };
    Ok(Server::start(config).await?)
}

async fn post(client: &Client, plural: &str, body: String) -> anyhow::Result<()> {
    let request = Request::post(format!("/api/v1/namespaces/default/{plural}"))
        .header(CONTENT_TYPE, "application/json")
        .body(body.into_bytes())?;
    client.request_text(request).await?;
    Ok(())
}

/// The pod of `bench api create`.
fn pod(number: usize) -> String {
    json!({
        "apiVersion": "v1",
        "kind": "Pod",
        "metadata": {
            "name": format!("p-bench-{number}"),
            "labels": {"app": "bench", "n": (number % 100).to_string()},
        },
        "spec": {"containers": [{
            "name": "c",
            "image": "registry.example/app:1.2.3",
            "command": ["/bin/app", "--serve"],
            "env": [{"name": "A", "value": "1"}, {"name": "B", "value": "two"}],
            "ports": [{"containerPort": 8080}],
            "resources": {
                "requests": {"cpu": "100m", "memory": "64Mi"},
                "limits": {"cpu": "1", "memory": "256Mi"},
            },
        }]},
    })
    .to_string()
}
