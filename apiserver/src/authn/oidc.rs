//! Identity tokens of an OpenID Connect provider (`--oidc-*`). Its keys are
//! fetched when a token names one that is not known, and not more often than
//! [`REFETCH`].

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::{Duration, Instant};

use jsonwebtoken::jwk::{Jwk, JwkSet};
use jsonwebtoken::{Algorithm, DecodingKey, Validation};
use serde_json::Value;
use tokio::sync::Mutex;

use crate::user::{AUTHENTICATED, User};
use crate::webhook::plain::{Credentials, Server};
use crate::webhook::trust::Roots;
use crate::webhook::{Caller, Limits};

const REFETCH: Duration = Duration::from_secs(10);
const LIMITS: Limits = Limits {
    timeout: Duration::from_secs(10),
    answer_max: 1024 * 1024,
};
/// Keys of one provider that are looked at.
const KEYS_MAX: usize = 64;

/// A provider, and how its claims become a user.
#[derive(Debug, Clone)]
pub struct Issuer {
    pub url: String,
    /// The audience that tokens must be made for.
    pub client_id: String,
    pub username_claim: String,
    /// None: the issuer's URL and `#`, but for the claim `email`; `-`: nothing.
    pub username_prefix: Option<String>,
    pub groups_claim: Option<String>,
    pub groups_prefix: String,
    pub required_claims: BTreeMap<String, String>,
    /// Who signed the provider's certificate; None: the machine's authorities.
    pub ca_pem: Option<String>,
    /// Algorithms that are taken, of those that use a key pair.
    algorithms: Vec<Algorithm>,
}

impl Issuer {
    pub fn new(url: String, client_id: String) -> Self {
        Self {
            url,
            client_id,
            username_claim: "sub".into(),
            username_prefix: None,
            groups_claim: None,
            groups_prefix: String::new(),
            required_claims: BTreeMap::new(),
            ca_pem: None,
            algorithms: vec![Algorithm::RS256],
        }
    }

    /// Takes tokens signed with one of these algorithms.
    ///
    /// # Errors
    /// The name that is none of an algorithm with a key pair.
    pub fn allow(&mut self, names: &[String]) -> Result<(), String> {
        let algorithms = names.iter().map(|name| match name.parse() {
            Ok(Algorithm::HS256 | Algorithm::HS384 | Algorithm::HS512) | Err(_) => {
                Err(name.clone())
            }
            Ok(algorithm) => Ok(algorithm),
        });
        self.algorithms = algorithms.collect::<Result<_, _>>()?;
        Ok(())
    }

    fn user(&self, claims: &Value) -> Result<User, Refusal> {
        for (claim, wanted) in &self.required_claims {
            if claims[claim] != wanted.as_str() {
                return Err(Refusal::Claim(claim.clone()));
            }
        }
        let name = claims[&self.username_claim].as_str();
        let name = name.filter(|name| !name.is_empty());
        let name = name.ok_or_else(|| Refusal::Claim(self.username_claim.clone()))?;
        // A provider that says so must have checked whose address it is.
        if self.username_claim == "email"
            && claims.get("email_verified").is_some_and(|v| *v != true)
        {
            return Err(Refusal::Claim("email_verified".into()));
        }
        let mut groups = self.groups(claims)?;
        groups.push(AUTHENTICATED.to_owned());
        Ok(User::new(format!("{}{name}", self.prefix()), groups))
    }

    fn prefix(&self) -> String {
        match self.username_prefix.as_deref() {
            Some("-") => String::new(),
            Some(prefix) => prefix.to_owned(),
            None if self.username_claim == "email" => String::new(),
            None => format!("{}#", self.url),
        }
    }

    fn groups(&self, claims: &Value) -> Result<Vec<String>, Refusal> {
        let Some(claim) = &self.groups_claim else {
            return Ok(Vec::new());
        };
        let texts: Option<Vec<&str>> = match &claims[claim] {
            Value::Null => Some(Vec::new()),
            Value::String(one) => Some(vec![one]),
            Value::Array(many) => many.iter().map(Value::as_str).collect(),
            _ => None,
        };
        let texts = texts.ok_or_else(|| Refusal::Claim(claim.clone()))?;
        let prefixed = texts
            .iter()
            .map(|text| format!("{}{text}", self.groups_prefix));
        Ok(prefixed.collect())
    }
}

/// Why a token is not taken.
#[derive(Debug, thiserror::Error)]
enum Refusal {
    #[error("the token is no JWT of this issuer, or not valid")]
    Token(#[from] jsonwebtoken::errors::Error),
    #[error("the claim {0:?} is missing or not as it must be")]
    Claim(String),
    #[error("the issuer has no key for the token")]
    Key,
    #[error("fetch the issuer's keys")]
    Fetch(#[from] crate::webhook::Error),
    #[error("the issuer's answer at {0} is not what OpenID Connect says")]
    Answer(String),
}

pub struct Provider {
    issuer: Issuer,
    caller: Arc<Caller>,
    keys: Mutex<Keys>,
}

#[derive(Default)]
struct Keys {
    known: Vec<Jwk>,
    fetched: Option<Instant>,
}

impl Provider {
    pub fn new(issuer: Issuer, caller: Arc<Caller>) -> Self {
        Self {
            issuer,
            caller,
            keys: Mutex::default(),
        }
    }

    /// None for a token of another issuer, or one that does not hold.
    pub async fn user(&self, token: &str) -> Option<User> {
        if issuer_of(token).as_deref() != Some(&self.issuer.url) {
            return None;
        }
        match self.verify(token).await {
            Ok(user) => Some(user),
            Err(error) => {
                tracing::debug!(
                    error = &error as &dyn std::error::Error,
                    "refuse an identity token"
                );
                None
            }
        }
    }

    async fn verify(&self, token: &str) -> Result<User, Refusal> {
        let header = jsonwebtoken::decode_header(token)?;
        if !self.issuer.algorithms.contains(&header.alg) {
            return Err(Refusal::Key);
        }
        let mut rules = Validation::new(header.alg);
        rules.set_audience(&[&self.issuer.client_id]);
        rules.set_issuer(&[&self.issuer.url]);
        rules.set_required_spec_claims(&["exp", "iss", "aud"]);
        rules.validate_nbf = true;
        let keys = self.keys_of(header.kid.as_deref()).await?;
        let mut refused = Refusal::Key;
        for key in &keys {
            let key = DecodingKey::from_jwk(key)?;
            match jsonwebtoken::decode::<Value>(token, &key, &rules) {
                Ok(verified) => return self.issuer.user(&verified.claims),
                Err(error) => refused = error.into(),
            }
        }
        Err(refused)
    }

    /// The keys of that id, or all where a token names none.
    async fn keys_of(&self, id: Option<&str>) -> Result<Vec<Jwk>, Refusal> {
        let mut keys = self.keys.lock().await;
        let fitting = |keys: &Keys| -> Vec<Jwk> {
            let fits = |key: &&Jwk| id.is_none() || key.common.key_id.as_deref() == id;
            keys.known.iter().filter(fits).cloned().collect()
        };
        let found = fitting(&keys);
        let is_fresh = keys.fetched.is_some_and(|at| at.elapsed() < REFETCH);
        if !found.is_empty() || is_fresh {
            return Ok(found);
        }
        keys.fetched = Some(Instant::now());
        keys.known = self.fetch().await?;
        Ok(fitting(&keys))
    }

    async fn fetch(&self) -> Result<Vec<Jwk>, Refusal> {
        let base = self.issuer.url.trim_end_matches('/');
        let document = self
            .get(&format!("{base}/.well-known/openid-configuration"))
            .await?;
        if document["issuer"] != self.issuer.url.as_str() {
            return Err(Refusal::Answer(self.issuer.url.clone()));
        }
        let url = document["jwks_uri"].as_str().unwrap_or("");
        let keys = self.get(url).await?;
        let set: JwkSet =
            serde_json::from_value(keys).map_err(|_| Refusal::Answer(url.to_owned()))?;
        Ok(set.keys.into_iter().take(KEYS_MAX).collect())
    }

    async fn get(&self, url: &str) -> Result<Value, Refusal> {
        let pem = self.issuer.ca_pem.clone();
        let server = Server {
            url: url.to_owned(),
            roots: pem.map_or(Roots::System, Roots::Pinned),
            credentials: Credentials::default(),
        };
        Ok(self.caller.call(&server, None, LIMITS).await?)
    }
}

/// What the token says, unverified, of who made it.
pub(super) fn issuer_of(token: &str) -> Option<String> {
    use base64::Engine as _;
    let payload = token.split('.').nth(1)?;
    let bytes = base64::engine::general_purpose::URL_SAFE_NO_PAD.decode(payload);
    let claims: Value = serde_json::from_slice(&bytes.ok()?).ok()?;
    claims["iss"].as_str().map(str::to_owned)
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn issuer() -> Issuer {
        Issuer {
            groups_claim: Some("groups".into()),
            groups_prefix: "oidc:".into(),
            ..Issuer::new("https://issuer".into(), "skiff".into())
        }
    }

    #[test]
    fn claims_become_a_user_that_nobody_mistakes_for_another() {
        let claims = json!({ "sub": "7", "groups": ["dev", "ops"] });
        let user = issuer().user(&claims).unwrap();
        assert_eq!(user.name, "https://issuer#7");
        assert_eq!(user.groups, ["oidc:dev", "oidc:ops", AUTHENTICATED]);
        let one = issuer()
            .user(&json!({ "sub": "7", "groups": "dev" }))
            .unwrap();
        assert_eq!(one.groups, ["oidc:dev", AUTHENTICATED]);
    }

    #[test]
    fn an_address_must_be_verified_where_the_provider_says() {
        let of_mail = Issuer {
            username_claim: "email".into(),
            ..issuer()
        };
        let claims = |verified: Value| json!({ "email": "a@b", "email_verified": verified });
        assert_eq!(of_mail.user(&claims(true.into())).unwrap().name, "a@b");
        assert!(of_mail.user(&claims(false.into())).is_err());
        assert!(of_mail.user(&claims("true".into())).is_err());
        assert!(of_mail.user(&json!({ "sub": "7" })).is_err());
    }

    #[test]
    fn a_required_claim_is_required() {
        let mut strict = issuer();
        strict
            .required_claims
            .insert("hd".into(), "example.com".into());
        assert!(strict.user(&json!({ "sub": "7" })).is_err());
        let claims = json!({ "sub": "7", "hd": "example.com" });
        assert!(strict.user(&claims).is_ok());
    }
}
