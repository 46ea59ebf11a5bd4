//! A public key that tokens are verified with: the cluster's own, or one that it
//! had before or another signs with.

use std::path::Path;

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use jsonwebtoken::{Algorithm, DecodingKey};
use serde_json::{Value, json};
use sha2::{Digest, Sha256};
use x509_parser::pem::Pem;
use x509_parser::prelude::FromDer;
use x509_parser::public_key;
use x509_parser::x509::SubjectPublicKeyInfo;

use crate::{Error, private_file};

/// More keys than this in one file are a mistake.
const KEYS_MAX: usize = 64;

pub struct PublicKey {
    pub(super) algorithm: Algorithm,
    pub(super) decoding: DecodingKey,
    pub(super) id: String,
    jwk: Value,
}

impl PublicKey {
    /// The keys of a file of `PUBLIC KEY` blocks in PEM.
    ///
    /// # Errors
    /// A file that is not there or holds something else.
    pub fn read(path: &Path) -> Result<Vec<Self>, Error> {
        let unusable = |reason: &str| Error::PublicKey {
            path: path.into(),
            reason: reason.to_owned(),
        };
        let text = private_file::read(path)?.ok_or_else(|| unusable("there is no such file"))?;
        let blocks = Pem::iter_from_buffer(text.as_bytes()).take(KEYS_MAX);
        let keys: Result<Vec<Self>, Error> = blocks
            .map(|block| {
                let block = block.map_err(|error| unusable(&error.to_string()))?;
                Self::from_der(&block.contents).ok_or_else(|| {
                    unusable("a block of it is no PUBLIC KEY of RSA, P-256 or P-384")
                })
            })
            .collect();
        match keys? {
            none if none.is_empty() => Err(unusable("it holds no PEM block")),
            keys => Ok(keys),
        }
    }

    pub(crate) fn algorithm(&self) -> Algorithm {
        self.algorithm
    }

    pub(crate) fn decoding(&self) -> &DecodingKey {
        &self.decoding
    }

    pub(crate) fn from_pem(pem: &str) -> Option<Self> {
        let (_, block) = x509_parser::pem::parse_x509_pem(pem.as_bytes()).ok()?;
        Self::from_der(&block.contents)
    }

    fn from_der(der: &[u8]) -> Option<Self> {
        let (_, info) = SubjectPublicKeyInfo::from_der(der).ok()?;
        match info.parsed().ok()? {
            public_key::PublicKey::EC(point) => Self::elliptic(point.data()),
            public_key::PublicKey::RSA(key) => {
                let trimmed = |bytes: &[u8]| {
                    let zeros = bytes.iter().take_while(|byte| **byte == 0).count();
                    URL_SAFE_NO_PAD.encode(&bytes[zeros..])
                };
                let id = URL_SAFE_NO_PAD.encode(Sha256::digest(der));
                Self::rsa(&trimmed(key.modulus), &trimmed(key.exponent), id)
            }
            _ => None,
        }
    }

    /// An uncompressed point: 0x04, x, y.
    fn elliptic(point: &[u8]) -> Option<Self> {
        let (algorithm, curve) = match point.len() {
            65 => (Algorithm::ES256, "P-256"),
            97 => (Algorithm::ES384, "P-384"),
            _ => return None,
        };
        let (x, y) = point[1..].split_at((point.len() - 1) / 2);
        let (x, y) = (URL_SAFE_NO_PAD.encode(x), URL_SAFE_NO_PAD.encode(y));
        let id = URL_SAFE_NO_PAD.encode(Sha256::digest(point));
        Some(Self {
            decoding: DecodingKey::from_ec_components(&x, &y).ok()?,
            jwk: json!({ "use": "sig", "kty": "EC", "alg": format!("{algorithm:?}"),
                "crv": curve, "kid": id, "x": x, "y": y }),
            algorithm,
            id,
        })
    }

    fn rsa(n: &str, e: &str, id: String) -> Option<Self> {
        Some(Self {
            decoding: DecodingKey::from_rsa_components(n, e).ok()?,
            jwk: json!({ "use": "sig", "kty": "RSA", "alg": "RS256", "kid": id, "n": n, "e": e }),
            algorithm: Algorithm::RS256,
            id,
        })
    }

    /// As RFC 7517 has it.
    pub(super) fn jwk(&self) -> &Value {
        &self.jwk
    }
}
