//! A server for one test.

use std::net::{Ipv4Addr, SocketAddr};
use std::sync::Arc;

use apiserver::{
    Access, Aggregator, Config, Error, KeyPair, KubeletAccess, Server, StaticToken, User,
};
use http::{Method, Request};
use k8s_openapi::api::core::v1::{ConfigMap, Namespace};
use kube::Client;
use kube::api::{Api, ObjectMeta, PostParams};
use serde_json::{Value, json};
use tempfile::TempDir;

pub const TOKEN: &str = "test-token";

pub struct Cluster {
    pub server: Server,
    pub authority: pki::Authority,
    pub store: Arc<store::Log>,
    pub dir: TempDir,
}

impl Cluster {
    pub async fn start() -> Self {
        let dir = tempfile::tempdir().unwrap();
        Self::start_in(dir, 0).await.unwrap()
    }

    pub async fn start_in(dir: TempDir, port: u16) -> Result<Self, Error> {
        Self::start_with(dir, port, Access::default()).await
    }

    /// Stops it; what it kept is in the directory.
    pub async fn stop(self) -> TempDir {
        self.server.stop().await;
        self.store.close().await;
        self.dir
    }

    pub async fn start_with(dir: TempDir, port: u16, access: Access) -> Result<Self, Error> {
        Self::start_over(dir, port, access, |log| log).await
    }

    /// With what `layer` makes of the store.
    pub async fn start_over(
        dir: TempDir,
        port: u16,
        access: Access,
        layer: impl FnOnce(Arc<store::Log>) -> Arc<dyn store::Store>,
    ) -> Result<Self, Error> {
        let store = store::Log::open(dir.path().join("store"), store::Options::default()).unwrap();
        let authority =
            pki::Authority::load_or_create(&dir.path().join("pki"), "ca", "ca").unwrap();
        let issued = authority
            .issue(&pki::Request {
                common_name: "kube-apiserver".into(),
                dns_names: vec!["localhost".into()],
                addresses: vec![Ipv4Addr::LOCALHOST.into()],
                usages: vec![pki::Usage::Server],
                ..pki::Request::default()
            })
            .unwrap();
        let client = authority
            .issue(&pki::Request {
                common_name: "kube-apiserver-kubelet-client".into(),
                usages: vec![pki::Usage::Client],
                ..pki::Request::default()
            })
            .unwrap();
        let kubelet = KubeletAccess {
            client: KeyPair {
                cert_pem: client.cert_pem,
                key_pem: client.key_pem,
            },
            ca_pem: authority.cert_pem().to_owned(),
        };
        let config = Config {
            listen: SocketAddr::from((Ipv4Addr::LOCALHOST, port)),
            serving: KeyPair {
                cert_pem: issued.cert_pem,
                key_pem: issued.key_pem,
            },
            client_ca_pem: authority.cert_pem().to_owned(),
            kubelet: Some(kubelet),
            token_key: Arc::new(pki::TokenKey::load_or_create(&dir.path().join("sa.key")).unwrap()),
            issuer: Config::ISSUER.to_owned(),
            store: layer(store.clone()),
            service_range: "10.96.0.0/16".parse().unwrap(),
            node_ports: Config::NODE_PORTS,
            tokens: vec![StaticToken {
                token: TOKEN.into(),
                user: User::admin("admin"),
            }],
            advertise: None,
            access: Access {
                aggregator: Some(front_proxy(&dir)),
                ..access
            },
        };
        let server = Server::start(config).await?;
        Ok(Self {
            server,
            authority,
            store,
            dir,
        })
    }

    pub fn client(&self) -> Client {
        self.server.client()
    }

    /// The account that pods of the namespace run as; no controller makes it here.
    pub async fn service_account(&self, namespace: &str) {
        let account = json!({ "apiVersion": "v1", "kind": "ServiceAccount", "metadata": { "name": "default" } });
        let path = format!("/api/v1/namespaces/{namespace}/serviceaccounts");
        let made = self.ask(Method::POST, &path, &account).await;
        assert_eq!(made["kind"], "ServiceAccount", "{made}");
    }

    pub async fn namespace(&self, name: &str) {
        let namespaces: Api<Namespace> = Api::all(self.client());
        let metadata = ObjectMeta {
            name: Some(name.into()),
            ..ObjectMeta::default()
        };
        let object = Namespace {
            metadata,
            ..Namespace::default()
        };
        namespaces
            .create(&PostParams::default(), &object)
            .await
            .unwrap();
    }

    pub fn config_maps(&self, namespace: &str) -> Api<ConfigMap> {
        Api::namespaced(self.client(), namespace)
    }

    /// One request of the administrator; the answer's JSON whatever its code.
    pub async fn ask(&self, method: Method, path: &str, body: &Value) -> Value {
        ask_as(&self.client(), method, path, body).await
    }

    pub async fn get(&self, path: &str) -> Value {
        self.ask(Method::GET, path, &Value::Null).await
    }
}

pub async fn ask_as(client: &Client, method: Method, path: &str, body: &Value) -> Value {
    let content_type = match method {
        Method::PATCH => "application/merge-patch+json",
        _ => "application/json",
    };
    let bytes = if body.is_null() {
        Vec::new()
    } else {
        body.to_string().into_bytes()
    };
    let request = Request::builder()
        .method(method)
        .uri(path)
        .header("content-type", content_type)
        .body(bytes)
        .unwrap();
    match client.request_text(request).await {
        Ok(text) => serde_json::from_str(&text).unwrap_or(Value::String(text)),
        Err(kube::Error::Api(status)) => serde_json::to_value(*status).unwrap(),
        Err(error) => panic!("{path}: {error}"),
    }
}

/// As whom the server calls extension API servers: an authority of its own.
fn front_proxy(dir: &TempDir) -> Aggregator {
    let dir = dir.path().join("pki");
    let authority = pki::Authority::load_or_create(&dir, "proxy-ca", "proxy-ca").unwrap();
    let issued = authority
        .issue(&pki::Request {
            common_name: "front-proxy-client".into(),
            usages: vec![pki::Usage::Client],
            ..pki::Request::default()
        })
        .unwrap();
    Aggregator {
        client: KeyPair {
            cert_pem: issued.cert_pem,
            key_pem: issued.key_pem,
        },
        ca_pem: authority.cert_pem().to_owned(),
    }
}
