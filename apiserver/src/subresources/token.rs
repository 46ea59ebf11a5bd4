//! TokenRequest: a token for a service account, bound and of limited life.

mod bound;

use std::time::Duration;

use apimachinery::field::{Error as FieldError, Path};
use apimachinery::{Status, meta, random, time};
use http::{Request, Response, StatusCode};
use jiff::{SignedDuration, Timestamp};
use pki::BoundObject;
use serde_json::json;

use crate::admission::request::Operation;
use crate::authn::service_account::Wanted as WantedToken;
use crate::body::{Body, RequestBody};
use crate::form;
use crate::negotiate::Form;
use crate::registry::decode::{self, Wanted};
use crate::registry::{Registry, versions};

const REQUEST: Wanted<'static> = Wanted::built_in("authentication.k8s.io", "v1", "TokenRequest");
/// Tells, in the audit log, which token a request made.
const ISSUED_ID: &str = "authentication.kubernetes.io/issued-credential-id";
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
    let bound = bound::object(registry, &asked, name, &audiences).await?;
    // Programs that read their token once are many, and talk to this server only.
    let is_extended = seconds == POD_SECONDS
        && bound.pod.is_some()
        && audiences.iter().all(|a| verifier.audiences().contains(a));
    let lives = if is_extended { POD_EXTENDED } else { seconds };
    let now = Timestamp::now();
    let id = random::uid();
    call.notes.annotate(ISSUED_ID, format!("JTI={id}"));
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
                told: is_extended.then(|| Duration::from_secs(seconds.unsigned_abs())),
            },
            id,
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
