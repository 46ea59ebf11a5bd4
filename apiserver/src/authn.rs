//! Who a request is from: a client certificate, a bearer token, or nobody.
//!
//! A request without credentials is anonymous; one with bad credentials is
//! refused, so that a typing mistake never looks like a missing permission.

pub mod bootstrap;
pub mod front_proxy;
pub mod impersonation;
pub mod node_key;
pub mod oidc;
pub mod review;
pub mod service_account;
pub mod webhook;

use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use apimachinery::Status;
use base64::Engine as _;
use base64::engine::general_purpose::{URL_SAFE, URL_SAFE_NO_PAD};
use http::{HeaderMap, HeaderName, HeaderValue, header};
use store::Store;

use crate::access::Access;
use crate::peer::Peer;
use crate::user::User;
use crate::webhook::plain::Server;
use crate::webhook::{Caller, kubeconfig};
use front_proxy::FrontProxy;

/// How long a verified token is taken on trust; its objects may be gone by then.
const TRUST: Duration = Duration::from_secs(10);
/// Verified tokens held at once; the oldest go first.
const TRUSTED_MAX: usize = 4096;
/// A longer token is no token.
const TOKEN_MAX: usize = 16 * 1024;

/// A token that is known beforehand (`Config::tokens`).
#[derive(Debug, Clone)]
pub struct StaticToken {
    pub token: String,
    pub user: User,
}

pub struct Authenticator {
    statics: HashMap<String, Arc<User>>,
    service_accounts: service_account::Verifier,
    nodes: node_key::Verifier,
    front_proxy: Option<FrontProxy>,
    oidc: Option<oidc::Provider>,
    reviewer: Option<webhook::Reviewer>,
    anonymous: bool,
    store: Arc<dyn Store>,
    trusted: Mutex<HashMap<String, Trusted>>,
}

struct Trusted {
    user: Arc<User>,
    until: Instant,
}

impl Authenticator {
    /// # Errors
    /// A token webhook whose kubeconfig cannot be used.
    pub fn new(
        tokens: &[StaticToken],
        (service_accounts, nodes): (service_account::Verifier, node_key::Verifier),
        access: &Access,
        store: Arc<dyn Store>,
    ) -> Result<Self, kubeconfig::Error> {
        let statics = tokens
            .iter()
            .map(|t| (t.token.clone(), Arc::new(t.user.clone())));
        let caller = Arc::new(Caller::new(store.clone()));
        let reviewer = access.token_webhook.as_ref().map(|webhook| {
            let server = Server::read(&webhook.config)?;
            Ok(webhook::Reviewer::new(
                server,
                caller.clone(),
                webhook.cache,
            ))
        });
        let provider = |issuer| oidc::Provider::new(issuer, caller.clone());
        Ok(Self {
            statics: statics.collect(),
            service_accounts,
            nodes,
            front_proxy: access.front_proxy.clone(),
            oidc: access.oidc.clone().map(provider),
            reviewer: reviewer.transpose()?,
            anonymous: access.anonymous,
            store,
            trusted: Mutex::default(),
        })
    }

    pub fn service_accounts(&self) -> &service_account::Verifier {
        &self.service_accounts
    }

    /// Who makes the request. What said so is taken from its headers, so that it
    /// is not handed on to whoever the request is proxied to.
    ///
    /// # Errors
    /// 401 when the credentials that were brought are not good, or there are
    /// none and there must be.
    pub async fn authenticate(
        &self,
        headers: &mut HeaderMap,
        peer: &Peer,
    ) -> Result<Arc<User>, Status> {
        if let Some(proxy) = &self.front_proxy {
            let user = proxy.user(headers, peer)?;
            remove(headers, |name| proxy.is_own(name));
            if let Some(user) = user {
                headers.remove(header::AUTHORIZATION);
                return Ok(Arc::new(user));
            }
        }
        if let Some(name) = &peer.certificate {
            headers.remove(header::AUTHORIZATION);
            return Ok(Arc::new(name.user()));
        }
        let user = match bearer(headers) {
            Some(token) => self.of_token(token).await,
            None => match websocket_token(headers) {
                Some(token) => self.of_token(&token).await,
                // A proxy that names nobody has brought credentials that say nothing.
                None if self.anonymous && peer.front_proxy.is_none() => {
                    Some(Arc::new(User::anonymous()))
                }
                None => None,
            },
        };
        let user = user.ok_or_else(Status::unauthorized)?;
        headers.remove(header::AUTHORIZATION);
        Ok(user)
    }

    /// The user a token stands for, for the audience of this server.
    pub async fn of_token(&self, token: &str) -> Option<Arc<User>> {
        if token.is_empty() || token.len() > TOKEN_MAX {
            return None;
        }
        if let Some(user) = self.statics.get(token) {
            return Some(user.clone());
        }
        if let Some(user) = self.recall(token) {
            return Some(user);
        }
        if let Some(parts) = bootstrap::parse(token) {
            // Seldom used, and over at once when it is revoked.
            let user = bootstrap::authenticate(&*self.store, parts).await;
            return user.map(Arc::new);
        }
        if let Some(user) = self.of_own_token(token).await {
            let user = Arc::new(user);
            self.remember(token, user.clone());
            return Some(user);
        }
        let audiences = self.service_accounts.audiences();
        self.reviewer.as_ref()?.user(token, audiences).await
    }

    /// The user of a token that this server can verify by itself.
    async fn of_own_token(&self, token: &str) -> Option<User> {
        if let Some(verified) = self.service_accounts.authenticate(token, None).await {
            return Some(verified.user);
        }
        if let Some(node) = self.nodes.authenticate(token).await {
            return Some(node);
        }
        self.oidc.as_ref()?.user(token).await
    }

    fn recall(&self, token: &str) -> Option<Arc<User>> {
        let trusted = self.trusted.lock().unwrap_or_else(PoisonError::into_inner);
        let known = trusted.get(token)?;
        (known.until > Instant::now()).then(|| known.user.clone())
    }

    fn remember(&self, token: &str, user: Arc<User>) {
        let now = Instant::now();
        let mut trusted = self.trusted.lock().unwrap_or_else(PoisonError::into_inner);
        if trusted.len() >= TRUSTED_MAX {
            trusted.retain(|_, known| known.until > now);
        }
        if trusted.len() < TRUSTED_MAX {
            trusted.insert(
                token.to_owned(),
                Trusted {
                    user,
                    until: now + TRUST,
                },
            );
        }
    }
}

/// Compares in a time that does not tell how much was right.
pub(crate) fn same(a: &[u8], b: &[u8]) -> bool {
    a.len() == b.len() && a.iter().zip(b).fold(0, |seen, (x, y)| seen | (x ^ y)) == 0
}

fn bearer(headers: &HeaderMap) -> Option<&str> {
    let value = headers.get(header::AUTHORIZATION)?.to_str().unwrap_or("");
    let (scheme, token) = value.split_once(' ').unwrap_or((value, ""));
    scheme
        .eq_ignore_ascii_case("bearer")
        .then_some(token.trim())
}

/// Browsers cannot set a header on a WebSocket: there the token is one of the
/// protocols that the client offers, and is taken from them.
fn websocket_token(headers: &mut HeaderMap) -> Option<String> {
    const PREFIX: &str = "base64url.bearer.authorization.k8s.io.";
    let is_upgrade = headers.contains_key(header::UPGRADE);
    let offered = headers.get(header::SEC_WEBSOCKET_PROTOCOL)?.to_str().ok()?;
    let mut others = Vec::new();
    let mut found = None;
    for protocol in offered.split(',').map(str::trim) {
        match protocol.strip_prefix(PREFIX) {
            Some(encoded) => found = Some(encoded.to_owned()),
            None => others.push(protocol),
        }
    }
    let encoded = found.filter(|_| is_upgrade)?;
    let others = HeaderValue::from_str(&others.join(", ")).ok()?;
    let bytes = URL_SAFE_NO_PAD.decode(&encoded);
    let bytes = bytes.or_else(|_| URL_SAFE.decode(&encoded)).ok()?;
    headers.insert(header::SEC_WEBSOCKET_PROTOCOL, others);
    String::from_utf8(bytes).ok()
}

fn remove(headers: &mut HeaderMap, is_own: impl Fn(&HeaderName) -> bool) {
    let own: Vec<HeaderName> = headers
        .keys()
        .filter(|name| is_own(name))
        .cloned()
        .collect();
    for name in own {
        headers.remove(name);
    }
}
