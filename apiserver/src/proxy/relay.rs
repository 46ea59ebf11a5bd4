//! What stands between a client and another server, whichever that is: headers
//! that end here, bodies that stream, upgrades that become a tunnel.

use http::header::{self, HeaderMap, HeaderName};
use http::{Response, StatusCode};
use http_body_util::BodyExt;
use hyper::body::Incoming;
use hyper::upgrade::OnUpgrade;
use hyper_util::rt::TokioIo;

use crate::body::{Body, BoxError};

/// Headers that are about one connection, not about the request (RFC 9110, 7.6.1).
const HOP_BY_HOP: &[HeaderName] = &[
    header::PROXY_AUTHENTICATE,
    header::PROXY_AUTHORIZATION,
    header::TE,
    header::TRAILER,
    header::TRANSFER_ENCODING,
];

/// Leaves of a request's headers what is for the next server, the wish to
/// upgrade too.
pub fn strip_request(headers: &mut HeaderMap) {
    let upgrades = headers.contains_key(header::UPGRADE);
    strip(headers, upgrades);
}

fn strip(headers: &mut HeaderMap, keep_upgrade: bool) {
    for name in HOP_BY_HOP {
        headers.remove(name);
    }
    headers.remove("keep-alive");
    if !keep_upgrade {
        headers.remove(header::CONNECTION);
        headers.remove(header::UPGRADE);
    }
}

/// What the client is told of another server's answer. `held` lives as long as
/// the body does.
pub fn answer(
    client: OnUpgrade,
    response: Response<Incoming>,
    held: impl Send + 'static,
) -> Response<Body> {
    if response.status() == StatusCode::SWITCHING_PROTOCOLS {
        return switch(client, response);
    }
    let (mut parts, body) = response.into_parts();
    strip(&mut parts.headers, false);
    let pieces = body.map_err(BoxError::from).into_data_stream();
    let pieces = futures::StreamExt::map(pieces, move |piece| {
        let _ = &held;
        piece
    });
    Response::from_parts(parts, Body::stream(pieces))
}

/// Answers 101 to the client, then copies bytes until either side is done.
fn switch(client: OnUpgrade, mut response: Response<Incoming>) -> Response<Body> {
    let server = hyper::upgrade::on(&mut response);
    tokio::spawn(async move {
        let (client, server) = match tokio::try_join!(client, server) {
            Ok(both) => both,
            Err(error) => return tracing::debug!(%error, "an upgrade did not happen"),
        };
        let (mut client, mut server) = (TokioIo::new(client), TokioIo::new(server));
        if let Err(error) = tokio::io::copy_bidirectional(&mut client, &mut server).await {
            tracing::debug!(%error, "a tunnel ended");
        }
    });
    let (parts, _) = response.into_parts();
    Response::from_parts(parts, Body::empty())
}
