//! From a value with its revision hole to sealed bytes and back.
//!
//! A sealed value is `k8s:enc:<algorithm>:v1:<key's name>:` and the ciphertext
//! of the hole's offset and the bytes. The revision is not known when a value is
//! sealed, and need not be: it is put back into the hole when it is opened, from
//! the entry that carries it.

use bytes::Bytes;
use store::{Revision, Value};

use crate::cipher::Cipher;
use crate::error::OpenError;

/// What every sealed value starts with, and no JSON does.
pub const MARK: &[u8] = b"k8s:enc:";
const NO_HOLE: u32 = u32::MAX;

/// The providers of one resource, in order.
pub struct Providers(Vec<Provider>);

pub enum Provider {
    /// Values as they are.
    Identity,
    Key(Key),
}

pub struct Key {
    prefix: Vec<u8>,
    cipher: Cipher,
}

impl Key {
    pub fn new(algorithm: &str, name: &str, cipher: Cipher) -> Self {
        Self {
            prefix: format!("k8s:enc:{algorithm}:v1:{name}:").into_bytes(),
            cipher,
        }
    }

    /// `aesgcm:v1:key1`, for messages.
    fn label(&self) -> String {
        label(&self.prefix)
    }
}

/// An opened value, and whether it should be written again.
pub struct Opened {
    pub bytes: Bytes,
    /// Another provider than the first had written it.
    pub is_stale: bool,
}

impl Providers {
    /// # Panics
    /// Never: configurations without a provider are refused.
    pub fn new(providers: Vec<Provider>) -> Self {
        Self(providers)
    }

    /// None when the first provider stores values as they are.
    pub fn seal(&self, place: &[u8], value: &Value) -> Option<Vec<u8>> {
        let Some(Provider::Key(key)) = self.0.first() else {
            return None;
        };
        let hole = value.revision_at.and_then(|at| u32::try_from(at).ok());
        let mut plain = Vec::with_capacity(4 + value.bytes.len());
        plain.extend_from_slice(&hole.unwrap_or(NO_HOLE).to_be_bytes());
        plain.extend_from_slice(&value.bytes);
        let mut out = Vec::with_capacity(key.prefix.len() + plain.len() + 96);
        out.extend_from_slice(&key.prefix);
        key.cipher.seal(place, &plain, &mut out);
        Some(out)
    }

    /// The value that `stored` holds, written at `revision`.
    pub fn open(
        &self,
        place: &[u8],
        stored: &Bytes,
        revision: Revision,
    ) -> Result<Opened, OpenError> {
        if !stored.starts_with(MARK) {
            return self.open_plain(stored);
        }
        let mut wrong = None;
        for (at, provider) in self.0.iter().enumerate() {
            let Provider::Key(key) = provider else {
                continue;
            };
            let Some(sealed) = stored.strip_prefix(key.prefix.as_slice()) else {
                continue;
            };
            let opened = key.cipher.open(place, sealed);
            if let Some(bytes) = opened.and_then(|plain| fill(plain, revision)) {
                let is_stale = at != 0;
                return Ok(Opened { bytes, is_stale });
            }
            wrong = Some(key.label());
        }
        Err(match wrong {
            Some(name) => OpenError::WrongKey { name },
            None => self.no_provider(label(stored)),
        })
    }

    fn open_plain(&self, stored: &Bytes) -> Result<Opened, OpenError> {
        let at = self
            .0
            .iter()
            .position(|provider| matches!(provider, Provider::Identity));
        let at = at.ok_or_else(|| self.no_provider("no encryption".to_owned()))?;
        Ok(Opened {
            bytes: stored.clone(),
            is_stale: at != 0,
        })
    }

    fn no_provider(&self, written: String) -> OpenError {
        let labels = self.0.iter().map(|provider| match provider {
            Provider::Identity => "identity".to_owned(),
            Provider::Key(key) => key.label(),
        });
        OpenError::NoProvider {
            written,
            configured: labels.collect::<Vec<_>>().join(", "),
        }
    }
}

/// Puts the revision into the hole of an opened value.
fn fill(plain: Vec<u8>, revision: Revision) -> Option<Bytes> {
    let (hole, _) = plain.split_first_chunk::<4>()?;
    let hole = u32::from_be_bytes(*hole);
    let body = Bytes::from(plain).slice(4..);
    if hole == NO_HOLE {
        return Some(body);
    }
    let at = usize::try_from(hole).ok()?;
    (at <= body.len()).then(|| with_revision(&body, at, revision))
}

/// `bytes` with the decimal revision at `at`, as the store would have it.
pub fn with_revision(bytes: &[u8], at: usize, revision: Revision) -> Bytes {
    let digits = revision.0.to_string();
    let mut filled = Vec::with_capacity(bytes.len() + digits.len());
    filled.extend_from_slice(&bytes[..at]);
    filled.extend_from_slice(digits.as_bytes());
    filled.extend_from_slice(&bytes[at..]);
    filled.into()
}

/// Algorithm, version and key of a prefix, never what follows them.
fn label(sealed: &[u8]) -> String {
    let head = &sealed[..sealed.len().min(256)];
    let text = String::from_utf8_lossy(head);
    let parts: Vec<&str> = text.split(':').skip(2).take(3).collect();
    parts.join(":")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn key(name: &str, byte: u8) -> Provider {
        Provider::Key(Key::new("aesgcm", name, Cipher::gcm(&[byte; 32]).unwrap()))
    }

    fn sealed(providers: &Providers, value: &Value) -> Bytes {
        providers.seal(b"k", value).unwrap().into()
    }

    #[test]
    fn the_revision_fills_the_hole_when_the_value_is_opened() {
        let providers = Providers::new(vec![key("a", 1)]);
        let stored = sealed(&providers, &Value::with_revision_at("{\"v\":\"\"}", 6));
        let opened = providers.open(b"k", &stored, Revision(42)).unwrap();
        assert_eq!(opened.bytes, "{\"v\":\"42\"}");
        assert!(!opened.is_stale);
    }

    #[test]
    fn an_older_key_and_plain_text_are_read_and_told_as_stale() {
        let old = Providers::new(vec![key("a", 1)]);
        let stored = sealed(&old, &Value::plain("v"));
        let new = Providers::new(vec![key("b", 2), key("a", 1), Provider::Identity]);
        assert!(new.open(b"k", &stored, Revision(1)).unwrap().is_stale);
        let plain = new.open(b"k", &"{}".into(), Revision(1)).unwrap();
        assert!(plain.is_stale);
        assert_eq!(plain.bytes, "{}");
    }

    #[test]
    fn two_secrets_of_one_name_are_both_tried() {
        let old = Providers::new(vec![key("a", 1)]);
        let stored = sealed(&old, &Value::plain("v"));
        let new = Providers::new(vec![key("a", 2), key("a", 1)]);
        assert_eq!(new.open(b"k", &stored, Revision(1)).unwrap().bytes, "v");
    }

    #[test]
    fn a_key_that_is_not_there_is_named_without_its_ciphertext() {
        let stored = sealed(&Providers::new(vec![key("gone", 1)]), &Value::plain("v"));
        let error = Providers::new(vec![key("b", 2)])
            .open(b"k", &stored, Revision(1))
            .err()
            .unwrap();
        let text = error.to_string();
        assert!(text.contains("aesgcm:v1:gone, which"), "{text}");
        assert!(text.contains("aesgcm:v1:b"), "{text}");
    }

    #[test]
    fn plain_text_is_refused_where_identity_is_not_configured() {
        let providers = Providers::new(vec![key("a", 1)]);
        assert!(providers.open(b"k", &"{}".into(), Revision(1)).is_err());
    }

    /// On disk for ever: a value that version 0.1 wrote.
    #[test]
    fn the_form_on_disk_is_prefix_nonce_and_ciphertext() {
        let providers = Providers::new(vec![key("a", 1)]);
        let stored = sealed(&providers, &Value::plain("v"));
        assert!(stored.starts_with(b"k8s:enc:aesgcm:v1:a:"));
        assert_eq!(stored.len(), 20 + 12 + 4 + 1 + 16);
    }
}
