use std::process::ExitCode;
use std::sync::Arc;
use std::time::{Duration, Instant};

use clap::Args;
use tokio::task::JoinSet;
use tokio_util::sync::CancellationToken;

use crate::cluster_flags::{NodeFlags, ServerFlags};
use crate::config_file::ConfigFlag;
use crate::control_plane::{ControlPlane, Settings};
use crate::data_dir::DataDir;
use crate::instance::{Instance, InstanceFlags};
use crate::log::LogFlags;
use crate::node::{Node, ready};
use crate::notify::Watch;
use crate::started;
use crate::trace_flags::TraceFlags;
use crate::{identities, preflight, shutdown};

/// `skiff up`: server and node in one process.
#[derive(Args)]
pub struct Up {
    #[command(flatten)]
    config: ConfigFlag,
    #[command(flatten)]
    log: LogFlags,
    #[command(flatten)]
    traces: TraceFlags,
    #[command(flatten)]
    instance: InstanceFlags,
    #[command(flatten)]
    server: ServerFlags,
    #[command(flatten)]
    node: NodeFlags,
}

impl Up {
    pub async fn run(self) -> anyhow::Result<ExitCode> {
        self.log.start()?;
        self.traces.start("skiff")?;
        let started = Instant::now();
        let instance = self.instance.instance()?;
        preflight::check_node()?;
        self.check_ports()?;
        let _data_dir = DataDir::open(&instance.data_dir)?;
        let machine_stop = kubelet::MachineStop::default();
        let shutdown = shutdown::on_signal_of_node(&machine_stop, self.node.shutdown_grace())?;
        let mut tasks = JoinSet::new();
        let (name, ip) = (self.node.name()?, self.node.ip()?);
        let plane = self
            .start_server(&instance, ip, &mut tasks, &shutdown)
            .await?;
        let this = (name.as_str(), ip, machine_stop);
        self.start_node(&instance, &plane, this, &mut tasks, &shutdown)?;
        let _watch = Watch::start(plane.is_alive());
        let (ended, ()) = tokio::join!(
            super::server::until_end(&mut tasks, &shutdown),
            say_ready(&self, &instance, &plane, &name, started, &shutdown),
        );
        plane.stop().await;
        println!("stopped; containers go on running (skiff reset removes them)");
        ended
    }

    fn check_ports(&self) -> anyhow::Result<()> {
        preflight::check_port(self.server.listen(), "the Kubernetes API", "--secure-port")?;
        let kubelet = (std::net::Ipv4Addr::UNSPECIFIED, self.node.kubelet_port).into();
        preflight::check_port(kubelet, "the kubelet API", "--kubelet-port")
    }

    async fn start_server(
        &self,
        instance: &Instance,
        ip: std::net::Ipv4Addr,
        tasks: &mut JoinSet<anyhow::Result<()>>,
        shutdown: &CancellationToken,
    ) -> anyhow::Result<ControlPlane> {
        let advertise = self.server.advertise_address.unwrap_or(ip);
        let names = super::server::names(&self.server, advertise, &self.node.cluster_domain)?;
        let identities = identities::of_server(instance, &names)?;
        let settings = Settings {
            flags: &self.server,
            advertise,
            cluster_dns: self.node.cluster_dns,
        };
        ControlPlane::start(instance, &settings, identities, tasks, shutdown).await
    }

    fn start_node(
        &self,
        instance: &Instance,
        plane: &ControlPlane,
        (name, ip, machine_stop): (&str, std::net::Ipv4Addr, kubelet::MachineStop),
        tasks: &mut JoinSet<anyhow::Result<()>>,
        shutdown: &CancellationToken,
    ) -> anyhow::Result<()> {
        let authority = pki::Authority::load_or_create(&instance.pki_dir(), "ca", "skiff-ca")?;
        let authority = Arc::new(authority);
        let lifetime = self.server.cluster_signing_duration;
        let serving = identities::of_node(instance, &authority, (name, ip), lifetime)?;
        let identity = pki::Identity::new(&serving.issued)?;
        let keeping = serving.keep(identity.clone(), |_| Ok(()));
        let keeping = shutdown.clone().run_until_cancelled_owned(keeping);
        tasks.spawn(async move {
            keeping.await;
            Ok(())
        });
        let node = Node {
            instance: instance.clone(),
            flags: self.node.clone(),
            name: name.to_owned(),
            ip,
            tls: kubelet::Tls {
                identity,
                client_ca_pem: authority.cert_pem().to_owned(),
            },
            service_cidr: self.server.service_cluster_ip_range,
            cluster_cidr: self.server.cluster_cidr,
            machine_stop,
        };
        node.start(plane.node_client(name), tasks, shutdown)
    }
}

/// Says that the cluster is up once its node is, and what to type next.
async fn say_ready(
    up: &Up,
    instance: &Instance,
    plane: &ControlPlane,
    node: &str,
    started: Instant,
    shutdown: &CancellationToken,
) {
    println!(
        "skiff {}: the Kubernetes API answers on https://{}",
        release::version(),
        up.server.listen()
    );
    let patience = Duration::from_secs(60);
    let Some(found) = ready::wait(plane.admin(), node, patience, shutdown).await else {
        return;
    };
    if let ready::Found::Ready { pressures } = &found {
        println!(
            "node {node} is Ready after {:.1} s",
            started.elapsed().as_secs_f64()
        );
        for name in pressures {
            println!(
                "but it has {name} and takes no pods; see --eviction-hard in: skiff up --help"
            );
        }
    } else {
        println!("node {node} is not Ready yet; see: skiff describe node {node}");
    }
    started::tell(&found.words(node));
    println!("next:");
    println!(
        "  export KUBECONFIG={}",
        instance.admin_kubeconfig().display()
    );
    println!("  kubectl get nodes          (or, without kubectl: skiff get nodes)");
}
