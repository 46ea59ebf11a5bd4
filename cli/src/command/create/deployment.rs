//! Objects that run an image.

use anyhow::bail;
use clap::Args;
use serde_json::{Value, json};

#[derive(Args)]
pub struct Deployment {
    /// Name of the object
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

#[derive(Args)]
pub struct Job {
    /// Name of the object
    name: String,

    /// Image to run
    #[arg(long)]
    image: String,

    /// Command to run in place of the image's own
    #[arg(last = true)]
    command: Vec<String>,
}

impl Deployment {
    pub fn object(&self) -> anyhow::Result<Value> {
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

impl Job {
    pub fn object(&self) -> Value {
        let mut container = json!({ "name": self.name, "image": self.image });
        if !self.command.is_empty() {
            container["command"] = json!(self.command);
        }
        let pod = json!({ "containers": [container], "restartPolicy": "Never" });
        json!({
            "apiVersion": "batch/v1", "kind": "Job",
            "metadata": { "name": self.name }, "spec": { "template": { "spec": pod } },
        })
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
