//! Bodies, kept on their way through for events that show them.

use std::pin::Pin;
use std::task::{Context, Poll};

use bytes::{Bytes, BytesMut};
use futures::Stream;
use http::{HeaderMap, Request, Response, header};
use http_body::{Frame, SizeHint};
use http_body_util::{BodyExt, Empty};
use schema::protobuf;
use serde_json::Value;

use super::policy::{Level, Stage};
use super::trail::Trail;
use crate::body::{Body, BoxError, RequestBody};

/// A body larger than this is left out of its event, which says so.
const KEPT_MAX: usize = 10 * 1024 * 1024;
const TRUNCATED: &str = "audit.k8s.io/truncated";
/// A `Status` is short: a longer body of a success is not looked into for one.
const STATUS_MAX: usize = 16 * 1024;

/// Notes the request's object once the handler has read it.
pub fn keep_request(request: &mut Request<RequestBody>, trail: &Trail) {
    if trail.is_long_running() {
        return;
    }
    let media_type = media_type(request.headers());
    let empty = Empty::new().map_err(|never| -> BoxError { match never {} });
    let inner = std::mem::replace(request.body_mut(), empty.boxed_unsync());
    let kept = KeptRequest {
        inner,
        kept: Kept::default(),
        media_type,
        trail: trail.clone(),
    };
    *request.body_mut() = kept.boxed_unsync();
}

/// Notes code and, where wanted, body; tells `ResponseComplete` when the last
/// byte was handed on, and `ResponseStarted` before if that takes long.
pub fn keep_response(response: Response<Body>, trail: &Trail) -> Response<Body> {
    let code = response.status();
    let media_type = media_type(response.headers());
    let (parts, body) = response.into_parts();
    let body = match body {
        Body::Full(bytes) => {
            note_whole(trail, code, &media_type, bytes.as_deref().unwrap_or(&[]));
            trail.tell(Stage::ResponseComplete);
            Body::Full(bytes)
        }
        Body::Stream(pieces) => {
            trail.note_status(code, None);
            if trail.is_long_running() {
                trail.tell(Stage::ResponseStarted);
            }
            let wants = trail.level() == Level::RequestResponse && !trail.is_long_running();
            Body::stream(KeptResponse {
                pieces,
                kept: wants.then(Kept::default),
                media_type,
                trail: trail.clone(),
            })
        }
    };
    Response::from_parts(parts, body)
}

fn note_whole(trail: &Trail, code: http::StatusCode, media_type: &str, bytes: &[u8]) {
    let is_shown = trail.level() == Level::RequestResponse;
    let may_be_status = !code.is_success() || bytes.len() <= STATUS_MAX;
    let status = may_be_status && memchr::memmem::find(bytes, b"Status").is_some();
    let value = (is_shown || status)
        .then(|| read(media_type, bytes))
        .flatten();
    if is_shown && let Some(value) = &value {
        trail.note_response(value.clone());
    }
    trail.note_status(code, value);
}

fn media_type(headers: &HeaderMap) -> String {
    let value = headers.get(header::CONTENT_TYPE);
    let text = value.and_then(|v| v.to_str().ok()).unwrap_or("");
    text.split(';').next().unwrap_or("").trim().to_owned()
}

/// A body as JSON, if it is an object in one of the API's encodings.
fn read(media_type: &str, bytes: &[u8]) -> Option<Value> {
    if bytes.is_empty() {
        return None;
    }
    match media_type {
        protobuf::MEDIA_TYPE => protobuf::read(bytes, ("", "")).ok(),
        "text/plain" => None,
        other if other.ends_with("yaml") => serde_yaml::from_slice(bytes).ok(),
        _ => serde_json::from_slice(bytes).ok(),
    }
}

/// Bytes up to the limit, or none.
#[derive(Default)]
struct Kept {
    bytes: BytesMut,
    is_too_long: bool,
}

impl Kept {
    fn add(&mut self, data: &Bytes) {
        if self.bytes.len() + data.len() > KEPT_MAX {
            self.is_too_long = true;
            self.bytes = BytesMut::new();
        }
        if !self.is_too_long {
            self.bytes.extend_from_slice(data);
        }
    }

    fn value(&self, media_type: &str, trail: &Trail) -> Option<Value> {
        if self.is_too_long {
            trail.annotate(TRUNCATED, "true");
        }
        read(media_type, &self.bytes)
    }
}

struct KeptRequest {
    inner: RequestBody,
    kept: Kept,
    media_type: String,
    trail: Trail,
}

impl http_body::Body for KeptRequest {
    type Data = Bytes;
    type Error = BoxError;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, BoxError>>> {
        let polled = Pin::new(&mut self.inner).poll_frame(cx);
        match &polled {
            Poll::Ready(Some(Ok(frame))) => {
                if let Some(data) = frame.data_ref() {
                    self.kept.add(data);
                }
            }
            Poll::Ready(None) => {
                let kept = std::mem::take(&mut self.kept);
                if let Some(value) = kept.value(&self.media_type, &self.trail) {
                    self.trail.note_request(value);
                }
            }
            _ => {}
        }
        polled
    }

    fn is_end_stream(&self) -> bool {
        // The end is to be read, or it would not be noticed.
        false
    }

    fn size_hint(&self) -> SizeHint {
        self.inner.size_hint()
    }
}

struct KeptResponse {
    pieces: Pin<Box<dyn Stream<Item = Result<Bytes, BoxError>> + Send>>,
    kept: Option<Kept>,
    media_type: String,
    trail: Trail,
}

impl Stream for KeptResponse {
    type Item = Result<Bytes, BoxError>;

    fn poll_next(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Self::Item>> {
        let polled = self.pieces.as_mut().poll_next(cx);
        if let (Poll::Ready(Some(Ok(piece))), Some(kept)) = (&polled, &mut self.kept) {
            kept.add(piece);
        }
        polled
    }
}

/// The last byte was handed on, or the client is gone.
impl Drop for KeptResponse {
    fn drop(&mut self) {
        if let Some(kept) = self.kept.take()
            && let Some(value) = kept.value(&self.media_type, &self.trail)
        {
            self.trail.note_response(value);
        }
        self.trail.tell(Stage::ResponseComplete);
    }
}
