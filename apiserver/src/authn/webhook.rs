//! Tokens that another server knows: it is asked by a TokenReview, and what it
//! said is taken for a while, good or bad.

use std::collections::HashMap;
use std::path::PathBuf;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use apimachinery::meta;
use serde_json::{Value, json};
use sha2::{Digest, Sha256};

use crate::user::{AUTHENTICATED, User};
use crate::webhook::plain::Server;
use crate::webhook::{Caller, Limits};

/// Answers held at once.
const HELD_MAX: usize = 4096;
const LIMITS: Limits = Limits {
    timeout: Duration::from_secs(10),
    answer_max: 1024 * 1024,
};
/// A call that failed is tried once more after this.
const PAUSE: Duration = Duration::from_millis(200);

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
    held: Mutex<HashMap<[u8; 32], Held>>,
}

struct Held {
    user: Option<Arc<User>>,
    until: Instant,
}

impl Reviewer {
    pub fn new(server: Server, caller: Arc<Caller>, cache: Duration) -> Self {
        Self {
            server,
            caller,
            cache,
            held: Mutex::default(),
        }
    }

    /// None when the server does not know the token for one of `audiences`, or
    /// does not answer, which is not remembered.
    pub async fn user(&self, token: &str, audiences: &[String]) -> Option<Arc<User>> {
        let key: [u8; 32] = Sha256::digest(token).into();
        if let Some(known) = self.recall(&key) {
            return known;
        }
        let status = self.ask(token, audiences).await?;
        let user = read(&status, audiences).map(Arc::new);
        self.remember(key, user.clone());
        user
    }

    async fn ask(&self, token: &str, audiences: &[String]) -> Option<Value> {
        let review = json!({
            "apiVersion": "authentication.k8s.io/v1", "kind": "TokenReview",
            "metadata": { "creationTimestamp": null },
            "spec": { "token": token, "audiences": audiences }, "status": { "user": {} },
        });
        let body = bytes::Bytes::from(review.to_string());
        let mut answer = self
            .caller
            .call(&self.server, Some(body.clone()), LIMITS)
            .await;
        if answer.is_err() {
            tokio::time::sleep(PAUSE).await;
            answer = self.caller.call(&self.server, Some(body), LIMITS).await;
        }
        match answer {
            Ok(mut review) => Some(review["status"].take()),
            Err(error) => {
                tracing::warn!(%error, "ask the token webhook");
                None
            }
        }
    }

    fn recall(&self, key: &[u8; 32]) -> Option<Option<Arc<User>>> {
        let held = self.held.lock().unwrap_or_else(PoisonError::into_inner);
        let known = held.get(key)?;
        (known.until > Instant::now()).then(|| known.user.clone())
    }

    fn remember(&self, key: [u8; 32], user: Option<Arc<User>>) {
        let now = Instant::now();
        let mut held = self.held.lock().unwrap_or_else(PoisonError::into_inner);
        if held.len() >= HELD_MAX {
            held.retain(|_, known| known.until > now);
        }
        if held.len() < HELD_MAX {
            let until = now + self.cache;
            held.insert(key, Held { user, until });
        }
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
