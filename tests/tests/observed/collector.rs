//! A small collector of OpenTelemetry: it takes OTLP by gRPC and keeps the spans.

use std::net::{Ipv4Addr, TcpListener};
use std::sync::{Arc, Mutex, mpsc};

use async_trait::async_trait;
use e2e::Machine;
use hyper_util::rt::{TokioExecutor, TokioIo};
use hyper_util::service::TowerToHyperService;
use opentelemetry_proto::tonic::collector::trace::v1::trace_service_server::{
    TraceService, TraceServiceServer,
};
use opentelemetry_proto::tonic::collector::trace::v1::{
    ExportTraceServiceRequest, ExportTraceServiceResponse,
};
use opentelemetry_proto::tonic::common::v1::KeyValue;
use opentelemetry_proto::tonic::common::v1::any_value::Value;
use tonic::{Request, Response, Status};

type Requests = Arc<Mutex<Vec<ExportTraceServiceRequest>>>;

/// It ends with the test's process.
pub struct Collector {
    pub port: u16,
    requests: Requests,
}

#[derive(Debug, Clone)]
pub struct Span {
    pub name: String,
    pub trace: String,
    pub id: String,
    pub parent: String,
    pub start: u64,
    pub end: u64,
    pub failed: bool,
    attributes: Vec<(String, String)>,
}

impl Span {
    pub fn about(&self, key: &str) -> Option<&str> {
        let mut attributes = self.attributes.iter();
        let found = attributes.find(|(name, _)| name == key);
        found.map(|(_, value)| value.as_str())
    }
}

struct Keeper(Requests);

#[async_trait]
impl TraceService for Keeper {
    async fn export(
        &self,
        request: Request<ExportTraceServiceRequest>,
    ) -> Result<Response<ExportTraceServiceResponse>, Status> {
        let mut requests = self.0.lock().expect("nobody panics with it");
        requests.push(request.into_inner());
        Ok(Response::new(ExportTraceServiceResponse::default()))
    }
}

impl Collector {
    /// Listens on the machine's loopback.
    pub fn on(machine: &Machine) -> Self {
        let (sender, bound) = mpsc::channel();
        machine.enter(|| {
            let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).expect("listen");
            sender.send(listener).expect("somebody waits for it");
        });
        let listener = bound.recv().expect("the listener was sent");
        let port = listener.local_addr().expect("it has an address").port();
        let requests = Requests::default();
        let kept = requests.clone();
        std::thread::spawn(move || serve(listener, kept));
        Self { port, requests }
    }

    pub fn spans(&self) -> Vec<Span> {
        let requests = self.requests.lock().expect("nobody panics with it");
        let resources = requests.iter().flat_map(|request| &request.resource_spans);
        let scopes = resources.flat_map(|resource| &resource.scope_spans);
        scopes.flat_map(|scope| &scope.spans).map(span).collect()
    }

    /// Who the spans are of.
    pub fn service(&self) -> Option<String> {
        let requests = self.requests.lock().expect("nobody panics with it");
        let resource = requests.first()?.resource_spans.first()?.resource.clone()?;
        let found = resource.attributes.iter().map(pair);
        let mut found = found.filter(|(key, _)| key == "service.name");
        found.next().map(|(_, value)| value)
    }
}

fn serve(listener: TcpListener, kept: Requests) {
    let runtime = tokio::runtime::Builder::new_current_thread();
    let runtime = { runtime }.enable_all().build().expect("make a runtime");
    runtime.block_on(async {
        listener.set_nonblocking(true).expect("make it nonblocking");
        let listener = tokio::net::TcpListener::from_std(listener).expect("watch it");
        let service = TraceServiceServer::new(Keeper(kept));
        while let Ok((stream, _)) = listener.accept().await {
            let service = TowerToHyperService::new(service.clone());
            let http = hyper::server::conn::http2::Builder::new(TokioExecutor::new());
            tokio::spawn(http.serve_connection(TokioIo::new(stream), service));
        }
    });
}

fn span(span: &opentelemetry_proto::tonic::trace::v1::Span) -> Span {
    use opentelemetry_proto::tonic::trace::v1::status::StatusCode;
    let is_error = |status: &opentelemetry_proto::tonic::trace::v1::Status| {
        status.code == StatusCode::Error as i32
    };
    Span {
        name: span.name.clone(),
        trace: hex(&span.trace_id),
        id: hex(&span.span_id),
        parent: hex(&span.parent_span_id),
        start: span.start_time_unix_nano,
        end: span.end_time_unix_nano,
        failed: span.status.as_ref().is_some_and(is_error),
        attributes: span.attributes.iter().map(pair).collect(),
    }
}

fn pair(attribute: &KeyValue) -> (String, String) {
    let value = attribute.value.clone().and_then(|value| value.value);
    let value = match value {
        Some(Value::StringValue(text)) => text,
        Some(Value::IntValue(number)) => number.to_string(),
        other => format!("{other:?}"),
    };
    (attribute.key.clone(), value)
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}
