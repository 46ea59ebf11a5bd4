//! May they? The access reviews of `authorization.k8s.io`.

use std::collections::BTreeMap;

use apimachinery::{Status, meta};
use serde_json::{Value, json};

use crate::api::Api;
use crate::authz::rules::Rule;
use crate::authz::selectors::{Selector, Selectors};
use crate::authz::{Action, Attributes};
use crate::user::User;

/// The `status` of a review about the subject that it names.
pub async fn of_subject(
    api: &Api,
    review: &Value,
    namespace: Option<&str>,
) -> Result<Value, Status> {
    let spec = &review["spec"];
    let asked = meta::text(spec, "resourceAttributes.namespace");
    if let Some(namespace) = namespace.filter(|n| *n != asked) {
        return Err(Status::bad_request(format!(
            "spec.resourceAttributes.namespace: {asked:?} must be the namespace of the request, {namespace:?}"
        )));
    }
    let strings = |value: &Value| -> Vec<String> {
        let items = value.as_array().into_iter().flatten();
        items
            .filter_map(|item| item.as_str().map(str::to_owned))
            .collect()
    };
    let extra: BTreeMap<String, Vec<String>> = spec["extra"]
        .as_object()
        .into_iter()
        .flatten()
        .map(|(key, values)| (key.to_lowercase(), strings(values)))
        .collect();
    let user = User {
        name: meta::text(spec, "user").to_owned(),
        uid: meta::text(spec, "uid").to_owned(),
        groups: strings(&spec["groups"]),
        extra,
    };
    Ok(of(api, &user, spec).await)
}

/// The `status` of a review about `user`.
pub async fn of(api: &Api, user: &User, spec: &Value) -> Value {
    match api.authz.decide(user, &attributes(spec)).await {
        Ok(why) if why.is_empty() => json!({ "allowed": true }),
        Ok(why) => json!({ "allowed": true, "reason": why }),
        Err(why) if why.is_empty() => json!({ "allowed": false }),
        Err(why) => json!({ "allowed": false, "reason": why }),
    }
}

fn attributes(spec: &Value) -> Attributes<'_> {
    let path = &spec["nonResourceAttributes"];
    if path.is_object() {
        let target = Action::Path(meta::text(path, "path"));
        return Attributes::new(meta::text(path, "verb"), target);
    }
    let asked = &spec["resourceAttributes"];
    let target = Action::Resource {
        group: meta::text(asked, "group"),
        resource: meta::text(asked, "resource"),
        subresource: meta::text(asked, "subresource"),
        namespace: meta::text(asked, "namespace"),
        name: meta::text(asked, "name"),
    };
    Attributes {
        selectors: Selectors {
            fields: Selector::reviewed(&asked["fieldSelector"]),
            labels: Selector::reviewed(&asked["labelSelector"]),
        },
        version: meta::text(asked, "version"),
        ..Attributes::new(meta::text(asked, "verb"), target)
    }
}

/// The `status` of a review of all that `user` may do in a namespace.
pub fn rules(api: &Api, user: &User, review: &Value) -> Value {
    let namespace = meta::text(review, "spec.namespace");
    let held = api.authz.rbac().rules_of(user, namespace);
    let (paths, resources): (Vec<&Rule>, Vec<&Rule>) =
        held.iter().partition(|rule| !rule.paths.is_empty());
    let resource = |rule: &&Rule| {
        let mut out =
            json!({ "verbs": rule.verbs, "apiGroups": rule.groups, "resources": rule.resources });
        if !rule.names.is_empty() {
            out["resourceNames"] = json!(rule.names);
        }
        out
    };
    let path = |rule: &&Rule| json!({ "verbs": rule.verbs, "nonResourceURLs": rule.paths });
    let why = match (user.node(), api.authz.has_webhook()) {
        (Some(_), _) => "node authorizer does not support user rule resolution",
        (None, true) => "webhook authorizer does not support user rule resolution",
        (None, false) => "",
    };
    let mut status = json!({
        "resourceRules": resources.iter().map(resource).collect::<Vec<_>>(),
        "nonResourceRules": paths.iter().map(path).collect::<Vec<_>>(),
        "incomplete": !why.is_empty(),
    });
    if !why.is_empty() {
        status["evaluationError"] = why.into();
    }
    status
}
