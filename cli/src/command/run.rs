use std::process::ExitCode;

use clap::{Args, ValueEnum};
use serde_json::{Value, json};

use crate::client::ClientFlags;
use crate::cluster::Cluster;

/// `skiff run`: a pod of an image.
#[derive(Args)]
pub struct Run {
    #[command(flatten)]
    client: ClientFlags,

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

    /// When the container is started again after it ended
    #[arg(long, value_enum, default_value = "Always")]
    restart: Restart,

    /// When the image is fetched
    #[arg(long, value_enum)]
    image_pull_policy: Option<PullPolicy>,

    /// What follows -- is the command, not arguments to the image's own
    #[arg(long)]
    command: bool,

    #[arg(last = true)]
    args: Vec<String>,
}

#[derive(Clone, Copy, Debug, ValueEnum)]
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

impl Run {
    pub async fn run(self) -> anyhow::Result<ExitCode> {
        let cluster = Cluster::connect(&self.client).await?;
        super::create::create(&cluster, &self.pod()).await?;
        Ok(ExitCode::SUCCESS)
    }

    fn pod(&self) -> Value {
        let mut labels: serde_json::Map<String, Value> = self
            .labels
            .iter()
            .map(|(k, v)| (k.clone(), v.clone().into()))
            .collect();
        if labels.is_empty() {
            labels.insert("run".into(), self.name.clone().into());
        }
        json!({
            "apiVersion": "v1", "kind": "Pod",
            "metadata": { "name": self.name, "labels": labels },
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
