//! A list as the client gets it, made piece by piece while it is sent: a list of
//! all pods is never in memory a second time.

use apimachinery::Status;
use bytes::{Bytes, BytesMut};
use store::Entry;

use super::list::Listed;
use super::{Registry, versions};
use crate::served::Served;

/// About as much as is written to a connection at once.
const PIECE: usize = 64 * 1024;
/// A list of fewer bytes is one piece.
const LARGE: usize = 256 * 1024;

/// The bytes of one list.
pub struct Pieces {
    kind: Served,
    entries: std::vec::IntoIter<Entry>,
    /// What stands before the next object; None at the end.
    before: Option<String>,
}

impl Registry<'_> {
    pub fn pieces(&self, listed: Listed) -> Pieces {
        let head = format!(
            "{{\"kind\":{:?},\"apiVersion\":{:?},\"metadata\":{},\"items\":[",
            self.kind.list_kind(),
            self.kind.api_version(),
            listed.metadata()
        );
        Pieces {
            kind: self.kind.clone(),
            entries: listed.entries.into_iter(),
            before: Some(head),
        }
    }
}

impl Pieces {
    /// Worth sending in pieces.
    pub fn is_large(&self) -> bool {
        let sizes = self.entries.as_slice().iter().map(|e| e.value.len());
        sizes.sum::<usize>() > LARGE
    }

    /// Everything as one.
    pub fn whole(self) -> Result<Bytes, Status> {
        let mut pieces = self.collect::<Result<Vec<Bytes>, Status>>()?;
        if pieces.len() == 1 {
            return Ok(pieces.remove(0));
        }
        Ok(pieces.concat().into())
    }

    fn piece(&mut self, before: &str) -> Result<Bytes, Status> {
        // No piece is copied to make room, unless its last object is a large one.
        let ahead = self.entries.as_slice().iter().take(PIECE / 1024);
        let ahead: usize = ahead.map(|entry| entry.value.len() + 1).sum();
        let mut piece = BytesMut::with_capacity(before.len() + ahead.min(PIECE + PIECE / 8) + 2);
        piece.extend_from_slice(before.as_bytes());
        while piece.len() < PIECE {
            let Some(entry) = self.entries.next() else {
                piece.extend_from_slice(b"]}");
                return Ok(piece.freeze());
            };
            piece.extend_from_slice(&versions::bytes(&self.kind, &entry)?);
            if !self.entries.as_slice().is_empty() {
                piece.extend_from_slice(b",");
            }
        }
        self.before = Some(String::new());
        Ok(piece.freeze())
    }
}

impl Iterator for Pieces {
    type Item = Result<Bytes, Status>;

    fn next(&mut self) -> Option<Self::Item> {
        let before = self.before.take()?;
        Some(self.piece(&before))
    }
}
