use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};
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
use crate::{print, shutdown};

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

    /// Addresses to listen on [default: this machine's own, 127.0.0.1 and ::1]
    #[arg(long, value_delimiter = ',', value_name = "IP")]
    address: Vec<IpAddr>,
}

impl PortForward {
    pub async fn run(self) -> anyhow::Result<ExitCode> {
        let cluster = Cluster::connect(&self.client).await?;
        let object = cluster.pod_of(&self.what).await?;
        let pod = text(&object, "/metadata/name").to_owned();
        let phase = text(&object, "/status/phase");
        ensure!(
            phase == "Running",
            "unable to forward port because pod is not running. Current status={phase}"
        );
        let service = self.service(&cluster).await?;
        let mut listeners = Vec::new();
        for ports in &self.ports {
            let (local, port) = parse(ports, &object)?;
            let remote = match &service {
                Some(service) => target_port(service, &object, port)?,
                None => port,
            };
            for listener in self.listen(local).await? {
                let at = listener.local_addr()?;
                print::out(&format!("Forwarding from {at} -> {remote}\n"));
                listeners.push((listener, remote));
            }
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

    /// By default on both of this machine's own addresses, where it has both.
    async fn listen(&self, port: u16) -> anyhow::Result<Vec<TcpListener>> {
        if !self.address.is_empty() {
            let mut listeners = Vec::new();
            for address in &self.address {
                let bound = TcpListener::bind((*address, port)).await;
                listeners.push(bound.with_context(|| in_use(*address, port))?);
            }
            return Ok(listeners);
        }
        let (v4, v6) = (
            IpAddr::from(Ipv4Addr::LOCALHOST),
            IpAddr::from(Ipv6Addr::LOCALHOST),
        );
        let first = TcpListener::bind((v4, port))
            .await
            .with_context(|| in_use(v4, port))?;
        // A free port that was found for one is taken for the other, too.
        let port = first.local_addr()?.port();
        let second = TcpListener::bind((v6, port)).await;
        Ok(std::iter::once(first).chain(second).collect())
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

fn in_use(address: IpAddr, port: u16) -> String {
    format!(
        "unable to listen on {address}:{port}; another program may listen there: give another LOCAL port"
    )
}

/// The port here, and the Service's or the pod's, which may be given by name.
fn parse(ports: &str, pod: &Value) -> anyhow::Result<(u16, u16)> {
    let number = |text: &str| {
        if text.starts_with(|c: char| c.is_ascii_alphabetic()) {
            return named_port(pod, text);
        }
        let parsed = text.parse::<u16>().ok().filter(|port| *port > 0);
        parsed.with_context(|| format!("{ports:?} is not a port, nor LOCAL:REMOTE"))
    };
    match ports.split_once(':') {
        None => Ok((number(ports)?, number(ports)?)),
        Some(("", remote)) => Ok((0, number(remote)?)),
        Some((local, remote)) => {
            let here = local.parse().ok();
            let here = here.with_context(|| format!("{local:?} is not a port of this machine"))?;
            Ok((here, number(remote)?))
        }
    }
}

/// The pod's port behind a Service's.
fn target_port(service: &Value, pod: &Value, port: u16) -> anyhow::Result<u16> {
    let mut ports = service["spec"]["ports"].as_array().into_iter().flatten();
    let Some(found) = ports.find(|p| p["port"] == port) else {
        bail!(
            "Service {} does not have a service port {port}",
            text(service, "/metadata/name")
        );
    };
    match (&found["targetPort"], found["targetPort"].as_u64()) {
        (_, Some(number)) => Ok(u16::try_from(number)?),
        (Value::String(name), None) => named_port(pod, name),
        _ => Ok(port),
    }
}

fn named_port(pod: &Value, name: &str) -> anyhow::Result<u16> {
    let containers = pod["spec"]["containers"].as_array().into_iter().flatten();
    let mut declared = containers.flat_map(|c| c["ports"].as_array().into_iter().flatten());
    let found = declared.find(|p| p["name"] == name);
    let number = found.and_then(|p| u16::try_from(p["containerPort"].as_u64()?).ok());
    let pod = text(pod, "/metadata/name");
    number.with_context(|| format!("Pod '{pod}' does not have a named port '{name}'"))
}

async fn accept(
    listener: TcpListener,
    api: Api<Pod>,
    pod: String,
    remote: u16,
) -> anyhow::Result<()> {
    loop {
        let (stream, _) = listener.accept().await?;
        print::out(&format!(
            "Handling connection for {}\n",
            listener.local_addr()?.port()
        ));
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
    let failed = forwarder.take_error(remote);
    // Either side may break off; that is no error of the forwarding.
    let _ = tokio::io::copy_bidirectional(&mut local, &mut stream).await;
    drop(stream);
    forwarder.abort();
    // What the node says of the pod's port, such as that nobody listens there.
    let said = match failed {
        Some(failed) => failed.await,
        None => None,
    };
    said.map_or(Ok(()), |said| bail!(said))
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn ports_are_one_two_or_a_free_one_here() {
        let pod = json!({ "spec": { "containers": [{ "ports": [{ "name": "web", "containerPort": 8000 }] }] } });
        let parse = |ports| parse(ports, &pod);
        assert_eq!(parse("80").unwrap(), (80, 80));
        assert_eq!(parse("8080:80").unwrap(), (8080, 80));
        assert_eq!(parse(":80").unwrap(), (0, 80));
        assert_eq!(parse("80:web").unwrap(), (80, 8000));
        assert!(parse("x:80").is_err() && parse("0").is_err() && parse("80:nosuch").is_err());
    }

    #[test]
    fn service_port_leads_to_the_pods_by_number_or_name() {
        let pod = json!({ "spec": { "containers": [{ "ports": [{ "name": "web", "containerPort": 8000 }] }] } });
        let service = json!({ "spec": { "ports": [{ "port": 80, "targetPort": "web" }, { "port": 81, "targetPort": 9 }] } });
        assert_eq!(target_port(&service, &pod, 80).unwrap(), 8000);
        assert_eq!(target_port(&service, &pod, 81).unwrap(), 9);
        assert!(target_port(&service, &pod, 99).is_err());
    }
}
