//! What is no resource: health, version, discovery, OpenAPI, metrics, token keys.

use std::sync::Arc;

use apimachinery::Status;
use http::{Method, Response, StatusCode};
use serde_json::json;

use crate::api::{Api, Call};
use crate::body::Body;
use crate::negotiate::{Encoding, Form};
use crate::{form, health, respond, storage};

pub async fn answer(
    api: &Arc<Api>,
    call: &Call,
    method: &Method,
) -> Result<Response<Body>, Status> {
    let path = call.route.path.as_str();
    let trimmed = if path.len() > 1 {
        path.trim_end_matches('/')
    } else {
        path
    };
    if !matches!(*method, Method::GET | Method::HEAD) {
        return Err(Status::method_not_allowed());
    }
    let root = trimmed.split('/').nth(1).unwrap_or("");
    match root {
        "healthz" | "livez" | "readyz" => return Ok(health::answer(api, call, trimmed).await),
        "openapi" => {
            if trimmed == "/openapi/v1/jwks" || trimmed == "/openid/v1/jwks" {
                return jwks(api, call);
            }
            return api.openapi.answer(api, call, trimmed);
        }
        "api" | "apis" => return api.discovery.answer(api, call, trimmed),
        _ => {}
    }
    match trimmed {
        "/" | "" => index(api, call),
        "/version" => form::value(StatusCode::OK, &version(), plain(call)),
        "/metrics" => Ok(metrics(api).await),
        "/skiff/v1/snapshot" => storage::snapshot(api, call).await,
        "/openid/v1/jwks" => jwks(api, call),
        "/.well-known/openid-configuration" => openid(api, call),
        _ => Ok(respond::page_not_found()),
    }
}

fn plain(call: &Call) -> Form {
    let form = Form::of(&call.headers, &call.query).ok();
    form.filter(|form| form.encoding != Encoding::Protobuf)
        .unwrap_or(Form::PLAIN)
}

pub fn git_version() -> String {
    release::kubernetes().to_owned()
}

fn version() -> serde_json::Value {
    let release = git_version();
    let mut numbers = release.trim_start_matches('v').split('.');
    json!({
        "major": numbers.next(),
        "minor": numbers.next(),
        "gitVersion": release,
        "gitCommit": "unknown",
        "gitTreeState": "clean",
        "buildDate": "1970-01-01T00:00:00Z",
        "goVersion": "none (rust)",
        "compiler": "rustc",
        "platform": format!("{}/{}", std::env::consts::OS, architecture()),
    })
}

/// In Go's words, which clients expect.
fn architecture() -> &'static str {
    match std::env::consts::ARCH {
        "x86_64" => "amd64",
        "aarch64" => "arm64",
        other => other,
    }
}

fn index(api: &Api, call: &Call) -> Result<Response<Body>, Status> {
    let mut paths = api.discovery.paths(api);
    let rest = [
        "/.well-known/openid-configuration",
        "/healthz",
        "/healthz/etcd",
        "/healthz/log",
        "/healthz/ping",
        "/livez",
        "/livez/etcd",
        "/livez/log",
        "/livez/ping",
        "/metrics",
        "/openapi/v2",
        "/openapi/v3",
        "/openid/v1/jwks",
        "/readyz",
        "/readyz/etcd",
        "/readyz/log",
        "/readyz/ping",
        "/readyz/shutdown",
        "/version",
    ];
    paths.extend(rest.iter().map(|p| (*p).to_owned()));
    paths.sort();
    form::value(StatusCode::OK, &json!({ "paths": paths }), plain(call))
}

/// What all parts of this process count.
async fn metrics(api: &Api) -> Response<Body> {
    let mut text = metrics::Text::new();
    api.metrics.collect(&api.resources, &mut text);
    api.admission.webhook_metrics.collect(&mut text);
    storage::metrics(&*api.store, &mut text);
    storage::objects(api, &mut text).await;
    metrics::SERVER.collect(&mut text);
    metrics::PROCESS.collect(&mut text);
    let kind = http::HeaderValue::from_static(metrics::CONTENT_TYPE);
    respond::with(StatusCode::OK, kind, text.into_string().into_bytes())
}

/// The only media type of a key set is its own (RFC 7517).
fn jwks(api: &Api, call: &Call) -> Result<Response<Body>, Status> {
    let accept = call
        .headers
        .get(http::header::ACCEPT)
        .and_then(|v| v.to_str().ok())
        .unwrap_or("*/*");
    if !accept.split(',').any(|one| {
        matches!(
            one.split(';').next().unwrap_or("").trim(),
            "*/*" | "application/*" | "application/jwk-set+json"
        )
    }) {
        return Err(Status::not_acceptable());
    }
    let keys = api.authn.service_accounts().jwks().to_string();
    let kind = http::HeaderValue::from_static("application/jwk-set+json");
    Ok(respond::with(StatusCode::OK, kind, keys.into_bytes()))
}

fn openid(api: &Api, call: &Call) -> Result<Response<Body>, Status> {
    let document = json!({
        "issuer": api.authn.service_accounts().issuer(),
        "jwks_uri": format!("https://{}/openid/v1/jwks", api.discovery.address()),
        "response_types_supported": ["id_token"],
        "subject_types_supported": ["public"],
        "id_token_signing_alg_values_supported": api.authn.service_accounts().algorithms(),
    });
    form::value(StatusCode::OK, &document, plain(call))
}
