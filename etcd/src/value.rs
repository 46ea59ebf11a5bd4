//! The bytes of a value in etcd: a tag, the offset of the hole for the
//! revision if there is one, then the value. The hole is filled on reading.
//!
//! Tag 0: the value follows. Tag 1: four bytes, big-endian, say where the
//! revision's digits go into what follows. Tag 2, of an entry that was moved here
//! from another store: the revisions that made it and last wrote it there, eight
//! bytes each, big-endian, then the value. A new form gets a new tag.

use bytes::{Bytes, BytesMut};
use store::{Entry, Revision, Value};

const PLAIN: u8 = 0;
const HOLE: u8 = 1;
const MOVED: u8 = 2;
const HOLE_HEAD: usize = 5;
const MOVED_HEAD: usize = 17;

/// A value that was read.
#[derive(Debug, PartialEq, Eq)]
pub struct Read {
    pub bytes: Bytes,
    /// When it was made and written in the store that it came from.
    pub moved: Option<(Revision, Revision)>,
}

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

/// The value of an entry of another store, which keeps its revisions.
pub fn encode_moved(entry: &Entry) -> Vec<u8> {
    let mut out = Vec::with_capacity(entry.value.len() + MOVED_HEAD);
    out.push(MOVED);
    out.extend_from_slice(&entry.created.0.to_be_bytes());
    out.extend_from_slice(&entry.modified.0.to_be_bytes());
    out.extend_from_slice(&entry.value);
    out
}

/// What a reader gets of a value written at `revision`; `None` if skiff never
/// wrote it.
pub fn decode(stored: Vec<u8>, revision: Revision) -> Option<Read> {
    match *stored.first()? {
        PLAIN => Some(written_here(Bytes::from(stored).slice(1..))),
        HOLE => {
            let (head, value) = stored.split_at_checked(HOLE_HEAD)?;
            let at = u32::from_be_bytes(head[1..].try_into().ok()?);
            fill(value, usize::try_from(at).ok()?, revision).map(written_here)
        }
        MOVED => {
            let head = stored.get(1..MOVED_HEAD)?;
            let number = |at: usize| head[at..at + 8].try_into().map(u64::from_be_bytes).ok();
            let moved = (Revision(number(0)?), Revision(number(8)?));
            Some(Read {
                bytes: Bytes::from(stored).slice(MOVED_HEAD..),
                moved: Some(moved),
            })
        }
        _ => None,
    }
}

fn written_here(bytes: Bytes) -> Read {
    Read { bytes, moved: None }
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
        assert_eq!(decode(stored, Revision(42)).unwrap().bytes, "v42.");
        let plain = encode(&Value::plain("v."));
        assert_eq!(decode(plain, Revision(42)).unwrap().bytes, "v.");
    }

    #[test]
    fn a_moved_entry_keeps_its_revisions_whenever_it_was_moved() {
        let entry = Entry {
            key: Bytes::from_static(b"/k"),
            value: Bytes::from_static(b"v7."),
            created: Revision(3),
            modified: Revision(7),
        };
        let stored = encode_moved(&entry);
        assert_eq!(stored, b"\x02\0\0\0\0\0\0\0\x03\0\0\0\0\0\0\0\x07v7.");
        let read = decode(stored, Revision(42)).unwrap();
        assert_eq!(read.bytes, "v7.");
        assert_eq!(read.moved, Some((Revision(3), Revision(7))));
    }

    #[test]
    fn what_skiff_never_wrote_is_told_apart() {
        let foreign: [&[u8]; 6] = [
            b"",
            b"{}",
            b"\x01",
            b"\x01\x00\x00\x00\x09ab",
            b"\x02\0\0\0\0\0\0\0\x03",
            b"k8s\x00",
        ];
        for bytes in foreign {
            assert_eq!(decode(bytes.to_vec(), Revision(1)), None, "{bytes:?}");
        }
    }
}
