//! Kubernetes protobuf on its way out: lists and watch events. Objects are stored
//! as JSON; what controllers and kubelets ask for is made of it here.

use std::sync::{Mutex, PoisonError};

use apimachinery::Status;
use bytes::{Bytes, BytesMut};
use http::{HeaderValue, Response, StatusCode};
use schema::protobuf;
use serde_json::Value;

use crate::body::Body;
use crate::registry::list::Listed;
use crate::registry::versions;
use crate::respond;
use crate::served::Served;

/// The content type of a watch.
pub const WATCH: HeaderValue =
    HeaderValue::from_static("application/vnd.kubernetes.protobuf;stream=watch");

/// Lists of more bytes keep no other request waiting.
const LARGE: usize = 256 * 1024;

/// A list; made in whole, for its length stands before it.
pub async fn list(kind: Served, listed: Listed) -> Result<Response<Body>, Status> {
    let size: usize = listed.entries.iter().map(|entry| entry.value.len()).sum();
    let bytes = if size < LARGE {
        pack(&kind, &listed)?
    } else {
        let packing = tokio::task::spawn_blocking(move || pack(&kind, &listed));
        packing.await.map_err(Status::internal)??
    };
    Ok(respond::with(StatusCode::OK, respond::PROTOBUF, bytes))
}

fn pack(kind: &Served, listed: &Listed) -> Result<Vec<u8>, Status> {
    let list = protobuf::List::new(&kind.api_version(), kind.list_kind(), &listed.metadata());
    let mut list = list.map_err(Status::internal)?;
    for entry in &listed.entries {
        let object = parse(&versions::bytes(kind, entry)?)?;
        list.push(&object).map_err(Status::internal)?;
    }
    Ok(list.finish())
}

/// Appends the event; one whose object cannot be written is passed over, and told.
pub fn frame(what: &str, object: &Bytes, out: &mut BytesMut) {
    match RECENT.of(object) {
        Ok(packed) => {
            let mut framed = Vec::with_capacity(packed.len() + 40);
            protobuf::frame(what, &packed, &mut framed);
            out.extend_from_slice(&framed);
        }
        Err(status) => tracing::error!(message = status.message, "a watch event is left out"),
    }
}

fn parse(object: &[u8]) -> Result<Value, Status> {
    serde_json::from_slice(object).map_err(Status::internal)
}

/// The objects that were written last: all watchers of a change come for it at
/// about the same time, with the same bytes in hand.
static RECENT: Recent = Recent([const { Mutex::new(None) }; 64]);
/// Larger ones are not kept.
const KEPT: usize = 32 * 1024;

struct Recent([Mutex<Option<Packed>>; 64]);

struct Packed {
    /// Held, so that nothing else can be at the same place.
    object: Bytes,
    packed: Bytes,
}

impl Recent {
    fn of(&self, object: &Bytes) -> Result<Bytes, Status> {
        // Objects lie at multiples of 16 bytes.
        let at = (object.as_ptr() as usize >> 4) % self.0.len();
        let mut slot = self.0[at].lock().unwrap_or_else(PoisonError::into_inner);
        let known = slot.as_ref().filter(|known| {
            known.object.as_ptr() == object.as_ptr() && known.object.len() == object.len()
        });
        if let Some(known) = known {
            return Ok(known.packed.clone());
        }
        let packed = protobuf::write(&parse(object)?).map_err(Status::internal)?;
        let packed = Bytes::from(packed);
        if object.len() <= KEPT {
            *slot = Some(Packed {
                object: object.clone(),
                packed: packed.clone(),
            });
        }
        Ok(packed)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn watchers_of_the_same_bytes_share_what_is_written() {
        let object =
            Bytes::from(br#"{"apiVersion":"v1","kind":"ConfigMap","data":{"a":"b"}}"#.to_vec());
        let (first, second) = (RECENT.of(&object).unwrap(), RECENT.of(&object).unwrap());
        assert_eq!(first.as_ptr(), second.as_ptr());
        let read = protobuf::read(&first, ("", "")).unwrap();
        assert_eq!(read["data"]["a"], "b");
        let other =
            Bytes::from(br#"{"apiVersion":"v1","kind":"ConfigMap","data":{"a":"c"}}"#.to_vec());
        let read = protobuf::read(&RECENT.of(&other).unwrap(), ("", "")).unwrap();
        assert_eq!(read["data"]["a"], "c");
    }
}
