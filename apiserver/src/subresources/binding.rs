//! Binding: the scheduler's word on which node a pod runs.

use apimachinery::{Status, meta, status};
use http::{Request, Response, StatusCode};
use serde_json::{Value, json};

use crate::admission::request::Operation;
use crate::api::{Api, Call};
use crate::body::{Body, RequestBody};
use crate::registry::Registry;
use crate::registry::decode::{self, Wanted};
use crate::registry::options::WriteOptions;
use crate::registry::update::{Made, Part};
use crate::respond;
use crate::served::Served;

const BINDING: Wanted<'static> = Wanted::built_in("", "v1", "Binding");

/// POST `/pods/<name>/binding`.
pub async fn post(
    registry: &Registry<'_>,
    name: &str,
    request: Request<RequestBody>,
) -> Result<Response<Body>, Status> {
    let call = registry.call;
    let (decoded, options) = decode::sent(call, request, BINDING, "CreateOptions").await?;
    let mut binding = decoded.object;
    bind_pod(registry, name, &mut binding, &options).await
}

/// POST `/bindings`, where the binding's name is the pod's.
pub async fn bind(
    api: &Api,
    call: &Call,
    namespace: Option<&str>,
    name: &str,
    binding: &Value,
    dry_run: bool,
) -> Result<Response<Body>, Status> {
    let pods = api
        .resources
        .find("", "v1", "pods")
        .ok_or_else(Status::no_such_resource)?;
    let registry = Registry::new(api, call, &pods, namespace)?;
    let mut options = WriteOptions::read(&call.query, "CreateOptions")?;
    options.dry_run = dry_run;
    bind_pod(&registry, name, &mut binding.clone(), &options).await
}

async fn bind_pod(
    registry: &Registry<'_>,
    name: &str,
    binding: &mut Value,
    options: &WriteOptions,
) -> Result<Response<Body>, Status> {
    let at = (name, "binding");
    registry
        .api
        .admission
        .admit_on_subresource(registry, Operation::Create, at, binding, options.dry_run)
        .await?;
    let node = meta::text(binding, "target.name").to_owned();
    let target = meta::text(binding, "target.kind");
    if node.is_empty() || !matches!(target, "" | "Node") {
        return Err(Status::bad_request(
            "the target of a binding is a Node with a name",
        ));
    }
    let wanted_uid = meta::uid(binding).to_owned();
    registry
        .change(name, Part::Binding, options, |old| {
            check(registry.kind, name, old, &wanted_uid)?;
            let mut object = old.clone();
            meta::set(&mut object, "spec.nodeName", node.as_str());
            for (key, value) in meta::annotations(&*binding).into_iter().flatten() {
                meta::set_annotation(&mut object, key, value.as_str().unwrap_or(""));
            }
            note_scheduled(&mut object);
            Ok(Made {
                object,
                is_owned: true,
            })
        })
        .await?;
    let mut done = Status::success(None);
    done.code = StatusCode::CREATED.as_u16();
    Ok(respond::status(&done))
}

fn check(_: &Served, name: &str, pod: &Value, wanted_uid: &str) -> Result<(), Status> {
    let refuse = |why: &str| {
        Err(Status::conflict(
            status::Resource::new("", "pods/binding"),
            name,
            why,
        ))
    };
    if meta::deletion_timestamp(pod).is_some() {
        return refuse(&format!(
            "pod {name} is being deleted, cannot be assigned to a host"
        ));
    }
    let node = meta::text(pod, "spec.nodeName");
    if !node.is_empty() {
        return refuse(&format!("pod {name} is already assigned to node {node:?}"));
    }
    if !meta::items(pod, "spec.schedulingGates").is_empty() {
        return refuse(&format!("pod {name} has non-empty .spec.schedulingGates"));
    }
    if !wanted_uid.is_empty() && wanted_uid != meta::uid(pod) {
        return refuse(
            "Precondition failed: UID in precondition differs from the UID in object meta",
        );
    }
    Ok(())
}

/// The condition that says the pod has its node.
fn note_scheduled(pod: &mut Value) {
    let now = apimachinery::time::rfc3339(jiff::Timestamp::now());
    let condition = json!({
        "type": "PodScheduled", "status": "True", "lastProbeTime": null, "lastTransitionTime": now,
    });
    let status = meta::entry(pod, "status");
    match status.get_mut("conditions").and_then(Value::as_array_mut) {
        Some(list) => {
            list.retain(|c| c["type"] != "PodScheduled");
            list.push(condition);
        }
        None => status["conditions"] = json!([condition]),
    }
}
