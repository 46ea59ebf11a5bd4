//! Tokens that another server knows: it is asked by a TokenReview, and what it
//! said is taken for a while, good or bad.

use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use apimachinery::meta;
use serde_json::{Value, json};

use crate::user::{AUTHENTICATED, User};
use crate::webhook::Caller;
use crate::webhook::held::Held;
use crate::webhook::plain::Server;

/// `--authentication-token-webhook-*`.
#[derive(Debug, Clone)]
pub struct TokenWebhook {
    /// A kubeconfig that names the server.
    pub config: PathBuf,
    /// How long an answer is taken for.
    pub cache: Duration,
}

impl TokenWebhook {
    pub const CACHE: Duration = Duration::from_secs(120);
}

pub struct Reviewer {
    server: Server,
    caller: Arc<Caller>,
    cache: Duration,
    held: Held<Option<Arc<User>>>,
}

impl Reviewer {
    pub fn new(server: Server, caller: Arc<Caller>, cache: Duration) -> Self {
        Self {
            server,
            caller,
            cache,
            held: Held::default(),
        }
    }

    /// None when the server does not know the token for one of `audiences`, or
    /// does not answer, which is not remembered.
    pub async fn user(&self, token: &str, audiences: &[String]) -> Option<Arc<User>> {
        if let Some(known) = self.held.get(token) {
            return known;
        }
        let status = self.ask(token, audiences).await?;
        let user = read(&status, audiences).map(Arc::new);
        self.held.keep(token, user.clone(), self.cache);
        user
    }

    async fn ask(&self, token: &str, audiences: &[String]) -> Option<Value> {
        let review = json!({
            "apiVersion": "authentication.k8s.io/v1", "kind": "TokenReview",
            "metadata": { "creationTimestamp": null },
            "spec": { "token": token, "audiences": audiences }, "status": { "user": {} },
        });
        let answer = self.caller.review(&self.server, &review).await;
        answer
            .inspect_err(|error| tracing::warn!(%error, "ask the token webhook"))
            .ok()
    }
}

/// The user of a review's status, unless it is of another audience.
fn read(status: &Value, audiences: &[String]) -> Option<User> {
    let given = meta::items(status, "audiences");
    let is_ours = given.is_empty()
        || given
            .iter()
            .filter_map(Value::as_str)
            .any(|one| audiences.iter().any(|own| own == one));
    let name = meta::text(status, "user.username");
    if status["authenticated"] != true || name.is_empty() || !is_ours {
        return None;
    }
    let texts = |value: &Value| -> Vec<String> {
        let items = value.as_array().into_iter().flatten();
        items
            .filter_map(|i| i.as_str().map(str::to_owned))
            .collect()
    };
    let mut user = User::new(name, texts(&status["user"]["groups"]));
    meta::text(status, "user.uid").clone_into(&mut user.uid);
    let extra = status["user"]["extra"].as_object().into_iter().flatten();
    user.extra = extra
        .map(|(key, values)| (key.clone(), texts(values)))
        .collect();
    if !user.is_in(AUTHENTICATED) {
        user.groups.push(AUTHENTICATED.to_owned());
    }
    Some(user)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_user_of_another_audience_is_nobody() {
        let own = vec!["api".to_owned()];
        let status = |audiences: Value| {
            json!({ "authenticated": true, "audiences": audiences,
            "user": { "username": "ann", "groups": ["dev"], "extra": { "k": ["v"] } } })
        };
        let user = read(&status(Value::Null), &own).unwrap();
        assert_eq!(user.groups, ["dev", AUTHENTICATED]);
        assert_eq!(user.extra["k"], ["v"]);
        assert!(read(&status(json!(["api", "x"])), &own).is_some());
        assert!(read(&status(json!(["x"])), &own).is_none());
        assert!(read(&json!({ "user": { "username": "ann" } }), &own).is_none());
    }
}
