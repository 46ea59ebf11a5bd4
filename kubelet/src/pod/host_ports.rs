//! `hostPort`: a port of the node that leads to the pod, over TCP.
//!
//! Forwarded in this process, as Services are: no kernel rules, nothing to
//! clean up. UDP is refused with an event rather than ignored.

use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::time::Duration;

use k8s_openapi::api::core::v1::{ContainerPort, PodSpec};
use tokio::net::{TcpListener, TcpStream};

use super::{Owned, Worker};
use crate::pod_events::Level;

const PAUSE: Duration = Duration::from_millis(100);

impl Worker {
    /// Opens the ports of the node that the pod asks for.
    pub(super) fn open_host_ports(&mut self) {
        let (spec, Some(ip)) = (self.spec(), self.ip) else {
            return;
        };
        if spec.host_network.unwrap_or_default() || !self.host_ports.is_empty() {
            return;
        }
        for (port, listen, target) in wanted(&spec, ip) {
            if port.protocol.as_deref().unwrap_or("TCP") != "TCP" {
                self.complain(format!("hostPort {listen}: only TCP is forwarded"));
                continue;
            }
            let (agent, pod) = (self.agent.clone(), self.pod.clone());
            self.host_ports.push(Owned(tokio::spawn(async move {
                if let Err(e) = forward(listen, target).await {
                    let message = format!("hostPort {listen}: {e}");
                    agent
                        .events
                        .pod(&pod, Level::Warning, "FailedHostPort", message);
                }
            })));
        }
    }

    fn complain(&self, message: String) {
        self.agent
            .events
            .pod(&self.pod, Level::Warning, "FailedHostPort", message);
    }
}

/// Every host port of the pod: where to listen, and where it leads.
fn wanted(spec: &PodSpec, ip: IpAddr) -> Vec<(ContainerPort, SocketAddr, SocketAddr)> {
    let sidecars = spec.init_containers.iter().flatten();
    let ports = sidecars
        .chain(&spec.containers)
        .flat_map(|c| c.ports.iter().flatten());
    let parsed = ports.filter_map(|port| {
        let number = u16::try_from(port.host_port?)
            .ok()
            .filter(|number| *number > 0)?;
        let host = port.host_ip.as_deref().and_then(|ip| ip.parse().ok());
        let listen = SocketAddr::new(host.unwrap_or(Ipv4Addr::UNSPECIFIED.into()), number);
        let target = SocketAddr::new(ip, u16::try_from(port.container_port).ok()?);
        Some((port.clone(), listen, target))
    });
    parsed.collect()
}

async fn forward(listen: SocketAddr, target: SocketAddr) -> std::io::Result<()> {
    let listener = TcpListener::bind(listen).await?;
    loop {
        let Ok((mut client, _)) = listener.accept().await else {
            // Out of descriptors, most likely: give others time to close theirs.
            tokio::time::sleep(PAUSE).await;
            continue;
        };
        tokio::spawn(async move {
            // A pod that does not listen, or a side that breaks off, ends the connection.
            if let Ok(mut pod) = TcpStream::connect(target).await {
                let _ = (client.set_nodelay(true), pod.set_nodelay(true));
                let _ = tokio::io::copy_bidirectional(&mut client, &mut pod).await;
            }
        });
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;
    use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};

    #[test]
    fn host_ports_listen_everywhere_unless_told_where() {
        let ports = json!([{"containerPort": 80, "hostPort": 8080}, {"containerPort": 81},
            {"containerPort": 82, "hostPort": 82, "hostIP": "127.0.0.1"}]);
        let spec = json!({"containers": [{"name": "c", "ports": ports}]});
        let spec: PodSpec = serde_json::from_value(spec).unwrap();
        let found = wanted(&spec, [10, 0, 0, 2].into());
        let pairs: Vec<_> = found.iter().map(|(_, l, t)| format!("{l} {t}")).collect();
        assert_eq!(
            pairs,
            ["0.0.0.0:8080 10.0.0.2:80", "127.0.0.1:82 10.0.0.2:82"]
        );
    }

    #[tokio::test]
    async fn what_is_sent_to_the_port_reaches_the_pod_and_back() {
        let pod = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let free = TcpListener::bind("127.0.0.1:0")
            .await
            .unwrap()
            .local_addr()
            .unwrap();
        let forwarding = tokio::spawn(forward(free, pod.local_addr().unwrap()));
        let mut client = loop {
            match TcpStream::connect(free).await {
                Ok(client) => break client,
                Err(_) => tokio::task::yield_now().await,
            }
        };
        client.write_all(b"ping").await.unwrap();
        let (mut served, _) = pod.accept().await.unwrap();
        let mut bytes = [0; 4];
        served.read_exact(&mut bytes).await.unwrap();
        served.write_all(b"pong").await.unwrap();
        client.read_exact(&mut bytes).await.unwrap();
        assert_eq!(&bytes, b"pong");
        forwarding.abort();
    }
}
