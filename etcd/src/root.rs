//! Where the store's keys lie in etcd, all under one root, and how its revisions
//! are counted there.

use bytes::Bytes;
use store::{Error, Revision};

use crate::origin::Origin;

/// `/skiff` for keys `/skiff/...`. Because every key begins with a slash, two
/// roots never overlap, not even `/skiff` and `/skiff2`.
#[derive(Clone, Debug)]
pub struct Root {
    prefix: Vec<u8>,
    origin: Origin,
}

impl Root {
    pub fn new(prefix: &str) -> Self {
        Self {
            prefix: prefix.trim_end_matches('/').as_bytes().to_vec(),
            origin: Origin::default(),
        }
    }

    pub fn counting_from(self, origin: Origin) -> Self {
        Self { origin, ..self }
    }

    pub fn origin(&self) -> Origin {
        self.origin
    }

    /// The store's revision of one of etcd's.
    pub fn revision(&self, etcds: i64) -> Revision {
        self.origin.revision(etcds)
    }

    /// Where it stands how revisions are counted: beside the root, so that no
    /// reader of the store finds it.
    pub fn origin_key(&self) -> Vec<u8> {
        [&self.prefix, b".origin".as_slice()].concat()
    }

    pub fn origin_key_text(&self) -> String {
        String::from_utf8_lossy(&self.origin_key()).into_owned()
    }

    pub fn prefix_text(&self) -> String {
        format!("{}/", String::from_utf8_lossy(&self.prefix))
    }

    /// # Errors
    /// [`Error::BadKey`] if the key does not begin with a slash.
    pub fn key(&self, key: &[u8]) -> Result<Vec<u8>, Error> {
        if key.first() != Some(&b'/') {
            return Err(Error::BadKey {
                key: String::from_utf8_lossy(key).into_owned(),
            });
        }
        Ok([&self.prefix, key].concat())
    }

    /// The first key under a prefix, and the first one after all of them.
    /// `None`: no key can be under it.
    pub fn under(&self, prefix: &[u8]) -> Option<(Vec<u8>, Vec<u8>)> {
        let prefix = if prefix.is_empty() { b"/" } else { prefix };
        let first = self.key(prefix).ok()?;
        let end = end_of(&first);
        Some((first, end))
    }

    /// The store's key of one of etcd's.
    pub fn strip<'k>(&self, key: &'k [u8]) -> Option<&'k [u8]> {
        key.strip_prefix(self.prefix.as_slice())
    }

    /// Takes the root off a key that is under it.
    pub fn strip_owned(&self, key: Vec<u8>) -> Bytes {
        Bytes::from(key).slice(self.prefix.len()..)
    }
}

/// The least key greater than all that begin with `prefix`.
fn end_of(prefix: &[u8]) -> Vec<u8> {
    let mut end = prefix.to_vec();
    while let Some(last) = end.pop() {
        if last < 0xff {
            end.push(last + 1);
            return end;
        }
    }
    // etcd's word for "no end".
    vec![0]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_key_goes_under_its_root_and_comes_back() {
        let root = Root::new("/skiff/");
        let key = root.key(b"/registry/pods/a").unwrap();
        assert_eq!(key, b"/skiff/registry/pods/a");
        assert_eq!(root.strip_owned(key), "/registry/pods/a");
        assert!(root.key(b"registry").is_err());
    }

    #[test]
    fn everything_under_a_root_is_nothing_of_its_neighbour() {
        let (first, end) = Root::new("/skiff").under(b"").unwrap();
        let is_within = |key: &[u8]| key >= first.as_slice() && key < end.as_slice();
        assert!(is_within(b"/skiff/registry/x"));
        assert!(!is_within(b"/skiff2/registry/x") && !is_within(b"/skiff"));
    }

    #[test]
    fn how_revisions_are_counted_is_said_outside_of_the_root() {
        for prefix in ["/skiff", "", "/a.origin"] {
            let root = Root::new(prefix);
            let (first, end) = root.under(b"").unwrap();
            let key = root.origin_key();
            assert!(key < first || key >= end, "{prefix:?}");
        }
    }

    #[test]
    fn the_end_of_a_prefix_carries_over_full_bytes() {
        assert_eq!(end_of(b"/a\xff"), b"/b");
        assert_eq!(end_of(b"\xff"), [0]);
    }
}
