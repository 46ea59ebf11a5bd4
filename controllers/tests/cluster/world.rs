//! One cluster for one test.

use std::fmt::Debug;
use std::net::{Ipv4Addr, SocketAddr};
use std::sync::Arc;
use std::time::Duration;

use apiserver::{KeyPair, Server};
use http::{Method, Request};
use kube::Client;
use serde_json::{Value, json};
use tempfile::TempDir;
use tokio::task::JoinHandle;
use tokio::time::{Instant, sleep};
use tokio_util::sync::CancellationToken;

use crate::fake_node::FakeNodes;

const PATIENCE: Duration = Duration::from_secs(60);
/// Where the server says that it is; nobody connects (RFC 5737).
pub const ADVERTISED: [u8; 4] = [192, 0, 2, 1];

struct Controllers {
    stop: CancellationToken,
    task: JoinHandle<()>,
}

impl Controllers {
    fn start(config: controllers::Config, client: Client) -> Self {
        let stop = CancellationToken::new();
        let running = controllers::run(config, client, stop.clone());
        let task = tokio::spawn(async move { running.await.unwrap() });
        Self { stop, task }
    }

    async fn stop(self) {
        self.stop.cancel();
        self.task.await.unwrap();
    }
}

pub struct World {
    pub client: Client,
    pub nodes: FakeNodes,
    server: Server,
    stop: CancellationToken,
    controllers: Controllers,
    config: controllers::Config,
    _dir: TempDir,
}

impl World {
    /// A cluster with the nodes `n1` and `n2` and the namespace `t`.
    pub async fn start() -> Self {
        Self::start_with(|_| {}).await
    }

    pub async fn start_with(configure: impl FnOnce(&mut controllers::Config)) -> Self {
        let world = Self::bare(configure, FakeNodes::start).await;
        world.nodes.register("n1").await;
        world.nodes.register("n2").await;
        world.make_namespace("t").await;
        world
    }

    /// A cluster with the nodes `hn1`, `hn2` and `hn3` and the real scheduler;
    /// pods that do not restart come to their end at once.
    pub async fn start_scheduled() -> Self {
        let world = Self::bare(|_| {}, FakeNodes::start_unscheduled).await;
        for node in ["hn1", "hn2", "hn3"] {
            world.nodes.register(node).await;
        }
        let (client, stop) = (world.client.clone(), world.stop.clone());
        let scheduling = scheduler::run(scheduler::Config::default(), client, stop);
        tokio::spawn(async move { scheduling.await.unwrap() });
        world
    }

    async fn bare(
        configure: impl FnOnce(&mut controllers::Config),
        nodes: impl FnOnce(Client, CancellationToken) -> FakeNodes,
    ) -> Self {
        let dir = tempfile::tempdir().unwrap();
        let authority = pki::Authority::load_or_create(dir.path(), "ca", "ca").unwrap();
        let server = serve(&dir, &authority).await;
        let cidr = "10.244.0.0/16".parse().unwrap();
        let mut config = controllers::Config::new(cidr, Arc::new(authority));
        configure(&mut config);
        let stop = CancellationToken::new();
        let controllers = Controllers::start(config.clone(), server.client());
        let client = server.client();
        Self {
            nodes: nodes(client.clone(), stop.clone()),
            client,
            server,
            stop,
            controllers,
            config,
            _dir: dir,
        }
    }

    /// Stops the controllers, does something, and starts them anew.
    pub async fn without_controllers(mut self, something: impl AsyncFnOnce(&Self)) -> Self {
        let next = Controllers {
            stop: CancellationToken::new(),
            task: tokio::spawn(async {}),
        };
        std::mem::replace(&mut self.controllers, next).stop().await;
        something(&self).await;
        self.controllers = Controllers::start(self.config.clone(), self.server.client());
        self
    }

    pub async fn make_namespace(&self, name: &str) {
        self.create(
            "/api/v1/namespaces",
            json!({ "metadata": { "name": name } }),
        )
        .await;
        let account = format!("/api/v1/namespaces/{name}/serviceaccounts/default");
        self.until("a default service account", async || {
            self.find(&account).await
        })
        .await;
    }

    pub fn client_as(&self, user: apiserver::User) -> Client {
        self.server.client_as(user)
    }

    pub async fn stop(self) {
        self.stop.cancel();
        self.controllers.stop().await;
        self.server.stop().await;
    }

    /// One request; the answer's JSON whatever its code.
    pub async fn ask(&self, method: Method, path: &str, body: Value) -> Value {
        ask(&self.client, method, path, body).await
    }

    pub async fn create(&self, path: &str, body: Value) -> Value {
        let made = self.ask(Method::POST, path, body).await;
        assert!(made["status"] != "Failure", "create at {path}: {made}");
        made
    }

    pub async fn patch(&self, path: &str, body: Value) -> Value {
        let patched = self.ask(Method::PATCH, path, body).await;
        assert!(patched["status"] != "Failure", "patch {path}: {patched}");
        patched
    }

    pub async fn delete(&self, path: &str, policy: &str) {
        let options = json!({ "propagationPolicy": policy });
        let answer = self.ask(Method::DELETE, path, options).await;
        assert!(answer["status"] != "Failure", "delete {path}: {answer}");
    }

    pub async fn find(&self, path: &str) -> Option<Value> {
        let found = self.ask(Method::GET, path, Value::Null).await;
        (found["code"] != 404).then_some(found)
    }

    pub async fn list(&self, path: &str) -> Vec<Value> {
        let list = self.ask(Method::GET, path, Value::Null).await;
        list["items"]
            .as_array()
            .unwrap_or_else(|| panic!("list {path}: {list}"))
            .clone()
    }

    /// Asks again until there is an answer.
    pub async fn until<T: Debug>(&self, what: &str, check: impl AsyncFn() -> Option<T>) -> T {
        let start = Instant::now();
        loop {
            if let Some(answer) = check().await {
                return answer;
            }
            assert!(start.elapsed() < PATIENCE, "waited in vain for {what}");
            sleep(Duration::from_millis(10)).await;
        }
    }

    pub async fn until_gone(&self, path: &str) {
        self.until(&format!("the end of {path}"), async || {
            self.find(path).await.is_none().then_some(())
        })
        .await;
    }
}

pub async fn ask(client: &Client, method: Method, path: &str, body: Value) -> Value {
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
        .body(kube::client::Body::from(bytes))
        .unwrap();
    let answer = client.send(request).await.unwrap();
    let bytes = answer.into_body().collect_bytes().await.unwrap();
    serde_json::from_slice(&bytes).unwrap_or(Value::Null)
}

async fn serve(dir: &TempDir, authority: &pki::Authority) -> Server {
    let serving = authority
        .issue(&pki::Request {
            common_name: "kube-apiserver".into(),
            addresses: vec![Ipv4Addr::LOCALHOST.into()],
            usages: vec![pki::Usage::Server],
            ..pki::Request::default()
        })
        .unwrap();
    let config = apiserver::Config {
        listen: SocketAddr::from((Ipv4Addr::LOCALHOST, 0)),
        serving: KeyPair {
            cert_pem: serving.cert_pem,
            key_pem: serving.key_pem,
        },
        client_ca_pem: authority.cert_pem().to_owned(),
        kubelet: None,
        token_key: Arc::new(pki::TokenKey::load_or_create(&dir.path().join("sa.key")).unwrap()),
        issuer: apiserver::Config::ISSUER.to_owned(),
        store: store::Log::open(dir.path().join("store"), store::Options::default()).unwrap(),
        service_range: "10.96.0.0/16".parse().unwrap(),
        node_ports: apiserver::Config::NODE_PORTS,
        tokens: Vec::new(),
        advertise: Some(SocketAddr::from((ADVERTISED, 6443))),
        access: apiserver::Access::default(),
    };
    Server::start(config).await.unwrap()
}
