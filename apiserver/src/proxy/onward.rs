//! One request to another HTTP server, and the bytes both ways if it upgrades.

use std::sync::Arc;
use std::time::Duration;

use apimachinery::Status;
use futures::future::BoxFuture;
use http::header::{self, HeaderName};
use http::{Request, Response, Uri};
use hyper::client::conn::http1;
use hyper_util::rt::TokioIo;
use percent_encoding::{AsciiSet, CONTROLS, utf8_percent_encode};
use rustls::pki_types::ServerName;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::TcpStream;
use tokio_rustls::TlsConnector;

use super::relay;
use super::tunnels::Tunnels;
use crate::body::{Body, BoxError, RequestBody};

const CONNECT_LIMIT: Duration = Duration::from_secs(10);

/// Where a request goes.
#[derive(Debug, Clone)]
pub struct Destination {
    pub host: String,
    pub port: u16,
    pub tls: bool,
    /// A kubelet is shown the API server's certificate, and must show one of the cluster.
    pub is_kubelet: bool,
    /// The node that it is on: its tunnel leads there, if it has one.
    pub node: Option<String>,
}

impl Destination {
    pub fn by_way_of(mut self, node: &str) -> Self {
        self.node = (!node.is_empty()).then(|| node.to_owned());
        self
    }

    /// As in a URL.
    pub fn authority(&self) -> String {
        if self.host.contains(':') {
            format!("[{}]:{}", self.host, self.port)
        } else {
            format!("{}:{}", self.host, self.port)
        }
    }
}

/// How kubelets are reached: with the API server's client certificate.
#[derive(Clone, Default)]
pub struct Kubelets {
    tls: Option<Arc<rustls::ClientConfig>>,
    /// Where this API server listens itself.
    own_port: u16,
    pub tunnels: Arc<Tunnels>,
}

pub trait Stream: AsyncRead + AsyncWrite + Send + Unpin {}
impl<T: AsyncRead + AsyncWrite + Send + Unpin> Stream for T {}

impl Kubelets {
    pub fn new(tls: Option<Arc<rustls::ClientConfig>>, own_port: u16) -> Self {
        let tunnels = Arc::default();
        Self {
            tls,
            own_port,
            tunnels,
        }
    }

    /// Sends the request on with another path, and answers what comes back.
    pub async fn send(
        &self,
        to: &Destination,
        path: &str,
        request: Request<RequestBody>,
    ) -> Result<Response<Body>, Status> {
        let dial = tokio::time::timeout(CONNECT_LIMIT, self.dial(to)).await;
        let stream = dial
            .unwrap_or_else(|_| Err("the connection timed out".into()))
            .map_err(|error| unreachable_status(to, &*error))?;
        let (onward, client) = rewrite(to, path, request)?;
        let sent = exchange(stream, onward).await;
        let (sender, response) = sent.map_err(|error| unreachable_status(to, &error))?;
        // The sender lives as long as the body: dropping it would end the connection.
        Ok(relay::answer(client, response, sender))
    }

    /// By the node's tunnel, or else over the network.
    async fn reach(&self, to: &Destination) -> std::io::Result<Box<dyn Stream>> {
        if let Some(stream) = self.tunnels.connect(to).await {
            return Ok(stream);
        }
        let stream = TcpStream::connect((to.host.as_str(), to.port)).await?;
        if self.is_this_server(&stream)? {
            return Err(std::io::Error::other("this is the API server itself"));
        }
        stream.set_nodelay(true)?;
        Ok(Box::new(stream))
    }

    /// A node whose address is the API server's would have requests come back as
    /// from the kubelets' client. Looked at once connected: a name may stand for
    /// another address by then, and a connection within a machine has one address
    /// at both ends, unless it is one of loopback.
    fn is_this_server(&self, stream: &TcpStream) -> std::io::Result<bool> {
        let (there, here) = (stream.peer_addr()?, stream.local_addr()?);
        let is_here = there.ip() == here.ip() || there.ip().to_canonical().is_loopback();
        Ok(there.port() == self.own_port && is_here)
    }

    async fn dial(&self, to: &Destination) -> Result<Box<dyn Stream>, BoxError> {
        let stream = self.reach(to).await?;
        if !to.tls {
            return Ok(stream);
        }
        let config = match (&self.tls, to.is_kubelet) {
            (Some(config), true) => config.clone(),
            (None, true) => {
                return Err("the API server was given no certificate for kubelets".into());
            }
            (_, false) => return Err("proxying to https in a pod is not supported".into()),
        };
        let name = ServerName::try_from(to.host.clone())?;
        Ok(Box::new(
            TlsConnector::from(config).connect(name, stream).await?,
        ))
    }
}

type Exchanged = (
    http1::SendRequest<RequestBody>,
    Response<hyper::body::Incoming>,
);

/// Boxed, since the compiler cannot see through hyper's error bounds otherwise.
fn exchange(
    stream: Box<dyn Stream>,
    request: Request<RequestBody>,
) -> BoxFuture<'static, Result<Exchanged, hyper::Error>> {
    Box::pin(async move {
        let (mut sender, connection) = http1::Builder::new()
            .handshake::<_, RequestBody>(TokioIo::new(stream))
            .await?;
        tokio::spawn(async move {
            if let Err(error) = connection.with_upgrades().await {
                tracing::debug!(%error, "a proxied connection ended");
            }
        });
        let response = sender.send_request(request).await?;
        Ok((sender, response))
    })
}

fn unreachable_status(to: &Destination, error: &dyn std::error::Error) -> Status {
    let mut text = error.to_string();
    if let Some(source) = error.source() {
        text = format!("{text}: {source}");
    }
    let scheme = if to.tls { "https" } else { "http" };
    Status::service_unavailable(format!(
        "error trying to reach {scheme}://{}:{}: {text}",
        to.host, to.port
    ))
}

/// The request for the other server, and the promise of the client's upgrade.
fn rewrite(
    to: &Destination,
    path: &str,
    mut request: Request<RequestBody>,
) -> Result<(Request<RequestBody>, hyper::upgrade::OnUpgrade), Status> {
    let client = hyper::upgrade::on(&mut request);
    let (mut parts, body) = request.into_parts();
    let query = parts
        .uri
        .query()
        .map_or_else(String::new, |q| format!("?{q}"));
    let uri: Result<Uri, _> = format!("{}{query}", utf8_percent_encode(path, NOT_IN_PATH)).parse();
    parts.uri =
        uri.map_err(|error| Status::bad_request(format!("the proxied path is no path: {error}")))?;
    parts.version = http::Version::HTTP_11;
    relay::strip_request(&mut parts.headers);
    // The client's credentials are for this server, not for the next.
    let own: Vec<HeaderName> = parts
        .headers
        .keys()
        .filter(|name| **name == header::AUTHORIZATION || name.as_str().starts_with("impersonate-"))
        .cloned()
        .collect();
    for name in own {
        parts.headers.remove(name);
    }
    let host = to
        .authority()
        .parse()
        .map_err(|_| Status::internal("the address is no header value"))?;
    parts.headers.insert(header::HOST, host);
    let mut onward = Request::from_parts(parts, body);
    onward.extensions_mut().clear();
    Ok((onward, client))
}

/// What a path may not hold as it is.
const NOT_IN_PATH: &AsciiSet = &CONTROLS
    .add(b' ')
    .add(b'?')
    .add(b'#')
    .add(b'"')
    .add(b'<')
    .add(b'>')
    .add(b'\\')
    .add(b'^')
    .add(b'`')
    .add(b'{')
    .add(b'|')
    .add(b'}');
