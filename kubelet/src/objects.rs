//! ConfigMaps, Secrets and tokens that pods of this node use.
//!
//! Content is read when it is needed, so a pod never starts from a stale copy;
//! while a pod runs, one watch per object, shared by all its pods, tells when to
//! read again.

use std::collections::HashMap;
use std::fmt::Debug;
use std::sync::{Arc, Mutex, PoisonError, Weak};
use std::time::Duration;

use futures::StreamExt as _;
use k8s_openapi::NamespaceResourceScope;
use k8s_openapi::api::authentication::v1::{BoundObjectReference, TokenRequest, TokenRequestSpec};
use k8s_openapi::api::core::v1::{
    ConfigMap, Pod, Secret, ServiceAccount, ServiceAccountTokenProjection,
};
use kube::api::PostParams;
use kube::runtime::{WatchStreamExt as _, watcher};
use kube::{Api, Client, Resource};
use serde::de::DeserializeOwned;
use tokio::sync::watch;
use tokio::task::AbortHandle;
use tokio::time::Instant;

use crate::clock::after;
use crate::env::{Lookup, Problem};
use crate::volumes::payload::{self, Tokens};

/// Reads objects of one namespace.
pub struct Namespace<'a> {
    pub client: &'a Client,
    pub name: &'a str,
}

impl Namespace<'_> {
    async fn read<K>(&self, name: &str) -> Result<Option<Arc<K>>, Problem>
    where
        K: Resource<Scope = NamespaceResourceScope> + Clone + DeserializeOwned + Debug,
        K::DynamicType: Default,
    {
        let api: Api<K> = Api::namespaced(self.client.clone(), self.name);
        let found = api
            .get_opt(name)
            .await
            .map_err(|e| Problem::Api(e.to_string()))?;
        Ok(found.map(Arc::new))
    }
}

impl Lookup for Namespace<'_> {
    async fn config_map(&self, name: &str) -> Result<Option<Arc<ConfigMap>>, Problem> {
        self.read(name).await
    }

    async fn secret(&self, name: &str) -> Result<Option<Arc<Secret>>, Problem> {
        self.read(name).await
    }
}

/// The kinds that can be watched for volumes.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Kind {
    ConfigMap,
    Secret,
}

/// One object's name.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Key {
    pub kind: Kind,
    pub namespace: String,
    pub name: String,
}

/// Tells when watched objects change.
pub struct Changes {
    client: Client,
    live: Mutex<HashMap<Key, Weak<Watched>>>,
}

/// A watch on one object, for as long as someone holds it.
pub struct Watched {
    generation: watch::Receiver<u64>,
    task: AbortHandle,
}

impl Drop for Watched {
    fn drop(&mut self) {
        self.task.abort();
    }
}

impl Watched {
    /// Counts up at every change seen.
    pub fn generation(&self) -> watch::Receiver<u64> {
        self.generation.clone()
    }
}

impl Changes {
    pub fn new(client: Client) -> Self {
        Self {
            client,
            live: Mutex::default(),
        }
    }

    /// The watch on `key`, shared with whoever else watches it.
    pub fn of(&self, key: &Key) -> Arc<Watched> {
        let mut live = self.live.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(watched) = live.get(key).and_then(Weak::upgrade) {
            return watched;
        }
        live.retain(|_, watched| watched.strong_count() > 0);
        let watched = Arc::new(self.start(key));
        live.insert(key.clone(), Arc::downgrade(&watched));
        watched
    }

    fn start(&self, key: &Key) -> Watched {
        let (sender, generation) = watch::channel(0);
        let client = self.client.clone();
        let task = match key.kind {
            Kind::ConfigMap => tokio::spawn(follow::<ConfigMap>(client, key.clone(), sender)),
            Kind::Secret => tokio::spawn(follow::<Secret>(client, key.clone(), sender)),
        };
        Watched {
            generation,
            task: task.abort_handle(),
        }
    }
}

async fn follow<K>(client: Client, key: Key, sender: watch::Sender<u64>)
where
    K: Resource<Scope = NamespaceResourceScope> + Clone + DeserializeOwned + Debug + Send + 'static,
    K::DynamicType: Default,
{
    let api: Api<K> = Api::namespaced(client, &key.namespace);
    let config = watcher::Config::default().fields(&format!("metadata.name={}", key.name));
    let mut events = watcher(api, config).default_backoff().boxed();
    while let Some(event) = events.next().await {
        match event {
            Ok(watcher::Event::Init | watcher::Event::InitApply(_)) => {}
            Ok(_) => sender.send_modify(|generation| *generation += 1),
            Err(e) => tracing::debug!("watch {:?} {}/{}: {e}", key.kind, key.namespace, key.name),
        }
    }
}

/// The tokens one pod was given, kept until most of their life is over.
#[derive(Default)]
pub struct TokenCache(Mutex<HashMap<(String, i64), Cached>>);

struct Cached {
    token: String,
    renew_at: Instant,
}

impl TokenCache {
    /// When the first token must be renewed.
    pub fn renew_at(&self) -> Option<Instant> {
        let cache = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        cache.values().map(|cached| cached.renew_at).min()
    }

    /// Has all be renewed: the servers may now think otherwise of their ends.
    pub fn expire(&self, now: Instant) {
        let mut cache = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        for cached in cache.values_mut() {
            cached.renew_at = cached.renew_at.min(now);
        }
    }

    fn find(&self, key: &(String, i64), now: Instant) -> Option<String> {
        let cache = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        cache
            .get(key)
            .filter(|cached| cached.renew_at > now)
            .map(|cached| cached.token.clone())
    }

    fn put(&self, key: (String, i64), cached: Cached) {
        self.0
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .insert(key, cached);
    }
}

/// Asks the API server for tokens of one pod's service account.
pub struct PodTokens<'a> {
    pub client: &'a Client,
    pub pod: &'a Pod,
    pub cache: &'a TokenCache,
}

impl Tokens for PodTokens<'_> {
    async fn token(
        &self,
        projection: &ServiceAccountTokenProjection,
    ) -> Result<String, payload::Problem> {
        let seconds = projection.expiration_seconds.unwrap_or(3600);
        let audience = projection.audience.clone().unwrap_or_default();
        let key = (audience, seconds);
        let now = Instant::now();
        if let Some(token) = self.cache.find(&key, now) {
            return Ok(token);
        }
        let token = self.request(&key.0, seconds).await?;
        let renew_at = after(now, renewal(seconds));
        self.cache.put(
            key,
            Cached {
                token: token.clone(),
                renew_at,
            },
        );
        Ok(token)
    }
}

/// How long a token asked for `seconds` is used: as in Kubernetes, 80 % of its
/// life, or a day.
fn renewal(seconds: i64) -> Duration {
    let life = u64::try_from(seconds).unwrap_or(0);
    Duration::from_secs((life / 5 * 4 + life % 5 * 4 / 5).min(86_400))
}

impl PodTokens<'_> {
    async fn request(&self, audience: &str, seconds: i64) -> Result<String, payload::Problem> {
        let failed = |detail: String| payload::Problem::Token(detail);
        let namespace = self.pod.metadata.namespace.as_deref().unwrap_or_default();
        let account = self
            .pod
            .spec
            .as_ref()
            .and_then(|spec| spec.service_account_name.as_deref())
            .unwrap_or("default");
        let audiences = (!audience.is_empty()).then(|| vec![audience.to_owned()]);
        let request = TokenRequest {
            spec: Some(TokenRequestSpec {
                audiences,
                expiration_seconds: Some(seconds),
                bound_object_ref: Some(BoundObjectReference {
                    api_version: Some("v1".to_owned()),
                    kind: Some("Pod".to_owned()),
                    name: self.pod.metadata.name.clone(),
                    uid: self.pod.metadata.uid.clone(),
                }),
                ..TokenRequestSpec::default()
            }),
            ..TokenRequest::default()
        };
        let api: Api<ServiceAccount> = Api::namespaced(self.client.clone(), namespace);
        let made: TokenRequest = api
            .create_subresource("token", account, &PostParams::default(), &request)
            .await
            .map_err(|e| failed(e.to_string()))?;
        made.status
            .and_then(|status| status.token)
            .ok_or_else(|| failed("the API server sent none".to_owned()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_token_is_used_until_it_is_due_or_the_clock_was_set() {
        let (cache, now) = (TokenCache::default(), Instant::now());
        let key = (String::new(), 3600);
        let cached = Cached {
            token: "t".to_owned(),
            renew_at: after(now, renewal(3600)),
        };
        cache.put(key.clone(), cached);
        let found = |seconds| {
            cache
                .find(&key, now + Duration::from_secs(seconds))
                .is_some()
        };
        assert_eq!((found(2879), found(2880)), (true, false));
        cache.expire(now);
        assert!(!found(0));
        assert_eq!(
            cache.renew_at(),
            Some(now),
            "it is tried until there is one"
        );
    }

    #[test]
    fn tokens_are_renewed_before_their_end_and_once_a_day() {
        assert_eq!(renewal(3607), Duration::from_secs(2885));
        assert_eq!(renewal(i64::MAX), Duration::from_secs(86_400));
        assert_eq!(renewal(-1), Duration::ZERO);
    }
}
