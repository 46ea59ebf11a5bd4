//! The cluster's API, as seen from outside of the machines.

use std::fmt::Debug;
use std::time::{Duration, Instant};

use e2e::Vm;
use k8s_openapi::api::core::v1::Node;
use kube::api::ListParams;
use kube::config::{KubeConfigOptions, Kubeconfig};
use kube::{Client, Config};
use serde::de::DeserializeOwned;
use tokio::runtime::Runtime;

/// Machines are slow where others have work to do.
const PATIENCE: Duration = Duration::from_secs(300);

pub struct Api {
    pub runtime: Runtime,
    pub client: Client,
}

impl Api {
    /// As the administrator that the server made. Its threads are on the network of the caller's.
    pub fn connect(server: &Vm) -> Self {
        let kubeconfig = server.ok("cat /var/lib/skiff/admin.kubeconfig");
        let runtime = tokio::runtime::Builder::new_multi_thread()
            .worker_threads(1)
            .enable_all()
            .build()
            .expect("start a runtime");
        let url = format!("https://{}:6443", server.ip);
        let client = runtime.block_on(client(&kubeconfig, &url));
        Self { runtime, client }
    }

    pub fn of<K>(&self) -> kube::Api<K>
    where
        K: kube::Resource<Scope = k8s_openapi::NamespaceResourceScope>,
        K::DynamicType: Default,
    {
        kube::Api::default_namespaced(self.client.clone())
    }

    /// What there is; waits for a server that is away.
    pub fn list<K>(&self, api: &kube::Api<K>, labels: &str) -> Vec<K>
    where
        K: Clone + DeserializeOwned + Debug,
    {
        self.until("a list", || {
            let params = ListParams::default().labels(labels);
            let list = self.runtime.block_on(api.list(&params));
            list.map(|list| list.items)
                .map_err(|error| error.to_string())
        })
    }

    /// Asks again and again until the answer is `Ok`.
    #[track_caller]
    pub fn until<T>(&self, what: &str, ask: impl Fn() -> Result<T, String>) -> T {
        let end = Instant::now() + PATIENCE;
        loop {
            match ask() {
                Ok(answer) => return answer,
                Err(error) if Instant::now() > end => panic!("waited in vain for {what}: {error}"),
                Err(_) => std::thread::sleep(Duration::from_millis(300)),
            }
        }
    }

    #[track_caller]
    pub fn wait_node_ready(&self, name: &str) {
        let nodes = kube::Api::<Node>::all(self.client.clone());
        self.until(&format!("{name} to be Ready"), || {
            let node = self.runtime.block_on(nodes.get(name));
            let node = node.map_err(|error| error.to_string())?;
            let conditions = node.status.and_then(|status| status.conditions);
            let mut conditions = conditions.into_iter().flatten();
            let is_ready = conditions.any(|c| c.type_ == "Ready" && c.status == "True");
            is_ready.then_some(()).ok_or_else(|| "it is not".to_owned())
        });
    }
}

async fn client(kubeconfig: &str, url: &str) -> Client {
    let mut read = Kubeconfig::from_yaml(kubeconfig).expect("the kubeconfig can be read");
    for named in &mut read.clusters {
        let cluster = named.cluster.as_mut().expect("a cluster has a server");
        cluster.server = Some(url.to_owned());
    }
    let config = Config::from_custom_kubeconfig(read, &KubeConfigOptions::default()).await;
    let mut config = config.expect("the kubeconfig can be used");
    // A server that is rebooted does not say goodbye.
    config.connect_timeout = Some(Duration::from_secs(10));
    config.read_timeout = Some(Duration::from_secs(20));
    Client::try_from(config).expect("make a client")
}
