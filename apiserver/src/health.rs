//! `/healthz`, `/livez`, `/readyz`, each check by name, and `?verbose`.

use http::{Response, StatusCode};

use crate::api::{Api, Call};
use crate::body::Body;
use crate::{respond, storage};

const LIVE: &[&str] = &["ping", "log", "etcd"];
const READY: &[&str] = &["ping", "log", "etcd", "shutdown"];

pub async fn answer(api: &Api, call: &Call, path: &str) -> Response<Body> {
    let mut parts = path.trim_start_matches('/').split('/');
    let endpoint = parts.next().unwrap_or("");
    let checks = if endpoint == "readyz" { READY } else { LIVE };
    let Some(wanted) = parts.next() else {
        return all(api, call, endpoint, checks).await;
    };
    if !checks.contains(&wanted) {
        return respond::page_not_found();
    }
    match check(api, wanted).await {
        Ok(()) => respond::text(StatusCode::OK, "ok"),
        Err(why) => respond::text(
            StatusCode::INTERNAL_SERVER_ERROR,
            &format!("internal server error: {why}\n"),
        ),
    }
}

async fn all(api: &Api, call: &Call, endpoint: &str, checks: &[&str]) -> Response<Body> {
    let excluded: Vec<&str> = call.query.all("exclude").collect();
    let mut lines = String::new();
    let mut failed = false;
    for name in checks {
        let line = if excluded.contains(name) {
            format!("[+]{name} excluded: ok\n")
        } else {
            match check(api, name).await {
                Ok(()) => format!("[+]{name} ok\n"),
                Err(_) => {
                    failed = true;
                    format!("[-]{name} failed: reason withheld\n")
                }
            }
        };
        lines.push_str(&line);
    }
    if failed {
        let text = format!("{lines}{endpoint} check failed\n");
        return respond::text(StatusCode::INTERNAL_SERVER_ERROR, &text);
    }
    if call.query.flag("verbose") {
        return respond::text(StatusCode::OK, &format!("{lines}{endpoint} check passed\n"));
    }
    respond::text(StatusCode::OK, "ok")
}

async fn check(api: &Api, name: &str) -> Result<(), String> {
    match name {
        // The store, by the name that Kubernetes' monitoring knows.
        "etcd" => {
            if let Some(why) = storage::failure(&*api.store) {
                return Err(why.into());
            }
            let read = api.store.get(b"/registry/health").await;
            read.map(|_| ()).map_err(|error| error.to_string())
        }
        "shutdown" if api.stop.is_cancelled() => Err("the server is stopping".into()),
        _ => Ok(()),
    }
}
