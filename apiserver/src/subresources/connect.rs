//! CONNECT: exec, attach, port-forward and proxy, as admission sees them: options
//! made of the query.

use apimachinery::Status;
use serde_json::{Value, json};

use crate::admission::request::Operation;
use crate::authz::Attributes;
use crate::registry::Registry;
use crate::route::Verb;

/// To run something in a pod takes leave to create, also where it comes as a GET, which
/// WebSockets begin with (Kubernetes' `AuthorizePodWebsocketUpgradeCreatePermission`).
///
/// # Errors
/// 403.
pub async fn authorize(registry: &Registry<'_>) -> Result<(), Status> {
    let call = registry.call;
    if call.route.verb == Verb::Create {
        return Ok(());
    }
    let asked = Attributes {
        verb: Verb::Create.as_str(),
        ..Attributes::of(&call.route)
    };
    registry.api.authz.check(&call.user, &asked).await
}

/// # Errors
/// What admission has against it.
pub async fn admit(
    registry: &Registry<'_>,
    name: &str,
    subresource: &str,
    rest: Option<&str>,
) -> Result<(), Status> {
    let admission = &registry.api.admission;
    if !admission.is_asked() {
        return Ok(());
    }
    let mut options = options(registry, subresource, rest);
    let at = (name, subresource);
    admission
        .admit_on_subresource(registry, Operation::Connect, at, &mut options, false)
        .await
}

fn options(registry: &Registry<'_>, subresource: &str, rest: Option<&str>) -> Value {
    let query = &registry.call.query;
    let known = registry.kind.subresource(subresource);
    let kind = known.map_or("", |sub| sub.kind);
    let mut options = json!({ "kind": kind, "apiVersion": "v1" });
    match subresource {
        "exec" | "attach" => {
            for stream in ["stdin", "stdout", "stderr", "tty"] {
                if query.flag(stream) {
                    options[stream] = true.into();
                }
            }
            if let Some(container) = query.text("container") {
                options["container"] = container.into();
            }
            let command: Vec<&str> = query.all("command").collect();
            if !command.is_empty() {
                options["command"] = json!(command);
            }
        }
        "portforward" => {
            let ports = query.all("ports").filter_map(|port| port.parse().ok());
            let ports: Vec<u16> = ports.collect();
            if !ports.is_empty() {
                options["ports"] = json!(ports);
            }
        }
        _ => options["path"] = format!("/{}", rest.unwrap_or("")).into(),
    }
    options
}
