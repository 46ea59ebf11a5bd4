//! Kinds that are asked and not stored: access and token reviews, bindings,
//! component statuses.

mod access;

use std::sync::Arc;

use apimachinery::{Status, meta};
use http::{Request, Response, StatusCode};
use serde_json::{Value, json};

use crate::api::{Api, Call};
use crate::authn::review;
use crate::body::{Body, RequestBody};
use crate::negotiate::Form;
use crate::registry::{Registry, decode};
use crate::route::{Resource, Verb};
use crate::served::Served;
use crate::user::User;
use crate::{form, subresources};

pub async fn answer(
    api: &Arc<Api>,
    call: &Call,
    kind: &Served,
    resource: &Resource,
    request: Request<RequestBody>,
) -> Result<Response<Body>, Status> {
    let form = Form::of(&call.headers, &call.query)?;
    if kind.plural() == "componentstatuses" {
        return components(api, call, kind, resource, form).await;
    }
    if call.route.verb != Verb::Create {
        return Err(Status::method_not_allowed());
    }
    let (decoded, options) = decode::sent(call, request, kind.into(), "CreateOptions").await?;
    let mut object = decoded.object;
    kind.default(&mut object);
    if kind.plural() == "bindings" {
        let name = meta::name(&object).to_owned();
        return subresources::binding::bind(
            api,
            call,
            resource.namespace.as_deref(),
            &name,
            &object,
            options.dry_run,
        )
        .await;
    }
    let registry = Registry {
        api,
        call,
        kind,
        prefix: "",
        namespace: resource.namespace.as_deref(),
    };
    api.admission
        .admit_review(&registry, &mut object, &options)
        .await?;
    let errors = kind.check_create(&object);
    if !errors.is_empty() {
        return Err(Status::invalid(
            kind.group(),
            kind.kind(),
            meta::name(&object),
            &errors,
        ));
    }
    let status = match kind.plural() {
        "tokenreviews" => review::token(&api.authn, &object).await,
        "subjectaccessreviews" => access::of_subject(api, &object, None).await?,
        "localsubjectaccessreviews" => {
            access::of_subject(api, &object, resource.namespace.as_deref()).await?
        }
        "selfsubjectaccessreviews" => access::of(api, &call.user, &object["spec"]).await,
        "selfsubjectrulesreviews" => access::rules(api, &call.user, &object),
        "selfsubjectreviews" => json!({ "userInfo": user_info(&call.user) }),
        _ => return Err(Status::method_not_allowed()),
    };
    object["status"] = status;
    if meta::get(&object, "metadata").is_none() {
        object["metadata"] = json!({ "creationTimestamp": null });
    }
    form::value(StatusCode::CREATED, &object, form)
}

/// A user, as reviews show them.
pub fn user_info(user: &User) -> Value {
    let mut info = json!({ "username": user.name, "groups": user.groups });
    if !user.uid.is_empty() {
        info["uid"] = user.uid.as_str().into();
    }
    if !user.extra.is_empty() {
        info["extra"] = json!(user.extra);
    }
    info
}

/// The parts of the control plane: here they are one process, healthy if it answers.
async fn components(
    api: &Api,
    call: &Call,
    kind: &Served,
    resource: &Resource,
    form: Form,
) -> Result<Response<Body>, Status> {
    let store_is_well = api.store.get(b"/registry/health").await.is_ok();
    let item = |name: &str, healthy: bool| {
        json!({
            "kind": "ComponentStatus", "apiVersion": "v1", "metadata": { "name": name, "creationTimestamp": null },
            "conditions": [{ "type": "Healthy", "status": if healthy { "True" } else { "False" }, "message": "ok" }],
        })
    };
    let all = [
        item("controller-manager", true),
        item("scheduler", true),
        item("etcd-0", store_is_well),
    ];
    let to_bytes = |value: &Value| bytes::Bytes::from(value.to_string());
    if let Some(name) = &resource.name {
        let found = all.iter().find(|c| c["metadata"]["name"] == name.as_str());
        let found = found.ok_or_else(|| {
            Status::not_found(apimachinery::status::Resource::new("", kind.plural()), name)
        })?;
        return form::object(kind, StatusCode::OK, to_bytes(found), form, &call.query);
    }
    if form.shape == crate::negotiate::Shape::Table {
        let objects: Vec<_> = all.iter().map(to_bytes).collect();
        let include = crate::table::Include::read(&call.query);
        let table = crate::table::of_many(
            kind,
            objects.iter(),
            &json!({}),
            include,
            jiff::Timestamp::now(),
        )?;
        return form::encoded(StatusCode::OK, table, form);
    }
    let list =
        json!({ "kind": "ComponentStatusList", "apiVersion": "v1", "metadata": {}, "items": all });
    form::value(StatusCode::OK, &list, form)
}
