//! From a request to its handler.

use std::sync::Arc;

use apimachinery::Status;
use futures::future::BoxFuture;
use http::{Method, Request, Response, StatusCode};

use crate::api::{Api, Call};
use crate::body::{Body, RequestBody};
use crate::negotiate::{Encoding, Form, Shape};
use crate::packed;
use crate::proxy::tunnels;
use crate::registry::create::check_not_ending;
use crate::registry::decode;
use crate::registry::delete::Deleted;
use crate::registry::options::{DeleteOptions, WriteOptions};
use crate::registry::patch::PatchType;
use crate::registry::update::{Part, Written};
use crate::registry::{Registry, list::Listed, pieces::Pieces};
use crate::route::{Resource, Target, Verb};
use crate::served::Served;
use crate::table::{self, Include};
use crate::{aggregation, form, paths, respond, reviews, subresources};

/// Boxed: the futures below are large, and the compiler needs a name for them.
pub fn dispatch<'a>(
    api: &'a Arc<Api>,
    call: &'a Call,
    request: Request<RequestBody>,
) -> BoxFuture<'a, Result<Response<Body>, Status>> {
    if let Some(remote) = api.aggregation.remote_of(&call.route) {
        return Box::pin(async move { aggregation::forward(api, call, &remote, request).await });
    }
    match &call.route.target {
        Target::Path if call.route.path == tunnels::PATH => {
            Box::pin(async move { tunnels::accept(api, call, request) })
        }
        Target::Path => Box::pin(async move { paths::answer(api, call, request.method()).await }),
        Target::Resource(resource) => Box::pin(on_resource(api, call, resource, request)),
    }
}

async fn on_resource(
    api: &Arc<Api>,
    call: &Call,
    resource: &Resource,
    request: Request<RequestBody>,
) -> Result<Response<Body>, Status> {
    let found = api
        .resources
        .find(&resource.group, &resource.version, &resource.resource);
    let Some(kind) = found else {
        if api.resources.has_group(&resource.group) {
            return Err(Status::no_such_resource());
        }
        return Ok(respond::page_not_found());
    };
    check_scope(&kind, resource)?;
    // `/watch/` stands before objects and collections, and what is below an object
    // is not watched.
    if call.route.verb == Verb::Watch && resource.subresource.is_some() {
        return Err(Status::no_such_resource());
    }
    let mut response = on_kind(api, call, resource, &kind, request).await?;
    if let Some(warning) = kind.deprecation() {
        respond::warn(&mut response, &[warning.to_owned()]);
    }
    Ok(response)
}

async fn on_kind(
    api: &Arc<Api>,
    call: &Call,
    resource: &Resource,
    kind: &Served,
    request: Request<RequestBody>,
) -> Result<Response<Body>, Status> {
    if let Some(subresource) = &resource.subresource {
        return subresources::answer(api, call, kind, resource, subresource, request).await;
    }
    check_verb(kind, call.route.verb, resource)?;
    if kind.prefix().is_none() {
        return reviews::answer(api, call, kind, resource, request).await;
    }
    let registry = Registry::new(api, call, kind, resource.namespace.as_deref())?;
    let name = resource.name.as_deref().unwrap_or("");
    match call.route.verb {
        Verb::Get => get(&registry, name).await,
        Verb::List => list(&registry).await,
        Verb::Watch => {
            registry
                .watch(
                    api,
                    resource.name.as_deref(),
                    Form::of(&call.headers, &call.query)?,
                )
                .await
        }
        Verb::Create => create(&registry, request).await,
        Verb::Update => update(&registry, name, Part::Main, request).await,
        Verb::Patch => patch(&registry, name, Part::Main, request).await,
        Verb::Delete => delete(&registry, name, request).await,
        Verb::DeleteCollection => delete_collection(&registry, request).await,
        Verb::Other => Err(Status::method_not_allowed()),
    }
}

/// `/apis/apps/v1/deployments/x` names no namespace, `/api/v1/namespaces/g/nodes`
/// one too many. So does `/api/v1/namespaces/g/namespaces/h`: who may do something
/// in g has no say about h.
fn check_scope(kind: &Served, resource: &Resource) -> Result<(), Status> {
    let has_namespace = resource.namespace.is_some();
    let is_namespace = kind.plural() == "namespaces" && kind.group().is_empty();
    let fits = match (kind.is_namespaced(), has_namespace) {
        (true, true) => true,
        (true, false) => resource.name.is_none(),
        (false, true) => is_namespace && resource.name == resource.namespace,
        (false, false) => true,
    };
    if fits {
        Ok(())
    } else {
        Err(Status::no_such_resource())
    }
}

fn check_verb(kind: &Served, verb: Verb, resource: &Resource) -> Result<(), Status> {
    let needs_name = matches!(verb, Verb::Update | Verb::Patch);
    // POST is for collections, PUT and PATCH for objects.
    let fits = match verb {
        Verb::Create => {
            resource.name.is_none()
                && (resource.namespace.is_some()
                    || !kind.is_namespaced()
                    || kind.prefix().is_none())
        }
        Verb::Watch => true,
        // Not of all namespaces at once.
        Verb::DeleteCollection => resource.namespace.is_some() || !kind.is_namespaced(),
        _ => !needs_name || resource.name.is_some(),
    };
    if verb == Verb::Create {
        check_not_ending(kind)?;
    }
    if fits && kind.verbs().contains(&verb.as_str()) {
        return Ok(());
    }
    Err(Status::method_not_allowed())
}

/// Answers with the object.
pub async fn get(registry: &Registry<'_>, name: &str) -> Result<Response<Body>, Status> {
    let form = Form::of(&registry.call.headers, &registry.call.query)?;
    let bytes = registry.get(name).await?;
    form::object(
        registry.kind,
        StatusCode::OK,
        bytes,
        form,
        &registry.call.query,
    )
}

async fn list(registry: &Registry<'_>) -> Result<Response<Body>, Status> {
    let form = Form::of(&registry.call.headers, &registry.call.query)?.of_kind(registry.kind)?;
    let listed = registry.list(&registry.read_list_options().await?).await?;
    if form.shape == Shape::Object && form.encoding == Encoding::Protobuf {
        return packed::list(registry.kind.clone(), listed).await;
    }
    shaped_list(registry, listed, form)
}

fn shaped_list(
    registry: &Registry<'_>,
    listed: Listed,
    form: Form,
) -> Result<Response<Body>, Status> {
    let kind = registry.kind;
    let bytes = match form.shape {
        Shape::Object => return pieces(registry.pieces(listed), form),
        Shape::Metadata => table::partial_metadata_list(
            table::served(kind, &listed.entries)?.iter(),
            &listed.metadata(),
        ),
        Shape::Table => {
            let include = Include::read(&registry.call.query);
            let objects = table::served(kind, &listed.entries)?;
            table::of_many(
                kind,
                objects.iter(),
                &listed.metadata(),
                include,
                jiff::Timestamp::now(),
            )?
        }
    };
    form::encoded(StatusCode::OK, bytes, form)
}

/// A large list is a stream, so that it is never one block of memory.
fn pieces(pieces: Pieces, form: Form) -> Result<Response<Body>, Status> {
    let is_plain = form.encoding == Encoding::Json && !form.pretty;
    if is_plain && pieces.is_large() {
        let pieces = pieces.map(|piece| piece.map_err(|status| status.message.into()));
        let stream = Body::stream(futures::stream::iter(pieces));
        return Ok(respond::json(StatusCode::OK, stream));
    }
    form::encoded(StatusCode::OK, pieces.whole()?, form)
}

async fn create(
    registry: &Registry<'_>,
    request: Request<RequestBody>,
) -> Result<Response<Body>, Status> {
    let call = registry.call;
    let form = Form::of(&call.headers, &call.query)?;
    let (decoded, options) =
        decode::sent(call, request, registry.kind.into(), "CreateOptions").await?;
    let bytes = registry.create(decoded.object, &options).await?;
    let mut response = form::object(registry.kind, StatusCode::CREATED, bytes, form, &call.query)?;
    respond::warn(&mut response, &decoded.warnings);
    Ok(response)
}

pub async fn update(
    registry: &Registry<'_>,
    name: &str,
    part: Part,
    request: Request<RequestBody>,
) -> Result<Response<Body>, Status> {
    let call = registry.call;
    let form = Form::of(&call.headers, &call.query)?;
    let (decoded, options) =
        decode::sent(call, request, registry.kind.into(), "UpdateOptions").await?;
    let written = registry
        .update(name, part, decoded.object, &options)
        .await?;
    let mut response = answer(registry, written, form)?;
    respond::warn(&mut response, &decoded.warnings);
    Ok(response)
}

fn answer(registry: &Registry<'_>, written: Written, form: Form) -> Result<Response<Body>, Status> {
    let code = if written.created {
        StatusCode::CREATED
    } else {
        StatusCode::OK
    };
    form::object(
        registry.kind,
        code,
        written.bytes,
        form,
        &registry.call.query,
    )
}

pub async fn patch(
    registry: &Registry<'_>,
    name: &str,
    part: Part,
    request: Request<RequestBody>,
) -> Result<Response<Body>, Status> {
    let call = registry.call;
    let form = Form::of(&call.headers, &call.query)?;
    let kind_of_patch = PatchType::of(&call.headers, registry.kind)?;
    let options = WriteOptions::read(&call.query, "PatchOptions")?;
    let body = decode::body(request.into_body()).await?;
    let written = registry
        .patch(name, part, kind_of_patch, &body, &options)
        .await?;
    answer(registry, written, form)
}

async fn delete(
    registry: &Registry<'_>,
    name: &str,
    request: Request<RequestBody>,
) -> Result<Response<Body>, Status> {
    let call = registry.call;
    let form = Form::of(&call.headers, &call.query)?;
    let body = decode::body(request.into_body()).await?;
    let options = DeleteOptions::read(&call.query, &body)?;
    match registry.delete(name, &options).await? {
        Deleted::Object(bytes) => {
            form::object(registry.kind, StatusCode::OK, bytes, form, &call.query)
        }
        Deleted::Gone(status) => form::encoded(StatusCode::OK, status.to_bytes().into(), form),
    }
}

async fn delete_collection(
    registry: &Registry<'_>,
    request: Request<RequestBody>,
) -> Result<Response<Body>, Status> {
    let call = registry.call;
    let form = Form::of(&call.headers, &call.query)?;
    let body = decode::body(request.into_body()).await?;
    let options = DeleteOptions::read(&call.query, &body)?;
    pieces(registry.delete_collection(&options).await?, form)
}

/// The verb of a subresource's method.
pub fn verb_of(method: &Method) -> &'static str {
    match *method {
        Method::GET | Method::HEAD => "get",
        Method::POST => "create",
        Method::PUT => "update",
        Method::PATCH => "patch",
        Method::DELETE => "delete",
        _ => "",
    }
}
