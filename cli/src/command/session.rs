//! This terminal, or our streams, as those of a process in a container.

use anyhow::{Context, bail};
use clap::Args;
use k8s_openapi::api::core::v1::Pod;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::Status;
use kube::Api;
use kube::api::{AttachParams, AttachedProcess};
use serde_json::Value;
use tokio::io::AsyncWriteExt;
use tokio::signal::unix::{SignalKind, signal};

use super::workload;
use crate::client::ClientFlags;
use crate::cluster::{Cluster, refused, text};
use crate::terminal::{self, Raw};

/// Which streams are wanted.
#[derive(Clone, Copy)]
pub struct Streams {
    pub stdin: bool,
    pub tty: bool,
}

impl Streams {
    /// A terminal only where there is one: says so where it was asked for in vain.
    pub fn of(stdin: bool, tty: bool) -> Self {
        let is_usable = tty && (!stdin || terminal::is_terminal());
        if tty && !is_usable {
            eprintln!("Unable to use a TTY - input is not a terminal or the right kind of file");
        }
        Self {
            stdin,
            tty: is_usable,
        }
    }

    fn params(self, container: &str) -> AttachParams {
        AttachParams {
            container: Some(container.to_owned()),
            stdin: self.stdin,
            stdout: true,
            stderr: !self.tty,
            tty: self.tty,
            ..AttachParams::default()
        }
    }
}

/// What is asked for of exec and attach alike.
#[derive(Args)]
pub struct Target {
    #[command(flatten)]
    client: ClientFlags,

    /// POD, or TYPE/NAME for a pod of a workload
    #[arg(value_name = "POD|TYPE/NAME")]
    pub what: String,

    /// Container to be in [default: the first, or the one that is annotated so]
    #[arg(short, long)]
    container: Option<String>,

    /// Pass stdin on
    #[arg(short = 'i', long)]
    stdin: bool,

    /// Stdin is a terminal
    #[arg(short, long)]
    tty: bool,
}

impl Target {
    pub async fn find(&self) -> anyhow::Result<Session> {
        let cluster = Cluster::connect(&self.client).await?;
        let pod = cluster.pod_of(&self.what).await?;
        let container = workload::container(&pod, self.container.as_deref())?;
        let streams = Streams::of(self.stdin, self.tty);
        Ok(Session {
            cluster,
            pod,
            container,
            streams,
        })
    }
}

/// A container, and how its process is met.
pub struct Session {
    cluster: Cluster,
    pub pod: Value,
    container: String,
    streams: Streams,
}

impl Session {
    /// Runs a command in the container; its exit code.
    pub async fn exec(&self, command: &[String]) -> anyhow::Result<i32> {
        let params = self.streams.params(&self.container);
        let name = text(&self.pod, "/metadata/name");
        let process = pods(&self.cluster).exec(name, command, &params).await;
        exit_code(connect(process.map_err(refused)?, self.streams).await?)
    }

    /// Joins the container's own process until it ends.
    pub async fn attach(&self) -> anyhow::Result<()> {
        let name = text(&self.pod, "/metadata/name");
        attach(&self.cluster, (name, &self.container), self.streams).await
    }
}

fn pods(cluster: &Cluster) -> Api<Pod> {
    Api::namespaced(cluster.client.clone(), &cluster.namespace)
}

/// Joins a container's own process until it ends.
pub async fn attach(
    cluster: &Cluster,
    (pod, container): (&str, &str),
    streams: Streams,
) -> anyhow::Result<()> {
    let params = streams.params(container);
    let process = pods(cluster).attach(pod, &params).await;
    let status = connect(process.map_err(refused)?, streams).await?;
    match status {
        Some(status) if status.status.as_deref() == Some("Failure") => {
            bail!("{}", status.message.unwrap_or_default())
        }
        _ => Ok(()),
    }
}

async fn connect(process: AttachedProcess, streams: Streams) -> anyhow::Result<Option<Status>> {
    // Without a stdin of ours the terminal's keys stay our own.
    let raw = (streams.tty && streams.stdin)
        .then(Raw::enter)
        .transpose()?;
    let ended = pump(process, streams.stdin).await;
    drop(raw);
    ended
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
    follow_size(&mut process)?;
    while outputs.join_next().await.is_some() {}
    tokio::io::stdout().flush().await?;
    match status {
        Some(status) => Ok(status.await),
        None => Ok(None),
    }
}

/// Tells the process the terminal's size, now and whenever it changes.
fn follow_size(process: &mut AttachedProcess) -> anyhow::Result<()> {
    let Some(mut sizes) = process.terminal_size() else {
        return Ok(());
    };
    use futures::SinkExt as _;
    let mut changed = signal(SignalKind::window_change()).context("listen for SIGWINCH")?;
    tokio::spawn(async move {
        while let Some(size) = terminal::size() {
            if sizes.send(size).await.is_err() || changed.recv().await.is_none() {
                return;
            }
        }
    });
    Ok(())
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
        Some(code) => Ok(code),
        None => {
            let message = status.message.filter(|message| !message.is_empty());
            bail!("{}", message.unwrap_or_else(|| "the command failed".into()))
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn code(status: serde_json::Value) -> anyhow::Result<i32> {
        exit_code(Some(serde_json::from_value(status).unwrap()))
    }

    #[test]
    fn exit_code_is_read_from_the_last_status() {
        assert_eq!(code(json!({ "status": "Success" })).unwrap(), 0);
        let failed = json!({ "status": "Failure", "reason": "NonZeroExitCode",
            "details": { "causes": [{ "reason": "ExitCode", "message": "7" }] } });
        assert_eq!(code(failed).unwrap(), 7);
    }

    #[test]
    fn command_that_could_not_run_is_an_error_not_a_code() {
        let failed = json!({ "status": "Failure", "message": "no such file" });
        assert_eq!(code(failed).unwrap_err().to_string(), "no such file");
        assert!(exit_code(None).is_err());
    }
}
