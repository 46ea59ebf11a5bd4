//! How long an accepted connection may take, and be silent, as at the API server.

use std::io;
use std::time::Duration;

use hyper::server::conn::http1;
use hyper_util::rt::TokioTimer;
use socket2::{SockRef, TcpKeepalive};
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::TcpStream;
use tokio_rustls::TlsAcceptor;
use tokio_rustls::server::TlsStream;

/// A client that does not finish its handshake by then is dropped.
const HANDSHAKE_LIMIT: Duration = Duration::from_secs(10);
/// A connection without a request is closed after this: later than clients give
/// theirs up, so that none is closed under a request.
const IDLE_LIMIT: Duration = Duration::from_secs(180);
/// A silent peer is asked whether it is there after this, and given up after as
/// long again. There is no TCP_USER_TIMEOUT, which would also end a reader that is
/// there and stopped reading for a while: `kubectl logs -f | less`.
const KEEPALIVE: Duration = Duration::from_secs(30);
const KEEPALIVE_RETRIES: u32 = 3;

/// Exec and port-forward are made of small writes; and a peer that vanished would
/// keep its stream, and the command at its end, for ever.
pub fn prepare(stream: &TcpStream) {
    // An error only costs time.
    let _ = stream.set_nodelay(true);
    let keepalive = TcpKeepalive::new()
        .with_time(KEEPALIVE)
        .with_interval(KEEPALIVE / KEEPALIVE_RETRIES)
        .with_retries(KEEPALIVE_RETRIES);
    if let Err(error) = SockRef::from(stream).set_tcp_keepalive(&keepalive) {
        tracing::debug!(%error, "set TCP keepalive");
    }
}

pub async fn handshake<S>(acceptor: &TlsAcceptor, stream: S) -> io::Result<TlsStream<S>>
where
    S: AsyncRead + AsyncWrite + Unpin,
{
    tokio::time::timeout(HANDSHAKE_LIMIT, acceptor.accept(stream)).await?
}

/// HTTP/1.1 is all that the handshake offers, and a server that waits to see
/// which HTTP is spoken would wait without a limit.
pub fn http() -> http1::Builder {
    let mut builder = http1::Builder::new();
    builder
        .timer(TokioTimer::new())
        .header_read_timeout(IDLE_LIMIT);
    builder
}

#[cfg(test)]
mod tests {
    use std::convert::Infallible;
    use std::sync::Arc;

    use http::Response;
    use http_body_util::Empty;
    use hyper::service::service_fn;
    use hyper_util::rt::TokioIo;
    use tokio::net::TcpListener;

    use super::*;

    const A_WHILE: Duration = Duration::from_secs(600);

    fn acceptor() -> TlsAcceptor {
        let config = rustls::ServerConfig::builder_with_provider(pki::tls::provider())
            .with_safe_default_protocol_versions()
            .unwrap()
            .with_no_client_auth()
            .with_cert_resolver(Arc::new(rustls::server::ResolvesServerCertUsingSni::new()));
        TlsAcceptor::from(Arc::new(config))
    }

    #[tokio::test(start_paused = true)]
    async fn a_client_that_never_begins_its_handshake_is_dropped() {
        let (_client, stream) = tokio::io::duplex(64);
        let acceptor = acceptor();
        let ended = tokio::time::timeout(A_WHILE, handshake(&acceptor, stream)).await;
        let error = ended.unwrap().unwrap_err();
        assert_eq!(error.kind(), io::ErrorKind::TimedOut);
    }

    #[tokio::test(start_paused = true)]
    async fn a_client_that_asks_nothing_is_dropped() {
        let (_client, stream) = tokio::io::duplex(64);
        let service =
            service_fn(async |_| Ok::<_, Infallible>(Response::new(Empty::<&[u8]>::new())));
        let serving = http().serve_connection(TokioIo::new(stream), service);
        let ended = tokio::time::timeout(A_WHILE, serving).await;
        assert!(ended.unwrap().unwrap_err().is_timeout());
    }

    #[tokio::test]
    async fn a_vanished_peer_of_a_silent_connection_is_given_up_within_a_minute() {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let stream = TcpStream::connect(address).await.unwrap();
        prepare(&stream);
        let socket = SockRef::from(&stream);
        let retries = socket.tcp_keepalive_retries().unwrap();
        let (time, interval) = (
            socket.tcp_keepalive_time().unwrap(),
            socket.tcp_keepalive_interval().unwrap(),
        );
        assert_eq!(time + interval * retries, Duration::from_secs(60));
    }
}
