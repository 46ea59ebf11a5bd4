//! `httpGet`.

use std::sync::{Arc, LazyLock};
use std::time::Duration;

use bytes::Bytes;
use http_body_util::Empty;
use hyper::client::conn::http1;
use hyper_util::rt::TokioIo;
use k8s_openapi::api::core::v1::HTTPGetAction;
use rustls::ClientConfig;
use rustls::pki_types::ServerName;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::TcpStream;
use tokio::time::timeout;
use tokio_rustls::TlsConnector;

use super::{Answer, connect};

pub async fn get(address: &str, get: &HTTPGetAction, agent: &str, patience: Duration) -> Answer {
    let scheme = get.scheme.as_deref().unwrap_or("HTTP").to_lowercase();
    let path = get.path.as_deref().unwrap_or("/");
    let slash = if path.starts_with('/') { "" } else { "/" };
    let url = format!("{scheme}://{address}{slash}{path}");
    let asking = async {
        let stream = connect(address, patience)
            .await
            .map_err(|e| format!("Get {url:?}: {e}"))?;
        let request = request(address, get, &format!("{slash}{path}"), agent)?;
        let asked = if scheme == "https" {
            ask_tls(stream, address, request).await
        } else {
            ask(stream, request).await
        };
        asked.map_err(|e| format!("Get {url:?}: {e}"))
    };
    match timeout(patience, asking).await {
        Err(_) => Answer::Failure(format!(
            "Get {url:?}: context deadline exceeded (Client.Timeout exceeded while awaiting headers)"
        )),
        Ok(Err(message)) => Answer::Failure(message),
        Ok(Ok(status)) if (200..400).contains(&status) => Answer::Success,
        Ok(Ok(status)) => Answer::Failure(format!("HTTP probe failed with statuscode: {status}")),
    }
}

type Request = http::Request<Empty<Bytes>>;

fn request(address: &str, get: &HTTPGetAction, path: &str, agent: &str) -> Result<Request, String> {
    let mut builder = http::Request::get(path);
    let mut has = (false, false);
    for header in get.http_headers.iter().flatten() {
        has.0 |= header.name.eq_ignore_ascii_case("host");
        has.1 |= header.name.eq_ignore_ascii_case("user-agent");
        builder = builder.header(&header.name, &header.value);
    }
    if !has.0 {
        builder = builder.header("Host", address);
    }
    if !has.1 {
        builder = builder.header("User-Agent", agent);
    }
    let builder = builder
        .header("Accept", "*/*")
        .header("Connection", "close");
    builder.body(Empty::new()).map_err(|e| e.to_string())
}

async fn ask(
    stream: impl AsyncRead + AsyncWrite + Unpin + Send + 'static,
    request: Request,
) -> Result<u16, String> {
    let (mut sender, connection) = http1::handshake(TokioIo::new(stream))
        .await
        .map_err(|e| e.to_string())?;
    let connection = tokio::spawn(connection);
    let answer = sender.send_request(request).await;
    // Only the status counts; the page itself is not read.
    connection.abort();
    answer
        .map(|answer| answer.status().as_u16())
        .map_err(|e| e.to_string())
}

async fn ask_tls(stream: TcpStream, address: &str, request: Request) -> Result<u16, String> {
    let host = address.rsplit_once(':').map_or(address, |(host, _)| host);
    let host = host
        .trim_start_matches('[')
        .trim_end_matches(']')
        .to_owned();
    let name = ServerName::try_from(host).map_err(|e| e.to_string())?;
    let stream = CONNECTOR
        .connect(name, stream)
        .await
        .map_err(|e| e.to_string())?;
    ask(stream, request).await
}

/// Probes ask whether a server answers, not who it is: as in Kubernetes, no
/// certificate is refused.
static CONNECTOR: LazyLock<TlsConnector> = LazyLock::new(|| {
    let config = ClientConfig::builder_with_provider(pki::tls::provider())
        .with_safe_default_protocol_versions()
        .expect("ring offers what TLS 1.2 and 1.3 need")
        .dangerous()
        .with_custom_certificate_verifier(Arc::new(pki::tls::AnyServer))
        .with_no_client_auth();
    TlsConnector::from(Arc::new(config))
});
