//! HTTP/1.1 over TLS, as cheap as can be: the machine is the server's.

use std::net::SocketAddr;
use std::sync::Arc;

use anyhow::{Context, bail};
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, ServerName};
use rustls::{ClientConfig, RootCertStore};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio_rustls::TlsConnector;
use tokio_rustls::client::TlsStream;

use crate::chunks::Chunks;

/// Most bytes that are taken from a connection at once.
const READ: usize = 64 * 1024;

/// Where the server is, and how it is spoken to.
#[derive(Clone)]
pub struct Target {
    pub address: SocketAddr,
    pub token: Arc<str>,
    pub tls: TlsConnector,
}

impl Target {
    pub fn new(address: SocketAddr, token: &str, ca_pem: &[u8]) -> anyhow::Result<Self> {
        let mut roots = RootCertStore::empty();
        for certificate in CertificateDer::pem_slice_iter(ca_pem) {
            roots.add(certificate.context("read the cluster's certificate authority")?)?;
        }
        let provider = Arc::new(rustls::crypto::ring::default_provider());
        let config = ClientConfig::builder_with_provider(provider)
            .with_safe_default_protocol_versions()?
            .with_root_certificates(roots)
            .with_no_client_auth();
        Ok(Self {
            address,
            token: token.into(),
            tls: TlsConnector::from(Arc::new(config)),
        })
    }

    pub async fn connect(&self) -> anyhow::Result<Connection> {
        let stream = TcpStream::connect(self.address).await;
        let stream = stream.with_context(|| format!("connect to {}", self.address))?;
        stream.set_nodelay(true)?;
        let name = ServerName::from(self.address.ip());
        let stream = self
            .tls
            .connect(name, stream)
            .await
            .context("TLS handshake")?;
        Ok(Connection {
            stream,
            read: Vec::with_capacity(READ),
        })
    }

    /// The bytes of a request.
    pub fn request(&self, method: &str, path: &str, body: &str) -> Vec<u8> {
        let (address, token, length) = (self.address, &self.token, body.len());
        format!(
            "{method} {path} HTTP/1.1\r\nHost: {address}\r\nAuthorization: Bearer {token}\r\nAccept: application/json\r\n\
             Content-Type: application/json\r\nContent-Length: {length}\r\n\r\n{body}"
        )
        .into_bytes()
    }
}

/// A connection that is kept alive; one request at a time.
pub struct Connection {
    stream: TlsStream<TcpStream>,
    /// What came and was not looked at yet.
    read: Vec<u8>,
}

/// The head of an answer.
struct Head {
    status: u16,
    length: Option<usize>,
    bytes: usize,
}

impl Connection {
    /// Sends a request and takes the whole answer; its status and body size.
    pub async fn ask(&mut self, request: &[u8]) -> anyhow::Result<(u16, usize)> {
        self.stream.write_all(request).await?;
        let head = self.head().await?;
        let Some(length) = head.length else {
            let mut size = 0;
            self.chunks(head.bytes, |data| size += data.len()).await?;
            return Ok((head.status, size));
        };
        let whole = head.bytes + length;
        while self.read.len() < whole {
            self.fill().await?;
        }
        self.read.drain(..whole);
        Ok((head.status, length))
    }

    /// Sends a request and takes the whole answer; its status and body.
    pub async fn answer(&mut self, request: &[u8]) -> anyhow::Result<(u16, Vec<u8>)> {
        self.stream.write_all(request).await?;
        let head = self.head().await?;
        let Some(length) = head.length else {
            let mut body = Vec::new();
            self.chunks(head.bytes, |data| body.extend_from_slice(data))
                .await?;
            return Ok((head.status, body));
        };
        let whole = head.bytes + length;
        while self.read.len() < whole {
            self.fill().await?;
        }
        let answer: Vec<u8> = self.read.drain(..whole).collect();
        Ok((head.status, answer[head.bytes..].to_vec()))
    }

    /// Sends a request and hands over the content of its answer as it comes,
    /// until the answer ends.
    pub async fn stream(
        &mut self,
        request: &[u8],
        begun: impl FnOnce(),
        data: impl FnMut(&[u8]),
    ) -> anyhow::Result<()> {
        self.stream.write_all(request).await?;
        let head = self.head().await?;
        if head.status != 200 {
            bail!("the server answered {}", head.status);
        }
        begun();
        self.chunks(head.bytes, data).await
    }

    async fn chunks(&mut self, skip: usize, mut data: impl FnMut(&[u8])) -> anyhow::Result<()> {
        let mut chunks = Chunks::default();
        chunks.feed(&self.read[skip..], &mut data)?;
        self.read.clear();
        while !chunks.is_done() {
            self.fill().await?;
            chunks.feed(&self.read, &mut data)?;
            self.read.clear();
        }
        Ok(())
    }

    async fn head(&mut self) -> anyhow::Result<Head> {
        loop {
            if let Some(end) = memchr::memmem::find(&self.read, b"\r\n\r\n") {
                return parse(&self.read[..end])
                    .with_context(|| String::from_utf8_lossy(&self.read[..end]).into_owned());
            }
            self.fill().await?;
        }
    }

    async fn fill(&mut self) -> anyhow::Result<()> {
        self.read.reserve(READ);
        if self.stream.read_buf(&mut self.read).await? == 0 {
            bail!("the server closed the connection");
        }
        Ok(())
    }
}

fn parse(head: &[u8]) -> anyhow::Result<Head> {
    let text = std::str::from_utf8(head)?;
    let mut lines = text.split("\r\n");
    let status = lines.next().and_then(|line| line.split(' ').nth(1));
    let status = status.context("no status line")?.parse()?;
    let length = lines.find_map(|line| {
        let (name, value) = line.split_once(':')?;
        name.eq_ignore_ascii_case("content-length")
            .then(|| value.trim().parse())
    });
    Ok(Head {
        status,
        length: length.transpose()?,
        bytes: head.len() + 4,
    })
}
