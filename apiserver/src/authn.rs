//! Who a request is from: a client certificate, a bearer token, or nobody.
//!
//! A request without credentials is anonymous; one with bad credentials is
//! refused, so that a typing mistake never looks like a missing permission.

pub mod bootstrap;
pub mod impersonation;
pub mod review;
pub mod service_account;

use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use apimachinery::Status;
use http::{HeaderMap, header};
use store::Store;

use crate::peer::Peer;
use crate::user::{AUTHENTICATED, User};

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
    store: Arc<dyn Store>,
    trusted: Mutex<HashMap<String, Trusted>>,
}

struct Trusted {
    user: Arc<User>,
    until: Instant,
}

impl Authenticator {
    pub fn new(
        tokens: &[StaticToken],
        service_accounts: service_account::Verifier,
        store: Arc<dyn Store>,
    ) -> Self {
        let statics = tokens
            .iter()
            .map(|t| (t.token.clone(), Arc::new(t.user.clone())));
        Self {
            statics: statics.collect(),
            service_accounts,
            store,
            trusted: Mutex::default(),
        }
    }

    pub fn service_accounts(&self) -> &service_account::Verifier {
        &self.service_accounts
    }

    /// # Errors
    /// 401 when the credentials that were brought are not good.
    pub async fn authenticate(
        &self,
        headers: &HeaderMap,
        peer: &Peer,
    ) -> Result<Arc<User>, Status> {
        if let Some(name) = &peer.certificate {
            let groups = name.organizations.iter().cloned();
            let groups = groups.chain([AUTHENTICATED.to_owned()]);
            return Ok(Arc::new(User::new(name.common_name.clone(), groups)));
        }
        match bearer(headers) {
            None => Ok(Arc::new(User::anonymous())),
            Some(token) => self.of_token(token).await.ok_or_else(Status::unauthorized),
        }
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
        let user = match bootstrap::parse(token) {
            Some(parts) => bootstrap::authenticate(&*self.store, parts).await?,
            None => self.service_accounts.authenticate(token, None).await?.user,
        };
        let user = Arc::new(user);
        self.remember(token, user.clone());
        Some(user)
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

fn bearer(headers: &HeaderMap) -> Option<&str> {
    let value = headers.get(header::AUTHORIZATION)?.to_str().unwrap_or("");
    let (scheme, token) = value.split_once(' ').unwrap_or((value, ""));
    scheme
        .eq_ignore_ascii_case("bearer")
        .then_some(token.trim())
}
