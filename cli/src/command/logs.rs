use std::process::ExitCode;
use std::sync::Arc;
use std::time::Duration;

use anyhow::ensure;
use clap::Args;
use futures::AsyncBufReadExt;
use http::Request;
use serde_json::Value;
use tokio::task::JoinSet;

use super::workload;
use crate::client::ClientFlags;
use crate::cluster::{Cluster, encode, refused, text};
use crate::print;

/// `skiff logs`: what containers printed.
#[derive(Args)]
pub struct Logs {
    #[command(flatten)]
    client: ClientFlags,

    /// POD, or TYPE/NAME for a pod of a workload
    #[arg(
        value_name = "POD|TYPE/NAME",
        required_unless_present = "selector",
        conflicts_with = "selector"
    )]
    what: Option<String>,

    /// Container, where the pod has several
    #[arg(value_name = "CONTAINER", conflicts_with = "container")]
    named: Option<String>,

    /// Container to show [default: the first, or the one that is annotated so]
    #[arg(short, long)]
    container: Option<String>,

    /// All containers of the pod
    #[arg(long, conflicts_with = "container")]
    all_containers: bool,

    /// All pods of the workload, with --all-containers
    #[arg(long)]
    all_pods: bool,

    /// Pods with these labels
    #[arg(short = 'l', long, value_name = "SELECTOR")]
    selector: Option<String>,

    /// Go on showing what is printed
    #[arg(short, long)]
    follow: bool,

    /// Of the container's run before this one
    #[arg(short, long)]
    previous: bool,

    /// Begin this many lines before the end; -1 shows all [default: -1, or 10 with -l]
    #[arg(long, allow_negative_numbers = true, value_name = "LINES")]
    tail: Option<i64>,

    /// Only what is newer than this, such as 5m
    #[arg(long, value_name = "DURATION")]
    since: Option<jiff::SignedDuration>,

    /// Only what was printed after this time, such as 2026-01-31T10:00:00Z
    #[arg(long, value_name = "TIME", conflicts_with = "since")]
    since_time: Option<jiff::Timestamp>,

    /// Stop after this many bytes
    #[arg(long, value_name = "BYTES")]
    limit_bytes: Option<u64>,

    /// Put the time before each line
    #[arg(long)]
    timestamps: bool,

    /// Put pod and container before each line
    #[arg(long)]
    prefix: bool,

    /// Follow no more containers than this at once
    #[arg(long, default_value_t = 5, value_name = "N")]
    max_log_requests: usize,

    /// An error of one container's log does not end the others
    #[arg(long)]
    ignore_errors: bool,
}

impl Logs {
    pub async fn run(self) -> anyhow::Result<ExitCode> {
        let cluster = Arc::new(Cluster::connect(&self.client).await?);
        let mut requests = Vec::new();
        for pod in self.pods(&cluster).await? {
            for container in self.containers(&pod)? {
                let pod = text(&pod, "/metadata/name");
                let prefix = if self.prefix {
                    format!("[pod/{pod}/{container}] ")
                } else {
                    String::new()
                };
                requests.push((self.path(&cluster, pod, &container)?, prefix));
            }
        }
        if self.follow {
            return self.follow(&cluster, requests).await;
        }
        for (path, prefix) in requests {
            let shown = show(&cluster.client, &path, &prefix).await;
            self.judge(shown)?;
        }
        Ok(ExitCode::SUCCESS)
    }

    async fn follow(
        &self,
        cluster: &Arc<Cluster>,
        requests: Vec<(String, String)>,
    ) -> anyhow::Result<ExitCode> {
        ensure!(
            requests.len() <= self.max_log_requests,
            "you are attempting to follow {} log streams, but maximum allowed concurrency is {}, \
             use --max-log-requests to increase the limit",
            requests.len(),
            self.max_log_requests
        );
        let mut streams = JoinSet::new();
        for (path, prefix) in requests {
            let cluster = Arc::clone(cluster);
            streams.spawn(async move { show(&cluster.client, &path, &prefix).await });
        }
        while let Some(ended) = streams.join_next().await {
            self.judge(ended?)?;
        }
        Ok(ExitCode::SUCCESS)
    }

    fn judge(&self, shown: anyhow::Result<()>) -> anyhow::Result<()> {
        match shown {
            Err(error) if self.ignore_errors => {
                eprintln!("{}", super::words(&error));
                Ok(())
            }
            shown => shown,
        }
    }

    async fn pods(&self, cluster: &Cluster) -> anyhow::Result<Vec<Value>> {
        if let Some(selector) = &self.selector {
            let pods = cluster.pods_selected(selector).await?;
            if pods.is_empty() {
                eprintln!("No resources found in {} namespace.", cluster.namespace);
            }
            return Ok(pods);
        }
        let word = self.what.as_deref().unwrap_or_default();
        let mut pods = cluster.pods_of(word).await?;
        if pods.len() > 1 && !self.all_pods {
            let first = text(&pods[0], "/metadata/name");
            eprintln!("Found {} pods, using pod/{first}", pods.len());
            pods.truncate(1);
        }
        Ok(pods)
    }

    fn containers(&self, pod: &Value) -> anyhow::Result<Vec<String>> {
        if self.all_containers {
            let all = workload::containers(pod);
            return Ok(all.into_iter().map(str::to_owned).collect());
        }
        let wanted = self.container.as_deref().or(self.named.as_deref());
        Ok(vec![workload::container(pod, wanted)?])
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
        // Of many pods the end is what is wanted.
        let tail = self.tail.or(self.selector.as_ref().map(|_| 10));
        if let Some(tail) = tail.filter(|tail| *tail >= 0) {
            path.push_str(&format!("&tailLines={tail}"));
        }
        if let Some(since) = self.since.filter(|since| !since.is_zero()) {
            let since = Duration::try_from(since).unwrap_or_default();
            let seconds = since.as_secs() + u64::from(since.subsec_nanos() > 0);
            ensure!(
                seconds > 0,
                "--since must be a time that has passed, such as 5m"
            );
            path.push_str(&format!("&sinceSeconds={seconds}"));
        }
        if let Some(time) = self.since_time {
            path.push_str(&format!("&sinceTime={}", encode(&time.to_string())));
        }
        if let Some(bytes) = self.limit_bytes {
            path.push_str(&format!("&limitBytes={bytes}"));
        }
        Ok(path)
    }
}

/// Shows one log to its end, whole lines at a time.
pub async fn show(client: &kube::Client, path: &str, prefix: &str) -> anyhow::Result<()> {
    let request = Request::get(path).body(Vec::new())?;
    let stream = client.request_stream(request).await.map_err(refused)?;
    let mut stream = std::pin::pin!(stream);
    let mut line = prefix.as_bytes().to_vec();
    loop {
        line.truncate(prefix.len());
        if stream.as_mut().read_until(b'\n', &mut line).await? == 0 {
            return Ok(());
        }
        print::out_bytes(&line);
    }
}
