//! Service-account tokens: made for one account, bound to it and often to a pod
//! or Secret, and good only while those exist.

use std::sync::Arc;
use std::time::Duration;

use apimachinery::meta;
use pki::{BoundObject, Claims, KubernetesClaims, TokenKey};
use serde_json::Value;
use store::Store;

use crate::keys;
use crate::user::{CREDENTIAL_ID, SERVICE_ACCOUNT_PREFIX, User};

const POD_NAME: &str = "authentication.kubernetes.io/pod-name";
const POD_UID: &str = "authentication.kubernetes.io/pod-uid";
const NODE_NAME: &str = "authentication.kubernetes.io/node-name";
const NODE_UID: &str = "authentication.kubernetes.io/node-uid";

pub struct Verifier {
    key: Arc<TokenKey>,
    store: Arc<dyn Store>,
    issuer: String,
    /// What a token must be made for, to be taken by this server.
    audiences: Vec<String>,
}

/// A token that holds.
pub struct Verified {
    pub user: User,
    /// The wanted audiences that the token was made for.
    pub audiences: Vec<String>,
}

/// What a new token should say.
pub struct Wanted<'a> {
    pub namespace: &'a str,
    pub account: BoundObject,
    pub audiences: Vec<String>,
    pub lifetime: Duration,
    pub pod: Option<BoundObject>,
    pub secret: Option<BoundObject>,
    pub node: Option<BoundObject>,
}

impl Verifier {
    /// `audiences` empty: the issuer is the only one.
    pub fn new(
        key: Arc<TokenKey>,
        store: Arc<dyn Store>,
        issuer: &str,
        mut audiences: Vec<String>,
    ) -> Self {
        if audiences.is_empty() {
            audiences.push(issuer.to_owned());
        }
        Self {
            key,
            store,
            issuer: issuer.to_owned(),
            audiences,
        }
    }

    pub fn issuer(&self) -> &str {
        &self.issuer
    }

    pub fn audiences(&self) -> &[String] {
        &self.audiences
    }

    pub fn jwks(&self) -> Value {
        self.key.jwks()
    }

    /// Signs a token.
    pub fn issue(&self, wanted: Wanted<'_>, now: jiff::Timestamp) -> Result<String, pki::Error> {
        let issued = u64::try_from(now.as_second()).unwrap_or(0);
        self.key.sign(&Claims {
            iss: self.issuer.clone(),
            sub: format!(
                "{SERVICE_ACCOUNT_PREFIX}{}:{}",
                wanted.namespace, wanted.account.name
            ),
            aud: wanted.audiences,
            exp: issued + wanted.lifetime.as_secs(),
            iat: issued,
            nbf: issued,
            jti: apimachinery::random::uid(),
            kubernetes: KubernetesClaims {
                namespace: wanted.namespace.to_owned(),
                serviceaccount: wanted.account,
                pod: wanted.pod,
                secret: wanted.secret,
                node: wanted.node,
            },
        })
    }

    /// None when the token does not hold: signature, times, audience, or an
    /// object it is bound to that is gone.
    pub async fn authenticate(
        &self,
        token: &str,
        audiences: Option<&[String]>,
    ) -> Option<Verified> {
        let wanted = audiences.unwrap_or(&self.audiences);
        let claims = match self.key.verify(token, wanted) {
            Ok(claims) => claims,
            Err(error) => {
                tracing::debug!(%error, "refuse a service-account token");
                return None;
            }
        };
        if claims.iss != self.issuer {
            return None;
        }
        self.check_bound(&claims.kubernetes).await?;
        let audiences = claims
            .aud
            .iter()
            .filter(|a| wanted.contains(a))
            .cloned()
            .collect();
        Some(Verified {
            user: user_of(&claims),
            audiences,
        })
    }

    async fn check_bound(&self, claims: &KubernetesClaims) -> Option<()> {
        let namespace = Some(claims.namespace.as_str());
        self.exists("serviceaccounts", namespace, &claims.serviceaccount)
            .await?;
        if let Some(pod) = &claims.pod {
            self.exists("pods", namespace, pod).await?;
        }
        if let Some(secret) = &claims.secret {
            self.exists("secrets", namespace, secret).await?;
        }
        Some(())
    }

    async fn exists(
        &self,
        prefix: &str,
        namespace: Option<&str>,
        object: &BoundObject,
    ) -> Option<()> {
        let key = keys::object(prefix, namespace, &object.name);
        let entry = self.store.get(&key).await.ok()??;
        let found: Value = serde_json::from_slice(&entry.value).ok()?;
        (meta::uid(&found) == object.uid).then_some(())
    }
}

fn user_of(claims: &Claims) -> User {
    let kubernetes = &claims.kubernetes;
    let account = &kubernetes.serviceaccount;
    let mut user = User::service_account(&kubernetes.namespace, &account.name, &account.uid);
    let mut extra = |key: &str, value: &str| {
        if !value.is_empty() {
            user.extra.insert(key.to_owned(), vec![value.to_owned()]);
        }
    };
    if !claims.jti.is_empty() {
        extra(CREDENTIAL_ID, &format!("JTI={}", claims.jti));
    }
    if let Some(pod) = &kubernetes.pod {
        extra(POD_NAME, &pod.name);
        extra(POD_UID, &pod.uid);
    }
    if let Some(node) = &kubernetes.node {
        extra(NODE_NAME, &node.name);
        extra(NODE_UID, &node.uid);
    }
    user
}
