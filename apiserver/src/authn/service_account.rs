//! Service-account tokens: made for one account, bound to it and often to a pod
//! or Secret, and good only while those exist.

mod bound;

use std::sync::Arc;
use std::time::Duration;

use pki::{BoundObject, Claims, KubernetesClaims, LegacyClaims, TokenKey};
use serde_json::Value;
use store::Store;

use super::oidc::issuer_of;
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
    /// The end that the bearer was told, where the token lives longer.
    pub told: Option<Duration>,
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

    pub fn algorithms(&self) -> Vec<String> {
        self.key.algorithms()
    }

    pub fn jwks(&self) -> Value {
        self.key.jwks()
    }

    /// Signs a token; `id` tells it from all others.
    pub fn issue(
        &self,
        wanted: Wanted<'_>,
        id: String,
        now: jiff::Timestamp,
    ) -> Result<String, pki::Error> {
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
            jti: id,
            kubernetes: KubernetesClaims {
                namespace: wanted.namespace.to_owned(),
                serviceaccount: wanted.account,
                pod: wanted.pod,
                secret: wanted.secret,
                node: wanted.node,
                warnafter: wanted.told.map(|told| issued + told.as_secs()),
            },
        })
    }

    /// The token that a Secret holds for an account.
    pub fn issue_for_secret(
        &self,
        namespace: &str,
        account: BoundObject,
        secret: &str,
    ) -> Result<String, pki::Error> {
        self.key.sign_legacy(&LegacyClaims {
            iss: LegacyClaims::ISSUER.to_owned(),
            sub: format!("{SERVICE_ACCOUNT_PREFIX}{namespace}:{}", account.name),
            namespace: namespace.to_owned(),
            secret: secret.to_owned(),
            account: account.name,
            account_uid: account.uid,
        })
    }

    /// Whether the token says that it is one of this server's for a service account,
    /// good or not.
    pub fn is_meant(&self, token: &str) -> bool {
        let said = issuer_of(token);
        said.is_some_and(|said| said == self.issuer || said == LegacyClaims::ISSUER)
    }

    /// None when the token does not hold: signature, times, audience, or an
    /// object it is bound to that is gone.
    pub async fn authenticate(
        &self,
        token: &str,
        audiences: Option<&[String]>,
    ) -> Option<Verified> {
        let wanted = audiences.unwrap_or(&self.audiences);
        let refused = match self.key.verify(token, wanted) {
            Ok(claims) => return self.check(claims, wanted).await,
            Err(refused) => refused,
        };
        if let Ok(claims) = self.key.verify_legacy(token) {
            return self.check_legacy(token, claims, wanted).await;
        }
        tracing::debug!(error = %refused, "refuse a service-account token");
        None
    }

    async fn check(&self, claims: Claims, wanted: &[String]) -> Option<Verified> {
        if claims.iss != self.issuer {
            return None;
        }
        bound::check(&*self.store, &claims.kubernetes).await?;
        let audiences = claims.aud.iter().filter(|a| wanted.contains(a));
        Some(Verified {
            audiences: audiences.cloned().collect(),
            user: user_of(&claims),
        })
    }

    /// The token of a Secret is for this server, and good while the Secret
    /// holds it.
    async fn check_legacy(
        &self,
        token: &str,
        claims: LegacyClaims,
        wanted: &[String],
    ) -> Option<Verified> {
        let audiences: Vec<String> = self
            .audiences
            .iter()
            .filter(|own| wanted.contains(own))
            .cloned()
            .collect();
        if claims.iss != LegacyClaims::ISSUER || audiences.is_empty() {
            return None;
        }
        bound::check_legacy(&*self.store, token, &claims).await?;
        Some(Verified {
            user: User::service_account(&claims.namespace, &claims.account, &claims.account_uid),
            audiences,
        })
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
