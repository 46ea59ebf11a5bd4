//! A server on a temporary directory, to try the API against:
//!
//!     cargo run -p apiserver --example serve -- --port 6443 --token T
//!
//! It also does what the API needs a controller for in the recordings: every
//! namespace gets its default service account and the authority's certificate.

use std::collections::BTreeMap;
use std::net::{Ipv4Addr, SocketAddr};
use std::path::PathBuf;
use std::sync::Arc;

use anyhow::Context;
use apiserver::{Config, KeyPair, Server, StaticToken, User};
use clap::Parser;
use futures::StreamExt;
use k8s_openapi::api::core::v1::{ConfigMap, Namespace, ServiceAccount};
use kube::api::{Api, ObjectMeta, PostParams, WatchEvent, WatchParams};

const ABOUT: &str = "Contains a CA bundle that can be used to verify the kube-apiserver when using internal endpoints such as the internal service IP or kubernetes.default.svc. No other usage is guaranteed across distributions of Kubernetes clusters.";

#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

#[derive(Parser)]
struct Args {
    #[arg(long, default_value_t = 0)]
    port: u16,
    #[arg(long, default_value = "secret")]
    token: String,
    /// Kept after the end; a temporary directory otherwise.
    #[arg(long)]
    data_dir: Option<PathBuf>,
    /// Leave namespaces without service accounts.
    #[arg(long)]
    bare: bool,
}

#[tokio::main]
async fn main() -> anyhow::Result<()> {
    let args = Args::parse();
    tracing_subscriber::fmt()
        .with_env_filter(tracing_subscriber::EnvFilter::from_default_env())
        .with_writer(std::io::stderr)
        .init();
    let temporary = tempfile::tempdir()?;
    let dir = args.data_dir.unwrap_or_else(|| temporary.path().to_owned());
    let store = store::Log::open(dir.join("store"), store::Options::default())?;
    let authority = pki::Authority::load_or_create(&dir.join("pki"), "ca", "skiff-ca")?;
    let serving = authority.issue(&pki::Request {
        common_name: "kube-apiserver".into(),
        dns_names: vec!["localhost".into(), "kubernetes.default.svc".into()],
        addresses: vec![Ipv4Addr::LOCALHOST.into()],
        usages: vec![pki::Usage::Server],
        ..pki::Request::default()
    })?;
    let server = Server::start(Config {
        listen: SocketAddr::from((Ipv4Addr::LOCALHOST, args.port)),
        serving: KeyPair {
            cert_pem: serving.cert_pem,
            key_pem: serving.key_pem,
        },
        client_ca_pem: authority.cert_pem().to_owned(),
        kubelet: None,
        token_key: Arc::new(pki::TokenKey::load_or_create(&dir.join("sa.key"))?),
        issuer: Config::ISSUER.to_owned(),
        store: store.clone(),
        service_range: "10.96.0.0/12".parse()?,
        node_ports: Config::NODE_PORTS,
        tokens: vec![StaticToken {
            token: args.token,
            user: User::admin("admin"),
        }],
        advertise: None,
        access: apiserver::Access::default(),
    })
    .await?;
    println!("https://{}", server.addr());
    if !args.bare {
        tokio::spawn(furnish_namespaces(
            server.client(),
            authority.cert_pem().to_owned(),
        ));
    }
    tokio::signal::ctrl_c().await?;
    server.stop().await;
    store.close().await;
    Ok(())
}

async fn furnish_namespaces(client: kube::Client, ca: String) -> anyhow::Result<()> {
    let namespaces: Api<Namespace> = Api::all(client.clone());
    loop {
        let mut events = Box::pin(namespaces.watch(&WatchParams::default(), "0").await?);
        while let Some(event) = events.next().await {
            if let Ok(WatchEvent::Added(namespace)) = event {
                let name = namespace.metadata.name.context("a namespace has a name")?;
                furnish(&client, &name, &ca).await;
            }
        }
    }
}

async fn furnish(client: &kube::Client, namespace: &str, ca: &str) {
    let named = |name: &str| ObjectMeta {
        name: Some(name.to_owned()),
        ..ObjectMeta::default()
    };
    let account = ServiceAccount {
        metadata: named("default"),
        ..ServiceAccount::default()
    };
    let mut about = named("kube-root-ca.crt");
    about.annotations = Some(BTreeMap::from([(
        "kubernetes.io/description".to_owned(),
        ABOUT.to_owned(),
    )]));
    let config = ConfigMap {
        metadata: about,
        data: Some(BTreeMap::from([("ca.crt".to_owned(), ca.to_owned())])),
        ..ConfigMap::default()
    };
    let accounts: Api<ServiceAccount> = Api::namespaced(client.clone(), namespace);
    let configs: Api<ConfigMap> = Api::namespaced(client.clone(), namespace);
    let params = PostParams::default();
    // Both may be there from the last start.
    let _ = accounts.create(&params, &account).await;
    let _ = configs.create(&params, &config).await;
}
