//! Two API servers, one etcd.

use std::net::{Ipv4Addr, SocketAddr};
use std::sync::Arc;
use std::time::Duration;

use apiserver::{Access, Config, KeyPair, Server};
use http::Request;
use k8s_openapi::api::core::v1::{ConfigMap, Namespace, Service};
use kube::api::{Api, ObjectMeta, PostParams};
use kube::{Client, Error};
use serde_json::Value;
use store_etcd::Etcd;

use crate::member::{self, Cluster};

pub const NAMESPACE: &str = "two";

pub struct Pair {
    pub a: Member,
    pub b: Member,
    pub etcd: Cluster,
}

/// One API server with its store.
pub struct Member {
    pub server: Server,
    pub client: Client,
    etcd: Arc<Etcd>,
}

impl Pair {
    /// `None` without an etcd on the machine.
    pub async fn start() -> Option<Self> {
        if !member::is_there() {
            return None;
        }
        let etcd = Cluster::start(1).await;
        let keys = Keys::new();
        // Both at once, as on a first start of two machines.
        let (a, b) = tokio::join!(start(&etcd, &keys, 1), start(&etcd, &keys, 2));
        let pair = Self { a, b, etcd };
        let namespace = Namespace {
            metadata: named(NAMESPACE),
            ..Namespace::default()
        };
        let namespaces: Api<Namespace> = Api::all(pair.a.client.clone());
        let made = namespaces.create(&PostParams::default(), &namespace).await;
        made.unwrap();
        Some(pair)
    }

    pub fn clients(&self) -> [&Client; 2] {
        [&self.a.client, &self.b.client]
    }
}

impl Member {
    pub async fn stop(self) {
        self.server.stop().await;
        self.etcd.close().await;
    }
}

/// What two servers of a cluster must have in common.
struct Keys {
    ca: String,
    serving: KeyPair,
    tokens: Arc<pki::TokenKey>,
}

impl Keys {
    fn new() -> Self {
        let dir = tempfile::tempdir().unwrap();
        let authority = pki::Authority::load_or_create(dir.path(), "ca", "ca").unwrap();
        let request = pki::Request {
            common_name: "kube-apiserver".into(),
            addresses: vec![Ipv4Addr::LOCALHOST.into()],
            usages: vec![pki::Usage::Server],
            ..pki::Request::default()
        };
        let issued = authority.issue(&request).unwrap();
        Self {
            ca: authority.cert_pem().to_owned(),
            serving: KeyPair {
                cert_pem: issued.cert_pem,
                key_pem: issued.key_pem,
            },
            tokens: Arc::new(pki::TokenKey::load_or_create(&dir.path().join("sa.key")).unwrap()),
        }
    }
}

async fn start(cluster: &Cluster, keys: &Keys, number: u8) -> Member {
    let config = store_etcd::Config {
        request_timeout: Duration::from_secs(5),
        ..store_etcd::Config::new(cluster.urls())
    };
    let etcd = Etcd::connect(&config).await.unwrap();
    let config = Config {
        listen: SocketAddr::from((Ipv4Addr::LOCALHOST, 0)),
        serving: keys.serving.clone(),
        client_ca_pem: keys.ca.clone(),
        kubelet: None,
        token_key: keys.tokens.clone(),
        issuer: Config::ISSUER.to_owned(),
        store: etcd.clone(),
        service_range: "10.96.0.0/26".parse().unwrap(),
        node_ports: 30000..=30039,
        tokens: Vec::new(),
        advertise: Some(SocketAddr::from(([192, 0, 2, number], 6443))),
        access: Access::default(),
    };
    let server = Server::start(config).await.unwrap();
    Member {
        client: server.client(),
        server,
        etcd,
    }
}

pub fn named(name: &str) -> ObjectMeta {
    ObjectMeta {
        name: Some(name.to_owned()),
        ..ObjectMeta::default()
    }
}

pub fn maps(client: &Client) -> Api<ConfigMap> {
    Api::namespaced(client.clone(), NAMESPACE)
}

pub fn services(client: &Client) -> Api<Service> {
    Api::namespaced(client.clone(), NAMESPACE)
}

pub fn map(name: &str, value: &str) -> ConfigMap {
    ConfigMap {
        metadata: named(name),
        data: Some([("value".to_owned(), value.to_owned())].into()),
        ..ConfigMap::default()
    }
}

pub async fn create(client: &Client, name: &str, value: &str) -> Result<ConfigMap, Error> {
    let params = PostParams::default();
    maps(client).create(&params, &map(name, value)).await
}

/// The HTTP code that an error stands for.
pub fn code(error: &Error) -> u16 {
    match error {
        Error::Api(status) => status.code,
        error => panic!("{error:?}"),
    }
}

/// What the API answers to a GET.
pub async fn get(client: &Client, path: &str) -> Result<Value, Error> {
    let request = Request::get(path).body(Vec::new()).unwrap();
    client.request(request).await
}
