//! The parts that run on a server: store, API server, scheduler, controllers.

use std::net::{Ipv4Addr, SocketAddr};
use std::sync::Arc;

use anyhow::Context;
use apiserver::{KeyPair, KubeletAccess, Server, User};
use kube::Client;
use store::Log;
use tokio::task::JoinSet;
use tokio_util::sync::CancellationToken;

use crate::addons::{self, Addons};
use crate::cluster_flags::ServerFlags;
use crate::identities::ServerIdentities;
use crate::instance::Instance;
use crate::token_file;

pub struct ControlPlane {
    server: Server,
    log: Arc<Log>,
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
        let dir = instance.store_dir();
        let options = settings.flags.store_options();
        let opened = tokio::task::spawn_blocking(move || Log::open(&dir, options));
        let log = opened.await.context("open the store")??;
        let authority = Arc::new(identities.authority);
        let config = apiserver::Config {
            listen: settings.flags.listen(),
            serving: pair(&identities.api_server),
            client_ca_pem: authority.cert_pem().to_owned(),
            kubelet: Some(KubeletAccess {
                client: pair(&identities.kubelet_client),
                ca_pem: authority.cert_pem().to_owned(),
            }),
            token_key: Arc::new(identities.token_key),
            issuer: apiserver::Config::ISSUER.into(),
            store: log.clone(),
            service_range: settings.flags.service_cluster_ip_range.into(),
            node_ports: {
                let (from, to) = settings.flags.service_node_port_range;
                from..=to
            },
            tokens: match &settings.flags.token_auth_file {
                Some(path) => token_file::read(path)?,
                None => Vec::new(),
            },
            advertise: Some(SocketAddr::new(
                settings.advertise.into(),
                settings.flags.secure_port,
            )),
            access: apiserver::Access::default(),
        };
        let server = Server::start(config).await?;
        let plane = Self { server, log };
        plane.start_loops(settings, &authority, tasks, shutdown);
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

    fn start_loops(
        &self,
        settings: &Settings<'_>,
        authority: &Arc<pki::Authority>,
        tasks: &mut JoinSet<anyhow::Result<()>>,
        shutdown: &CancellationToken,
    ) {
        let groups = ["system:authenticated".to_owned()];
        let scheduler = User::new("system:kube-scheduler", groups);
        let client = self.server.client_as(scheduler);
        let scheduler = scheduler::run(scheduler::Config::default(), client, shutdown.clone());
        tasks.spawn(async move { scheduler.await.context("scheduler") });
        let config = controllers::Config {
            node_monitor_grace_period: settings.flags.node_monitor_grace_period,
            ..controllers::Config::new(settings.flags.cluster_cidr, authority.clone())
        };
        let client = self
            .server
            .client_as(User::admin("system:kube-controller-manager"));
        let controllers = controllers::run(config, client, shutdown.clone());
        tasks.spawn(async move { controllers.await.context("controllers") });
    }

    /// A client that may do everything.
    pub fn admin(&self) -> Client {
        self.server.client()
    }

    /// A client of the kubelet and proxy of `node` in this process.
    pub fn node_client(&self, node: &str) -> Client {
        let groups = ["system:nodes", "system:authenticated"].map(str::to_owned);
        self.server
            .client_as(User::new(format!("system:node:{node}"), groups))
    }

    /// Lets requests finish, then closes the log.
    pub async fn stop(self) {
        self.server.stop().await;
        self.log.close().await;
    }
}

fn pair(issued: &pki::Issued) -> KeyPair {
    KeyPair {
        cert_pem: issued.cert_pem.clone(),
        key_pem: issued.key_pem.clone(),
    }
}
