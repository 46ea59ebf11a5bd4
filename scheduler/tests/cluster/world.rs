//! One cluster for one test.

use std::fmt::Debug;
use std::net::{Ipv4Addr, SocketAddr};
use std::sync::Arc;
use std::time::Duration;

use apiserver::{KeyPair, Server, User};
use http::{Method, Request};
use kube::Client;
use serde_json::{Value, json};
use tempfile::TempDir;
use tokio::task::JoinSet;
use tokio::time::{Instant, sleep};
use tokio_util::sync::CancellationToken;

const PATIENCE: Duration = Duration::from_secs(30);
pub const PODS: &str = "/api/v1/namespaces/default/pods";

pub struct World {
    client: Client,
    server: Server,
    stop: CancellationToken,
    tasks: JoinSet<()>,
    _dir: TempDir,
}

impl World {
    /// A cluster of so many nodes with two CPUs each, in as many zones.
    pub async fn start(nodes: usize) -> Self {
        Self::start_with(nodes, scheduler::Config::default()).await
    }

    pub async fn start_with(nodes: usize, config: scheduler::Config) -> Self {
        let dir = tempfile::tempdir().unwrap();
        let server = serve(&dir).await;
        let stop = CancellationToken::new();
        let mut world = Self {
            client: server.client(),
            server,
            stop,
            tasks: JoinSet::new(),
            _dir: dir,
        };
        let user = User::new("system:kube-scheduler", ["system:authenticated".to_owned()]);
        let (client, stop) = (world.server.client_as(user), world.stop.clone());
        world
            .tasks
            .spawn(async move { scheduler::run(config, client, stop).await.unwrap() });
        if nodes > 0 {
            world.add_nodes(nodes).await;
        }
        world
            .make(
                "/api/v1/namespaces",
                json!({ "metadata": { "name": "default" } }),
            )
            .await;
        let account = json!({ "metadata": { "name": "default" } });
        world
            .make("/api/v1/namespaces/default/serviceaccounts", account)
            .await;
        world
    }

    pub async fn add_nodes(&mut self, nodes: usize) {
        let config = hollow::Config {
            nodes,
            prefix: "n".into(),
            cpu: "2".into(),
            zones: nodes,
            ..hollow::Config::default()
        };
        let (ready, is_ready) = tokio::sync::oneshot::channel();
        let ready = || ready.send(()).unwrap();
        let (client, stop) = (self.client.clone(), self.stop.clone());
        self.tasks
            .spawn(async move { hollow::run(config, client, stop, ready).await.unwrap() });
        is_ready.await.unwrap();
        // In a whole cluster the node lifecycle controller does this.
        for number in 0..nodes {
            let path = format!("/api/v1/nodes/n{number}");
            self.ask(Method::PATCH, &path, json!({ "spec": { "taints": null } }))
                .await;
        }
    }

    pub async fn stop(mut self) {
        self.stop.cancel();
        while let Some(ended) = self.tasks.join_next().await {
            ended.unwrap();
        }
        self.server.stop().await;
    }

    /// One request; the answer's JSON whatever its code.
    pub async fn ask(&self, method: Method, path: &str, body: Value) -> Value {
        let content_type = match method {
            Method::PATCH => "application/merge-patch+json",
            _ => "application/json",
        };
        let request = Request::builder()
            .method(method)
            .uri(path)
            .header("content-type", content_type)
            .body(kube::client::Body::from(body.to_string().into_bytes()))
            .unwrap();
        let answer = self.client.send(request).await.unwrap();
        let bytes = answer.into_body().collect_bytes().await.unwrap();
        serde_json::from_slice(&bytes).unwrap_or(Value::Null)
    }

    /// Makes it, if it is not there.
    pub async fn make(&self, path: &str, body: Value) -> Value {
        let made = self.ask(Method::POST, path, body).await;
        let is_there = made["reason"] == "AlreadyExists";
        assert!(
            made["status"] != "Failure" || is_there,
            "make at {path}: {made}"
        );
        made
    }

    /// A pod that asks for this much CPU; fields of its spec are added.
    pub async fn make_pod(&self, name: &str, cpu: &str, more: Value) -> Value {
        let mut spec = json!({ "containers": [{ "name": "c", "image": "busybox",
            "resources": { "requests": { "cpu": cpu } } }] });
        for (key, value) in more.as_object().unwrap() {
            spec[key] = value.clone();
        }
        let metadata = json!({ "name": name, "labels": { "app": "x" } });
        self.make(PODS, json!({ "metadata": metadata, "spec": spec }))
            .await
    }

    pub async fn pod(&self, name: &str) -> Value {
        self.ask(Method::GET, &format!("{PODS}/{name}"), Value::Null)
            .await
    }

    /// Waits until the pod runs; the node it runs on.
    pub async fn node_of(&self, name: &str) -> String {
        self.until(&format!("{name} to run"), async || {
            let pod = self.pod(name).await;
            let is_running = pod["status"]["phase"] == "Running";
            is_running.then(|| pod["spec"]["nodeName"].as_str().unwrap().to_owned())
        })
        .await
    }

    /// Waits until the pod is said not to fit; why.
    pub async fn refusal(&self, name: &str) -> String {
        self.until(&format!("{name} to be refused"), async || {
            let condition = self.condition(name, "PodScheduled").await?;
            (condition["reason"] == "Unschedulable")
                .then(|| condition["message"].as_str().unwrap().to_owned())
        })
        .await
    }

    pub async fn condition(&self, pod: &str, type_: &str) -> Option<Value> {
        let pod = self.pod(pod).await;
        let conditions = pod["status"]["conditions"].as_array()?;
        conditions.iter().find(|c| c["type"] == type_).cloned()
    }

    /// Waits for an event of this reason about the pod; what it says.
    pub async fn event(&self, pod: &str, reason: &str) -> String {
        self.until(&format!("event {reason} of {pod}"), async || {
            let path = "/api/v1/namespaces/default/events";
            let events = self.ask(Method::GET, path, Value::Null).await;
            let mut events = events["items"].as_array()?.iter();
            let found = events.find(|event| {
                event["reason"] == reason && event["involvedObject"]["name"] == pod
            })?;
            Some(found["message"].as_str().unwrap().to_owned())
        })
        .await
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
}

async fn serve(dir: &TempDir) -> Server {
    let authority = pki::Authority::load_or_create(dir.path(), "ca", "ca").unwrap();
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
        advertise: None,
        access: apiserver::Access::default(),
    };
    Server::start(config).await.unwrap()
}
