//! One piece of work in a trace.

use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, SystemTime};

use opentelemetry::trace::{FutureExt as _, Link, SpanBuilder, SpanContext, SpanKind};
use opentelemetry::trace::{Status, TraceContextExt as _, Tracer as _};
use opentelemetry::{Context, KeyValue, Value};

use crate::{export, traceparent};

static IS_ON: AtomicBool = AtomicBool::new(false);

pub(crate) fn turn_on() {
    IS_ON.store(true, Ordering::Release);
}

pub(crate) fn turn_off() {
    IS_ON.store(false, Ordering::Release);
}

/// Whether this process traces anything.
pub fn is_on() -> bool {
    IS_ON.load(Ordering::Relaxed)
}

/// What a span is part of.
#[derive(Debug, Clone)]
pub enum Parent<'a> {
    /// What the calling task is in; of nothing, there is no span.
    Current,
    /// What a pod's annotation says; of nothing, there is no span.
    Annotated(Option<&'a str>),
    /// Somebody's request, who is believed.
    Request(Option<SpanContext>),
    /// Somebody's request, whose trace is only referred to: he does not decide
    /// what this process has to do.
    Stranger(Option<SpanContext>),
}

/// On which side of a request it is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    Server,
    Client,
    Internal,
}

/// A piece of work, until it is dropped.
#[derive(Debug)]
pub struct Span(Context);

/// Begins a span; none while tracing is off, or if there is nothing that it is
/// part of.
pub fn span(name: impl Into<String>, kind: Kind, parent: Parent<'_>) -> Option<Span> {
    begin(name, kind, parent, None)
}

impl Span {
    /// The same of what began so long ago.
    pub fn since(
        ago: Duration,
        name: impl Into<String>,
        kind: Kind,
        parent: Parent<'_>,
    ) -> Option<Self> {
        begin(name, kind, parent, Some(ago))
    }

    pub fn set(&self, key: &'static str, value: impl Into<Value>) {
        self.0.span().set_attribute(KeyValue::new(key, value));
    }

    /// The work failed.
    pub fn fail(&self, why: impl Into<String>) {
        self.0.span().set_status(Status::error(why.into()));
    }

    /// This span, for what is part of it elsewhere; none if it goes nowhere.
    pub fn traceparent(&self) -> Option<String> {
        let span = self.0.span();
        let context = span.span_context();
        context.is_sampled().then(|| traceparent::write(context))
    }
}

impl Drop for Span {
    fn drop(&mut self) {
        self.0.span().end();
    }
}

/// What the calling task is in, as a `traceparent`; none if it goes nowhere.
pub fn current() -> Option<String> {
    if !is_on() {
        return None;
    }
    Context::map_current(|context| {
        let span = context.span();
        let context = span.span_context();
        context.is_sampled().then(|| traceparent::write(context))
    })
}

/// Runs `work` as part of the span, and ends that.
pub async fn within<F: Future>(span: Option<&Span>, work: F) -> F::Output {
    match span {
        None => work.await,
        Some(span) => work.with_context(span.0.clone()).await,
    }
}

fn begin(
    name: impl Into<String>,
    kind: Kind,
    parent: Parent<'_>,
    ago: Option<Duration>,
) -> Option<Span> {
    if !is_on() {
        return None;
    }
    let tracer = export::tracer()?;
    let mut builder = SpanBuilder::from_name(name.into()).with_kind(match kind {
        Kind::Server => SpanKind::Server,
        Kind::Client => SpanKind::Client,
        Kind::Internal => SpanKind::Internal,
    });
    if let Some(ago) = ago {
        builder = builder.with_start_time(now() - ago);
    }
    let mut context = Context::new();
    match parent {
        Parent::Current => {
            context = Context::current();
            if !context.has_active_span() {
                return None;
            }
        }
        Parent::Annotated(text) => {
            context = context.with_remote_span_context(traceparent::read(text?)?);
        }
        Parent::Request(Some(remote)) => context = context.with_remote_span_context(remote),
        Parent::Stranger(Some(remote)) => {
            builder = builder.with_links(vec![Link::new(remote, Vec::new(), 0)]);
        }
        Parent::Request(None) | Parent::Stranger(None) => {}
    }
    let span = tracer.build_with_context(builder, &context);
    Some(Span(context.with_span(span)))
}

#[expect(
    clippy::disallowed_methods,
    reason = "what OpenTelemetry takes is the wall clock's"
)]
fn now() -> SystemTime {
    SystemTime::now()
}

#[cfg(test)]
mod tests {
    use std::sync::{Arc, Mutex};

    use opentelemetry_sdk::error::OTelSdkResult;
    use opentelemetry_sdk::trace::{SdkTracerProvider, SpanData, SpanExporter};

    use super::*;

    #[derive(Debug, Clone, Default)]
    struct Kept(Arc<Mutex<Vec<SpanData>>>);

    impl SpanExporter for Kept {
        async fn export(&self, batch: Vec<SpanData>) -> OTelSdkResult {
            self.0.lock().unwrap().extend(batch);
            Ok(())
        }
    }

    /// The one test that turns tracing on: it is on or off for a whole process.
    #[test]
    fn what_runs_within_a_span_is_its_child_and_nothing_is_while_tracing_is_off() {
        let parent = traceparent::read("00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01");
        assert!(span("off", Kind::Server, Parent::Request(parent.clone())).is_none());
        let kept = Kept::default();
        let provider = SdkTracerProvider::builder().with_simple_exporter(kept.clone());
        export::install(provider.build());

        assert!(span("alone", Kind::Internal, Parent::Current).is_none());
        assert!(span("unmarked", Kind::Internal, Parent::Annotated(None)).is_none());
        let outer = span("outer", Kind::Server, Parent::Request(parent)).unwrap();
        let annotation = outer.traceparent().unwrap();
        let work = within(Some(&outer), async {
            assert_eq!(current(), Some(annotation.clone()));
            drop(span("inner", Kind::Client, Parent::Current));
        });
        run(work);
        drop(span(
            "later",
            Kind::Internal,
            Parent::Annotated(Some(&annotation)),
        ));
        drop(outer);
        drop(span(
            "stranger",
            Kind::Server,
            Parent::Stranger(traceparent::read(&annotation)),
        ));

        let spans = kept.0.lock().unwrap().clone();
        let of = |name: &str| spans.iter().find(|span| span.name == name).unwrap();
        let outer = of("outer").span_context.span_id();
        assert_eq!(of("outer").parent_span_id.to_string(), "00f067aa0ba902b7");
        assert_eq!(
            (of("inner").parent_span_id, of("later").parent_span_id),
            (outer, outer)
        );
        let stranger = of("stranger");
        assert_ne!(
            stranger.span_context.trace_id(),
            of("outer").span_context.trace_id()
        );
        assert_eq!(stranger.links.links[0].span_context.span_id(), outer);
        assert_eq!(current(), None);
    }

    /// Runs a future that never waits.
    fn run(work: impl Future<Output = ()>) {
        let mut context = std::task::Context::from_waker(std::task::Waker::noop());
        let work = std::pin::pin!(work);
        assert!(work.poll(&mut context).is_ready());
    }
}
