//! What lies below an object: `/status`, `/scale`, `/binding`, `/log`, ...

pub mod binding;
mod connect;
mod eviction;
mod scale;
mod token;

use std::sync::Arc;

use apimachinery::Status;
use http::{Request, Response};

use crate::api::{Api, Call};
use crate::body::{Body, RequestBody};
use crate::dispatch::{get, patch, update, verb_of};
use crate::proxy;
use crate::registry::Registry;
use crate::registry::update::Part;
use crate::route::Resource;
use crate::served::Served;

pub async fn answer(
    api: &Arc<Api>,
    call: &Call,
    kind: &Served,
    resource: &Resource,
    name: &str,
    request: Request<RequestBody>,
) -> Result<Response<Body>, Status> {
    let known = kind
        .subresource(name)
        .ok_or_else(Status::no_such_resource)?;
    let verb = verb_of(request.method());
    if !known.verbs.contains(&verb) {
        return Err(Status::method_not_allowed());
    }
    let object = resource
        .name
        .as_deref()
        .ok_or_else(Status::no_such_resource)?;
    let registry = Registry::new(api, call, kind, resource.namespace.as_deref())?;
    match (kind.plural(), name) {
        ("pods", "log") => proxy::pod::connect(api, &registry, object, name, request).await,
        ("pods", "exec" | "attach" | "portforward") => {
            connect::authorize(&registry).await?;
            connect::admit(&registry, object, name, None).await?;
            proxy::pod::connect(api, &registry, object, name, request).await
        }
        (_, "proxy") => {
            connect::admit(&registry, object, name, resource.rest.as_deref()).await?;
            proxy::forward(api, &registry, object, resource.rest.as_deref(), request).await
        }
        ("pods", "binding") => binding::post(&registry, object, request).await,
        ("pods", "eviction") => eviction::post(&registry, object, request).await,
        ("serviceaccounts", "token") => token::post(&registry, object, request).await,
        (_, "scale") => scale::answer(&registry, object, verb, request).await,
        (_, part) => on_part(&registry, object, part_of(part)?, verb, request).await,
    }
}

fn part_of(name: &str) -> Result<Part, Status> {
    match name {
        "status" => Ok(Part::Status),
        "finalize" => Ok(Part::Finalize),
        "ephemeralcontainers" => Ok(Part::EphemeralContainers),
        "approval" => Ok(Part::Approval),
        "resize" => Ok(Part::Resize),
        _ => Err(Status::no_such_resource()),
    }
}

/// Subresources that are the object itself, of which only a part is written.
async fn on_part(
    registry: &Registry<'_>,
    name: &str,
    part: Part,
    verb: &str,
    request: Request<RequestBody>,
) -> Result<Response<Body>, Status> {
    match verb {
        "get" => get(registry, name).await,
        "update" => update(registry, name, part, request).await,
        "patch" => patch(registry, name, part, request).await,
        _ => Err(Status::method_not_allowed()),
    }
}
