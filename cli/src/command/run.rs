//! `skiff run`: a pod of an image.

mod attached;

use std::process::ExitCode;

use anyhow::ensure;
use clap::{Args, ValueEnum};
use serde_json::{Value, json};

use super::create::How;
use crate::client::ClientFlags;
use crate::cluster::Cluster;

#[derive(Args)]
pub struct Run {
    #[command(flatten)]
    client: ClientFlags,

    /// Name of the pod, and of its container
    name: String,

    /// Image to run
    #[arg(long)]
    image: String,

    /// Port that the container listens on
    #[arg(long)]
    port: Option<u16>,

    /// Environment, as NAME=VALUE
    #[arg(long, value_name = "NAME=VALUE", value_parser = pair)]
    env: Vec<(String, String)>,

    /// Labels, as a=b,c=d
    #[arg(short = 'l', long, value_delimiter = ',', value_name = "A=B", value_parser = pair)]
    labels: Vec<(String, String)>,

    /// Annotations, as a=b
    #[arg(long, value_name = "A=B", value_parser = pair)]
    annotations: Vec<(String, String)>,

    /// When the container is started again after it ended
    #[arg(long, value_enum, default_value = "Always")]
    restart: Restart,

    /// When the image is fetched
    #[arg(long, value_enum)]
    image_pull_policy: Option<PullPolicy>,

    /// What follows -- is the command, not arguments to the image's own
    #[arg(long)]
    command: bool,

    #[command(flatten)]
    session: Session,

    #[command(flatten)]
    how: How,

    /// Arguments, or with --command the command, after --
    #[arg(last = true)]
    args: Vec<String>,
}

/// How this terminal takes part in the pod.
#[derive(Args)]
struct Session {
    /// Pass stdin on, and show what the container prints
    #[arg(short = 'i', long)]
    stdin: bool,

    /// Give the container a terminal
    #[arg(short, long)]
    tty: bool,

    /// Show what the container prints [default: with -i or -t]
    #[arg(long)]
    attach: bool,

    /// Remove the pod when the session ends
    #[arg(long)]
    rm: bool,

    /// Say nothing of our own
    #[arg(short, long)]
    quiet: bool,
}

#[derive(Clone, Copy, Debug, PartialEq, ValueEnum)]
#[value(rename_all = "PascalCase")]
enum Restart {
    Always,
    OnFailure,
    Never,
}

#[derive(Clone, Copy, Debug, ValueEnum)]
#[value(rename_all = "PascalCase")]
enum PullPolicy {
    Always,
    IfNotPresent,
    Never,
}

impl Session {
    fn is_attached(&self) -> bool {
        self.attach || self.stdin || self.tty
    }
}

impl Run {
    pub async fn run(self) -> anyhow::Result<ExitCode> {
        let is_attached = self.session.is_attached();
        ensure!(
            is_attached || !self.session.rm,
            "--rm should only be used for attached containers: with -i, -t or --attach"
        );
        ensure!(
            !(is_attached && self.how.is_dry()),
            "--dry-run can't be used with attached containers options (-i, -t or --attach)"
        );
        let cluster = Cluster::connect(&self.client).await?;
        if !is_attached {
            self.how.create(&cluster, &self.pod(), "created").await?;
            return Ok(ExitCode::SUCCESS);
        }
        self.attached(&cluster).await
    }

    fn pod(&self) -> Value {
        let map = |pairs: &[(String, String)]| -> serde_json::Map<String, Value> {
            let pairs = pairs.iter();
            pairs.map(|(k, v)| (k.clone(), v.clone().into())).collect()
        };
        let mut labels = map(&self.labels);
        if labels.is_empty() {
            labels.insert("run".into(), self.name.clone().into());
        }
        let mut metadata = json!({ "name": self.name, "labels": labels });
        if !self.annotations.is_empty() {
            metadata["annotations"] = map(&self.annotations).into();
        }
        json!({
            "apiVersion": "v1", "kind": "Pod",
            "metadata": metadata,
            "spec": { "restartPolicy": format!("{:?}", self.restart), "containers": [self.container()] },
        })
    }

    fn container(&self) -> Value {
        let mut container = json!({ "name": self.name, "image": self.image });
        if let Some(port) = self.port {
            container["ports"] = json!([{ "containerPort": port }]);
        }
        if !self.env.is_empty() {
            let env = self
                .env
                .iter()
                .map(|(name, value)| json!({ "name": name, "value": value }));
            container["env"] = env.collect();
        }
        if let Some(policy) = self.image_pull_policy {
            container["imagePullPolicy"] = format!("{policy:?}").into();
        }
        if self.session.stdin {
            container["stdin"] = true.into();
            container["stdinOnce"] = true.into();
        }
        if self.session.tty {
            container["tty"] = true.into();
        }
        if !self.args.is_empty() {
            let field = if self.command { "command" } else { "args" };
            container[field] = json!(self.args);
        }
        container
    }
}

fn pair(text: &str) -> Result<(String, String), String> {
    match text.split_once('=') {
        Some((name, value)) if !name.is_empty() => Ok((name.into(), value.into())),
        _ => Err(format!("{text:?} is not NAME=VALUE")),
    }
}
