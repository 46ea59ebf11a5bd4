//! The parts that run on a server: store, API server, scheduler, controllers.

use std::net::{Ipv4Addr, SocketAddr};
use std::sync::Arc;

use anyhow::Context;
use apiserver::{Certificates, KubeletAccess, Server, User};
use futures::future::BoxFuture;
use kube::Client;
use store::Fence;
use tokio::task::JoinSet;
use tokio_util::sync::CancellationToken;

use crate::addons::{self, Addons};
use crate::cluster_flags::ServerFlags;
use crate::datastore::Datastore;
use crate::election::{self, Election};
use crate::identities::{AdminFile, Own, ServerIdentities};
use crate::instance::Instance;
use crate::manifests;
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
        let authority = identities.authority.clone();
        let renewals = Renewals::of(&identities);
        datastore.check_authority(&authority.fingerprint()?).await?;
        let config = apiserver::Config {
            listen: settings.flags.listen(),
            serving: identities.api_server.issued.into(),
            client_ca_pem: authority.cert_pem().to_owned(),
            kubelet: Some(KubeletAccess {
                client: identities.kubelet_client.issued.into(),
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
                    client: identities.front_proxy.issued.into(),
                    ca_pem: identities.front_proxy_ca,
                }),
                ..settings.flags.access.access()?
            },
        };
        let server = Server::start(config).await?;
        renewals.start(server.certificates(), tasks, shutdown)?;
        let plane = Self { server, datastore };
        plane.start_loops(settings, &authority, &scheduler_config, tasks, shutdown);
        plane.apply_addons(settings, authority.cert_pem()).await?;
        plane.start_manifests(instance, settings.flags, tasks, shutdown)?;
        Ok(plane)
    }

    async fn apply_addons(&self, settings: &Settings<'_>, ca_pem: &str) -> anyhow::Result<()> {
        let (address, port) = (settings.advertise, settings.flags.secure_port);
        let addons = Addons {
            cluster_dns: settings.cluster_dns,
            server: format!("https://{address}:{port}"),
            ca_pem,
        };
        addons::apply(&self.admin(), &addons).await
    }

    /// Objects from files; every server of a cluster has files of its own.
    fn start_manifests(
        &self,
        instance: &Instance,
        flags: &ServerFlags,
        tasks: &mut JoinSet<anyhow::Result<()>>,
        shutdown: &CancellationToken,
    ) -> anyhow::Result<()> {
        let Some(dir) = flags.manifests_dir(instance) else {
            return Ok(());
        };
        let host = nix::unistd::gethostname().context("read the host's name")?;
        let owner = host.to_string_lossy().to_lowercase();
        let keeping = manifests::keep(dir, owner, self.admin(), shutdown.clone());
        tasks.spawn(async move {
            keeping.await;
            Ok(())
        });
        Ok(())
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
            longest_certificate: settings.flags.cluster_signing_duration,
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
            election::leads(name, false);
            let election = Election::new(self.admin(), store, name, identity);
            let work = move |stop, fence| work(stop, Some(fence));
            tasks.spawn(election.run(shutdown.clone(), work));
        } else {
            election::leads(name, true);
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

/// This server's certificates, to be renewed while they are in use.
struct Renewals {
    serving: Own,
    kubelet_client: Own,
    front_proxy: Own,
    admin: Own,
    admin_file: AdminFile,
}

impl Renewals {
    fn of(identities: &ServerIdentities) -> Self {
        Self {
            serving: identities.api_server.clone(),
            kubelet_client: identities.kubelet_client.clone(),
            front_proxy: identities.front_proxy.clone(),
            admin: identities.admin.clone(),
            admin_file: identities.admin_file.clone(),
        }
    }

    fn start(
        self,
        used: &Certificates,
        tasks: &mut JoinSet<anyhow::Result<()>>,
        shutdown: &CancellationToken,
    ) -> Result<(), pki::Error> {
        let admin = pki::Identity::new(&self.admin.issued)?;
        let all = [
            (Some(used.serving.clone()), self.serving, None),
            (used.kubelet_client.clone(), self.kubelet_client, None),
            (used.front_proxy.clone(), self.front_proxy, None),
            (Some(admin), self.admin, Some(self.admin_file)),
        ];
        for (identity, own, file) in all {
            let Some(identity) = identity else { continue };
            let write = move |issued: &_| file.as_ref().map_or(Ok(()), |file| file.write(issued));
            let shutdown = shutdown.clone();
            tasks.spawn(async move {
                let keeping = own.keep(identity, write);
                shutdown.run_until_cancelled(keeping).await;
                Ok(())
            });
        }
        Ok(())
    }
}
