//! The kubelet API: logs, exec, attach, port-forward, state and metrics of the
//! node's pods, and the end of volumes, for the API server alone.
//!
//! Everything but health is for the API server's kubelet client, for
//! `system:masters`, and for whom the API server says that he may: by a client
//! certificate of the cluster's CA or a bearer token.

use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use http::{Method, Request, Response, StatusCode, header};
use http_body_util::combinators::BoxBody;
use http_body_util::{BodyExt as _, Full};
use hyper::body::Incoming;
use hyper::service::service_fn;
use hyper_util::rt::TokioIo;
use tokio::net::{TcpListener, TcpStream};

use crate::agent::Agent;
use crate::config::Config;
use crate::error::{Error, Result};

mod connection;
mod delegated;
mod identity;
mod logs;
mod metrics;
mod query;
mod stats;
mod storage;
mod stream;

use delegated::Reviews;
use identity::Identity;

pub type Body = BoxBody<Bytes, std::io::Error>;
type Answer = Response<Body>;

/// Takes the port, so that a port in use stops the start.
pub async fn bind(config: &Config) -> Result<TcpListener> {
    let address = config.listen;
    TcpListener::bind(address)
        .await
        .map_err(|source| Error::Listen { address, source })
}

/// Serves until the agent shuts down.
pub async fn run(agent: Arc<Agent>, listener: TcpListener) -> Result<()> {
    let acceptor = identity::acceptor(&agent.config.tls)?;
    let reviews = Reviews::new(agent.client.clone(), &agent.config.node_name);
    let reviews = Arc::new(reviews);
    loop {
        let accepted = tokio::select! {
            accepted = listener.accept() => accepted,
            () = agent.shutdown.cancelled() => return Ok(()),
        };
        let (stream, _) = match accepted {
            Ok(accepted) => accepted,
            Err(e) => {
                // Out of descriptors, most likely: give others time to close theirs.
                tracing::warn!("accept a connection to the kubelet API: {e}");
                tokio::time::sleep(Duration::from_millis(100)).await;
                continue;
            }
        };
        let (agent, acceptor, reviews) = (agent.clone(), acceptor.clone(), reviews.clone());
        tokio::spawn(async move {
            let shutdown = agent.shutdown.clone();
            tokio::select! {
                () = serve(agent, reviews, acceptor, stream) => {}
                () = shutdown.cancelled() => {}
            }
        });
    }
}

async fn serve(
    agent: Arc<Agent>,
    reviews: Arc<Reviews>,
    acceptor: tokio_rustls::TlsAcceptor,
    stream: TcpStream,
) {
    connection::prepare(&stream);
    let stream = match connection::handshake(&acceptor, stream).await {
        Ok(stream) => stream,
        Err(e) => return tracing::debug!("a client of the kubelet API failed its handshake: {e}"),
    };
    let identity = Arc::new(Identity::of(stream.get_ref().1));
    let service = service_fn(move |request| {
        let (agent, reviews, identity) = (agent.clone(), reviews.clone(), identity.clone());
        async move {
            let answer = answer(&agent, &reviews, &identity, request).await;
            Ok::<_, std::convert::Infallible>(answer)
        }
    });
    let served = connection::http()
        .serve_connection(TokioIo::new(stream), service)
        .with_upgrades()
        .await;
    if let Err(e) = served {
        tracing::debug!("a connection to the kubelet API ended: {e}");
    }
}

async fn answer(
    agent: &Arc<Agent>,
    reviews: &Reviews,
    identity: &Identity,
    request: Request<Incoming>,
) -> Answer {
    let path = request.uri().path().to_owned();
    let parts: Vec<&str> = path.trim_matches('/').split('/').collect();
    if parts == ["healthz"] {
        return text(StatusCode::OK, "ok");
    }
    if !identity.may_do_all() {
        let (headers, method) = (request.headers(), request.method());
        let allowed = reviews.authorize(identity, headers, method, &path).await;
        if let Err((status, message)) = allowed {
            return text(status, message);
        }
    }
    match (request.method(), parts.as_slice()) {
        (&Method::GET, ["pods" | "runningpods"]) => stats::pods(agent),
        (&Method::GET, ["stats", "summary"]) => stats::summary(agent).await,
        (&Method::GET, ["metrics"]) => metrics::own(agent),
        (&Method::GET, ["metrics", "cadvisor"]) => metrics::containers(agent).await,
        (&Method::GET, ["metrics", "probes"]) => metrics::probes(),
        (&Method::GET, ["metrics", "resource"]) => metrics::resource(agent).await,
        (&Method::GET, ["containerLogs", namespace, pod, container]) => {
            logs::serve(agent, namespace, pod, container, &request).await
        }
        (&Method::POST | &Method::GET, ["exec", rest @ ..]) => {
            stream::exec(agent, rest, request).await
        }
        (&Method::POST | &Method::GET, ["attach", rest @ ..]) => {
            stream::attach(agent, rest, request).await
        }
        (&Method::POST | &Method::GET, ["portForward", rest @ ..]) => {
            stream::port_forward(agent, rest, request).await
        }
        (&Method::POST, ["run", rest @ ..]) => stream::run(agent, rest, &request).await,
        (&Method::DELETE, ["storage", name]) => storage::remove(agent, name).await,
        _ => text(StatusCode::NOT_FOUND, "404 page not found"),
    }
}

pub fn text(status: StatusCode, message: impl Into<String>) -> Answer {
    respond(
        status,
        "text/plain; charset=utf-8",
        message.into().into_bytes(),
    )
}

pub fn respond(status: StatusCode, content_type: &'static str, body: impl Into<Bytes>) -> Answer {
    let body = Full::new(body.into())
        .map_err(|never| match never {})
        .boxed();
    let mut response = Response::new(body);
    *response.status_mut() = status;
    response.headers_mut().insert(
        header::CONTENT_TYPE,
        header::HeaderValue::from_static(content_type),
    );
    response
}
