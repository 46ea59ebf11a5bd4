//! Another server that is asked, by a SubjectAccessReview, what nobody here allows.
//!
//! It can allow and it can refuse; when it does not answer it has no opinion. What
//! it said is taken for a while.

use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use apimachinery::meta;
use serde_json::{Value, json};

use super::{Action, Attributes};
use crate::user::User;
use crate::webhook::Caller;
use crate::webhook::held::Held;
use crate::webhook::plain::Server;

/// `--authorization-webhook-*`.
#[derive(Debug, Clone)]
pub struct AuthorizationWebhook {
    /// A kubeconfig that names the server.
    pub config: PathBuf,
    /// Of `authorization.k8s.io`: `v1` or `v1beta1`.
    pub version: String,
    /// How long a yes is taken for.
    pub authorized: Duration,
    /// How long a no is taken for.
    pub unauthorized: Duration,
}

impl AuthorizationWebhook {
    pub const VERSION: &str = "v1beta1";
}

pub struct Asker {
    server: Server,
    caller: Arc<Caller>,
    told: AuthorizationWebhook,
    held: Held<Decision>,
}

/// Why it is allowed, or why not.
pub type Decision = Result<String, String>;

impl Asker {
    pub fn new(server: Server, caller: Arc<Caller>, told: AuthorizationWebhook) -> Self {
        Self {
            server,
            caller,
            told,
            held: Held::default(),
        }
    }

    pub async fn decide(&self, user: &User, asked: &Attributes<'_>) -> Decision {
        let spec = spec(user, asked);
        let key = spec.to_string();
        if let Some(known) = self.held.get(&key) {
            return known;
        }
        let review = json!({
            "apiVersion": format!("authorization.k8s.io/{}", self.told.version),
            "kind": "SubjectAccessReview", "metadata": { "creationTimestamp": null },
            "spec": spec, "status": { "allowed": false },
        });
        match self.caller.review(&self.server, &review).await {
            Ok(status) => {
                let decision = read(&status);
                let time = if decision.is_ok() {
                    self.told.authorized
                } else {
                    self.told.unauthorized
                };
                self.held.keep(&key, decision.clone(), time);
                decision
            }
            Err(error) => {
                tracing::warn!(%error, "ask the authorization webhook");
                Err(String::new())
            }
        }
    }
}

fn spec(user: &User, asked: &Attributes<'_>) -> Value {
    let mut spec = json!({ "user": user.name });
    if !user.uid.is_empty() {
        spec["uid"] = user.uid.as_str().into();
    }
    if !user.groups.is_empty() {
        spec["groups"] = json!(user.groups);
    }
    if !user.extra.is_empty() {
        spec["extra"] = json!(user.extra);
    }
    let (field, attributes) = match asked.target {
        Action::Path(path) => ("nonResourceAttributes", vec![("path", path)]),
        Action::Resource {
            group,
            resource,
            subresource,
            namespace,
            name,
        } => {
            let about = vec![
                ("group", group),
                ("version", asked.version),
                ("resource", resource),
                ("subresource", subresource),
                ("namespace", namespace),
                ("name", name),
            ];
            ("resourceAttributes", about)
        }
    };
    spec[field] = json!({ "verb": asked.verb });
    for (name, value) in attributes
        .into_iter()
        .filter(|(_, value)| !value.is_empty())
    {
        spec[field][name] = value.into();
    }
    let selected = [
        ("fieldSelector", asked.selectors.field_requirements()),
        ("labelSelector", asked.selectors.label_requirements()),
    ];
    for (name, requirements) in selected {
        if !requirements.is_empty() {
            spec[field][name] = json!({ "requirements": requirements });
        }
    }
    spec
}

fn read(status: &Value) -> Decision {
    let reason = meta::text(status, "reason").to_owned();
    if status["allowed"] == true && status["denied"] != true {
        Ok(reason)
    } else {
        Err(reason)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::authz::selectors::{Selector, Selectors};

    #[test]
    fn a_question_names_the_user_and_all_that_is_set() {
        let user = User::new("ann", ["dev".to_owned()]);
        let target = Action::Resource {
            group: "",
            resource: "pods",
            subresource: "log",
            namespace: "g",
            name: "",
        };
        let asked = Attributes {
            version: "v1",
            ..Attributes::new("get", target)
        };
        let expected = json!({ "user": "ann", "groups": ["dev"], "resourceAttributes": {
            "verb": "get", "version": "v1", "resource": "pods", "subresource": "log", "namespace": "g" } });
        assert_eq!(spec(&user, &asked), expected);
        let fields = Selector::text(Some("spec.nodeName=n1"));
        let narrowed = Attributes {
            selectors: Selectors {
                fields,
                ..Selectors::default()
            },
            ..asked
        };
        assert_eq!(
            spec(&user, &narrowed)["resourceAttributes"]["fieldSelector"],
            json!({ "requirements": [{ "key": "spec.nodeName", "operator": "In", "values": ["n1"] }] })
        );
        let path = spec(&user, &Attributes::new("get", Action::Path("/metrics")));
        assert_eq!(
            path["nonResourceAttributes"],
            json!({ "verb": "get", "path": "/metrics" })
        );
    }

    #[test]
    fn only_a_plain_yes_is_one() {
        assert_eq!(
            read(&json!({ "allowed": true, "reason": "r" })),
            Ok("r".into())
        );
        assert!(read(&json!({ "allowed": true, "denied": true })).is_err());
        assert_eq!(
            read(&json!({ "allowed": false, "reason": "no" })),
            Err("no".into())
        );
        assert!(read(&json!({ "allowed": "true" })).is_err());
        assert!(read(&Value::Null).is_err());
    }
}
