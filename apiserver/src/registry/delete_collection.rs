//! DELETE of a collection: every object that a selector picks.

use apimachinery::Status;
use bytes::Bytes;

use super::Registry;
use super::options::DeleteOptions;
use crate::keys;

impl Registry<'_> {
    /// Deletes what is selected; answers the list as it was before.
    pub async fn delete_collection(&self, options: &DeleteOptions) -> Result<Vec<Bytes>, Status> {
        let list = self.read_list_options()?;
        let listed = self.list(&list).await?;
        let prefix = keys::kind(self.prefix);
        for entry in &listed.entries {
            let Some((namespace, name)) = self.split(&prefix, &entry.key) else {
                continue;
            };
            let one = Registry { namespace, ..*self };
            match one.delete(name, options).await {
                Ok(_) => {}
                Err(status) if status.code == 404 => {}
                Err(status) => return Err(status),
            }
        }
        self.pieces(&listed)
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
