use std::process::ExitCode;

use anyhow::{Context, bail, ensure};
use clap::{Args, ValueEnum};
use serde_json::{Value, json};

use super::create::How;
use crate::client::ClientFlags;
use crate::cluster::Cluster;

/// `skiff expose`: a Service for a workload.
#[derive(Args)]
pub struct Expose {
    #[command(flatten)]
    client: ClientFlags,

    /// TYPE NAME, or TYPE/NAME
    #[arg(required = true, value_name = "TYPE/NAME")]
    what: Vec<String>,

    /// Port of the Service [default: that of the containers]
    #[arg(long)]
    port: Option<u16>,

    /// Port of the containers, by number or name [default: as --port]
    #[arg(long)]
    target_port: Option<String>,

    /// Name of the Service [default: that of the workload]
    #[arg(long)]
    name: Option<String>,

    /// Who can reach it
    #[arg(long = "type", value_enum, default_value = "ClusterIP")]
    kind: Kind,

    /// How the Service is spoken to
    #[arg(long, value_enum, default_value = "TCP")]
    protocol: Protocol,

    #[command(flatten)]
    how: How,
}

#[derive(Clone, Copy, Debug, ValueEnum)]
enum Kind {
    #[value(name = "ClusterIP")]
    ClusterIP,
    #[value(name = "NodePort")]
    NodePort,
    #[value(name = "LoadBalancer")]
    LoadBalancer,
}

#[derive(Clone, Copy, Debug, ValueEnum)]
enum Protocol {
    #[value(name = "TCP")]
    Tcp,
    #[value(name = "UDP")]
    Udp,
}

impl Expose {
    pub async fn run(self) -> anyhow::Result<ExitCode> {
        let cluster = Cluster::connect(&self.client).await?;
        let (resource, name) = cluster.target(&self.what)?;
        let path = cluster.path(&resource, Some(&cluster.namespace), Some(&name));
        let object = cluster.get(&path).await?;
        let kinds = [
            "pods",
            "services",
            "deployments",
            "replicasets",
            "replicationcontrollers",
            "statefulsets",
        ];
        ensure!(
            kinds.contains(&resource.plural.as_str()),
            "cannot expose a {}",
            resource.kind
        );
        let service = self.service(&object, &name)?;
        self.how.create(&cluster, &service, "exposed").await?;
        Ok(ExitCode::SUCCESS)
    }

    fn service(&self, object: &Value, name: &str) -> anyhow::Result<Value> {
        let ports = self.ports(object)?;
        Ok(json!({
            "apiVersion": "v1", "kind": "Service",
            "metadata": { "name": self.name.as_deref().unwrap_or(name), "labels": object["metadata"]["labels"] },
            "spec": { "type": format!("{:?}", self.kind), "selector": selector(object)?, "ports": ports },
        }))
    }

    fn ports(&self, object: &Value) -> anyhow::Result<Vec<Value>> {
        if let Some(port) = self.port {
            return Ok(vec![self.service_port(port, None)]);
        }
        let containers = object.pointer("/spec/template/spec/containers");
        let containers = containers.or_else(|| object.pointer("/spec/containers"));
        let declared = containers.and_then(Value::as_array).into_iter().flatten();
        let declared = declared.flat_map(|c| c["ports"].as_array().into_iter().flatten());
        let numbers: Vec<u16> = declared
            .filter_map(|p| u16::try_from(p["containerPort"].as_u64()?).ok())
            .collect();
        match numbers.as_slice() {
            [] => bail!("couldn't find port via --port flag or introspection; give --port"),
            [port] => Ok(vec![self.service_port(*port, None)]),
            many => {
                let named = many.iter().enumerate();
                Ok(named
                    .map(|(at, port)| self.service_port(*port, Some(at + 1)))
                    .collect())
            }
        }
    }

    fn service_port(&self, port: u16, number: Option<usize>) -> Value {
        let target = match &self.target_port {
            Some(target) => target
                .parse::<u16>()
                .map_or_else(|_| json!(target), |n| json!(n)),
            None => json!(port),
        };
        let mut described = json!({
            "port": port, "targetPort": target,
            "protocol": match self.protocol { Protocol::Tcp => "TCP", Protocol::Udp => "UDP" },
        });
        if let Some(number) = number {
            described["name"] = format!("port-{number}").into();
        }
        described
    }
}

/// A pod is selected by its own labels, a workload by its selector's.
fn selector(object: &Value) -> anyhow::Result<Value> {
    let spec = &object["spec"]["selector"];
    let own = spec
        .get("matchLabels")
        .or_else(|| spec.is_object().then_some(spec));
    let labels = own.or_else(|| object["metadata"].get("labels"));
    let labels = labels.filter(|labels| labels.as_object().is_some_and(|l| !l.is_empty()));
    labels
        .cloned()
        .context("it has no labels that a Service could select")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn workload_is_selected_by_its_match_labels_and_a_pod_by_its_own() {
        let deployment = json!({ "spec": { "selector": { "matchLabels": { "app": "a" } } } });
        assert_eq!(selector(&deployment).unwrap(), json!({ "app": "a" }));
        let pod = json!({ "metadata": { "labels": { "run": "p" } }, "spec": {} });
        assert_eq!(selector(&pod).unwrap(), json!({ "run": "p" }));
        assert!(selector(&json!({ "metadata": {}, "spec": {} })).is_err());
    }
}
