//! The key that a node is known by as long as it is a member of the cluster.
//!
//! Its client certificates are all of this one key, and the cluster notes the
//! public half when it gives out the first. A node whose certificate has ended
//! proves with it that it is the one that joined: by a JWT that is good for a
//! minute and for one cluster (as RFC 7523 has clients prove themselves).

use std::path::Path;
use std::time::Duration;

use jsonwebtoken::{Algorithm, EncodingKey, Header, Validation};
use rcgen::KeyPair;
use serde::{Deserialize, Serialize};

use crate::authority::csr_params;
use crate::token::{PublicKey, now};
use crate::{Error, Request, private_file, subject};

/// The ConfigMap that notes a node's public key, without the node's name.
const NOTE_PREFIX: &str = "skiff-node-";
/// Where such ConfigMaps are, and the field of them that holds the key.
pub const NOTE_NAMESPACE: &str = "kube-system";
pub const NOTE_FIELD: &str = "public-key";
const ISSUER: &str = "skiff-node";
const GOOD_FOR: Duration = Duration::from_secs(60);
/// How far the clocks of a node and a server may be apart.
const LEEWAY: Duration = Duration::from_secs(300);

/// A node's own private key.
pub struct NodeKey {
    key: KeyPair,
    pem: String,
}

/// What a proof says.
#[derive(Debug, Serialize, Deserialize)]
struct Claims {
    iss: String,
    /// The node's name.
    sub: String,
    /// The fingerprint of the cluster's authority.
    aud: String,
    iat: u64,
    exp: u64,
}

impl NodeKey {
    /// Loads the key at `path`, or makes one when there is none.
    ///
    /// # Errors
    /// The disk fails, or the file holds something else.
    pub fn load_or_create(path: &Path) -> Result<Self, Error> {
        if let Some(pem) = private_file::read(path)? {
            let key = KeyPair::from_pem(&pem).map_err(|source| Error::Damaged {
                path: path.into(),
                what: "key of a node",
                source,
            })?;
            return Ok(Self { key, pem });
        }
        let key = KeyPair::generate().map_err(|source| Error::Issue {
            subject: "a node".into(),
            source,
        })?;
        let pem = key.serialize_pem();
        private_file::write(path, pem.as_bytes())?;
        Ok(Self { key, pem })
    }

    pub fn pem(&self) -> &str {
        &self.pem
    }

    /// The public half, as it is noted in the cluster.
    pub fn public_pem(&self) -> String {
        self.key.public_key_pem()
    }

    /// A request, in PEM, to sign this key.
    ///
    /// # Errors
    /// The request names what no certificate can.
    pub fn csr(&self, request: &Request) -> Result<String, Error> {
        let failed = |source| Error::Issue {
            subject: request.common_name.clone(),
            source,
        };
        let params = csr_params(request).map_err(failed)?;
        let csr = params.serialize_request(&self.key).map_err(failed)?;
        subject::signing_request(&csr, request, &self.key).map_err(failed)
    }

    /// Proves to the cluster whose authority has `fingerprint` that this is `node`.
    ///
    /// # Errors
    /// The key cannot sign.
    pub fn proof(&self, node: &str, fingerprint: &str) -> Result<String, Error> {
        let failed = |source| Error::Sign {
            subject: node.to_owned(),
            source,
        };
        let claims = Claims {
            iss: ISSUER.into(),
            sub: node.into(),
            aud: fingerprint.into(),
            iat: now(),
            exp: now() + GOOD_FOR.as_secs(),
        };
        let key = EncodingKey::from_ec_pem(self.pem.as_bytes()).map_err(failed)?;
        jsonwebtoken::encode(&Header::new(Algorithm::ES256), &claims, &key).map_err(failed)
    }
}

/// The name of the ConfigMap that notes the key of `node`.
pub fn note_of(node: &str) -> String {
    format!("{NOTE_PREFIX}{node}")
}

/// The node that a token says it is of, not verified; None for tokens of others.
pub fn claimed(token: &str) -> Option<String> {
    let read = jsonwebtoken::dangerous::insecure_decode::<Claims>(token).ok()?;
    (read.claims.iss == ISSUER).then_some(read.claims.sub)
}

/// Whether `token` was made by `node`, whose key is `public_pem`, for the cluster
/// whose authority has `fingerprint`, and not long ago.
pub fn is_proved(token: &str, node: &str, public_pem: &str, fingerprint: &str) -> bool {
    let Some(key) = PublicKey::from_pem(public_pem) else {
        return false;
    };
    let mut rules = Validation::new(key.algorithm());
    rules.leeway = LEEWAY.as_secs();
    rules.set_issuer(&[ISSUER]);
    rules.set_audience(&[fingerprint]);
    rules.set_required_spec_claims(&["iss", "sub", "aud", "exp"]);
    let read = jsonwebtoken::decode::<Claims>(token, key.decoding(), &rules);
    read.is_ok_and(|token| {
        let claims = token.claims;
        let latest = now() + (GOOD_FOR + LEEWAY).as_secs();
        claims.sub == node && claims.exp <= latest
    })
}

/// A public key, in DER as certificates and requests have it, in PEM.
pub fn public_pem(der: &[u8]) -> String {
    use base64::Engine as _;
    let text = base64::engine::general_purpose::STANDARD.encode(der);
    let lines: Vec<&str> = text
        .as_bytes()
        .chunks(64)
        .map(|line| std::str::from_utf8(line).expect("base64 is ASCII"))
        .collect();
    format!(
        "-----BEGIN PUBLIC KEY-----\n{}\n-----END PUBLIC KEY-----\n",
        lines.join("\n")
    )
}

/// Whether two texts in PEM are of the same public key.
pub fn is_same(one: &str, other: &str) -> bool {
    let der = |pem: &str| {
        let (_, block) = x509_parser::pem::parse_x509_pem(pem.as_bytes()).ok()?;
        Some(block.contents)
    };
    match (der(one), der(other)) {
        (Some(one), Some(other)) => one == other,
        _ => false,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn key() -> (tempfile::TempDir, NodeKey) {
        let dir = tempfile::tempdir().unwrap();
        let key = NodeKey::load_or_create(&dir.path().join("key")).unwrap();
        (dir, key)
    }

    #[test]
    fn a_proof_is_of_one_node_one_key_and_one_cluster() {
        let (_dir, key) = key();
        let (_other_dir, other) = self::key();
        let token = key.proof("n1", "sha256:aa").unwrap();
        assert_eq!(claimed(&token).as_deref(), Some("n1"));
        let public = key.public_pem();
        assert!(is_proved(&token, "n1", &public, "sha256:aa"));
        assert!(!is_proved(&token, "n2", &public, "sha256:aa"));
        assert!(!is_proved(&token, "n1", &other.public_pem(), "sha256:aa"));
        assert!(!is_proved(&token, "n1", &public, "sha256:bb"));
        assert!(!is_proved(&token, "n1", "rubbish", "sha256:aa"));
    }

    #[test]
    fn a_proof_that_is_good_for_long_is_none() {
        let (_dir, key) = key();
        let claims = |exp| Claims {
            iss: ISSUER.into(),
            sub: "n1".into(),
            aud: "c".into(),
            iat: now(),
            exp,
        };
        let signed = |exp| {
            let with = EncodingKey::from_ec_pem(key.pem().as_bytes()).unwrap();
            jsonwebtoken::encode(&Header::new(Algorithm::ES256), &claims(exp), &with).unwrap()
        };
        let is_good = |exp| is_proved(&signed(exp), "n1", &key.public_pem(), "c");
        assert!(is_good(now() + 60));
        assert!(!is_good(now() + 3600));
        assert!(!is_good(now() - 3600));
    }

    #[test]
    fn the_key_of_a_request_is_the_one_that_is_noted() {
        let (_dir, key) = key();
        let csr = key.csr(&Request::default()).unwrap();
        let (_, block) = x509_parser::pem::parse_x509_pem(csr.as_bytes()).unwrap();
        use x509_parser::prelude::FromDer as _;
        let request =
            x509_parser::certification_request::X509CertificationRequest::from_der(&block.contents);
        let info = request.unwrap().1.certification_request_info;
        let noted = public_pem(info.subject_pki.raw);
        assert!(is_same(&noted, &key.public_pem()), "{noted}");
    }
}
