//! The object that a token is bound to, which must be there; and what a node may
//! ask for, which is tokens of the pods that run on it.

use apimachinery::{Status, meta, status};
use pki::BoundObject;
use serde_json::Value;

use crate::authz::{Action, Attributes};
use crate::keys;
use crate::registry::{Registry, store_failure};

#[derive(Default)]
pub struct Bound {
    pub pod: Option<BoundObject>,
    pub secret: Option<BoundObject>,
    pub node: Option<BoundObject>,
}

/// # Errors
/// 404 or 409 when it is not there or another, 400 when no token can be bound to
/// it, 403 when a node asks for what is not its own.
pub async fn object(
    registry: &Registry<'_>,
    asked: &Value,
    account: &str,
    audiences: &[String],
) -> Result<Bound, Status> {
    let wanted = meta::get(asked, "spec.boundObjectRef").filter(|w| !w.is_null());
    check_node_asks_for_pod(registry, account, wanted)?;
    let Some(wanted) = wanted else {
        return Ok(Bound::default());
    };
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
    let object = find(registry, prefix, namespace, wanted).await?;
    let this = Some(named(&object));
    let mut bound = Bound::default();
    match prefix {
        "pods" => {
            check_pod(registry, &object, account)?;
            check_audiences(registry, &object, account, audiences)?;
            bound.node = node_of(registry, &object).await?;
            bound.pod = this;
        }
        "secrets" => bound.secret = this,
        _ => bound.node = this,
    }
    Ok(bound)
}

fn named(object: &Value) -> BoundObject {
    BoundObject {
        name: meta::name(object).to_owned(),
        uid: meta::uid(object).to_owned(),
    }
}

async fn find(
    registry: &Registry<'_>,
    prefix: &str,
    namespace: Option<&str>,
    wanted: &Value,
) -> Result<Value, Status> {
    let name = meta::text(wanted, "name");
    let resource = status::Resource::new("", prefix);
    let missing = || Status::not_found(resource, name);
    let object = read(registry, prefix, namespace, name).await?;
    let object = object.ok_or_else(missing)?;
    let uid = meta::text(wanted, "uid");
    if !uid.is_empty() && uid != meta::uid(&object) {
        let why = format!(
            "the UID in the bound object reference ({uid}) does not match the UID in record. The object might have been deleted and then recreated"
        );
        return Err(Status::conflict(resource, name, &why));
    }
    Ok(object)
}

async fn read(
    registry: &Registry<'_>,
    prefix: &str,
    namespace: Option<&str>,
    name: &str,
) -> Result<Option<Value>, Status> {
    if name.is_empty() || name.contains('/') {
        return Ok(None);
    }
    let key = keys::object(prefix, namespace, name);
    let found = registry.api.store.get(&key).await.map_err(store_failure)?;
    found
        .map(|entry| serde_json::from_slice(&entry.value).map_err(Status::internal))
        .transpose()
}

/// The node that the pod runs on, for whoever looks at the token.
async fn node_of(registry: &Registry<'_>, pod: &Value) -> Result<Option<BoundObject>, Status> {
    let name = meta::text(pod, "spec.nodeName");
    if name.is_empty() {
        return Ok(None);
    }
    let node = read(registry, "nodes", None, name).await?;
    Ok(Some(BoundObject {
        name: name.to_owned(),
        uid: node.map_or(String::new(), |node| meta::uid(&node).to_owned()),
    }))
}

fn check_pod(registry: &Registry<'_>, pod: &Value, account: &str) -> Result<(), Status> {
    if meta::text(pod, "spec.serviceAccountName") != account {
        return Err(Status::bad_request(format!(
            "cannot bind token for serviceaccount {account:?} to pod running with different serviceaccount name."
        )));
    }
    match registry.call.user.node() {
        Some(node) if node != meta::text(pod, "spec.nodeName") => refuse(
            registry,
            account,
            "node requested token bound to a pod scheduled on a different node",
        ),
        _ => Ok(()),
    }
}

fn check_node_asks_for_pod(
    registry: &Registry<'_>,
    account: &str,
    wanted: Option<&Value>,
) -> Result<(), Status> {
    if registry.call.user.node().is_none() {
        return Ok(());
    }
    let Some(wanted) = wanted.filter(|wanted| meta::text(wanted, "kind") == "Pod") else {
        return refuse(registry, account, "node requested token not bound to a pod");
    };
    if meta::text(wanted, "uid").is_empty() {
        let why = "node requested token with a pod binding without a uid";
        return refuse(registry, account, why);
    }
    Ok(())
}

/// A node asks for the audiences that the pod's own volumes name, or that it was
/// given the right to.
fn check_audiences(
    registry: &Registry<'_>,
    pod: &Value,
    account: &str,
    audiences: &[String],
) -> Result<(), Status> {
    let user = &registry.call.user;
    if user.node().is_none() {
        return Ok(());
    }
    let own = registry.api.authn.service_accounts().audiences();
    let may = |audience: &String| {
        own.contains(audience)
            || in_volumes(pod, audience)
            || registry.api.authz.allows_blocking(
                user,
                &Attributes::new(
                    "request-serviceaccounts-token-audience",
                    Action::Resource {
                        group: "",
                        resource: audience,
                        subresource: "",
                        namespace: registry.namespace.unwrap_or(""),
                        name: account,
                    },
                ),
            )
    };
    match audiences.iter().find(|audience| !may(audience)) {
        None => Ok(()),
        Some(audience) => {
            let why = format!("audience {audience:?} not found in pod spec volume");
            refuse(registry, account, &why)
        }
    }
}

fn in_volumes(pod: &Value, audience: &str) -> bool {
    let volumes = meta::items(pod, "spec.volumes").iter();
    let sources = volumes.flat_map(|volume| meta::items(volume, "projected.sources"));
    let tokens = sources.filter_map(|source| meta::get(source, "serviceAccountToken"));
    tokens
        .into_iter()
        .any(|t| meta::text(t, "audience") == audience)
}

fn refuse(registry: &Registry<'_>, account: &str, why: &str) -> Result<(), Status> {
    Err(Status::forbidden(registry.resource(), account, why))
}
