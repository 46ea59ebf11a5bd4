//! The tunnels that an agent opens to every server, so that the API server
//! reaches the kubelet and the pods of a machine that nobody can dial.
//!
//! The connection is an ordinary one to the API server, as the node, upgraded at
//! `/skiff/v1/tunnel`; then the server is the HTTP/2 client, and each of its
//! CONNECTs becomes one connection here: to the kubelet, or to a pod, and to
//! nothing else of this machine or its network.

use std::collections::HashMap;
use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::sync::Arc;
use std::time::Duration;

use anyhow::{Context, ensure};
use bytes::Bytes;
use http::{Method, Request, Response, StatusCode, header};
use http_body_util::Empty;
use hyper::body::Incoming;
use hyper::service::service_fn;
use hyper_util::rt::{TokioExecutor, TokioIo, TokioTimer};
use ipnet::Ipv4Net;
use tokio::net::TcpStream;
use tokio::task::{AbortHandle, JoinSet};
use tokio_util::sync::CancellationToken;

use super::servers::{Address, Dialer, NAME, Servers};

const PATH: &str = "/skiff/v1/tunnel";
const PROTOCOL: &str = "skiff-tunnel";
const FIRST_PAUSE: Duration = Duration::from_secs(1);
const LONGEST_PAUSE: Duration = Duration::from_secs(30);
const OPEN_LIMIT: Duration = Duration::from_secs(10);
const CONNECT_LIMIT: Duration = Duration::from_secs(4);
/// A server that is silent for the first is asked, and is gone after the second.
const SILENCE_LIMIT: Duration = Duration::from_secs(20);
const ANSWER_LIMIT: Duration = Duration::from_secs(10);
const STREAMS_MAX: u32 = 1000;
const WINDOW: u32 = 1 << 20;
const TUNNEL_WINDOW: u32 = 8 << 20;

/// Where a tunnel leads.
#[derive(Clone, Copy)]
pub struct Places {
    pub node_ip: Ipv4Addr,
    pub kubelet_port: u16,
    pub pods: Ipv4Net,
}

impl Places {
    /// What is dialled for an address that the server asks for; None for what is
    /// not the server's to reach.
    fn find(&self, asked: SocketAddr) -> Option<SocketAddr> {
        let IpAddr::V4(ip) = asked.ip() else {
            return None;
        };
        if ip == self.node_ip && asked.port() == self.kubelet_port {
            return Some((Ipv4Addr::LOCALHOST, self.kubelet_port).into());
        }
        self.pods.contains(&ip).then_some(asked)
    }
}

/// Keeps a tunnel to every server until `shutdown`. `dialer` speaks HTTP/1.1 as
/// the node.
pub async fn keep(
    servers: Arc<Servers>,
    dialer: Dialer,
    places: Places,
    shutdown: CancellationToken,
) {
    let mut changes = servers.changes();
    let mut tasks = JoinSet::new();
    let mut open: HashMap<Address, AbortHandle> = HashMap::new();
    loop {
        let wanted = servers.all();
        open.retain(|address, task| {
            let stays = wanted.contains(address);
            if !stays {
                task.abort();
            }
            stays
        });
        for address in wanted {
            open.entry(address.clone())
                .or_insert_with(|| tasks.spawn(keep_one(dialer.clone(), address, places)));
        }
        while tasks.try_join_next().is_some() {}
        let changed = shutdown.run_until_cancelled(changes.changed()).await;
        if !matches!(changed, Some(Ok(()))) {
            return;
        }
    }
}

async fn keep_one(dialer: Dialer, address: Address, places: Places) {
    let mut pause = FIRST_PAUSE;
    loop {
        let opened = tokio::time::timeout(OPEN_LIMIT, open(&dialer, &address)).await;
        match opened.map_err(anyhow::Error::from).and_then(|o| o) {
            Ok(upgraded) => {
                tracing::debug!(address, "the tunnel to a server is open");
                pause = FIRST_PAUSE;
                if let Err(error) = serve(upgraded, places).await {
                    tracing::debug!(address, %error, "the tunnel to a server ended");
                }
            }
            Err(error) => tracing::debug!(address, "open a tunnel to a server: {error:#}"),
        }
        tokio::time::sleep(pause.mul_f32(0.75 + rand::random::<f32>() / 2.0)).await;
        pause = (pause * 2).min(LONGEST_PAUSE);
    }
}

async fn open(dialer: &Dialer, address: &str) -> anyhow::Result<hyper::upgrade::Upgraded> {
    let stream = dialer.to(address).await?;
    let (mut sender, connection) = hyper::client::conn::http1::handshake(stream).await?;
    tokio::spawn(connection.with_upgrades());
    let request = Request::get(PATH)
        .header(header::HOST, NAME)
        .header(header::CONNECTION, "Upgrade")
        .header(header::UPGRADE, PROTOCOL)
        .body(Empty::<Bytes>::new())?;
    let response = sender.send_request(request).await?;
    ensure!(
        response.status() == StatusCode::SWITCHING_PROTOCOLS,
        "the server answers {}",
        response.status()
    );
    let upgraded = hyper::upgrade::on(response).await;
    upgraded.context("upgrade the connection")
}

async fn serve(upgraded: hyper::upgrade::Upgraded, places: Places) -> Result<(), hyper::Error> {
    let service = service_fn(move |request| async move {
        Ok::<_, std::convert::Infallible>(answer(places, request).await)
    });
    hyper::server::conn::http2::Builder::new(TokioExecutor::new())
        .timer(TokioTimer::new())
        .keep_alive_interval(SILENCE_LIMIT)
        .keep_alive_timeout(ANSWER_LIMIT)
        .max_concurrent_streams(STREAMS_MAX)
        .initial_stream_window_size(WINDOW)
        .initial_connection_window_size(TUNNEL_WINDOW)
        .serve_connection(upgraded, service)
        .await
}

/// Connects, and copies bytes both ways for as long as both sides want.
async fn answer(places: Places, request: Request<Incoming>) -> Response<Empty<Bytes>> {
    let refuse = |code| {
        let mut response = Response::new(Empty::new());
        *response.status_mut() = code;
        response
    };
    if request.method() != Method::CONNECT {
        return refuse(StatusCode::METHOD_NOT_ALLOWED);
    }
    let asked = request.uri().authority().map(|a| a.as_str().parse());
    let Some(Ok(asked)) = asked else {
        return refuse(StatusCode::BAD_REQUEST);
    };
    let Some(place) = places.find(asked) else {
        return refuse(StatusCode::FORBIDDEN);
    };
    let connected = tokio::time::timeout(CONNECT_LIMIT, TcpStream::connect(place)).await;
    let Ok(Ok(mut stream)) = connected else {
        return refuse(StatusCode::BAD_GATEWAY);
    };
    let _ = stream.set_nodelay(true);
    tokio::spawn(async move {
        let Ok(upgraded) = hyper::upgrade::on(request).await else {
            return;
        };
        let mut tunnel = TokioIo::new(upgraded);
        if let Err(error) = tokio::io::copy_bidirectional(&mut tunnel, &mut stream).await {
            tracing::debug!(%place, %error, "a connection of the tunnel ended");
        }
    });
    Response::new(Empty::new())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_tunnel_leads_to_the_kubelet_and_to_pods_and_nowhere_else() {
        let places = Places {
            node_ip: [192, 0, 2, 1].into(),
            kubelet_port: 10250,
            pods: "10.244.0.0/16".parse().unwrap(),
        };
        let find = |asked: &str| places.find(asked.parse().unwrap()).map(|a| a.to_string());
        assert_eq!(find("192.0.2.1:10250").as_deref(), Some("127.0.0.1:10250"));
        assert_eq!(find("10.244.1.5:80").as_deref(), Some("10.244.1.5:80"));
        for other in [
            "192.0.2.1:22",
            "127.0.0.1:10250",
            "169.254.169.254:80",
            "[::1]:80",
        ] {
            assert_eq!(find(other), None, "{other}");
        }
    }
}
