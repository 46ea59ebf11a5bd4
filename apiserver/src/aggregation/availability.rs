//! Whether extension API servers answer, as their APIServices' condition
//! `Available` and for discovery.

use std::sync::Arc;
use std::time::Duration;

use apimachinery::{meta, time};
use bytes::Bytes;
use http::{Request, header};
use http_body_util::{BodyExt, Limited};
use jiff::Timestamp;
use serde_json::{Value, json};
use store::Expect;
use tokio_util::sync::CancellationToken;

use super::{Remote, proxy};
use crate::api::Api;
use crate::user::User;
use crate::webhook::dial;
use crate::{bytes_json, keys, webhook};

/// How often servers that answer are asked again, and those that do not.
const EVERY: Duration = Duration::from_secs(30);
const SOON: Duration = Duration::from_secs(2);
const ANSWER_LIMIT: Duration = Duration::from_secs(5);
const DISCOVERY_MAX: usize = 4 * 1024 * 1024;

/// Looks after all remote APIServices until `stop`. Without any it only waits.
pub async fn run(api: Arc<Api>, stop: CancellationToken) {
    loop {
        let remotes = api.aggregation.remotes();
        let checks = remotes.values().map(|remote| check(&api, remote));
        let well = futures::future::join_all(checks).await;
        let pause = match (well.is_empty(), well.iter().all(|w| *w)) {
            (true, _) => None,
            (_, true) => Some(EVERY),
            (_, false) => Some(SOON),
        };
        let pause = async {
            match pause {
                Some(pause) => tokio::time::sleep(pause).await,
                None => std::future::pending().await,
            }
        };
        tokio::select! {
            () = stop.cancelled() => return,
            () = api.aggregation.changed.notified() => {}
            () = pause => {}
        }
    }
}

/// What is said of a server: the condition's status, reason and message.
struct Found {
    is_available: bool,
    reason: &'static str,
    message: String,
}

async fn check(api: &Api, remote: &Remote) -> bool {
    let (found, resources) = match ask(api, remote).await {
        Ok(resources) => {
            let found = Found {
                is_available: true,
                reason: "Passed",
                message: "all checks passed".into(),
            };
            (found, Some(Arc::new(resources)))
        }
        Err((reason, message)) => {
            let found = Found {
                is_available: false,
                reason,
                message,
            };
            (found, None)
        }
    };
    if remote.resources != resources {
        api.aggregation.note_resources(&remote.name, resources);
    }
    note(api, &remote.name, &found).await;
    found.is_available
}

/// The server's `APIResourceList`.
async fn ask(api: &Api, remote: &Remote) -> Result<Value, (&'static str, String)> {
    let path = format!("/apis/{}/{}", remote.group, remote.version);
    let failed = |why: String| {
        let (service, port) = (remote.service.host(), remote.service.port);
        let url = format!("https://{service}:{port}{path}");
        let message = format!("failing or missing response from {url}: {why}");
        ("FailedDiscoveryCheck", message)
    };
    check_service(api, remote).await?;
    let roots = remote.roots.as_ref().map_err(|why| failed(why.clone()))?;
    let uri = webhook::service_uri(&remote.service, &path);
    let uri = uri.map_err(|error| failed(error.to_string()))?;
    let mut request = Request::new(webhook::full(Bytes::new()));
    *request.uri_mut() = uri;
    let json = http::HeaderValue::from_static("application/json");
    request.headers_mut().insert(header::ACCEPT, json);
    let user = User::admin("system:kube-aggregator");
    proxy::name_user(request.headers_mut(), &user);
    let identity = api.aggregation.client();
    let exchange = async {
        let response = api
            .webhooks
            .forward(request, roots, identity.as_ref())
            .await;
        let response = response.map_err(|error| error.to_string())?;
        let code = response.status();
        if !code.is_success() {
            return Err(format!(
                "bad status from https://{}{path}: {}",
                remote.service.host(),
                code.as_u16()
            ));
        }
        let body = Limited::new(response.into_body(), DISCOVERY_MAX);
        let body = body.collect().await.map_err(|error| error.to_string())?;
        serde_json::from_slice(&body.to_bytes()).map_err(|error| error.to_string())
    };
    match tokio::time::timeout(ANSWER_LIMIT, exchange).await {
        Ok(answered) => answered.map_err(failed),
        Err(_) => Err(failed("context deadline exceeded".into())),
    }
}

async fn check_service(api: &Api, remote: &Remote) -> Result<(), (&'static str, String)> {
    let found = webhook::resolve::addresses(&api.store, &remote.service).await;
    let service = &remote.service;
    let (name, namespace) = (&service.name, &service.namespace);
    match found {
        Ok(_) => Ok(()),
        Err(dial::Error::NoService { .. }) => Err((
            "ServiceNotFound",
            format!("service/{name} in {namespace:?} is not present"),
        )),
        Err(dial::Error::NoPort { port, .. }) => Err((
            "ServicePortError",
            format!("service/{name} in {namespace:?} is not listening on port {port}"),
        )),
        Err(dial::Error::NoEndpoints { .. }) => Err((
            "MissingEndpoints",
            format!("endpoints for service/{name} in {namespace:?} have no addresses"),
        )),
        Err(other) => Err(("FailedDiscoveryCheck", other.to_string())),
    }
}

/// Writes the condition unless it says so already. That it fails is no harm: the
/// next look writes it.
async fn note(api: &Api, name: &str, found: &Found) {
    let key = keys::object("apiservices", None, name);
    let Ok(Some(entry)) = api.store.get(&key).await else {
        return;
    };
    let Ok(mut object) = serde_json::from_slice::<Value>(&entry.value) else {
        return;
    };
    let status = if found.is_available { "True" } else { "False" };
    let known = meta::items(&object, "status.conditions")
        .iter()
        .find(|c| c["type"] == "Available");
    let is_same = |field: &str, text: &str| known.is_some_and(|c| c[field] == text);
    if is_same("status", status)
        && is_same("reason", found.reason)
        && is_same("message", &found.message)
    {
        return;
    }
    let since = match known.filter(|c| c["status"] == status) {
        Some(known) => known["lastTransitionTime"].clone(),
        None => time::rfc3339(Timestamp::now()).into(),
    };
    let condition = json!({
        "type": "Available", "status": status, "reason": found.reason,
        "message": found.message, "lastTransitionTime": since,
    });
    meta::set(&mut object, "status.conditions", json!([condition]));
    if let Value::Object(fields) = &object {
        let value = bytes_json::encode(fields);
        let put = api.store.put(&key, value, Expect::At(entry.modified)).await;
        if let Err(error) = put {
            tracing::debug!(%error, name, "note whether an extension API server answers");
        }
    }
}
