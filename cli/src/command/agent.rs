use std::net::Ipv4Addr;
use std::process::ExitCode;
use std::time::Duration;

use anyhow::Context;
use clap::Args;
use ipnet::Ipv4Net;
use pki::join::JoinToken;
use tokio::task::JoinSet;
use tokio_util::sync::CancellationToken;

use crate::cluster_flags::NodeFlags;
use crate::config_file::ConfigFlag;
use crate::data_dir::DataDir;
use crate::instance::{Instance, InstanceFlags};
use crate::log::LogFlags;
use crate::node::join::{Identities, Machine, renew};
use crate::node::servers::{self, Dialer, Servers};
use crate::node::tunnel::{self, Places};
use crate::node::{Node, ready, skew};
use crate::notify::Watch;
use crate::started;
use crate::trace_flags::TraceFlags;
use crate::{preflight, shutdown};

/// How long the start of the service waits for the node to be Ready.
const READY_WITHIN: Duration = Duration::from_secs(30);

/// `skiff agent`: this machine as a node.
#[derive(Args)]
pub struct Agent {
    #[command(flatten)]
    config: ConfigFlag,
    #[command(flatten)]
    log: LogFlags,
    #[command(flatten)]
    traces: TraceFlags,
    #[command(flatten)]
    instance: InstanceFlags,
    #[command(flatten)]
    node: NodeFlags,

    /// One of the cluster's API servers, as https://HOST:6443; may be given several times
    #[arg(
        long,
        value_name = "URL,...",
        env = "SKIFF_SERVER",
        required = true,
        value_delimiter = ','
    )]
    server: Vec<String>,

    /// Token to join with, from `skiff token create`; needed on the first start only
    #[arg(
        long,
        value_name = "TOKEN",
        env = "SKIFF_TOKEN",
        hide_env_values = true
    )]
    token: Option<String>,

    /// Addresses of Services; as on the server
    #[arg(long, default_value = "10.96.0.0/12", value_name = "CIDR")]
    service_cluster_ip_range: Ipv4Net,

    /// Addresses of pods; as on the server
    #[arg(long, default_value = "10.244.0.0/16", value_name = "CIDR")]
    cluster_cidr: Ipv4Net,
}

impl Agent {
    pub async fn run(self) -> anyhow::Result<ExitCode> {
        self.log.start()?;
        self.traces.start("skiff-agent")?;
        let instance = self.instance.instance()?;
        preflight::check_node()?;
        let kubelet = (Ipv4Addr::UNSPECIFIED, self.node.kubelet_port).into();
        preflight::check_port(kubelet, "the kubelet API", "--kubelet-port")?;
        let _data_dir = DataDir::open(&instance.data_dir)?;
        let machine_stop = kubelet::MachineStop::default();
        let shutdown = shutdown::on_signal_of_node(&machine_stop, self.node.shutdown_grace())?;
        let (name, ip) = (self.node.name()?, self.node.ip()?);
        let joined = self.join(&instance, &name, ip);
        let Some(joined) = shutdown.run_until_cancelled(joined).await else {
            return Ok(ExitCode::SUCCESS);
        };
        let (machine, identities) = joined?;
        let client = machine.client(&identities)?;
        let mut tasks = JoinSet::new();
        skew::check(&client, &mut tasks, &shutdown).await?;
        let places = Places {
            node_ip: ip,
            kubelet_port: self.node.kubelet_port,
            pods: self.cluster_cidr,
        };
        println!("node {name} of the cluster at {}", self.server.join(", "));
        let node = Node {
            instance,
            flags: self.node,
            name: name.clone(),
            ip,
            tls: kubelet::Tls {
                identity: identities.serving.clone(),
                client_ca_pem: identities.ca_pem.clone(),
            },
            service_cidr: self.service_cluster_ip_range,
            cluster_cidr: self.cluster_cidr,
            machine_stop,
        };
        node.start(client.clone(), &mut tasks, &shutdown)?;
        stay(
            machine,
            identities,
            places,
            client.clone(),
            &mut tasks,
            &shutdown,
        )?;
        let _watch = Watch::start(|| std::future::ready(true));
        let (ended, ()) = tokio::join!(
            super::server::until_end(&mut tasks, &shutdown),
            say_ready(client, &name, &shutdown),
        );
        ended
    }

    async fn join(
        &self,
        instance: &Instance,
        name: &str,
        ip: Ipv4Addr,
    ) -> anyhow::Result<(Machine, Identities)> {
        let servers = Servers::new(&self.server, instance.servers_file())?;
        let token = self.token.as_deref().map(JoinToken::parse).transpose()?;
        let named = || format!("join the cluster at {}", self.server.join(", "));
        let machine = Machine::open(instance, servers, token, (name.to_owned(), ip)).await;
        let machine = machine.with_context(named)?;
        let identities = machine.identities().await.with_context(named)?;
        Ok((machine, identities))
    }
}

/// What keeps the node a member: its certificates, the list of servers, and the
/// tunnels by which they reach it.
fn stay(
    machine: Machine,
    identities: Identities,
    places: Places,
    client: kube::Client,
    tasks: &mut JoinSet<anyhow::Result<()>>,
    shutdown: &CancellationToken,
) -> anyhow::Result<()> {
    let servers = machine.servers.clone();
    let own = Some(identities.client.clone());
    let dialer = Dialer::new(servers.clone(), &identities.ca_pem, own, b"http/1.1")?;
    let tunnels = tunnel::keep(servers.clone(), dialer, places, shutdown.clone());
    let list = servers::follow(servers, client, shutdown.clone());
    let shutdown = shutdown.clone();
    tasks.spawn(async move {
        let renewals = renew::keep(&machine, &identities);
        let renewals = shutdown.run_until_cancelled(renewals);
        tokio::join!(renewals, tunnels, list);
        Ok(())
    });
    Ok(())
}

/// Tells systemd once the node is Ready, or that it is not: without its server
/// it goes on running the pods it has.
async fn say_ready(client: kube::Client, name: &str, shutdown: &CancellationToken) {
    if let Some(found) = ready::wait(client, name, READY_WITHIN, shutdown).await {
        started::tell(&found.words(name));
    }
}
