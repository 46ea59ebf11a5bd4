use std::process::ExitCode;

use anyhow::bail;
use clap::{Args, Subcommand};
use serde_json::{Value, json};

use crate::client::ClientFlags;
use crate::cluster::{Cluster, full_name, text};
use crate::manifest;

/// `skiff create`: make objects, from files or from flags.
#[derive(Args)]
pub struct Create {
    #[command(flatten)]
    client: ClientFlags,

    /// File, directory, URL, or - for stdin
    #[arg(short, long, value_name = "SOURCE")]
    filename: Vec<String>,

    #[command(subcommand)]
    what: Option<What>,
}

#[derive(Subcommand)]
enum What {
    /// A Deployment of an image
    #[command(visible_alias = "deploy")]
    Deployment(Deployment),
    /// A namespace
    #[command(visible_alias = "ns")]
    Namespace { name: String },
}

#[derive(Args)]
struct Deployment {
    name: String,

    /// Image to run; more than one makes a container each
    #[arg(long, required = true)]
    image: Vec<String>,

    /// How many pods
    #[arg(short, long, default_value_t = 1)]
    replicas: u32,

    /// Port that the container listens on
    #[arg(long)]
    port: Option<u16>,

    /// Command to run in place of the image's own
    #[arg(last = true)]
    command: Vec<String>,
}

impl Create {
    pub async fn run(self) -> anyhow::Result<ExitCode> {
        let objects = match &self.what {
            Some(What::Deployment(deployment)) => vec![deployment.object()?],
            Some(What::Namespace { name }) => {
                vec![
                    json!({ "apiVersion": "v1", "kind": "Namespace", "metadata": { "name": name } }),
                ]
            }
            None => manifest::read(&self.filename, false).await?,
        };
        let cluster = Cluster::connect(&self.client).await?;
        for object in &objects {
            create(&cluster, object).await?;
        }
        Ok(ExitCode::SUCCESS)
    }
}

/// Creates an object in its own namespace, or the one to act in, and says so.
pub async fn create(cluster: &Cluster, object: &Value) -> anyhow::Result<Value> {
    let resource = cluster.of_kind(text(object, "/apiVersion"), text(object, "/kind"))?;
    let namespace = match text(object, "/metadata/namespace") {
        "" => cluster.namespace.as_str(),
        named => named,
    };
    let path = cluster.path(resource, Some(namespace), None);
    let made = cluster
        .create(&format!("{path}?fieldManager=skiff"), object)
        .await?;
    println!(
        "{} created",
        full_name(resource, text(&made, "/metadata/name"))
    );
    Ok(made)
}

impl Deployment {
    fn object(&self) -> anyhow::Result<Value> {
        if self.image.len() > 1 && !self.command.is_empty() {
            bail!("cannot specify multiple --image options and command");
        }
        let labels = json!({ "app": self.name });
        let containers: Vec<Value> = self
            .image
            .iter()
            .map(|image| self.container(image))
            .collect();
        Ok(json!({
            "apiVersion": "apps/v1", "kind": "Deployment",
            "metadata": { "name": self.name, "labels": labels },
            "spec": {
                "replicas": self.replicas,
                "selector": { "matchLabels": labels },
                "template": { "metadata": { "labels": labels }, "spec": { "containers": containers } },
            },
        }))
    }

    fn container(&self, image: &str) -> Value {
        let mut container = json!({ "name": container_name(image), "image": image });
        if let Some(port) = self.port {
            container["ports"] = json!([{ "containerPort": port }]);
        }
        if !self.command.is_empty() {
            container["command"] = json!(self.command);
        }
        container
    }
}

/// `registry/path/nginx:1` runs in a container called `nginx`.
fn container_name(image: &str) -> String {
    let last = image.rsplit('/').next().unwrap_or(image);
    let name = last.split(['@', ':']).next().unwrap_or(last);
    name.to_lowercase().replace(['_', '.'], "-")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn container_is_called_as_its_image() {
        assert_eq!(container_name("127.0.0.1:5000/a/nginx:1.2"), "nginx");
        assert_eq!(container_name("My_App@sha256:00"), "my-app");
    }
}
