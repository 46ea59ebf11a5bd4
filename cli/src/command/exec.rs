use std::process::ExitCode;

use anyhow::{Context, bail};
use clap::Args;
use futures::SinkExt;
use k8s_openapi::api::core::v1::Pod;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::Status;
use kube::Api;
use kube::api::{AttachParams, AttachedProcess};
use tokio::io::AsyncWriteExt;
use tokio::signal::unix::{SignalKind, signal};

use crate::client::ClientFlags;
use crate::cluster::Cluster;
use crate::terminal::{self, Raw};

/// `skiff exec`: run a command in a container.
#[derive(Args)]
pub struct Exec {
    #[command(flatten)]
    client: ClientFlags,

    /// POD, or TYPE/NAME for a pod of a workload
    #[arg(value_name = "POD|TYPE/NAME")]
    what: String,

    /// Container to run in [default: the first, or the one that is annotated so]
    #[arg(short, long)]
    container: Option<String>,

    /// Pass stdin on
    #[arg(short = 'i', long)]
    stdin: bool,

    /// Stdin is a terminal
    #[arg(short, long)]
    tty: bool,

    #[arg(last = true, required = true)]
    command: Vec<String>,
}

impl Exec {
    pub async fn run(self) -> anyhow::Result<ExitCode> {
        let cluster = Cluster::connect(&self.client).await?;
        let pods = cluster.pods_of(std::slice::from_ref(&self.what)).await?;
        let pod = pods.first().context("there is no pod to run in")?;
        let tty = self.tty && terminal::is_terminal();
        if self.tty && !tty {
            eprintln!("Unable to use a TTY - input is not a terminal or the right kind of file");
        }
        let params = AttachParams {
            container: self.container.clone(),
            stdin: self.stdin,
            stdout: true,
            stderr: !tty,
            tty,
            ..AttachParams::default()
        };
        let api: Api<Pod> = Api::namespaced(cluster.client.clone(), &cluster.namespace);
        let process = api.exec(pod, &self.command, &params).await;
        let process = process.map_err(crate::cluster::refused)?;
        let raw = if tty { Some(Raw::enter()?) } else { None };
        let ended = pump(process, self.stdin).await;
        drop(raw);
        // A blocked read of stdin would keep the process from ending.
        let code = exit_code(ended?)?;
        std::process::exit(code);
    }
}

/// Connects our streams with the process's until it ends.
async fn pump(mut process: AttachedProcess, with_stdin: bool) -> anyhow::Result<Option<Status>> {
    let status = process.take_status();
    let mut outputs = tokio::task::JoinSet::new();
    if let Some(mut from) = process.stdout() {
        outputs.spawn(async move { tokio::io::copy(&mut from, &mut tokio::io::stdout()).await });
    }
    if let Some(mut from) = process.stderr() {
        outputs.spawn(async move { tokio::io::copy(&mut from, &mut tokio::io::stderr()).await });
    }
    if with_stdin && let Some(mut to) = process.stdin() {
        tokio::spawn(async move {
            let _ = tokio::io::copy(&mut tokio::io::stdin(), &mut to).await;
            let _ = to.shutdown().await;
        });
    }
    if let Some(mut sizes) = process.terminal_size() {
        let mut changed = signal(SignalKind::window_change()).context("listen for SIGWINCH")?;
        tokio::spawn(async move {
            while let Some(size) = terminal::size() {
                if sizes.send(size).await.is_err() || changed.recv().await.is_none() {
                    return;
                }
            }
        });
    }
    while outputs.join_next().await.is_some() {}
    tokio::io::stdout().flush().await?;
    match status {
        Some(status) => Ok(status.await),
        None => Ok(None),
    }
}

/// The process's exit code, from the status that the kubelet sends at its end.
fn exit_code(status: Option<Status>) -> anyhow::Result<i32> {
    let Some(status) = status else {
        bail!("the connection ended before the command did");
    };
    if status.status.as_deref() == Some("Success") {
        return Ok(0);
    }
    let causes = status.details.and_then(|d| d.causes).unwrap_or_default();
    let code = causes
        .iter()
        .find(|c| c.reason.as_deref() == Some("ExitCode"));
    match code.and_then(|c| c.message.as_ref()?.parse().ok()) {
        Some(code) => {
            eprintln!("command terminated with exit code {code}");
            Ok(code)
        }
        None => bail!(
            "{}",
            status
                .message
                .unwrap_or_else(|| "the command failed".into())
        ),
    }
}
