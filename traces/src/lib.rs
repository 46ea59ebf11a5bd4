//! Traces by OpenTelemetry: off unless the process was told where to send them.
//!
//! A [`Span`] is made by [`span`], which answers none while tracing is off: that
//! costs one load of a flag, and nothing else is done. What runs
//! [`within`] a span is its child, as far as it is the same task; from process to
//! process a trace goes in the header `traceparent` (W3C Trace Context), and from
//! the request that creates a pod to the scheduler and the kubelet in the pod's
//! annotation [`ANNOTATION`].
//!
//! Spans go to a collector by OTLP over gRPC; one that is away costs spans, and
//! nobody waits for it.

mod config;
mod error;
mod export;
mod headers;
mod span;
mod traceparent;

pub use config::Config;
pub use error::Error;
pub use export::{start, stop};
pub use headers::{accept, pass_on};
pub use span::{Kind, Parent, Span, current, is_on, span, within};

/// On a pod: the trace of the request that created it. Whoever sets it himself
/// has that one pod traced.
pub const ANNOTATION: &str = "skiff.dev/traceparent";
