//! TokenRequest: a token for a service account, bound and of limited life.

use std::time::Duration;

use apimachinery::field::{Error as FieldError, Path};
use apimachinery::{Status, meta, status, time};
use http::{Request, Response, StatusCode};
use jiff::{SignedDuration, Timestamp};
use pki::BoundObject;
use serde_json::{Value, json};

use crate::admission::request::Operation;
use crate::authn::service_account::Wanted as WantedToken;
use crate::body::{Body, RequestBody};
use crate::form;
use crate::keys;
use crate::negotiate::Form;
use crate::registry::decode::{self, Wanted};
use crate::registry::{Registry, store_failure, versions};

const REQUEST: Wanted<'static> = Wanted::built_in("authentication.k8s.io", "v1", "TokenRequest");
const DEFAULT_SECONDS: i64 = 3600;
const MIN_SECONDS: i64 = 600;
const MAX_SECONDS: i64 = 1 << 32;
/// What a pod's own volume asks for, and what it gets: kubelets renew it, but
/// programs that read it once have a year.
const POD_SECONDS: i64 = 3607;
const POD_EXTENDED: i64 = 365 * 24 * 3600;

pub async fn post(
    registry: &Registry<'_>,
    name: &str,
    request: Request<RequestBody>,
) -> Result<Response<Body>, Status> {
    let call = registry.call;
    let form = Form::of(&call.headers, &call.query)?;
    let (decoded, options) = decode::sent(call, request, REQUEST, "CreateOptions").await?;
    let mut asked = decoded.object;
    let at = (name, "token");
    let admission = &registry.api.admission;
    admission
        .admit_on_subresource(registry, Operation::Create, at, &mut asked, options.dry_run)
        .await?;
    let account = versions::value(registry.kind, &registry.entry(name).await?.value)?;
    let seconds = meta::int(&asked, "spec.expirationSeconds").unwrap_or(DEFAULT_SECONDS);
    check_seconds(seconds)?;
    let verifier = registry.api.authn.service_accounts();
    let audiences: Vec<String> = meta::items(&asked, "spec.audiences")
        .iter()
        .filter_map(|a| a.as_str().map(str::to_owned))
        .collect();
    let audiences = if audiences.is_empty() {
        verifier.audiences().to_vec()
    } else {
        audiences
    };
    let bound = bound_object(registry, &asked, name).await?;
    let lives = if seconds == POD_SECONDS && bound.pod.is_some() {
        POD_EXTENDED
    } else {
        seconds
    };
    let now = Timestamp::now();
    let token = verifier
        .issue(
            WantedToken {
                namespace: meta::namespace(&account),
                account: BoundObject {
                    name: name.to_owned(),
                    uid: meta::uid(&account).to_owned(),
                },
                audiences: audiences.clone(),
                lifetime: Duration::from_secs(lives.unsigned_abs()),
                pod: bound.pod,
                secret: bound.secret,
                node: bound.node,
            },
            now,
        )
        .map_err(Status::internal)?;
    let ends = now
        .checked_add(SignedDuration::from_secs(seconds))
        .unwrap_or(now);
    meta::set(&mut asked, "spec.audiences", json!(audiences));
    meta::set(&mut asked, "spec.expirationSeconds", seconds);
    asked["status"] = json!({ "token": token, "expirationTimestamp": time::rfc3339(ends) });
    meta::set_meta(&mut asked, "name", name);
    meta::set_meta(&mut asked, "namespace", meta::namespace(&account));
    form::value(StatusCode::CREATED, &asked, form)
}

fn check_seconds(seconds: i64) -> Result<(), Status> {
    let why = match seconds {
        s if s < MIN_SECONDS => "may not specify a duration less than 10 minutes",
        s if s > MAX_SECONDS => "may not specify a duration larger than 2^32 seconds",
        _ => return Ok(()),
    };
    let error = FieldError::invalid(&Path::new("spec.expirationSeconds"), seconds, why);
    Err(Status::invalid(REQUEST.group, REQUEST.kind, "", &[error]))
}

#[derive(Default)]
struct Bound {
    pod: Option<BoundObject>,
    secret: Option<BoundObject>,
    node: Option<BoundObject>,
}

/// The object that the token is to be bound to, which must be there.
async fn bound_object(
    registry: &Registry<'_>,
    asked: &Value,
    account: &str,
) -> Result<Bound, Status> {
    let Some(wanted) = meta::get(asked, "spec.boundObjectRef") else {
        return Ok(Bound::default());
    };
    let name = meta::text(wanted, "name");
    let (prefix, namespace) = match meta::text(wanted, "kind") {
        "Pod" => ("pods", registry.namespace),
        "Secret" => ("secrets", registry.namespace),
        "Node" => ("nodes", None),
        other => {
            return Err(Status::bad_request(format!(
                "cannot bind token for object of type /v1, Kind={other}"
            )));
        }
    };
    let key = keys::object(prefix, namespace, name);
    let found = registry.api.store.get(&key).await.map_err(store_failure)?;
    let resource = status::Resource::new("", prefix);
    let entry = found.ok_or_else(|| Status::not_found(resource, name))?;
    let object: Value = serde_json::from_slice(&entry.value).map_err(Status::internal)?;
    let uid = meta::text(wanted, "uid");
    if !uid.is_empty() && uid != meta::uid(&object) {
        let why = format!(
            "the UID in the bound object reference ({uid}) does not match the UID in record. The object might have been deleted and then recreated"
        );
        return Err(Status::conflict(resource, name, &why));
    }
    let this = BoundObject {
        name: name.to_owned(),
        uid: meta::uid(&object).to_owned(),
    };
    match prefix {
        "pods" => bound_pod(registry, &object, this, account),
        "secrets" => Ok(Bound {
            secret: Some(this),
            ..Bound::default()
        }),
        _ => Ok(Bound {
            node: Some(this),
            ..Bound::default()
        }),
    }
}

fn bound_pod(
    registry: &Registry<'_>,
    pod: &Value,
    this: BoundObject,
    account: &str,
) -> Result<Bound, Status> {
    if meta::text(pod, "spec.serviceAccountName") != account {
        return Err(Status::bad_request(format!(
            "cannot bind token for serviceaccount {account:?} to pod running with different serviceaccount name."
        )));
    }
    let node = meta::text(pod, "spec.nodeName");
    if let Some(asking) = registry.call.user.node().filter(|n| *n != node) {
        let why =
            format!("node {asking:?} requested token bound to a pod scheduled on a different node");
        return Err(Status::forbidden(registry.resource(), account, &why));
    }
    Ok(Bound {
        pod: Some(this),
        ..Bound::default()
    })
}
