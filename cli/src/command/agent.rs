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
use crate::identities::NodeIdentities;
use crate::instance::{Instance, InstanceFlags};
use crate::log::LogFlags;
use crate::node::{Node, join, ready};
use crate::notify::{self, Watch};
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
    instance: InstanceFlags,
    #[command(flatten)]
    node: NodeFlags,

    /// The cluster's API server, as https://HOST:6443
    #[arg(long, value_name = "URL", env = "SKIFF_SERVER")]
    server: String,

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
        let instance = self.instance.instance()?;
        preflight::check_node()?;
        let kubelet = (Ipv4Addr::UNSPECIFIED, self.node.kubelet_port).into();
        preflight::check_port(kubelet, "the kubelet API", "--kubelet-port")?;
        let _data_dir = DataDir::open(&instance.data_dir)?;
        let shutdown = shutdown::on_signal()?;
        let (name, ip) = (self.node.name()?, self.node.ip()?);
        let joined = self.identities(&instance, &name, ip);
        let Some(identities) = shutdown.run_until_cancelled(joined).await else {
            return Ok(ExitCode::SUCCESS);
        };
        let identities = identities?;
        let client = join::node_api(&self.server, &identities)?;
        let mut tasks = JoinSet::new();
        let node = Node {
            instance,
            flags: self.node,
            name: name.clone(),
            ip,
            identities,
            service_cidr: self.service_cluster_ip_range,
            cluster_cidr: self.cluster_cidr,
        };
        node.start(client.clone(), &mut tasks, &shutdown)?;
        println!("node {name} of the cluster at {}", self.server);
        let _watch = Watch::start(|| std::future::ready(true));
        let (ended, ()) = tokio::join!(
            super::server::until_end(&mut tasks, &shutdown),
            say_ready(client, &name, &shutdown),
        );
        ended
    }

    async fn identities(
        &self,
        instance: &Instance,
        name: &str,
        ip: Ipv4Addr,
    ) -> anyhow::Result<NodeIdentities> {
        if let Some(saved) = join::saved(instance)? {
            return Ok(saved);
        }
        let token = self.token.as_deref().context(
            "this machine has not joined a cluster yet: give --token, made on the server by `skiff token create`",
        )?;
        let token = JoinToken::parse(token)?;
        join::join(instance, &self.server, &token, name, ip)
            .await
            .with_context(|| format!("join the cluster at {}", self.server))
    }
}

/// Tells systemd once the node is Ready, or that it is not: without its server
/// it goes on running the pods it has.
async fn say_ready(client: kube::Client, name: &str, shutdown: &CancellationToken) {
    if let Some(found) = ready::wait(client, name, READY_WITHIN, shutdown).await {
        notify::ready(&found.words(name));
    }
}
