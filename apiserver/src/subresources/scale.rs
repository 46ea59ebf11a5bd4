//! `/scale`: a workload's replica count, the same for every kind that has one.

use apimachinery::{Status, meta};
use http::{Request, Response, StatusCode};
use kinds::scale::{self, ScalePaths};
use serde_json::Value;

use crate::body::{Body, RequestBody};
use crate::form;
use crate::negotiate::Form;
use crate::registry::decode::{self, Wanted};
use crate::registry::options::WriteOptions;
use crate::registry::patch::PatchType;
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
    let body = decode::body(request.into_body()).await?;
    write(registry, paths, name, &options, |current| {
        let patched = match of {
            PatchType::Json => patch::json(current, &body),
            PatchType::Apply => {
                let applied = decode::applied(&body, options.field_validation)?.object;
                patch::merge(current, applied.to_string().as_bytes())
            }
            PatchType::Merge | PatchType::Strategic => patch::merge(current, &body),
        };
        patched.map_err(|error| Status::bad_request(error.to_string()))
    })
    .await
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
            let errors = scale::validate(&wanted);
            if !errors.is_empty() {
                return Err(Status::invalid(SCALE.group, SCALE.kind, name, &errors));
            }
            let mut object = old.clone();
            scale::write(paths, &mut object, &wanted);
            for key in ["resourceVersion", "uid"] {
                let given = meta::text(&wanted["metadata"], key);
                if !given.is_empty() {
                    meta::set_meta(&mut object, key, given);
                }
            }
            Ok(Made {
                object,
                is_owned: false,
            })
        })
        .await?;
    serde_json::from_slice(&bytes).map_err(Status::internal)
}
