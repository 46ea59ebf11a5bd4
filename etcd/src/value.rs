//! The bytes of a value in etcd: a tag, the offset of the hole for the
//! revision if there is one, then the value. The hole is filled on reading.
//!
//! Tag 0: the value follows. Tag 1: four bytes, big-endian, say where the
//! revision's digits go into what follows. A new form gets a new tag.

use bytes::{Bytes, BytesMut};
use store::{Revision, Value};

const PLAIN: u8 = 0;
const HOLE: u8 = 1;
const HOLE_HEAD: usize = 5;

pub fn encode(value: &Value) -> Vec<u8> {
    let mut out = Vec::with_capacity(value.bytes.len() + HOLE_HEAD);
    match value.revision_at.and_then(|at| u32::try_from(at).ok()) {
        Some(at) => {
            out.push(HOLE);
            out.extend_from_slice(&at.to_be_bytes());
        }
        None => out.push(PLAIN),
    }
    out.extend_from_slice(&value.bytes);
    out
}

/// What a reader gets of a value written at `revision`; `None` if skiff never
/// wrote it.
pub fn decode(stored: Vec<u8>, revision: Revision) -> Option<Bytes> {
    match *stored.first()? {
        PLAIN => Some(Bytes::from(stored).slice(1..)),
        HOLE => {
            let (head, value) = stored.split_at_checked(HOLE_HEAD)?;
            let at = u32::from_be_bytes(head[1..].try_into().ok()?);
            fill(value, usize::try_from(at).ok()?, revision)
        }
        _ => None,
    }
}

fn fill(value: &[u8], at: usize, revision: Revision) -> Option<Bytes> {
    let (before, after) = value.split_at_checked(at)?;
    let digits = revision.to_string();
    let mut filled = BytesMut::with_capacity(value.len() + digits.len());
    filled.extend_from_slice(before);
    filled.extend_from_slice(digits.as_bytes());
    filled.extend_from_slice(after);
    Some(filled.freeze())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn values_in_etcd_keep_the_form_of_the_first_release() {
        assert_eq!(encode(&Value::plain("ab")), b"\x00ab");
        assert_eq!(
            encode(&Value::with_revision_at("ab", 1)),
            b"\x01\x00\x00\x00\x01ab"
        );
    }

    #[test]
    fn a_hole_is_filled_with_the_revision_of_the_write() {
        let stored = encode(&Value::with_revision_at("v.", 1));
        assert_eq!(decode(stored, Revision(42)).unwrap(), "v42.");
        let plain = encode(&Value::plain("v."));
        assert_eq!(decode(plain, Revision(42)).unwrap(), "v.");
    }

    #[test]
    fn what_skiff_never_wrote_is_told_apart() {
        let foreign: [&[u8]; 5] = [b"", b"{}", b"\x01", b"\x01\x00\x00\x00\x09ab", b"k8s\x00"];
        for bytes in foreign {
            assert_eq!(decode(bytes.to_vec(), Revision(1)), None, "{bytes:?}");
        }
    }
}
