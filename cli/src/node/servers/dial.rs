//! A connection to one of the servers: TCP, TLS, and the next server if one of
//! the two fails.

use std::io;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::Duration;

use anyhow::Context as _;
use http::Uri;
use hyper_rustls::MaybeHttpsStream;
use hyper_util::rt::TokioIo;
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, ServerName};
use rustls::{ClientConfig, RootCertStore};
use socket2::{SockRef, TcpKeepalive};
use tokio::net::TcpStream;
use tokio_rustls::TlsConnector;

use super::Servers;

/// What API servers' certificates are for, whatever their address.
pub const NAME: &str = "kubernetes.default.svc";
/// For TCP and TLS of one server.
const CONNECT_LIMIT: Duration = Duration::from_secs(5);
const KEEPALIVE: Duration = Duration::from_secs(10);

pub type Stream = MaybeHttpsStream<TokioIo<TcpStream>>;

/// Connects to servers as somebody, for one protocol.
#[derive(Clone)]
pub struct Dialer {
    servers: Arc<Servers>,
    tls: TlsConnector,
}

impl Dialer {
    /// Trusts `ca_pem` alone, shows `identity` if there is one, speaks `protocol`.
    pub fn new(
        servers: Arc<Servers>,
        ca_pem: &str,
        identity: Option<Arc<pki::Identity>>,
        protocol: &[u8],
    ) -> anyhow::Result<Self> {
        let mut roots = RootCertStore::empty();
        let ca = CertificateDer::from_pem_slice(ca_pem.as_bytes());
        roots.add(ca.context("the cluster's CA is not a PEM certificate")?)?;
        let builder = ClientConfig::builder_with_provider(pki::tls::provider())
            .with_safe_default_protocol_versions()?
            .with_root_certificates(roots);
        let mut config = match identity {
            Some(identity) => builder.with_client_cert_resolver(identity),
            None => builder.with_no_client_auth(),
        };
        config.alpn_protocols = vec![protocol.to_vec()];
        // A resumed session would be that of the certificate of then.
        config.resumption = rustls::client::Resumption::disabled();
        Ok(Self {
            servers,
            tls: TlsConnector::from(Arc::new(config)),
        })
    }

    /// To this one and no other.
    pub async fn to(&self, address: &str) -> io::Result<Stream> {
        let connected = tokio::time::timeout(CONNECT_LIMIT, self.connect(address)).await;
        connected.unwrap_or_else(|_| Err(io::ErrorKind::TimedOut.into()))
    }

    /// To the next that answers.
    async fn to_any(&self) -> io::Result<Stream> {
        let mut failures = Vec::new();
        for address in self.servers.in_turn() {
            match self.to(&address).await {
                Ok(stream) => return Ok(stream),
                Err(error) => {
                    tracing::debug!(address, %error, "a server does not answer");
                    self.servers.note_failure(&address);
                    failures.push(format!("{address}: {error}"));
                }
            }
        }
        let failures = failures.join("; ");
        Err(io::Error::other(format!("no server answers: {failures}")))
    }

    async fn connect(&self, address: &str) -> io::Result<Stream> {
        let stream = TcpStream::connect(address).await?;
        prepare(&stream);
        let name = ServerName::try_from(NAME).expect("the constant is a name");
        let stream = TokioIo::new(TokioIo::new(stream));
        Ok(self.tls.connect(name, stream).await?.into())
    }
}

/// A server that vanished is noticed; an error here only costs time.
fn prepare(stream: &TcpStream) {
    let _ = stream.set_nodelay(true);
    let keepalive = TcpKeepalive::new()
        .with_time(KEEPALIVE)
        .with_interval(KEEPALIVE / 2)
        .with_retries(3);
    let socket = SockRef::from(stream);
    let _ = socket.set_tcp_keepalive(&keepalive);
    let _ = socket.set_tcp_user_timeout(Some(2 * KEEPALIVE));
}

/// What the HTTP client asks for connections; all go to "the cluster".
impl tower::Service<Uri> for Dialer {
    type Response = Stream;
    type Error = io::Error;
    type Future = Pin<Box<dyn Future<Output = io::Result<Stream>> + Send>>;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, _: Uri) -> Self::Future {
        let dialer = self.clone();
        Box::pin(async move { dialer.to_any().await })
    }
}
