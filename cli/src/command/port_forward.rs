use std::net::IpAddr;
use std::process::ExitCode;

use anyhow::{Context, bail, ensure};
use clap::Args;
use k8s_openapi::api::core::v1::Pod;
use kube::Api;
use serde_json::Value;
use tokio::net::{TcpListener, TcpStream};
use tokio::task::JoinSet;

use crate::client::ClientFlags;
use crate::cluster::{Cluster, text};
use crate::shutdown;

/// `skiff port-forward`: reach a pod's ports from this machine.
#[derive(Args)]
pub struct PortForward {
    #[command(flatten)]
    client: ClientFlags,

    /// POD, or TYPE/NAME for a pod of a workload or Service
    #[arg(value_name = "POD|TYPE/NAME")]
    what: String,

    /// Ports: 8080 (the same on both sides), 8080:80, or :80 for a free one here
    #[arg(required = true, value_name = "[LOCAL:]REMOTE")]
    ports: Vec<String>,

    /// Address to listen on
    #[arg(long, default_value = "127.0.0.1", value_name = "IP")]
    address: IpAddr,
}

impl PortForward {
    pub async fn run(self) -> anyhow::Result<ExitCode> {
        let cluster = Cluster::connect(&self.client).await?;
        let pods = cluster.pods_of(std::slice::from_ref(&self.what)).await?;
        let pod = pods.first().context("there is no pod to forward to")?;
        let service = self.service(&cluster).await?;
        let mut listeners = Vec::new();
        for ports in &self.ports {
            let (local, remote) = parse(ports)?;
            let remote = match &service {
                Some(service) => target_port(&cluster, service, pod, remote).await?,
                None => remote,
            };
            let listener = TcpListener::bind((self.address, local))
                .await
                .with_context(|| format!("listen on {}:{local}; it may be in use", self.address))?;
            println!("Forwarding from {} -> {remote}", listener.local_addr()?);
            listeners.push((listener, remote));
        }
        let shutdown = shutdown::on_signal()?;
        let api: Api<Pod> = Api::namespaced(cluster.client.clone(), &cluster.namespace);
        let mut forwards = JoinSet::new();
        for (listener, remote) in listeners {
            forwards.spawn(accept(listener, api.clone(), pod.clone(), remote));
        }
        tokio::select! {
            () = shutdown.cancelled() => Ok(ExitCode::SUCCESS),
            Some(ended) = forwards.join_next() => ended?.map(|()| ExitCode::SUCCESS),
        }
    }

    async fn service(&self, cluster: &Cluster) -> anyhow::Result<Option<Value>> {
        if !self.what.contains('/') {
            return Ok(None);
        }
        let (resource, name) = cluster.target(std::slice::from_ref(&self.what))?;
        if resource.plural != "services" {
            return Ok(None);
        }
        let path = cluster.path(&resource, Some(&cluster.namespace), Some(&name));
        cluster.get(&path).await.map(Some)
    }
}

fn parse(ports: &str) -> anyhow::Result<(u16, u16)> {
    let number = |text: &str| {
        let parsed = text.parse::<u16>().ok().filter(|port| *port > 0);
        parsed.with_context(|| format!("{ports:?} is not a port, nor LOCAL:REMOTE"))
    };
    match ports.split_once(':') {
        None => Ok((number(ports)?, number(ports)?)),
        Some(("", remote)) => Ok((0, number(remote)?)),
        Some((local, remote)) => Ok((number(local)?, number(remote)?)),
    }
}

/// The pod's port behind a Service's.
async fn target_port(
    cluster: &Cluster,
    service: &Value,
    pod: &str,
    port: u16,
) -> anyhow::Result<u16> {
    let ports = service["spec"]["ports"].as_array().into_iter().flatten();
    let Some(found) = ports.into_iter().find(|p| p["port"] == port) else {
        bail!(
            "Service {} does not have a service port {port}",
            text(service, "/metadata/name")
        );
    };
    let target = &found["targetPort"];
    if let Some(number) = target.as_u64() {
        return Ok(u16::try_from(number)?);
    }
    let pods = cluster.resource("pods")?;
    let object = cluster
        .get(&cluster.path(&pods, Some(&cluster.namespace), Some(pod)))
        .await?;
    let containers = object["spec"]["containers"]
        .as_array()
        .cloned()
        .unwrap_or_default();
    let declared = containers
        .iter()
        .flat_map(|c| c["ports"].as_array().into_iter().flatten());
    let number = declared
        .into_iter()
        .find(|p| &p["name"] == target)
        .and_then(|p| p["containerPort"].as_u64());
    ensure!(number.is_some(), "pod {pod} has no port named {target}");
    Ok(u16::try_from(number.unwrap_or(0))?)
}

async fn accept(
    listener: TcpListener,
    api: Api<Pod>,
    pod: String,
    remote: u16,
) -> anyhow::Result<()> {
    loop {
        let (stream, _) = listener.accept().await?;
        println!("Handling connection for {}", listener.local_addr()?.port());
        let (api, pod) = (api.clone(), pod.clone());
        tokio::spawn(async move {
            if let Err(error) = forward(stream, &api, &pod, remote).await {
                eprintln!("error forwarding to port {remote} of pod {pod}: {error:#}");
            }
        });
    }
}

async fn forward(
    mut local: TcpStream,
    api: &Api<Pod>,
    pod: &str,
    remote: u16,
) -> anyhow::Result<()> {
    let mut forwarder = api
        .portforward(pod, &[remote])
        .await
        .map_err(crate::cluster::refused)?;
    let mut stream = forwarder
        .take_stream(remote)
        .context("the server opened no stream")?;
    // Either side may break off; that is no error of the forwarding.
    let _ = tokio::io::copy_bidirectional(&mut local, &mut stream).await;
    drop(stream);
    forwarder
        .join()
        .await
        .context("the forwarded connection broke")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ports_are_one_two_or_a_free_one_here() {
        assert_eq!(parse("80").unwrap(), (80, 80));
        assert_eq!(parse("8080:80").unwrap(), (8080, 80));
        assert_eq!(parse(":80").unwrap(), (0, 80));
        assert!(parse("x:80").is_err() && parse("0").is_err());
    }
}
