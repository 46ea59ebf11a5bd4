//! `/scale`: a workload's replica count, the same for every kind that has one.

use apimachinery::{Status, meta};
use http::{Request, Response, StatusCode};
use kinds::scale::{self, ScalePaths};
use serde_json::{Value, json};

use crate::body::{Body, RequestBody};
use crate::form;
use crate::negotiate::Form;
use crate::registry::decode::{self, Wanted};
use crate::registry::options::WriteOptions;
use crate::registry::patch::{PatchType, check_options};
use crate::registry::update::{Made, Part};
use crate::registry::{Registry, versions};

const SCALE: Wanted<'static> = Wanted::built_in("autoscaling", "v1", "Scale");

pub async fn answer(
    registry: &Registry<'_>,
    name: &str,
    verb: &str,
    request: Request<RequestBody>,
) -> Result<Response<Body>, Status> {
    let paths = registry.kind.scale().ok_or_else(Status::no_such_resource)?;
    let form = Form::of(&registry.call.headers, &registry.call.query)?;
    let object = match verb {
        "get" => versions::value(registry.kind, &registry.entry(name).await?.value)?,
        "update" => put(registry, &paths, name, request).await?,
        "patch" => patch_scale(registry, &paths, name, request).await?,
        _ => return Err(Status::method_not_allowed()),
    };
    if registry.kind.is_custom() && meta::get(&object, paths.replicas).is_none() {
        return Err(Status::internal(format!(
            "the spec replicas field \".{}\" does not exist",
            paths.replicas
        )));
    }
    form::value(StatusCode::OK, &scale::read(&paths, &object), form)
}

async fn put(
    registry: &Registry<'_>,
    paths: &ScalePaths<'_>,
    name: &str,
    request: Request<RequestBody>,
) -> Result<Value, Status> {
    let call = registry.call;
    let (decoded, options) = decode::sent(call, request, SCALE, "UpdateOptions").await?;
    let sent = decoded.object;
    let given = meta::name(&sent);
    if given != name {
        return Err(Status::bad_request(format!(
            "the name of the object ({given}) does not match the name on the URL ({name})"
        )));
    }
    write(registry, paths, name, &options, |_| Ok(sent.clone())).await
}

async fn patch_scale(
    registry: &Registry<'_>,
    paths: &ScalePaths<'_>,
    name: &str,
    request: Request<RequestBody>,
) -> Result<Value, Status> {
    let call = registry.call;
    let options = WriteOptions::read(&call.query, "PatchOptions")?;
    let of = PatchType::of(&call.headers, registry.kind)?;
    check_options(of, &options)?;
    let body = decode::body(request.into_body()).await?;
    if of == PatchType::Apply {
        return apply(registry, paths, name, &body, &options).await;
    }
    write(registry, paths, name, &options, |current| {
        let patched = match of {
            PatchType::Json => patch::json(current, &body),
            _ => patch::merge(current, &body),
        };
        patched.map_err(|error| registry.patch_failure(error))
    })
    .await
}

/// Server-side apply of a Scale: of the object's replica count, whose owner the manager
/// becomes.
async fn apply(
    registry: &Registry<'_>,
    paths: &ScalePaths<'_>,
    name: &str,
    body: &[u8],
    options: &WriteOptions,
) -> Result<Value, Status> {
    let kind = registry.kind;
    let decoded = decode::applied(body, options.field_validation)?;
    for warning in decoded.warnings {
        registry.call.notes.warn(warning);
    }
    let sent = decoded.object;
    check_applied(&sent, name)?;
    let bytes = registry
        .change(name, Part::Scale, options, |old| {
            let mut applied = json!({
                "apiVersion": kind.api_version(),
                "kind": kind.kind(),
                "metadata": { "name": name },
            });
            if let Some(replicas) = meta::get(&sent, "spec.replicas") {
                meta::set(&mut applied, paths.replicas, replicas.clone());
            }
            let mut object = registry.applied(old, &applied, Part::Scale, options)?;
            check(&scale::read(paths, &object), name)?;
            keep_preconditions(&mut object, &sent);
            Ok(Made {
                object,
                is_owned: true,
            })
        })
        .await?;
    serde_json::from_slice(&bytes).map_err(Status::internal)
}

fn check_applied(sent: &Value, name: &str) -> Result<(), Status> {
    let (version, kind) = (meta::api_version(sent), meta::kind(sent));
    let given = meta::name(sent);
    let why = if version != "autoscaling/v1" {
        format!(
            "Incorrect version specified in apply patch. Specified patch version: {version}, expected: autoscaling/v1"
        )
    } else if kind != SCALE.kind {
        format!("the kind in the data ({kind}) does not match the expected kind (Scale)")
    } else if !given.is_empty() && given != name {
        format!("the name of the object ({given}) does not match the name on the URL ({name})")
    } else {
        return Ok(());
    };
    Err(Status::bad_request(why))
}

fn check(wanted: &Value, name: &str) -> Result<(), Status> {
    let errors = scale::validate(wanted);
    if errors.is_empty() {
        return Ok(());
    }
    Err(Status::invalid(SCALE.group, SCALE.kind, name, &errors))
}

/// What the Scale says of the object's version and identity must hold.
fn keep_preconditions(object: &mut Value, scale: &Value) {
    for key in ["resourceVersion", "uid"] {
        let given = meta::text(&scale["metadata"], key);
        if !given.is_empty() {
            meta::set_meta(object, key, given);
        }
    }
}

/// Changes the object as `make` changes its Scale.
async fn write(
    registry: &Registry<'_>,
    paths: &ScalePaths<'_>,
    name: &str,
    options: &WriteOptions,
    make: impl Fn(&Value) -> Result<Value, Status>,
) -> Result<Value, Status> {
    let bytes = registry
        .change(name, Part::Scale, options, |old| {
            let wanted = make(&scale::read(paths, old))?;
            check(&wanted, name)?;
            let mut object = old.clone();
            scale::write(paths, &mut object, &wanted);
            keep_preconditions(&mut object, &wanted);
            Ok(Made {
                object,
                is_owned: false,
            })
        })
        .await?;
    serde_json::from_slice(&bytes).map_err(Status::internal)
}
