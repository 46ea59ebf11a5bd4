//! Tunnels that nodes have opened: how the API server reaches kubelets and pods
//! of nodes that nobody can dial.
//!
//! A node asks for [`PATH`] as itself and upgrades its connection. From then on
//! the server is an HTTP/2 client on it, and each CONNECT is one connection to a
//! place on the node. What goes through is TLS from end to end, as without the
//! tunnel: a tunnel carries bytes and proves nothing but whose it is.
//!
//! A node has one tunnel to a server; a newer one takes the older one's place,
//! which ends with the last connection in it. A peer that is silent is asked whether it is there, so a dead tunnel is gone
//! after [`SILENCE_LIMIT`] and [`ANSWER_LIMIT`].

use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use apimachinery::Status;
use bytes::Bytes;
use http::header::{self, HeaderMap, HeaderValue};
use http::{Method, Request, Response, StatusCode};
use http_body_util::Empty;
use hyper::client::conn::http2::{self, SendRequest};
use hyper::upgrade::OnUpgrade;
use hyper_util::rt::{TokioExecutor, TokioIo, TokioTimer};

use super::onward::{Destination, Stream};
use crate::api::{Api, Call};
use crate::body::{Body, BoxError, RequestBody};

/// What a node asks for.
pub const PATH: &str = "/skiff/v1/tunnel";
/// What it upgrades to.
pub const PROTOCOL: &str = "skiff-tunnel";

const UPGRADE_LIMIT: Duration = Duration::from_secs(10);
const SILENCE_LIMIT: Duration = Duration::from_secs(20);
const ANSWER_LIMIT: Duration = Duration::from_secs(10);
/// How long the node may take to connect; after that the network is tried.
const CONNECT_LIMIT: Duration = Duration::from_secs(5);
/// Bytes on their way in one connection, and in the whole tunnel.
const WINDOW: u32 = 1 << 20;
const TUNNEL_WINDOW: u32 = 8 << 20;

type Sender = SendRequest<Empty<Bytes>>;

/// The open ones, by the node's name.
#[derive(Default)]
pub struct Tunnels(Mutex<HashMap<String, Arc<Sender>>>);

/// Answers a node that opens its tunnel.
///
/// # Errors
/// 403 for whoever is no node, 400 for a request without the upgrade.
pub fn accept(
    api: &Arc<Api>,
    call: &Call,
    mut request: Request<RequestBody>,
) -> Result<Response<Body>, Status> {
    let Some(node) = call.user.node() else {
        return Err(Status::forbidden_path("only nodes open tunnels"));
    };
    if request.method() != Method::GET || !wants_tunnel(request.headers()) {
        let why = format!("a tunnel is an upgrade of a GET to {PROTOCOL}");
        return Err(Status::bad_request(why));
    }
    let upgrade = hyper::upgrade::on(&mut request);
    tokio::spawn(keep(api.clone(), node.to_owned(), upgrade));
    let mut response = Response::new(Body::empty());
    *response.status_mut() = StatusCode::SWITCHING_PROTOCOLS;
    let headers = response.headers_mut();
    headers.insert(header::CONNECTION, HeaderValue::from_static("Upgrade"));
    headers.insert(header::UPGRADE, HeaderValue::from_static(PROTOCOL));
    Ok(response)
}

fn wants_tunnel(headers: &HeaderMap) -> bool {
    let upgrade = headers.get(header::UPGRADE);
    upgrade.is_some_and(|name| name.as_bytes().eq_ignore_ascii_case(PROTOCOL.as_bytes()))
}

async fn keep(api: Arc<Api>, node: String, upgrade: OnUpgrade) {
    if let Err(error) = run(&api, &node, upgrade).await {
        tracing::debug!(node, error, "a node's tunnel ended");
    }
}

/// Holds the tunnel until its connection, a newer one or the server ends it.
async fn run(api: &Api, node: &str, upgrade: OnUpgrade) -> Result<(), BoxError> {
    let upgraded = tokio::time::timeout(UPGRADE_LIMIT, upgrade).await??;
    let mut builder = http2::Builder::new(TokioExecutor::new());
    builder
        .timer(TokioTimer::new())
        .keep_alive_interval(SILENCE_LIMIT)
        .keep_alive_timeout(ANSWER_LIMIT)
        .keep_alive_while_idle(true)
        .initial_stream_window_size(WINDOW)
        .initial_connection_window_size(TUNNEL_WINDOW);
    let (sender, connection) = builder.handshake(upgraded).await?;
    let sender = Arc::new(sender);
    // Held weakly: without senders, hyper ends the connection once it is unused.
    let own = Arc::downgrade(&sender);
    let tunnels = &api.kubelets.tunnels;
    tunnels.put(node, sender);
    tracing::debug!(node, "a node opened its tunnel");
    let ended = tokio::select! {
        ended = connection => ended.map_err(BoxError::from),
        () = api.stop.cancelled() => Ok(()),
    };
    tunnels.remove(node, |held| Arc::as_ptr(held) == own.as_ptr());
    ended
}

impl Tunnels {
    /// A connection through the tunnel of the node; None where it has none, or
    /// it does not lead there.
    pub async fn connect(&self, to: &Destination) -> Option<Box<dyn Stream>> {
        let node = to.node.as_deref()?;
        let sender = self.sender(node)?;
        let connected = tokio::time::timeout(CONNECT_LIMIT, through(sender, to)).await;
        match connected.map_err(BoxError::from).and_then(|c| c) {
            Ok(stream) => Some(stream),
            Err(error) => {
                tracing::debug!(node, error, to = to.authority(), "connect through a tunnel");
                None
            }
        }
    }

    fn sender(&self, node: &str) -> Option<Sender> {
        let open = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        open.get(node).map(|sender| Sender::clone(sender))
    }

    fn put(&self, node: &str, sender: Arc<Sender>) {
        let mut open = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        open.insert(node.to_owned(), sender);
    }

    fn remove(&self, node: &str, is_it: impl Fn(&Arc<Sender>) -> bool) {
        let mut open = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if open.get(node).is_some_and(is_it) {
            open.remove(node);
        }
    }
}

async fn through(mut sender: Sender, to: &Destination) -> Result<Box<dyn Stream>, BoxError> {
    sender.ready().await?;
    let request = Request::builder()
        .method(Method::CONNECT)
        .uri(to.authority())
        .body(Empty::new())?;
    let response = sender.send_request(request).await?;
    if !response.status().is_success() {
        return Err(format!("the node answers {}", response.status()).into());
    }
    let upgraded = hyper::upgrade::on(response).await?;
    Ok(Box::new(TokioIo::new(upgraded)))
}
