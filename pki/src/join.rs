//! The token that lets a machine join: a Kubernetes bootstrap token and the
//! fingerprint of the authority it may trust, in one word.
//!
//! `<6>.<16>@sha256:<64 hex>`: the part before the `@` is what
//! `kubeadm token create` makes; the rest pins the cluster's CA, so that the
//! first contact cannot be answered by somebody else.

use crate::Error;

const ALPHABET: &[u8; 36] = b"abcdefghijklmnopqrstuvwxyz0123456789";

/// A join token, taken apart.
#[derive(Clone, PartialEq, Eq)]
pub struct JoinToken {
    pub id: String,
    pub secret: String,
    pub ca_fingerprint: String,
}

impl JoinToken {
    /// A new random token for the cluster whose authority has `ca_fingerprint`.
    pub fn generate(ca_fingerprint: String) -> Self {
        Self {
            id: random(6),
            secret: random(16),
            ca_fingerprint,
        }
    }

    /// Reads what `to_text` wrote.
    pub fn parse(text: &str) -> Result<Self, Error> {
        let malformed = |reason| Error::JoinToken { reason };
        let (bearer, ca_fingerprint) = text
            .trim()
            .split_once('@')
            .ok_or_else(|| malformed("it has no @ and CA fingerprint"))?;
        let (id, secret) = bearer
            .split_once('.')
            .ok_or_else(|| malformed("its first part has no dot"))?;
        if !is_word(id, 6) || !is_word(secret, 16) {
            return Err(malformed("its first part is not 6 and 16 of a-z0-9"));
        }
        let hex = ca_fingerprint
            .strip_prefix("sha256:")
            .ok_or_else(|| malformed("the CA fingerprint is not sha256"))?;
        if hex.len() != 64 || !hex.bytes().all(|b| b.is_ascii_hexdigit()) {
            return Err(malformed("the CA fingerprint is not 64 hex digits"));
        }
        Ok(Self {
            id: id.into(),
            secret: secret.into(),
            ca_fingerprint: ca_fingerprint.into(),
        })
    }

    /// What the API server takes as a bearer token.
    pub fn bearer(&self) -> String {
        format!("{}.{}", self.id, self.secret)
    }

    pub fn to_text(&self) -> String {
        format!("{}@{}", self.bearer(), self.ca_fingerprint)
    }
}

impl std::fmt::Debug for JoinToken {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("JoinToken").field("id", &self.id).finish()
    }
}

fn is_word(text: &str, length: usize) -> bool {
    text.len() == length
        && text
            .bytes()
            .all(|b| b.is_ascii_lowercase() || b.is_ascii_digit())
}

fn random(length: usize) -> String {
    use rand::RngExt as _;
    let mut rng = rand::rng();
    (0..length)
        .map(|_| char::from(ALPHABET[rng.random_range(0..ALPHABET.len())]))
        .collect()
}
