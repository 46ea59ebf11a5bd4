//! Connections to Services by their name, and to hosts by theirs.

use std::io;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::Duration;

use http::Uri;
use hyper_util::rt::TokioIo;
use store::Store;
use tokio::net::TcpStream;

use super::resolve::{self, Service};

const CONNECT_LIMIT: Duration = Duration::from_secs(5);
/// Addresses of one Service that are tried before giving up.
const TRIES: usize = 3;

#[derive(Debug, thiserror::Error)]
pub enum Error {
    #[error("service {name:?} not found")]
    NoService { name: String },
    #[error("no service port {port} found for service {name:?}")]
    NoPort { name: String, port: u16 },
    #[error("no endpoints available for service {name:?}")]
    NoEndpoints { name: String },
    #[error("read the service from the store")]
    Store { source: store::Error },
    #[error("dial tcp {address}: {}", words(source))]
    Connect { address: String, source: io::Error },
    #[error("dial tcp {address}: i/o timeout")]
    Slow { address: String },
}

fn words(error: &io::Error) -> String {
    match error.kind() {
        io::ErrorKind::ConnectionRefused => "connect: connection refused".into(),
        io::ErrorKind::HostUnreachable => "connect: no route to host".into(),
        io::ErrorKind::NetworkUnreachable => "connect: network is unreachable".into(),
        io::ErrorKind::TimedOut => "i/o timeout".into(),
        _ => error.to_string(),
    }
}

/// Opens the TCP connection for a URL.
#[derive(Clone)]
pub enum Dialer {
    /// `<service>.<namespace>.svc` is looked up in the cluster.
    Cluster(Arc<dyn Store>),
    /// Names are the machine's resolver's.
    Host,
}

impl Dialer {
    async fn dial(self, uri: Uri) -> Result<TokioIo<TcpStream>, Error> {
        let host = uri.host().unwrap_or("").trim_matches(['[', ']']).to_owned();
        let port = uri.port_u16().unwrap_or(443);
        let candidates = match self {
            Self::Cluster(store) => match Service::of_host(&host, port) {
                Some(service) => shuffled(resolve::addresses(&store, &service).await?),
                None => return Err(Error::NoService { name: host }),
            },
            Self::Host => vec![(host, port)],
        };
        let mut last = None;
        for (host, port) in candidates.iter().take(TRIES) {
            match connect(host, *port).await {
                Ok(stream) => return Ok(stream),
                Err(error) => last = Some(error),
            }
        }
        Err(last.expect("a Service that resolves has an address"))
    }
}

fn shuffled(mut addresses: Vec<(String, u16)>) -> Vec<(String, u16)> {
    let at = rand::random_range(0..addresses.len());
    addresses.rotate_left(at);
    addresses
}

async fn connect(host: &str, port: u16) -> Result<TokioIo<TcpStream>, Error> {
    let address = if host.contains(':') {
        format!("[{host}]:{port}")
    } else {
        format!("{host}:{port}")
    };
    let dialled = tokio::time::timeout(CONNECT_LIMIT, TcpStream::connect((host, port))).await;
    match dialled {
        Err(_) => Err(Error::Slow { address }),
        Ok(Err(source)) => Err(Error::Connect { address, source }),
        Ok(Ok(stream)) => {
            if let Err(error) = stream.set_nodelay(true) {
                tracing::debug!(%error, "set TCP_NODELAY");
            }
            Ok(TokioIo::new(stream))
        }
    }
}

impl tower::Service<Uri> for Dialer {
    type Response = TokioIo<TcpStream>;
    type Error = Error;
    type Future = Pin<Box<dyn Future<Output = Result<TokioIo<TcpStream>, Error>> + Send>>;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), Error>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, uri: Uri) -> Self::Future {
        Box::pin(self.clone().dial(uri))
    }
}
