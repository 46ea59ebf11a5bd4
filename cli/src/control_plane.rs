//! The parts that run on a server: store, API server, scheduler, controllers.

use std::net::{Ipv4Addr, SocketAddr};
use std::sync::Arc;

use anyhow::Context;
use apiserver::{KeyPair, KubeletAccess, Server, User};
use futures::future::BoxFuture;
use kube::Client;
use store::Fence;
use tokio::task::JoinSet;
use tokio_util::sync::CancellationToken;

use crate::addons::{self, Addons};
use crate::cluster_flags::ServerFlags;
use crate::datastore::Datastore;
use crate::election::{self, Election};
use crate::identities::ServerIdentities;
use crate::instance::Instance;
use crate::token_file;

pub struct ControlPlane {
    server: Server,
    datastore: Datastore,
}

/// What the rest of the cluster must agree on with its server.
pub struct Settings<'a> {
    pub flags: &'a ServerFlags,
    pub advertise: Ipv4Addr,
    pub cluster_dns: Ipv4Addr,
}

impl ControlPlane {
    /// Starts all parts, and returns once the API answers.
    pub async fn start(
        instance: &Instance,
        settings: &Settings<'_>,
        identities: ServerIdentities,
        tasks: &mut JoinSet<anyhow::Result<()>>,
        shutdown: &CancellationToken,
    ) -> anyhow::Result<Self> {
        let flags = settings.flags;
        let scheduler_config = flags.scheduler_config()?;
        let datastore = flags
            .datastore
            .open(instance, flags.store_options())
            .await?;
        let authority = Arc::new(identities.authority);
        datastore.check_authority(&authority.fingerprint()?).await?;
        let config = apiserver::Config {
            listen: settings.flags.listen(),
            serving: pair(&identities.api_server),
            client_ca_pem: authority.cert_pem().to_owned(),
            kubelet: Some(KubeletAccess {
                client: pair(&identities.kubelet_client),
                ca_pem: authority.cert_pem().to_owned(),
            }),
            token_key: Arc::new(settings.flags.access.token_key(identities.token_key)?),
            issuer: settings.flags.access.service_account_issuer.clone(),
            store: datastore.store(),
            service_range: settings.flags.service_cluster_ip_range.into(),
            node_ports: {
                let (from, to) = settings.flags.service_node_port_range;
                from..=to
            },
            tokens: match &settings.flags.access.token_auth_file {
                Some(path) => token_file::read(path)?,
                None => Vec::new(),
            },
            advertise: Some(SocketAddr::new(
                settings.advertise.into(),
                settings.flags.secure_port,
            )),
            access: apiserver::Access {
                aggregator: Some(apiserver::Aggregator {
                    client: pair(&identities.front_proxy),
                    ca_pem: identities.front_proxy_ca,
                }),
                ..settings.flags.access.access()?
            },
        };
        let server = Server::start(config).await?;
        let plane = Self { server, datastore };
        plane.start_loops(settings, &authority, &scheduler_config, tasks, shutdown);
        addons::apply(
            &plane.admin(),
            &Addons {
                cluster_dns: settings.cluster_dns,
                server: format!(
                    "https://{}:{}",
                    settings.advertise, settings.flags.secure_port
                ),
                ca_pem: authority.cert_pem(),
            },
        )
        .await?;
        Ok(plane)
    }

    /// Where servers share a datastore, each loop runs on one of them.
    fn start_loops(
        &self,
        settings: &Settings<'_>,
        authority: &Arc<pki::Authority>,
        scheduler_config: &scheduler::Config,
        tasks: &mut JoinSet<anyhow::Result<()>>,
        shutdown: &CancellationToken,
    ) {
        let user = User::new("system:kube-scheduler", ["system:authenticated".to_owned()]);
        let clients = self.server.clients_within(user);
        let config = scheduler_config.clone();
        let scheduler = move |stop, fence| {
            let run = scheduler::run(config.clone(), clients(fence), stop);
            async move { run.await.context("scheduler") }
        };
        self.start_loop("kube-scheduler", scheduler, tasks, shutdown);
        let config = controllers::Config {
            node_monitor_grace_period: settings.flags.node_monitor_grace_period,
            ..controllers::Config::new(settings.flags.cluster_cidr, authority.clone())
        };
        let user = User::admin("system:kube-controller-manager");
        let clients = self.server.clients_within(user);
        let controllers = move |stop, fence| {
            let run = controllers::run(config.clone(), clients(fence), stop);
            async move { run.await.context("controllers") }
        };
        self.start_loop("kube-controller-manager", controllers, tasks, shutdown);
    }

    fn start_loop<F>(
        &self,
        name: &'static str,
        mut work: impl FnMut(CancellationToken, Option<Fence>) -> F + Send + 'static,
        tasks: &mut JoinSet<anyhow::Result<()>>,
        shutdown: &CancellationToken,
    ) where
        F: Future<Output = anyhow::Result<()>> + Send + 'static,
    {
        let store = self.datastore.store();
        if store.is_shared() {
            let identity = election::identity();
            let election = Election::new(self.admin(), store, name, identity);
            let work = move |stop, fence| work(stop, Some(fence));
            tasks.spawn(election.run(shutdown.clone(), work));
        } else {
            tasks.spawn(work(shutdown.clone(), None));
        }
    }

    /// A client that may do everything.
    pub fn admin(&self) -> Client {
        self.server.client()
    }

    /// Asks whether the API answers: what systemd's watchdog is pinged for.
    ///
    /// An external etcd that is away is no reason to start this process again.
    pub fn is_alive(&self) -> impl Fn() -> BoxFuture<'static, bool> + Send + Sync + 'static {
        let client = self.admin();
        let path = if self.datastore.store().is_shared() {
            "/livez?exclude=etcd"
        } else {
            "/livez"
        };
        move || {
            let client = client.clone();
            Box::pin(async move {
                let asked = http::Request::get(path).body(Vec::new());
                let asked = asked.expect("the paths above are paths");
                client.request_text(asked).await.is_ok()
            })
        }
    }

    /// A client of the kubelet and proxy of `node` in this process.
    pub fn node_client(&self, node: &str) -> Client {
        let groups = ["system:nodes", "system:authenticated"].map(str::to_owned);
        self.server
            .client_as(User::new(format!("system:node:{node}"), groups))
    }

    /// Lets requests finish, then closes the store.
    pub async fn stop(self) {
        self.server.stop().await;
        self.datastore.close().await;
    }
}

fn pair(issued: &pki::Issued) -> KeyPair {
    KeyPair {
        cert_pem: issued.cert_pem.clone(),
        key_pem: issued.key_pem.clone(),
    }
}
