//! The listener and its connections: TLS, then HTTP/1.1 or HTTP/2.

use std::io;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use futures::future::BoxFuture;
use http_body_util::BodyExt;
use hyper::body::Incoming;
use hyper_util::rt::{TokioExecutor, TokioIo, TokioTimer};
use hyper_util::server::conn::auto;
use jiff::Timestamp;
use pki::{Clock as _, WallClock};
use socket2::{SockRef, TcpKeepalive};
use tokio::net::{TcpListener, TcpStream};
use tokio_rustls::TlsAcceptor;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

use crate::Error;
use crate::api::Api;
use crate::body::{Body, BoxError};
use crate::peer::Peer;
use crate::tls::clients::Clients;

/// A client that does not finish its handshake by then is dropped.
const HANDSHAKE_LIMIT: Duration = Duration::from_secs(10);
/// A connection without a request is closed after this: later than clients give
/// theirs up, so that none is closed under a request.
const IDLE_LIMIT: Duration = Duration::from_secs(180);
/// A peer that is silent for so long is asked whether it is there: over HTTP/1.1
/// by TCP, and as often again before it is given up. There is no TCP_USER_TIMEOUT,
/// which would also end a reader that is there and stopped reading for a while.
const KEEPALIVE: Duration = Duration::from_secs(30);
const KEEPALIVE_RETRIES: u32 = 3;
/// How long open requests may go on once the server stops.
const DRAIN_LIMIT: Duration = Duration::from_secs(5);
/// Pause after `accept` failed for want of file descriptors.
const ACCEPT_PAUSE: Duration = Duration::from_millis(100);

pub async fn bind(address: SocketAddr) -> Result<TcpListener, Error> {
    TcpListener::bind(address).await.map_err(|source| {
        if source.kind() == io::ErrorKind::AddrInUse {
            Error::PortInUse { address }
        } else {
            Error::Listen { address, source }
        }
    })
}

/// Serves until `stop`, then lets open requests end.
pub async fn serve(
    listener: TcpListener,
    (tls, clients): (Arc<rustls::ServerConfig>, Clients),
    api: Arc<Api>,
    stop: CancellationToken,
) {
    let acceptor = TlsAcceptor::from(tls);
    let open = TaskTracker::new();
    loop {
        let accepted = tokio::select! {
            () = stop.cancelled() => break,
            accepted = listener.accept() => accepted,
        };
        match accepted {
            Ok((stream, address)) => {
                let clients = clients.clone();
                let work = connection(
                    (stream, address),
                    acceptor.clone(),
                    clients,
                    api.clone(),
                    stop.clone(),
                );
                open.spawn(work);
            }
            Err(error) => {
                tracing::warn!(%error, "accept a connection");
                tokio::time::sleep(ACCEPT_PAUSE).await;
            }
        }
    }
    drop(listener);
    open.close();
    if tokio::time::timeout(DRAIN_LIMIT, open.wait())
        .await
        .is_err()
    {
        tracing::warn!(
            left = open.len(),
            "connections still open at the end of the drain"
        );
    }
}

async fn connection(
    (stream, address): (TcpStream, SocketAddr),
    acceptor: TlsAcceptor,
    clients: Clients,
    api: Arc<Api>,
    stop: CancellationToken,
) {
    prepare(&stream);
    let Ok(Ok(stream)) = tokio::time::timeout(HANDSHAKE_LIMIT, acceptor.accept(stream)).await
    else {
        return tracing::debug!(%address, "TLS handshake failed");
    };
    let chain = stream.get_ref().1.peer_certificates().unwrap_or_default();
    let peer = Arc::new(clients.peer(chain, address));
    let over = over(peer.until);
    let begun = CancellationToken::new();
    let silent = silent(begun.clone());
    let service = hyper::service::service_fn(move |request: http::Request<Incoming>| {
        begun.cancel();
        let (api, peer) = (api.clone(), peer.clone());
        answer(api, peer, request)
    });
    let mut builder = auto::Builder::new(TokioExecutor::new());
    builder
        .http1()
        .timer(TokioTimer::new())
        .header_read_timeout(IDLE_LIMIT);
    builder
        .http2()
        .timer(TokioTimer::new())
        .keep_alive_interval(KEEPALIVE)
        .max_concurrent_streams(1000);
    let serving = builder.serve_connection_with_upgrades(TokioIo::new(stream), service);
    let mut serving = std::pin::pin!(serving);
    let ended = tokio::select! {
        ended = serving.as_mut() => ended,
        () = silent => return tracing::debug!(%address, "the client asked nothing"),
        () = over => {
            tracing::debug!(%address, "the client's certificate has ended");
            serving.as_mut().graceful_shutdown();
            serving.await
        }
        () = stop.cancelled() => {
            serving.as_mut().graceful_shutdown();
            serving.await
        }
    };
    if let Err(error) = ended {
        tracing::debug!(%address, %error, "connection ended");
    }
}

/// Waits for the end of the certificate that a client brought: what it asks
/// after that is for another connection, with another certificate.
async fn over(until: Option<Timestamp>) {
    match until {
        Some(until) => WallClock.sleep_until(until).await,
        None => std::future::pending().await,
    }
}

/// Waits until a client has let the limit pass without a request. hyper's own
/// limits begin once it knows which HTTP is spoken.
async fn silent(begun: CancellationToken) {
    if tokio::time::timeout(IDLE_LIMIT, begun.cancelled())
        .await
        .is_ok()
    {
        std::future::pending::<()>().await;
    }
}

/// A peer that vanished would otherwise keep its watch until the watch's own end.
fn prepare(stream: &TcpStream) {
    let _ = stream.set_nodelay(true);
    let keepalive = TcpKeepalive::new()
        .with_time(KEEPALIVE)
        .with_interval(KEEPALIVE / KEEPALIVE_RETRIES)
        .with_retries(KEEPALIVE_RETRIES);
    if let Err(error) = SockRef::from(stream).set_tcp_keepalive(&keepalive) {
        tracing::debug!(%error, "set TCP keepalive");
    }
}

/// Boxed so that the connection's future has a name for it.
fn answer(
    api: Arc<Api>,
    peer: Arc<Peer>,
    request: http::Request<Incoming>,
) -> BoxFuture<'static, Result<http::Response<Body>, std::convert::Infallible>> {
    Box::pin(async move {
        let request = request.map(|body| body.map_err(BoxError::from).boxed_unsync());
        Ok(api.answer(request, peer).await)
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test(start_paused = true)]
    async fn only_a_client_without_a_request_is_silent() {
        let begun = CancellationToken::new();
        let longer = IDLE_LIMIT * 2;
        let waited = tokio::time::timeout(longer, silent(begun.clone())).await;
        assert!(waited.is_ok());
        begun.cancel();
        let waited = tokio::time::timeout(longer, silent(begun)).await;
        assert!(waited.is_err());
    }
}
