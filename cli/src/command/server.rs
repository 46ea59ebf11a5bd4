use std::net::Ipv4Addr;
use std::process::ExitCode;

use clap::Args;
use tokio::task::JoinSet;
use tokio_util::sync::CancellationToken;

use crate::cluster_flags::ServerFlags;
use crate::config_file::ConfigFlag;
use crate::control_plane::{ControlPlane, Settings};
use crate::data_dir::DataDir;
use crate::identities::{self, ServerNames};
use crate::instance::{Instance, InstanceFlags};
use crate::log::LogFlags;
use crate::notify::Watch;
use crate::started;
use crate::trace_flags::TraceFlags;
use crate::{node, preflight, shutdown};

/// `skiff server`: API, store, scheduler and controllers.
#[derive(Args)]
pub struct Server {
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

    /// Address of the cluster's DNS
    #[arg(long, default_value = "10.96.0.10", value_name = "IP")]
    cluster_dns: Ipv4Addr,

    /// Domain of the cluster's names
    #[arg(long, default_value = "cluster.local", value_name = "DOMAIN")]
    cluster_domain: String,
}

impl Server {
    pub async fn run(self) -> anyhow::Result<ExitCode> {
        self.log.start()?;
        self.traces.start("skiff-server")?;
        let instance = self.instance.instance()?;
        preflight::check_port(self.server.listen(), "the Kubernetes API", "--secure-port")?;
        let _data_dir = DataDir::open(&instance.data_dir)?;
        let advertise = match self.server.advertise_address {
            Some(ip) => ip,
            None => node::address::find()?,
        };
        let names = names(&self.server, advertise, &self.cluster_domain)?;
        let identities = identities::of_server(&instance, &names)?;
        let shutdown = shutdown::on_signal()?;
        let mut tasks = JoinSet::new();
        let settings = Settings {
            flags: &self.server,
            advertise,
            cluster_dns: self.cluster_dns,
        };
        let plane =
            ControlPlane::start(&instance, &settings, identities, &mut tasks, &shutdown).await?;
        say_ready(&self, &instance);
        let _watch = Watch::start(plane.is_alive());
        started::tell(&format!(
            "the Kubernetes API answers on https://{}",
            self.server.listen()
        ));
        let ended = until_end(&mut tasks, &shutdown).await;
        plane.stop().await;
        ended
    }
}

fn say_ready(server: &Server, instance: &Instance) {
    println!(
        "skiff {}: the Kubernetes API answers on https://{}",
        release::version(),
        server.server.listen()
    );
    let data_dir = instance.data_dir.display();
    println!("next:");
    println!(
        "  export KUBECONFIG={}",
        instance.admin_kubeconfig().display()
    );
    println!(
        "  skiff token create --data-dir {data_dir}     (then, on a node, skiff agent --server URL --token TOKEN)"
    );
}

/// The names that the API server's certificate must bear.
pub fn names(
    flags: &ServerFlags,
    advertise: Ipv4Addr,
    domain: &str,
) -> anyhow::Result<ServerNames> {
    let host = nix::unistd::gethostname()?;
    Ok(ServerNames {
        host: host.to_string_lossy().to_lowercase(),
        addresses: vec![advertise, flags.kubernetes_service_ip()],
        domain: domain.to_owned(),
        url: own_url(flags, advertise),
        lifetime: flags.cluster_signing_duration,
    })
}

/// How this machine reaches its own server.
fn own_url(flags: &ServerFlags, advertise: Ipv4Addr) -> String {
    // The address served on is reachable from this machine; the loopback one
    // goes on working when the machine's address changes.
    let host = if flags.bind_address.is_unspecified() || flags.bind_address.is_loopback() {
        "127.0.0.1".to_owned()
    } else {
        advertise.to_string()
    };
    format!("https://{host}:{}", flags.secure_port)
}

/// Waits for a signal, or for a part that ends by itself: then all others end too.
pub async fn until_end(
    tasks: &mut JoinSet<anyhow::Result<()>>,
    shutdown: &CancellationToken,
) -> anyhow::Result<ExitCode> {
    let mut result = Ok(ExitCode::SUCCESS);
    while let Some(ended) = tasks.join_next().await {
        if let Err(error) = ended.map_err(anyhow::Error::from).and_then(|ended| ended)
            && result.is_ok()
        {
            result = Err(error);
        }
        shutdown.cancel();
    }
    result
}
