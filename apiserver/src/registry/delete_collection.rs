//! DELETE of a collection: every object that a selector picks.

use apimachinery::Status;
use futures::future::BoxFuture;
use futures::{StreamExt, TryStreamExt, stream};
use store::Entry;

use super::Registry;
use super::options::DeleteOptions;
use super::pieces::Pieces;
use crate::keys;

/// Deletes under way at a time.
const AT_ONCE: usize = 128;

impl Registry<'_> {
    /// Deletes what is selected; answers the list as it was before.
    pub async fn delete_collection(&self, options: &DeleteOptions) -> Result<Pieces, Status> {
        let list = self.read_list_options().await?;
        let listed = self.list(&list).await?;
        let mut deletes = Vec::with_capacity(listed.entries.len());
        for entry in &listed.entries {
            deletes.push(self.delete_entry(entry, options));
        }
        // Together, so that the store writes many in one commit.
        stream::iter(deletes)
            .buffer_unordered(AT_ONCE)
            .try_collect::<()>()
            .await?;
        Ok(self.pieces(listed))
    }

    fn delete_entry<'s>(
        &'s self,
        entry: &'s Entry,
        options: &'s DeleteOptions,
    ) -> BoxFuture<'s, Result<(), Status>> {
        Box::pin(async move {
            let prefix = keys::kind(self.prefix);
            let Some((namespace, name)) = self.split(&prefix, &entry.key) else {
                return Ok(());
            };
            let one = Registry { namespace, ..*self };
            match one.delete(name, options).await {
                Err(status) if status.code != 404 => Err(status),
                _ => Ok(()),
            }
        })
    }

    fn split<'k>(&self, prefix: &[u8], key: &'k [u8]) -> Option<(Option<&'k str>, &'k str)> {
        let rest = std::str::from_utf8(key.strip_prefix(prefix)?).ok()?;
        if !self.kind.is_namespaced() {
            return Some((None, rest));
        }
        let (namespace, name) = rest.split_once('/')?;
        Some((Some(namespace), name))
    }
}
