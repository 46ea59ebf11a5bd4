//! Where spans go: batches, by a thread of their own.

use std::sync::OnceLock;
use std::time::Duration;

use opentelemetry::KeyValue;
use opentelemetry::trace::TracerProvider as _;
use opentelemetry_otlp::{SpanExporter, WithExportConfig as _};
use opentelemetry_sdk::Resource;
use opentelemetry_sdk::trace::{
    BatchConfigBuilder, BatchSpanProcessor, Sampler, SdkTracer, SdkTracerProvider,
};

use crate::{Config, Error, span};

/// How long a span may wait for others to go with.
const DELAY: Duration = Duration::from_secs(1);
/// An export that takes longer is given up.
const PATIENCE: Duration = Duration::from_secs(5);

static PROVIDER: OnceLock<(SdkTracerProvider, SdkTracer)> = OnceLock::new();

/// Turns tracing on, once a process, for `service` on `host`. Must be called
/// where tokio runs.
///
/// # Errors
/// The endpoint cannot be used.
pub fn start(config: &Config, service: &'static str, host: &str) -> Result<(), Error> {
    let exporter = SpanExporter::builder()
        .with_tonic()
        .with_endpoint(&config.endpoint)
        .with_timeout(PATIENCE)
        .build();
    let exporter = exporter.map_err(|source| Error::Export {
        endpoint: config.endpoint.clone(),
        source,
    })?;
    let batches = BatchConfigBuilder::default()
        .with_scheduled_delay(DELAY)
        .build();
    let processor = BatchSpanProcessor::builder(exporter)
        .with_batch_config(batches)
        .build();
    let sampler = Sampler::ParentBased(Box::new(Sampler::TraceIdRatioBased(config.rate)));
    let resource = Resource::builder()
        .with_service_name(service)
        .with_attributes([
            KeyValue::new("service.version", env!("CARGO_PKG_VERSION")),
            KeyValue::new("service.instance.id", host.to_owned()),
            KeyValue::new("host.name", host.to_owned()),
        ])
        .build();
    let provider = SdkTracerProvider::builder()
        .with_span_processor(processor)
        .with_sampler(sampler)
        .with_resource(resource)
        .build();
    install(provider);
    Ok(())
}

pub(crate) fn install(provider: SdkTracerProvider) {
    let tracer = provider.tracer("skiff");
    if PROVIDER.set((provider, tracer)).is_ok() {
        span::turn_on();
    }
}

pub(crate) fn tracer() -> Option<&'static SdkTracer> {
    PROVIDER.get().map(|(_, tracer)| tracer)
}

/// Sends what is left and turns tracing off; blocks for a few seconds at most.
pub fn stop() {
    if let Some((provider, _)) = PROVIDER.get() {
        span::turn_off();
        // What a collector that is away does not take is lost.
        let _ = provider.shutdown_with_timeout(PATIENCE);
    }
}
