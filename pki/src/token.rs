//! Service-account tokens: JWTs signed with the cluster's own key (ES256).

use std::path::Path;
use std::time::Duration;

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use jsonwebtoken::{Algorithm, DecodingKey, EncodingKey, Header, Validation};
use rcgen::KeyPair;
use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};

use crate::{Error, private_file};

/// How far the clocks of two servers may be apart.
const LEEWAY: Duration = Duration::from_secs(10);

/// The key that signs and verifies service-account tokens.
pub struct TokenKey {
    encoding: EncodingKey,
    decoding: DecodingKey,
    key_id: String,
    /// The public point: 0x04, x, y.
    point: Vec<u8>,
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
        let point = key.public_key_raw().to_vec();
        Ok(Self {
            encoding: EncodingKey::from_ec_pem(pem.as_bytes()).map_err(unusable)?,
            decoding: DecodingKey::from_ec_pem(key.public_key_pem().as_bytes())
                .map_err(unusable)?,
            key_id: URL_SAFE_NO_PAD.encode(Sha256::digest(&point)),
            point,
        })
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
        let mut header = Header::new(Algorithm::ES256);
        header.kid = Some(self.key_id.clone());
        header.typ = None;
        jsonwebtoken::encode(&header, claims, &self.encoding).map_err(|source| Error::Sign {
            subject: subject.to_owned(),
            source,
        })
    }

    /// The claims of a token whose signature and times are good and that was
    /// made for one of `audiences`.
    pub fn verify(&self, token: &str, audiences: &[String]) -> Result<Claims, Error> {
        let claims: Claims = self.read(token, &Self::rules())?;
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
        let mut rules = Self::rules();
        rules.required_spec_claims.clear();
        self.read(token, &rules)
    }

    /// One algorithm, that of our key: what a token itself says of how it is to
    /// be verified is never followed (RFC 8725, 3.1).
    fn rules() -> Validation {
        let mut rules = Validation::new(Algorithm::ES256);
        rules.validate_aud = false;
        rules.validate_nbf = true;
        rules.leeway = LEEWAY.as_secs();
        rules
    }

    fn read<T: DeserializeOwned>(&self, token: &str, rules: &Validation) -> Result<T, Error> {
        let read = jsonwebtoken::decode::<T>(token, &self.decoding, rules);
        Ok(read.map_err(|source| Error::Token { source })?.claims)
    }

    /// The public key as a JSON Web Key Set (RFC 7517), for OIDC discovery.
    pub fn jwks(&self) -> serde_json::Value {
        let (x, y) = self.point[1..].split_at((self.point.len() - 1) / 2);
        serde_json::json!({ "keys": [{
            "use": "sig", "kty": "EC", "alg": "ES256", "crv": "P-256", "kid": self.key_id,
            "x": URL_SAFE_NO_PAD.encode(x), "y": URL_SAFE_NO_PAD.encode(y),
        }]})
    }
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
