//! Stored objects as the version that is asked for.
//!
//! Bytes that were written through the definition as it is now, in the version that is
//! asked for, are served as they are. Others are pruned, defaulted and converted; what a
//! conversion makes is pruned and defaulted again, for webhooks know no schemas.

use std::sync::Arc;

use apimachinery::{Status, meta};
use custom::Version;
use serde_json::Value;
use store::{Change, Entry};

use crate::api::Api;
use crate::registry::versions;
use crate::served::{Custom, Served};

impl Served {
    /// Whether watchers of the kind may see the change as it is.
    pub fn shows(&self, change: &Change) -> bool {
        let Self::Custom(custom) = self else {
            return true;
        };
        let (entry, previous) = match change {
            Change::Put { entry, previous } => (Some(entry), previous.as_ref()),
            Change::Delete { previous, .. } => (None, Some(previous)),
        };
        let is_current = |entry: Option<&Entry>| entry.is_none_or(|e| custom.is_current(e));
        is_current(entry) && is_current(previous)
    }
}

impl Api {
    /// The entry as `kind` serves it.
    pub async fn as_served(&self, kind: &Served, entry: Entry) -> Result<Entry, Status> {
        if matches!(kind, Served::Custom(custom) if custom.is_current(&entry)) {
            return Ok(entry);
        }
        let mut all = self.all_as_served(kind, vec![entry]).await?;
        Ok(all.remove(0))
    }

    /// The entries as `kind` serves them; as many as were given, in their order.
    pub async fn all_as_served(
        &self,
        kind: &Served,
        mut entries: Vec<Entry>,
    ) -> Result<Vec<Entry>, Status> {
        let Served::Custom(custom) = kind else {
            return Ok(entries);
        };
        let mut places = Vec::new();
        let mut objects = Vec::new();
        for (at, entry) in entries.iter().enumerate() {
            if !custom.is_current(entry) {
                places.push(at);
                objects.push(stored(custom, entry)?);
            }
        }
        let objects = self.convert(custom, &custom.names.version, objects).await?;
        for (at, mut object) in places.into_iter().zip(objects) {
            make_fit(&custom.version, &mut object);
            entries[at].value = versions::encode(&object)?;
        }
        Ok(entries)
    }

    /// The change as a watcher of `kind` sees it.
    pub async fn change_as_served(
        &self,
        kind: &Served,
        change: &Change,
    ) -> Result<Arc<Change>, Status> {
        Ok(Arc::new(match change.clone() {
            Change::Put { entry, previous } => Change::Put {
                entry: self.as_served(kind, entry).await?,
                previous: match previous {
                    Some(previous) => Some(self.as_served(kind, previous).await?),
                    None => None,
                },
            },
            Change::Delete {
                key,
                revision,
                previous,
            } => Change::Delete {
                key,
                revision,
                previous: self.as_served(kind, previous).await?,
            },
        }))
    }

    /// An object of `from` as `to` serves it: another version of the same kind.
    pub async fn converted(
        &self,
        from: &Served,
        to: &Served,
        object: &Value,
    ) -> Result<Value, Status> {
        match to {
            Served::Custom(custom) if !object.is_null() => {
                let objects = vec![object.clone()];
                let mut converted = self.convert(custom, &custom.names.version, objects).await?;
                let mut object = converted.remove(0);
                make_fit(&custom.version, &mut object);
                Ok(object)
            }
            _ => Ok(versions::converted(from, to, object)),
        }
    }

    /// What to store for an object of `kind`.
    pub async fn to_stored(&self, kind: &Served, object: &Value) -> Result<store::Value, Status> {
        let Served::Custom(custom) = kind else {
            return versions::to_stored(kind, object);
        };
        let storage = custom.family.definition.storage();
        match storage.filter(|storage| storage.name != custom.names.version) {
            None => versions::to_stored(kind, object),
            Some(storage) => {
                let objects = vec![object.clone()];
                let mut converted = self.convert(custom, &storage.name, objects).await?;
                let mut object = converted.remove(0);
                make_fit(storage, &mut object);
                versions::to_stored(kind, &object)
            }
        }
    }
}

/// A stored object, made to fit the version it is stored in as that is now.
fn stored(custom: &Custom, entry: &Entry) -> Result<Value, Status> {
    let mut object: Value = serde_json::from_slice(&entry.value).map_err(|error| {
        let kind = &custom.names.kind;
        Status::internal(format!("a stored {kind} is no JSON: {error}"))
    })?;
    let written = meta::api_version(&object).rsplit('/').next().unwrap_or("");
    let mut versions = custom.family.definition.versions.iter();
    if let Some(version) = versions.find(|version| version.name == written).cloned() {
        make_fit(&version, &mut object);
    }
    Ok(object)
}

/// Prunes and defaults an object that came from the store or out of a conversion: what
/// either says that the version does not know is nobody's mistake to be told of.
fn make_fit(version: &Version, object: &mut Value) {
    version.fit(object);
    version.default(object);
}
