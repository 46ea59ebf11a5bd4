//! `/log`, `/exec`, `/attach`, `/portforward`: the pod's kubelet answers.

use std::sync::Arc;

use apimachinery::{Status, meta};
use http::{Request, Response, StatusCode};
use http_body_util::{BodyExt, Limited};
use serde_json::Value;

use super::kubelet_of;
use crate::api::Api;
use crate::body::{Body, RequestBody};
use crate::registry::{Registry, versions};
use crate::respond;

/// What a kubelet calls the container logs.
const LOGS: &str = "containerLogs";
/// The longest reason of a kubelet that is handed on.
const MAX_REASON: usize = 50_000;

pub async fn connect(
    api: &Arc<Api>,
    registry: &Registry<'_>,
    name: &str,
    what: &str,
    request: Request<RequestBody>,
) -> Result<Response<Body>, Status> {
    let pod = versions::value(registry.kind, &registry.entry(name).await?.value)?;
    let wanted = registry.call.query.text("container");
    let container = if what == "portforward" {
        String::new()
    } else {
        container_of(&pod, wanted)?
    };
    let node = meta::text(&pod, "spec.nodeName");
    if node.is_empty() {
        if what == "log" {
            // A pod that never ran has logged nothing.
            return Ok(respond::with(
                StatusCode::NO_CONTENT,
                respond::TEXT,
                Body::empty(),
            ));
        }
        return Err(Status::bad_request(format!(
            "pod {name} does not have a host assigned"
        )));
    }
    if what == "exec" || what == "attach" {
        check_streams(registry)?;
    }
    let destination = kubelet_of(api, node).await?;
    let namespace = meta::namespace(&pod);
    let path = match what {
        "log" => format!("/{LOGS}/{namespace}/{name}/{container}"),
        "portforward" => format!("/portForward/{namespace}/{name}"),
        _ => format!("/{what}/{namespace}/{name}/{container}"),
    };
    let answer = api.kubelets.send(&destination, &path, request).await?;
    if what == "log" {
        return log_or_why_not(answer).await;
    }
    Ok(answer)
}

/// A kubelet says in plain text why there is no log; clients of the API want a Status.
async fn log_or_why_not(answer: Response<Body>) -> Result<Response<Body>, Status> {
    let code = answer.status();
    if code.is_success() {
        return Ok(answer);
    }
    let read = Limited::new(answer.into_body(), MAX_REASON).collect().await;
    let text = read.map_or_else(|error| error.to_string().into(), |body| body.to_bytes());
    let text = String::from_utf8_lossy(&text);
    Err(match code {
        StatusCode::BAD_REQUEST => Status::bad_request(text),
        StatusCode::NOT_FOUND => Status::no_such_resource(),
        StatusCode::INTERNAL_SERVER_ERROR => Status::internal(text),
        _ => Status::unclassified(text),
    })
}

fn check_streams(registry: &Registry<'_>) -> Result<(), Status> {
    let query = &registry.call.query;
    let any = ["stdin", "stdout", "stderr", "tty"]
        .iter()
        .any(|s| query.flag(s));
    if any
        || query.get("input").is_some()
        || query.get("output").is_some()
        || query.get("error").is_some()
    {
        return Ok(());
    }
    Err(Status::bad_request(
        "you must specify at least one of stdin, stdout, stderr",
    ))
}

/// The container that is meant: the named one, the only one, or the default.
fn container_of(pod: &Value, wanted: Option<&str>) -> Result<String, Status> {
    let names = |list: &str| -> Vec<String> {
        let containers = meta::items(&pod["spec"], list).iter();
        containers
            .filter_map(|c| c["name"].as_str().map(str::to_owned))
            .collect()
    };
    let containers = names("containers");
    let init = names("initContainers");
    let pod_name = meta::name(pod);
    match wanted {
        Some(name) => {
            let known = containers.iter().chain(&init).any(|c| c == name)
                || names("ephemeralContainers").iter().any(|c| c == name);
            if known {
                return Ok(name.to_owned());
            }
            Err(Status::bad_request(format!(
                "container {name} is not valid for pod {pod_name}"
            )))
        }
        None => {
            let default = meta::annotation(pod, "kubectl.kubernetes.io/default-container");
            if let Some(default) = default.filter(|d| containers.iter().any(|c| c == d)) {
                return Ok(default.to_owned());
            }
            if let [only] = containers.as_slice() {
                return Ok(only.clone());
            }
            let choice = containers.join(" ");
            let extra = if init.is_empty() {
                String::new()
            } else {
                format!(" or one of the init containers: [{}]", init.join(" "))
            };
            Err(Status::bad_request(format!(
                "a container name must be specified for pod {pod_name}, choose one of: [{choice}]{extra}"
            )))
        }
    }
}
