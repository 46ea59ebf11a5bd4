//! Certificate requests say who made them, and only who may for a signer approves.

use apimachinery::{Status, meta};
use base64::Engine as _;
use serde_json::{Value, json};
use x509_parser::certification_request::X509CertificationRequest;
use x509_parser::prelude::FromDer;

use super::refusal;
use crate::authz::{Action, Attributes};
use crate::registry::Registry;
use crate::registry::update::Part;
use crate::user::MASTERS;

const GROUP: &str = "certificates.k8s.io";

/// The server, not the client, says whose request it is.
pub fn note_requester(registry: &Registry<'_>, request: &mut Value) {
    let user = &registry.call.user;
    let spec = meta::entry(request, "spec");
    spec["username"] = user.name.as_str().into();
    spec["groups"] = json!(user.groups);
    for (field, value) in [("uid", json!(user.uid)), ("extra", json!(user.extra))] {
        let is_empty = value.as_str().is_some_and(str::is_empty)
            || value.as_object().is_some_and(serde_json::Map::is_empty);
        if !is_empty {
            spec[field] = value;
        } else if let Some(fields) = spec.as_object_mut() {
            fields.remove(field);
        }
    }
}

/// Nobody asks this signer to be of the group that may do everything.
///
/// # Errors
/// 403 when the request does.
pub fn check_subject(registry: &Registry<'_>, request: &Value) -> Result<(), Status> {
    const SIGNER: &str = "kubernetes.io/kube-apiserver-client";
    let is_for_masters = || {
        let pem = base64::engine::general_purpose::STANDARD
            .decode(meta::text(request, "spec.request"))
            .ok()?;
        let (_, pem) = x509_parser::pem::parse_x509_pem(&pem).ok()?;
        let (_, csr) = X509CertificationRequest::from_der(&pem.contents).ok()?;
        let subject = &csr.certification_request_info.subject;
        let mut organizations = subject.iter_organization();
        Some(organizations.any(|o| o.as_str() == Ok(MASTERS)))
    };
    // One that cannot be read is validation's to refuse.
    if meta::text(request, "spec.signerName") != SIGNER || is_for_masters() != Some(true) {
        return Ok(());
    }
    let why = format!("use of {SIGNER} signer with {MASTERS} group is not allowed");
    Err(refusal(registry, request, &why))
}

fn signs(new: &Value, old: &Value) -> bool {
    let differs = |field: &str| new["status"][field] != old["status"][field];
    differs("certificate") || differs("conditions")
}

/// # Errors
/// 403 when the user may not approve or sign for the request's signer.
pub fn check_change(
    registry: &Registry<'_>,
    new: &Value,
    old: &Value,
    part: Part,
) -> Result<(), Status> {
    let verb = match part {
        Part::Approval => "approve",
        Part::Status if signs(new, old) => "sign",
        _ => return Ok(()),
    };
    let signer = meta::text(old, "spec.signerName");
    if may(registry, verb, signer) {
        return Ok(());
    }
    let why = format!("user not permitted to {verb} requests with signerName {signer:?}");
    Err(refusal(registry, old, &why))
}

/// Trust in a signer is only told by who may tell it.
///
/// # Errors
/// 403 for everybody else.
pub fn check_attest(registry: &Registry<'_>, bundle: &Value) -> Result<(), Status> {
    let signer = meta::text(bundle, "spec.signerName");
    if signer.is_empty() || may(registry, "attest", signer) {
        return Ok(());
    }
    let why = format!("user not permitted to attest for signerName {signer:?}");
    Err(refusal(registry, bundle, &why))
}

/// Whether the user may do that for the signer, or for all of its domain.
fn may(registry: &Registry<'_>, verb: &str, signer: &str) -> bool {
    let domain = signer.split('/').next().unwrap_or("");
    let allows = |name: &str| {
        let target = Action::Resource {
            group: GROUP,
            resource: "signers",
            subresource: "",
            namespace: "",
            name,
        };
        let authorizer = &registry.api.authz;
        authorizer.allows_blocking(&registry.call.user, &Attributes::new(verb, target))
    };
    allows(signer) || allows(&format!("{domain}/*"))
}
