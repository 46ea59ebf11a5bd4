//! Who is asking and may he: asked of the API server, as Kubernetes' kubelet does
//! by webhook. That is how metrics-server and Prometheus read a node's metrics
//! with the token of their service account.

use std::collections::{BTreeMap, HashMap};
use std::hash::Hash;
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use http::{HeaderMap, Method, StatusCode, header};
use k8s_openapi::api::authentication::v1::{TokenReview, TokenReviewSpec};
use k8s_openapi::api::authorization::v1::{
    ResourceAttributes, SubjectAccessReview, SubjectAccessReviewSpec,
};
use kube::api::PostParams;
use kube::{Api, Client};
use sha2::{Digest as _, Sha256};
use tokio::time::Instant;

use super::identity::Identity;

/// As long as Kubernetes' kubelet believes an answer.
const TOKEN: Duration = Duration::from_secs(120);
const ALLOWED: Duration = Duration::from_secs(300);
const DENIED: Duration = Duration::from_secs(30);
/// Answers that are kept; past that all are asked for anew.
const ANSWERS_MAX: usize = 1000;

/// A status and its words.
type Refusal = (StatusCode, String);

#[derive(Clone, Debug, Default, PartialEq, Eq, Hash)]
pub struct User {
    pub name: String,
    pub uid: String,
    pub groups: Vec<String>,
    pub extra: BTreeMap<String, Vec<String>>,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash)]
struct Asked {
    user: User,
    verb: &'static str,
    subresource: &'static str,
}

/// What the API server was asked, and its latest answers.
pub struct Reviews {
    client: Client,
    node: String,
    users: Answers<[u8; 32], User>,
    decisions: Answers<Asked, bool>,
}

impl Reviews {
    pub fn new(client: Client, node: &str) -> Self {
        Self {
            client,
            node: node.to_owned(),
            users: Answers::default(),
            decisions: Answers::default(),
        }
    }

    /// # Errors
    /// The status and words of the refusal.
    pub async fn authorize(
        &self,
        identity: &Identity,
        headers: &HeaderMap,
        method: &Method,
        path: &str,
    ) -> Result<(), Refusal> {
        let user = match (identity.user(), bearer(headers)) {
            (Some(user), _) => user,
            (None, Some(token)) => self.user_of(token).await?,
            (None, None) => return Err(unauthorized()),
        };
        let (verb, subresource) = (verb(method), subresource(path));
        let asked = Asked {
            user,
            verb,
            subresource,
        };
        if self.may(&asked).await? {
            return Ok(());
        }
        let name = &asked.user.name;
        let message = format!(
            "Forbidden (user={name}, verb={verb}, resource=nodes, subresource={subresource})"
        );
        Err((StatusCode::FORBIDDEN, message))
    }

    async fn user_of(&self, token: &str) -> Result<User, Refusal> {
        let key = Sha256::digest(token.as_bytes()).into();
        if let Some(user) = self.users.get(&key) {
            return Ok(user);
        }
        let review = TokenReview {
            spec: TokenReviewSpec {
                token: token.to_owned(),
                ..TokenReviewSpec::default()
            },
            ..TokenReview::default()
        };
        let api: Api<TokenReview> = Api::all(self.client.clone());
        let answer = api.create(&PostParams::default(), &review).await;
        let status = answer.map_err(|error| failed(&error))?.status;
        let status = status.filter(|status| status.authenticated == Some(true));
        let found = status.and_then(|status| status.user);
        let found = found.ok_or_else(unauthorized)?;
        let user = User {
            name: found.username.unwrap_or_default(),
            uid: found.uid.unwrap_or_default(),
            groups: found.groups.unwrap_or_default(),
            extra: found.extra.unwrap_or_default(),
        };
        self.users.put(key, user.clone(), TOKEN);
        Ok(user)
    }

    async fn may(&self, asked: &Asked) -> Result<bool, Refusal> {
        if let Some(known) = self.decisions.get(asked) {
            return Ok(known);
        }
        let user = asked.user.clone();
        let review = SubjectAccessReview {
            spec: SubjectAccessReviewSpec {
                user: Some(user.name),
                uid: Some(user.uid),
                groups: Some(user.groups),
                extra: Some(user.extra),
                resource_attributes: Some(ResourceAttributes {
                    verb: Some(asked.verb.to_owned()),
                    version: Some("v1".to_owned()),
                    resource: Some("nodes".to_owned()),
                    subresource: Some(asked.subresource.to_owned()),
                    name: Some(self.node.clone()),
                    ..ResourceAttributes::default()
                }),
                ..SubjectAccessReviewSpec::default()
            },
            ..SubjectAccessReview::default()
        };
        let api: Api<SubjectAccessReview> = Api::all(self.client.clone());
        let answer = api.create(&PostParams::default(), &review).await;
        let status = answer.map_err(|error| failed(&error))?.status;
        let may = status.is_some_and(|status| status.allowed);
        let lasts = if may { ALLOWED } else { DENIED };
        self.decisions.put(asked.clone(), may, lasts);
        Ok(may)
    }
}

fn unauthorized() -> Refusal {
    (StatusCode::UNAUTHORIZED, "Unauthorized".to_owned())
}

/// Nobody is let in while the API server does not say who he is.
fn failed(error: &kube::Error) -> Refusal {
    let message = format!("the API server was asked who you are: {error}");
    (StatusCode::INTERNAL_SERVER_ERROR, message)
}

fn bearer(headers: &HeaderMap) -> Option<&str> {
    let value = headers.get(header::AUTHORIZATION)?.to_str().ok()?;
    let (scheme, token) = value.split_once(' ')?;
    let token = token.trim();
    (scheme.eq_ignore_ascii_case("bearer") && !token.is_empty()).then_some(token)
}

fn verb(method: &Method) -> &'static str {
    match *method {
        Method::POST => "create",
        Method::PUT => "update",
        Method::PATCH => "patch",
        Method::DELETE => "delete",
        _ => "get",
    }
}

/// Kubernetes' subresources of a node: what is none of the first is `proxy`.
fn subresource(path: &str) -> &'static str {
    match path.split('/').nth(1) {
        Some("stats") => "stats",
        Some("metrics") => "metrics",
        Some("logs") => "log",
        Some("checkpoint") => "checkpoint",
        _ => "proxy",
    }
}

/// Answers, each until it is too old.
struct Answers<K, V>(Mutex<HashMap<K, (Instant, V)>>);

impl<K, V> Default for Answers<K, V> {
    fn default() -> Self {
        Self(Mutex::default())
    }
}

impl<K: Eq + Hash, V: Clone> Answers<K, V> {
    fn get(&self, key: &K) -> Option<V> {
        let known = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let (until, value) = known.get(key)?;
        (*until > Instant::now()).then(|| value.clone())
    }

    fn put(&self, key: K, value: V, lasts: Duration) {
        let mut known = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if known.len() >= ANSWERS_MAX {
            known.clear();
        }
        known.insert(key, (Instant::now() + lasts, value));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn paths_are_kubernetes_subresources_of_the_node() {
        for (path, wanted) in [
            ("/metrics", "metrics"),
            ("/metrics/cadvisor", "metrics"),
            ("/stats/summary", "stats"),
            ("/pods", "proxy"),
            ("/metricsx", "proxy"),
            ("/storage/pvc-1", "proxy"),
        ] {
            assert_eq!(subresource(path), wanted, "{path}");
        }
    }

    #[tokio::test(start_paused = true)]
    async fn an_answer_holds_for_its_time() {
        let answers: Answers<u8, bool> = Answers::default();
        answers.put(1, true, DENIED);
        assert_eq!(answers.get(&1), Some(true));
        tokio::time::advance(DENIED).await;
        assert_eq!(answers.get(&1), None);
    }

    #[test]
    fn a_bearer_token_is_read_whatever_the_case_of_its_scheme() {
        let mut headers = HeaderMap::new();
        assert_eq!(bearer(&headers), None);
        headers.insert(header::AUTHORIZATION, "bearer abc".parse().unwrap());
        assert_eq!(bearer(&headers), Some("abc"));
        headers.insert(header::AUTHORIZATION, "Basic abc".parse().unwrap());
        assert_eq!(bearer(&headers), None);
    }
}
