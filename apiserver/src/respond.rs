//! From answers to HTTP responses.

use std::io::Write as _;

use apimachinery::Status;
use bytes::Bytes;
use http::header::{self, HeaderValue};
use http::{HeaderMap, Response, StatusCode};

use crate::body::Body;
use crate::negotiate::{Encoding, Form};
use crate::query::Query;

pub const JSON: HeaderValue = HeaderValue::from_static("application/json");
pub const YAML: HeaderValue = HeaderValue::from_static("application/yaml");
pub const PROTOBUF: HeaderValue = HeaderValue::from_static(schema::protobuf::MEDIA_TYPE);
pub const TEXT: HeaderValue = HeaderValue::from_static("text/plain; charset=utf-8");

/// Bodies under this size are not worth compressing.
const GZIP_FROM: usize = 128 * 1024;

pub fn with(code: StatusCode, content_type: HeaderValue, body: impl Into<Body>) -> Response<Body> {
    let mut response = Response::new(body.into());
    *response.status_mut() = code;
    response
        .headers_mut()
        .insert(header::CONTENT_TYPE, content_type);
    let uncached = HeaderValue::from_static("no-cache, private");
    response
        .headers_mut()
        .insert(header::CACHE_CONTROL, uncached);
    response
}

pub fn json(code: StatusCode, bytes: impl Into<Body>) -> Response<Body> {
    with(code, JSON, bytes)
}

pub fn text(code: StatusCode, text: &str) -> Response<Body> {
    with(code, TEXT, text.as_bytes().to_vec())
}

pub fn page_not_found() -> Response<Body> {
    text(StatusCode::NOT_FOUND, "404 page not found\n")
}

/// The `Status` as the response that tells it.
pub fn status(status: &Status) -> Response<Body> {
    let code = StatusCode::from_u16(status.code).unwrap_or(StatusCode::OK);
    let mut response = json(code, status.to_bytes());
    let retry = status.details.as_ref().map_or(0, |d| d.retry_after_seconds);
    if retry > 0 {
        response
            .headers_mut()
            .insert(header::RETRY_AFTER, retry.into());
    }
    if code == StatusCode::UNAUTHORIZED {
        let challenge = HeaderValue::from_static("Bearer");
        response
            .headers_mut()
            .insert(header::WWW_AUTHENTICATE, challenge);
    }
    response
}

/// The same, as protobuf for those who ask for that.
pub fn refusal(headers: &HeaderMap, query: &Query, status: &Status) -> Response<Body> {
    let response = self::status(status);
    let wanted = Form::of(headers, query).is_ok_and(|form| form.encoding == Encoding::Protobuf);
    if !wanted {
        return response;
    }
    let value = serde_json::from_slice(&status.to_bytes()).ok();
    let Some(packed) = value.and_then(|value| schema::protobuf::write(&value).ok()) else {
        return response;
    };
    let (mut parts, _) = response.into_parts();
    parts.headers.insert(header::CONTENT_TYPE, PROTOBUF);
    Response::from_parts(parts, packed.into())
}

/// Adds one `Warning` header a text (RFC 7234, code 299).
pub fn warn(response: &mut Response<Body>, warnings: &[String]) {
    for text in warnings {
        let quoted = text
            .replace('\\', "\\\\")
            .replace('"', "\\\"")
            .replace(['\n', '\r'], " ");
        if let Ok(value) = HeaderValue::from_str(&format!("299 - \"{quoted}\"")) {
            response.headers_mut().append(header::WARNING, value);
        }
    }
}

/// Compresses a large body when the client takes gzip.
pub fn compress(request: &HeaderMap, response: Response<Body>) -> Response<Body> {
    let (mut parts, body) = response.into_parts();
    let bytes = match body {
        Body::Full(Some(bytes)) if bytes.len() >= GZIP_FROM && takes_gzip(request) => bytes,
        other => return Response::from_parts(parts, other),
    };
    match gzip(&bytes) {
        Some(packed) => {
            let gzip = HeaderValue::from_static("gzip");
            parts.headers.insert(header::CONTENT_ENCODING, gzip);
            let vary = HeaderValue::from_static("Accept-Encoding");
            parts.headers.insert(header::VARY, vary);
            Response::from_parts(parts, packed.into())
        }
        None => Response::from_parts(parts, bytes.into()),
    }
}

fn takes_gzip(request: &HeaderMap) -> bool {
    request
        .get(header::ACCEPT_ENCODING)
        .and_then(|value| value.to_str().ok())
        .is_some_and(|value| value.split(',').any(|one| one.trim().starts_with("gzip")))
}

fn gzip(bytes: &Bytes) -> Option<Vec<u8>> {
    let out = Vec::with_capacity(bytes.len() / 6);
    let mut encoder = flate2::write::GzEncoder::new(out, flate2::Compression::fast());
    encoder.write_all(bytes).ok()?;
    encoder.finish().ok()
}
