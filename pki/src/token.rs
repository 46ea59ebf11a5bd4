//! Service-account tokens: JWTs signed with the cluster's own key (ES256).

mod public_key;

use std::path::Path;
use std::time::Duration;

use jsonwebtoken::{Algorithm, EncodingKey, Header, Validation};
use rcgen::KeyPair;
use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};

use crate::{Error, private_file};
pub use public_key::PublicKey;

/// How far the clocks of two servers may be apart.
const LEEWAY: Duration = Duration::from_secs(10);

/// The key that signs service-account tokens, and those that verify them.
pub struct TokenKey {
    encoding: EncodingKey,
    own: PublicKey,
    /// Keys whose tokens hold too: those of before a rotation.
    others: Vec<PublicKey>,
}

/// What a service-account token claims (KEP-1205, bound tokens).
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Claims {
    pub iss: String,
    pub sub: String,
    pub aud: Vec<String>,
    pub exp: u64,
    pub iat: u64,
    pub nbf: u64,
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub jti: String,
    #[serde(rename = "kubernetes.io")]
    pub kubernetes: KubernetesClaims,
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct KubernetesClaims {
    pub namespace: String,
    pub serviceaccount: BoundObject,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub pod: Option<BoundObject>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub secret: Option<BoundObject>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub node: Option<BoundObject>,
    /// Who still shows the token after this has not read its new one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub warnafter: Option<u64>,
}

/// The object whose end is the token's end.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct BoundObject {
    pub name: String,
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub uid: String,
}

/// What the token of a Secret claims: good as long as the Secret is there.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct LegacyClaims {
    pub iss: String,
    pub sub: String,
    #[serde(rename = "kubernetes.io/serviceaccount/namespace")]
    pub namespace: String,
    #[serde(rename = "kubernetes.io/serviceaccount/secret.name")]
    pub secret: String,
    #[serde(rename = "kubernetes.io/serviceaccount/service-account.name")]
    pub account: String,
    #[serde(rename = "kubernetes.io/serviceaccount/service-account.uid")]
    pub account_uid: String,
}

impl LegacyClaims {
    pub const ISSUER: &str = "kubernetes/serviceaccount";
}

impl TokenKey {
    /// Loads the private key at `path`, or makes one when there is none.
    pub fn load_or_create(path: &Path) -> Result<Self, Error> {
        let pem = match private_file::read(path)? {
            Some(pem) => pem,
            None => {
                let key = KeyPair::generate().map_err(|source| Error::Issue {
                    subject: "service-account tokens".into(),
                    source,
                })?;
                let pem = key.serialize_pem();
                private_file::write(path, pem.as_bytes())?;
                pem
            }
        };
        Self::from_pem(&pem, path)
    }

    fn from_pem(pem: &str, path: &Path) -> Result<Self, Error> {
        let key = KeyPair::from_pem(pem).map_err(|source| Error::Damaged {
            path: path.into(),
            what: "token signing key",
            source,
        })?;
        let unusable = |source| Error::TokenKey {
            path: path.into(),
            source,
        };
        Ok(Self {
            encoding: EncodingKey::from_ec_pem(pem.as_bytes()).map_err(unusable)?,
            own: PublicKey::from_pem(&key.public_key_pem()).ok_or_else(|| Error::PublicKey {
                path: path.into(),
                reason: "it is no key of P-256 or P-384".into(),
            })?,
            others: Vec::new(),
        })
    }

    /// Takes tokens of these keys too, and tells them in the key set.
    pub fn trust(&mut self, keys: Vec<PublicKey>) {
        let is_new = |key: &PublicKey| key.id != self.own.id;
        self.others.extend(keys.into_iter().filter(is_new));
    }

    fn keys(&self) -> impl Iterator<Item = &PublicKey> {
        std::iter::once(&self.own).chain(&self.others)
    }

    /// The names of the algorithms by which tokens are signed (RFC 7518).
    pub fn algorithms(&self) -> Vec<String> {
        let mut names: Vec<String> = self
            .keys()
            .map(|key| format!("{:?}", key.algorithm))
            .collect();
        names.sort();
        names.dedup();
        names
    }

    /// The compact JWT of `claims`.
    pub fn sign(&self, claims: &Claims) -> Result<String, Error> {
        self.encode(claims, &claims.sub)
    }

    /// The JWT that a Secret holds.
    pub fn sign_legacy(&self, claims: &LegacyClaims) -> Result<String, Error> {
        self.encode(claims, &claims.sub)
    }

    fn encode<T: Serialize>(&self, claims: &T, subject: &str) -> Result<String, Error> {
        let mut header = Header::new(self.own.algorithm);
        header.kid = Some(self.own.id.clone());
        header.typ = None;
        jsonwebtoken::encode(&header, claims, &self.encoding).map_err(|source| Error::Sign {
            subject: subject.to_owned(),
            source,
        })
    }

    /// The claims of a token whose signature and times are good and that was
    /// made for one of `audiences`.
    pub fn verify(&self, token: &str, audiences: &[String]) -> Result<Claims, Error> {
        let claims: Claims = self.read(token, End::Required)?;
        if claims.aud.iter().any(|a| audiences.contains(a)) {
            return Ok(claims);
        }
        Err(Error::Audience {
            found: claims.aud,
            wanted: audiences.to_vec(),
        })
    }

    /// The claims of a token of a Secret, which has neither audience nor end.
    pub fn verify_legacy(&self, token: &str) -> Result<LegacyClaims, Error> {
        self.read(token, End::Optional)
    }

    /// The claims, by the first key that verifies the token.
    fn read<T: DeserializeOwned>(&self, token: &str, end: End) -> Result<T, Error> {
        let mut refused = None;
        for key in self.keys() {
            let read = jsonwebtoken::decode::<T>(token, &key.decoding, &rules(key.algorithm, end));
            match read {
                Ok(token) => return Ok(token.claims),
                // The own key's refusal says most: it comes first.
                Err(error) => refused = refused.or(Some(error)),
            }
        }
        let source = refused.expect("the own key was tried");
        Err(Error::Token { source })
    }

    /// The public keys as a JSON Web Key Set (RFC 7517), for OIDC discovery.
    pub fn jwks(&self) -> serde_json::Value {
        let keys: Vec<_> = self.keys().map(PublicKey::jwk).collect();
        serde_json::json!({ "keys": keys })
    }
}

/// Whether a token must say when it ends.
#[derive(Clone, Copy)]
enum End {
    Required,
    Optional,
}

/// One algorithm, that of the key: what a token itself says of how it is to be
/// verified is never followed (RFC 8725, 3.1).
fn rules(algorithm: Algorithm, end: End) -> Validation {
    let mut rules = Validation::new(algorithm);
    rules.validate_aud = false;
    rules.validate_nbf = true;
    rules.leeway = LEEWAY.as_secs();
    if matches!(end, End::Optional) {
        rules.required_spec_claims.clear();
    }
    rules
}

/// Seconds since 1970 by the wall clock, which certificates and tokens mean.
pub(crate) fn now() -> u64 {
    since_epoch().as_secs()
}

pub(crate) fn since_epoch() -> Duration {
    Duration::from_secs(u64::try_from(jiff::Timestamp::now().as_second()).unwrap_or(0))
}

#[cfg(test)]
mod tests;
