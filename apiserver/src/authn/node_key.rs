//! A node whose certificate has ended, and that proves by the key it joined with
//! that it is that node: it may ask for its own next certificate, nothing else.

use std::sync::Arc;

use pki::node_key::{NOTE_FIELD, NOTE_NAMESPACE, claimed, is_proved, note_of};
use serde_json::Value;
use store::Store;

use crate::keys;
use crate::user::{AUTHENTICATED, User};

/// The group of nodes that come back.
pub const GROUP: &str = "system:skiff:returning-nodes";

pub struct Verifier {
    store: Arc<dyn Store>,
    /// The fingerprint of the cluster's authority, for which a proof is made.
    cluster: String,
}

impl Verifier {
    pub fn new(store: Arc<dyn Store>, cluster: String) -> Self {
        Self { store, cluster }
    }

    /// The node, by name but not of the nodes' group; None for other tokens, and
    /// for proofs of keys that are not noted (any more).
    pub async fn authenticate(&self, token: &str) -> Option<User> {
        let node = claimed(token)?;
        let key = keys::object("configmaps", Some(NOTE_NAMESPACE), &note_of(&node));
        let entry = self.store.get(&key).await.ok()??;
        let note: Value = serde_json::from_slice(&entry.value).ok()?;
        let public = note["data"][NOTE_FIELD].as_str()?;
        if !is_proved(token, &node, public, &self.cluster) {
            return None;
        }
        let groups = [GROUP.to_owned(), AUTHENTICATED.to_owned()];
        Some(User::new(format!("system:node:{node}"), groups))
    }
}
