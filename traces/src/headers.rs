//! Traces that cross from process to process.

use http::{HeaderMap, HeaderValue};
use opentelemetry::trace::SpanContext;

use crate::span::current;
use crate::traceparent;

const TRACEPARENT: &str = "traceparent";

/// The trace that a request is part of.
pub fn accept(headers: &HeaderMap) -> Option<SpanContext> {
    traceparent::read(headers.get(TRACEPARENT)?.to_str().ok()?)
}

/// Makes the request part of the trace that the calling task is in.
pub fn pass_on(headers: &mut HeaderMap) {
    let text = current().and_then(|text| HeaderValue::try_from(text).ok());
    if let Some(text) = text {
        headers.insert(TRACEPARENT, text);
    }
}
