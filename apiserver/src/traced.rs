//! Requests and what they ask of the store, as spans. Nothing of this is in the
//! way of a request while tracing is off.

use std::sync::Arc;

use apimachinery::{Status, meta};
use async_trait::async_trait;
use http::{HeaderMap, Method, Response};
use serde_json::Value;
use store::backup::Backup;
use store::{Entry, Error, Expect, Page, Range, Revision, State, Store, Watch};
use traces::{Kind, Parent, Span, within};

use crate::body::Body;
use crate::route::{Route, Target};
use crate::user::{MASTERS, NODES, User};

/// The span of a request for a resource.
pub fn request(
    method: &Method,
    headers: &HeaderMap,
    route: &Route,
    user: &Result<Arc<User>, Status>,
) -> Option<Span> {
    let Target::Resource(asked) = &route.target else {
        return None;
    };
    let remote = traces::accept(headers);
    let parent = match user {
        Ok(user) if is_believed(user) => Parent::Request(remote),
        _ => Parent::Stranger(remote),
    };
    let what = match &asked.subresource {
        Some(subresource) => format!("{}/{subresource}", asked.resource),
        None => asked.resource.clone(),
    };
    let verb = route.verb.as_str();
    let span = traces::span(format!("{verb} {what}"), Kind::Server, parent)?;
    span.set("http.request.method", method.to_string());
    span.set("url.path", route.path.clone());
    let agent = headers.get(http::header::USER_AGENT);
    if let Some(agent) = agent.and_then(|agent| agent.to_str().ok()) {
        span.set("user_agent.original", agent.to_owned());
    }
    if let Ok(user) = user {
        span.set("enduser.id", user.name.clone());
    }
    Some(span)
}

/// As Kubernetes: a trace goes on for the cluster's own parts and those who may do
/// everything; nobody else decides what this server has to export.
fn is_believed(user: &User) -> bool {
    user.is_in(MASTERS) || user.is_in(NODES) || user.name.starts_with("system:kube-")
}

/// The request was answered.
pub fn answered(span: &Span, response: &Response<Body>) {
    let status = response.status();
    span.set("http.response.status_code", i64::from(status.as_u16()));
    if status.is_server_error() {
        span.fail(status.canonical_reason().unwrap_or_default());
    }
}

/// Lets the scheduler and the kubelet go on with the trace that made the pod.
pub fn note(pod: &mut Value) {
    if let Some(trace) = traces::current() {
        meta::set_annotation(pod, traces::ANNOTATION, &trace);
    }
}

/// The store, with a span around what a request waits for; the store itself while
/// tracing is off.
pub fn layer(store: Arc<dyn Store>) -> Arc<dyn Store> {
    if traces::is_on() {
        Arc::new(Traced(store))
    } else {
        store
    }
}

struct Traced(Arc<dyn Store>);

impl Traced {
    async fn run<T>(
        &self,
        name: &str,
        key: &[u8],
        work: impl Future<Output = Result<T, Error>>,
    ) -> Result<T, Error> {
        let span = traces::span(name, Kind::Client, Parent::Current);
        let done = within(span.as_ref(), work).await;
        if let Some(span) = &span {
            span.set("skiff.store.key", String::from_utf8_lossy(key).into_owned());
            if let Err(error) = &done {
                span.fail(error.to_string());
            }
        }
        done
    }
}

#[async_trait]
impl Store for Traced {
    fn revision(&self) -> Revision {
        self.0.revision()
    }

    async fn newest(&self) -> Result<Revision, Error> {
        self.0.newest().await
    }

    fn oldest(&self) -> Revision {
        self.0.oldest()
    }

    async fn get(&self, key: &[u8]) -> Result<Option<Entry>, Error> {
        self.run("store get", key, self.0.get(key)).await
    }

    async fn range(&self, range: Range) -> Result<Page, Error> {
        let prefix = range.prefix.clone();
        self.run("store range", &prefix, self.0.range(range)).await
    }

    async fn count(&self, prefix: &[u8]) -> Result<u64, Error> {
        self.0.count(prefix).await
    }

    async fn put(&self, key: &[u8], value: store::Value, expect: Expect) -> Result<Entry, Error> {
        self.run("store put", key, self.0.put(key, value, expect))
            .await
    }

    async fn delete(&self, key: &[u8], expect: Expect) -> Result<(Entry, Revision), Error> {
        self.run("store delete", key, self.0.delete(key, expect))
            .await
    }

    async fn watch(&self, prefix: &[u8], from: Revision) -> Result<Watch, Error> {
        self.0.watch(prefix, from).await
    }

    async fn compact(&self, before: Revision) -> Result<(), Error> {
        self.0.compact(before).await
    }

    async fn is_stale(&self, key: &[u8]) -> Result<bool, Error> {
        self.0.is_stale(key).await
    }

    async fn backup(&self) -> Result<Backup, Error> {
        self.0.backup().await
    }

    fn is_shared(&self) -> bool {
        self.0.is_shared()
    }

    fn state(&self) -> Option<State> {
        self.0.state()
    }
}
