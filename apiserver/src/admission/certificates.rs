//! Certificate requests say who made them, and only who may for a signer approves.

use apimachinery::{Status, meta};
use serde_json::{Value, json};

use crate::authz::{Action, Attributes};
use crate::registry::Registry;
use crate::registry::update::Part;

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
        Part::Status if new["status"]["certificate"] != old["status"]["certificate"] => "sign",
        _ => return Ok(()),
    };
    let signer = meta::text(old, "spec.signerName");
    let domain = signer.split('/').next().unwrap_or("");
    let may = |name: &str| {
        let target = Action::Resource {
            group: GROUP,
            resource: "signers",
            subresource: "",
            namespace: "",
            name,
        };
        registry
            .api
            .authz
            .allows(&registry.call.user, &Attributes::new(verb, target))
    };
    if may(signer) || may(&format!("{domain}/*")) {
        return Ok(());
    }
    let why = format!("user not permitted to {verb} requests with signerName {signer:?}");
    Err(Status::forbidden(
        registry.resource(),
        meta::name(old),
        &why,
    ))
}
