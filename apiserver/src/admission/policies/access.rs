//! Who may make a policy look at parameters: whoever may read them. A policy's words could
//! tell what is in them.

use apimachinery::{Status, meta};
use serde_json::Value;

use super::Policies;
use super::policy::ParamKind;
use crate::authz::{Action, Attributes};
use crate::registry::Registry;

/// What somebody wants to have read for them.
struct Wanted<'a> {
    verb: &'a str,
    kind: Option<&'a ParamKind>,
    namespace: &'a str,
    name: &'a str,
}

impl Policies {
    /// # Errors
    /// 403 when the user of the request may not read what the policy or binding refers to.
    pub fn check_access(
        &self,
        registry: &Registry<'_>,
        object: &Value,
        old: Option<&Value>,
    ) -> Result<(), Status> {
        if registry.kind.group() != "admissionregistration.k8s.io" {
            return Ok(());
        }
        let spec = &object["spec"];
        if old.is_some_and(|old| old["spec"] == *spec) {
            return Ok(());
        }
        match registry.kind.plural() {
            "validatingadmissionpolicies" | "mutatingadmissionpolicies" => {
                check_policy(registry, object, &spec["paramKind"])
            }
            "validatingadmissionpolicybindings" => {
                let policy = self.validating.policy(meta::text(spec, "policyName"));
                let kind = policy.as_ref().and_then(|policy| policy.params.as_ref());
                check_binding(registry, object, kind)
            }
            "mutatingadmissionpolicybindings" => {
                let policy = self.mutating.policy(meta::text(spec, "policyName"));
                let kind = policy.as_ref().and_then(|policy| policy.params.as_ref());
                check_binding(registry, object, kind)
            }
            _ => Ok(()),
        }
    }
}

/// A policy may be bound to any object of its kind.
fn check_policy(registry: &Registry<'_>, policy: &Value, kind: &Value) -> Result<(), Status> {
    if !kind.is_object() {
        return Ok(());
    }
    let params = ParamKind::read(kind);
    let wanted = Wanted {
        verb: "get",
        kind: Some(&params),
        namespace: "",
        name: "",
    };
    if may(registry, &wanted) {
        return Ok(());
    }
    let user = &registry.call.user.name;
    let (kind, version) = (meta::text(kind, "kind"), meta::text(kind, "apiVersion"));
    let why = format!(
        "user {user} must have \"get\" permission on all objects of the referenced paramKind (kind={kind}, apiVersion={version})"
    );
    Err(Status::forbidden(
        registry.resource(),
        meta::name(policy),
        &why,
    ))
}

fn check_binding(
    registry: &Registry<'_>,
    binding: &Value,
    kind: Option<&ParamKind>,
) -> Result<(), Status> {
    let reference = &binding["spec"]["paramRef"];
    if !reference.is_object() {
        return Ok(());
    }
    let name = meta::text(reference, "name");
    let verb = if name.is_empty() { "list" } else { "get" };
    let wanted = Wanted {
        verb,
        kind,
        namespace: meta::text(reference, "namespace"),
        name,
    };
    if may(registry, &wanted) {
        return Ok(());
    }
    let user = &registry.call.user.name;
    let why = format!(
        "user {user} does not have \"{verb}\" permission on the object referenced by paramRef"
    );
    Err(Status::forbidden(
        registry.resource(),
        meta::name(binding),
        &why,
    ))
}

/// What is not known by its kind may be anything.
fn may(registry: &Registry<'_>, wanted: &Wanted<'_>) -> bool {
    let served = wanted.kind.and_then(|kind| {
        let table = registry.api.resources.table();
        let mut all = table.all().iter();
        let found = all.find(|served| {
            served.group() == kind.group
                && served.version() == kind.version
                && served.kind() == kind.kind
        });
        found.cloned()
    });
    let (group, resource) = served
        .as_ref()
        .map_or(("*", "*"), |s| (s.group(), s.plural()));
    let asked = Attributes::new(
        wanted.verb,
        Action::Resource {
            group,
            resource,
            subresource: "",
            namespace: wanted.namespace,
            name: wanted.name,
        },
    );
    registry
        .api
        .authz
        .decide_blocking(&registry.call.user, &asked)
        .is_ok()
}
