use std::process::ExitCode;
use std::time::Duration;

use anyhow::ensure;
use clap::Args;
use futures::AsyncBufReadExt;
use http::Request;
use serde_json::Value;
use tokio::task::JoinSet;

use crate::client::ClientFlags;
use crate::cluster::{Cluster, encode, text};

/// `skiff logs`: what containers printed.
#[derive(Args)]
pub struct Logs {
    #[command(flatten)]
    client: ClientFlags,

    /// POD, or TYPE/NAME for a pod of a workload
    #[arg(value_name = "POD|TYPE/NAME")]
    what: Vec<String>,

    /// Container to show [default: the first, or the one that is annotated so]
    #[arg(short, long)]
    container: Option<String>,

    /// All containers of the pod
    #[arg(long)]
    all_containers: bool,

    /// Pods with these labels
    #[arg(short = 'l', long, value_name = "SELECTOR")]
    selector: Option<String>,

    /// Go on showing what is printed
    #[arg(short, long)]
    follow: bool,

    /// Of the container's run before this one
    #[arg(short, long)]
    previous: bool,

    /// Begin this many lines before the end; -1 shows all
    #[arg(long, default_value_t = -1, allow_negative_numbers = true)]
    tail: i64,

    /// Only what is newer than this, such as 5m
    #[arg(long, value_name = "DURATION")]
    since: Option<jiff::SignedDuration>,

    /// Put the time before each line
    #[arg(long)]
    timestamps: bool,

    /// Put pod and container before each line
    #[arg(long)]
    prefix: bool,
}

impl Logs {
    pub async fn run(self) -> anyhow::Result<ExitCode> {
        let cluster = Cluster::connect(&self.client).await?;
        let mut pods = match &self.selector {
            Some(selector) => cluster.pods_selected(selector).await?,
            None => cluster.pods_of(&self.what).await?,
        };
        if self.selector.is_none() && pods.len() > 1 {
            eprintln!("Found {} pods, using pod/{}", pods.len(), pods[0]);
            pods.truncate(1);
        }
        let mut streams = JoinSet::new();
        for pod in &pods {
            for container in self.containers(&cluster, pod).await? {
                let request =
                    Request::get(self.path(&cluster, pod, &container)?).body(Vec::new())?;
                let prefix = if self.prefix {
                    format!("[pod/{pod}/{container}] ")
                } else {
                    String::new()
                };
                let show = show(cluster.client.clone(), request, prefix);
                if self.follow {
                    streams.spawn(show);
                } else {
                    show.await?;
                }
            }
        }
        while let Some(shown) = streams.join_next().await {
            shown??;
        }
        Ok(ExitCode::SUCCESS)
    }

    async fn containers(&self, cluster: &Cluster, pod: &str) -> anyhow::Result<Vec<String>> {
        if let Some(container) = &self.container {
            return Ok(vec![container.clone()]);
        }
        let pods = cluster.resource("pods")?;
        let object = cluster
            .get(&cluster.path(&pods, Some(&cluster.namespace), Some(pod)))
            .await?;
        let named = |list: &str| -> Vec<String> {
            let containers = object["spec"][list].as_array().into_iter().flatten();
            containers.map(|c| text(c, "/name").to_owned()).collect()
        };
        if self.all_containers {
            return Ok([named("initContainers"), named("containers")].concat());
        }
        Ok(vec![default_container(&object)])
    }

    fn path(&self, cluster: &Cluster, pod: &str, container: &str) -> anyhow::Result<String> {
        let pods = cluster.resource("pods")?;
        let path = cluster.path(&pods, Some(&cluster.namespace), Some(pod));
        let mut path = format!("{path}/log?container={}", encode(container));
        for (flag, is_set) in [
            ("follow", self.follow),
            ("previous", self.previous),
            ("timestamps", self.timestamps),
        ] {
            if is_set {
                path.push_str(&format!("&{flag}=true"));
            }
        }
        if self.tail >= 0 {
            path.push_str(&format!("&tailLines={}", self.tail));
        }
        if let Some(since) = self.since {
            let since = Duration::try_from(since).unwrap_or_default().as_secs();
            ensure!(since > 0, "--since must be at least a second");
            path.push_str(&format!("&sinceSeconds={since}"));
        }
        Ok(path)
    }
}

/// The container meant where none is named.
pub fn default_container(pod: &Value) -> String {
    let annotated = &pod["metadata"]["annotations"]["kubectl.kubernetes.io/default-container"];
    let first = || text(pod, "/spec/containers/0/name").to_owned();
    annotated.as_str().map_or_else(first, str::to_owned)
}

async fn show(
    client: kube::Client,
    request: Request<Vec<u8>>,
    prefix: String,
) -> anyhow::Result<()> {
    use std::io::Write as _;
    let stream = client.request_stream(request).await;
    let mut stream = std::pin::pin!(stream.map_err(crate::cluster::refused)?);
    let mut line = Vec::new();
    loop {
        line.clear();
        if stream.as_mut().read_until(b'\n', &mut line).await? == 0 {
            return Ok(());
        }
        let mut out = std::io::stdout().lock();
        out.write_all(prefix.as_bytes())?;
        out.write_all(&line)?;
        out.flush()?;
    }
}
