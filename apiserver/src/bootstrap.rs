//! What the server itself puts into an empty cluster, and keeps there.
//!
//! Roles and bindings are mended at each start ([`reconcile`]); of the rest what
//! is there stays as it is.

mod reconcile;

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use apimachinery::Status;
use http::header::{CONTENT_TYPE, USER_AGENT};
use http::{Method, Request};
use http_body_util::{BodyExt, Full};
use serde_json::{Value, json};
use tokio::time::Instant;

use crate::Error;
use crate::api::Api;
use crate::authz::policy;
use crate::body::BoxError;
use crate::query::Query;
use crate::route::{Route, Target};
use crate::user::User;

const PUT_ATTEMPTS: usize = 5;
const SERVICE_WITHIN: Duration = Duration::from_secs(90);
const SERVICE_RETRY: Duration = Duration::from_millis(500);
const RBAC: &str = "/apis/rbac.authorization.k8s.io/v1";
const NAMESPACES: &[&str] = &["kube-system", "default", "kube-public", "kube-node-lease"];

/// Creates what is missing; what is there stays as it is.
pub async fn run(api: &Arc<Api>, advertise: SocketAddr) -> Result<(), Error> {
    let namespaces = NAMESPACES.iter().map(
        |name| json!({ "apiVersion": "v1", "kind": "Namespace", "metadata": { "name": name } }),
    );
    create_all(api, "/api/v1/namespaces", namespaces.collect()).await?;
    let classes = priority_classes().to_vec();
    create_all(api, "/apis/scheduling.k8s.io/v1/priorityclasses", classes).await?;
    reconcile::run(api, &policy::objects()).await?;
    let join = policy::join_bindings();
    create_all(api, &format!("{RBAC}/clusterrolebindings"), join).await?;
    create_service(api, advertise).await
}

/// Another server may be creating it, and have its address, at this moment; or
/// have died in between, then the address is free again after a while.
async fn create_service(api: &Arc<Api>, advertise: SocketAddr) -> Result<(), Error> {
    let path = "/api/v1/namespaces/default/services";
    let deadline = Instant::now() + SERVICE_WITHIN;
    loop {
        match create(api, path, &service(api, advertise)).await {
            Err(error) if api.store.is_shared() && Instant::now() < deadline => {
                tracing::info!(%error, "wait for another server to create the Service kubernetes");
                tokio::time::sleep(SERVICE_RETRY).await;
            }
            done => return done,
        }
    }
}

fn priority_classes() -> [Value; 2] {
    let class = |name: &str, value: i64, what: &str| {
        json!({
            "apiVersion": "scheduling.k8s.io/v1", "kind": "PriorityClass", "metadata": { "name": name },
            "value": value, "description": format!("Used for system critical pods that {what}."),
        })
    };
    [
        class(
            "system-node-critical",
            2_000_001_000,
            "must not be moved from their current node",
        ),
        class(
            "system-cluster-critical",
            2_000_000_000,
            "must run in the cluster, but can be moved to another node if necessary",
        ),
    ]
}

fn labels() -> Value {
    json!({ "component": "apiserver", "provider": "kubernetes" })
}

fn service(api: &Api, advertise: SocketAddr) -> Value {
    json!({
        "apiVersion": "v1", "kind": "Service",
        "metadata": { "name": "kubernetes", "namespace": "default", "labels": labels() },
        "spec": {
            "clusterIP": api.services.first().to_string(),
            "ports": [{ "name": "https", "port": 443, "protocol": "TCP", "targetPort": advertise.port() }],
            "sessionAffinity": "None", "type": "ClusterIP",
        },
    })
}

/// The table of kinds says what there is; without a kind there are no objects.
fn is_served(api: &Api, path: &str) -> bool {
    match Route::parse(&Method::GET, path, &Query::default()).target {
        Target::Resource(r) => api
            .resources
            .find(&r.group, &r.version, &r.resource)
            .is_some(),
        Target::Path => false,
    }
}

/// Creates what is missing, all at once: the store writes them in one commit.
async fn create_all(api: &Arc<Api>, path: &str, objects: Vec<Value>) -> Result<(), Error> {
    let creates = objects.iter().map(|object| create(api, path, object));
    futures::future::try_join_all(creates).await.map(|_| ())
}

/// Creates an object unless it exists.
async fn create(api: &Arc<Api>, path: &str, object: &Value) -> Result<(), Error> {
    if !is_served(api, path) {
        return Ok(());
    }
    let name = object["metadata"]["name"].as_str().unwrap_or("");
    let there = send(api, Method::GET, &format!("{path}/{name}"), &Value::Null).await;
    if there.is_ok() {
        return Ok(());
    }
    match send(api, Method::POST, path, object).await {
        Err(status) if status.reason != "AlreadyExists" => Err(failure(object, &status)),
        _ => Ok(()),
    }
}

/// Creates the object or makes it what it should be.
pub async fn put(api: &Arc<Api>, path: &str, object: &Value) -> Result<(), Error> {
    if !is_served(api, path) {
        return Ok(());
    }
    let collection = path
        .rsplit_once('/')
        .map_or(path, |(collection, _)| collection);
    let mut last = Ok(());
    for _ in 0..PUT_ATTEMPTS {
        match send(api, Method::PUT, path, object).await {
            Err(status) if status.code == 404 => return create(api, collection, object).await,
            // Another server makes it at this moment.
            Err(status) if status.code == 409 => last = Err(failure(object, &status)),
            Err(status) => return Err(failure(object, &status)),
            Ok(_) => return Ok(()),
        }
    }
    last
}

fn failure(object: &Value, status: &Status) -> Error {
    let what = format!(
        "{} {}",
        object["kind"].as_str().unwrap_or(""),
        object["metadata"]["name"].as_str().unwrap_or("")
    );
    Error::Bootstrap {
        what,
        message: status.message.clone(),
    }
}

async fn send(api: &Arc<Api>, method: Method, path: &str, object: &Value) -> Result<Value, Status> {
    let body = Full::new(bytes::Bytes::from(object.to_string()));
    let request = Request::builder()
        .method(method)
        .uri(path)
        .header(CONTENT_TYPE, "application/json")
        .header(USER_AGENT, "kube-apiserver/skiff")
        .body(
            body.map_err(|never| -> BoxError { match never {} })
                .boxed_unsync(),
        )
        .map_err(Status::internal)?;
    let user = Arc::new(User::admin("system:apiserver"));
    let response = api.answer_as(request, Ok(user)).await;
    let is_success = response.status().is_success();
    let body = response.into_body().collect().await;
    let body = body.map_err(Status::internal)?.to_bytes();
    if is_success {
        return serde_json::from_slice(&body).map_err(Status::internal);
    }
    Err(serde_json::from_slice(&body)
        .unwrap_or_else(|_| Status::internal(String::from_utf8_lossy(&body))))
}
