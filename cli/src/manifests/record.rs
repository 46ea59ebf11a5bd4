//! What each file made, kept in the cluster: a ConfigMap of `kube-system` a file.

use std::collections::{BTreeMap, BTreeSet};

use anyhow::Context as _;
use k8s_openapi::api::core::v1::{ConfigMap, ObjectReference};
use k8s_openapi::apimachinery::pkg::apis::meta::v1::ObjectMeta;
use kube::api::{DeleteParams, ListParams, Patch, PatchParams};
use kube::{Api, Client};
use serde::{Deserialize, Serialize};

const NAMESPACE: &str = "kube-system";
const LABEL: &str = "skiff.dev/manifest-record";

/// An object by name.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Entry {
    pub api_version: String,
    pub kind: String,
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub namespace: String,
    pub name: String,
}

/// A file, and whose: several servers of a cluster have a directory each.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
struct Key {
    owner: String,
    file: String,
}

pub struct Records {
    api: Api<ConfigMap>,
    table: Table,
}

/// The records as last read or written.
struct Table {
    /// This server.
    owner: String,
    known: BTreeMap<Key, BTreeSet<Entry>>,
}

impl Records {
    pub fn new(client: Client, owner: String) -> Self {
        let known = BTreeMap::new();
        Self {
            api: Api::namespaced(client, NAMESPACE),
            table: Table { owner, known },
        }
    }

    /// Reads them all.
    pub async fn load(&mut self) -> anyhow::Result<()> {
        let selector = ListParams::default().labels(LABEL);
        let found = self
            .api
            .list(&selector)
            .await
            .context("list the records of manifests")?;
        self.table.known = found.items.iter().filter_map(read).collect();
        Ok(())
    }

    /// This server's files other than these.
    pub fn files_without<'f>(&self, files: impl Iterator<Item = &'f String>) -> Vec<String> {
        self.table.files_without(files)
    }

    pub fn of(&self, file: &str) -> BTreeSet<Entry> {
        let known = self.table.known.get(&self.table.key(file));
        known.cloned().unwrap_or_default()
    }

    /// Whether another file, of this server or another, has the object too.
    pub fn is_elsewhere(&self, file: &str, entry: &Entry) -> bool {
        self.table.is_elsewhere(file, entry)
    }

    pub async fn save(&mut self, file: &str, entries: BTreeSet<Entry>) -> anyhow::Result<()> {
        let key = self.table.key(file);
        if self.table.known.get(&key) == Some(&entries) {
            return Ok(());
        }
        let record = write(&key, &entries);
        let name = name_of(&key);
        let params = PatchParams::apply("skiff-manifests").force();
        let saved = self.api.patch(&name, &params, &Patch::Apply(record)).await;
        saved.with_context(|| format!("record what {file} makes"))?;
        self.table.known.insert(key, entries);
        Ok(())
    }

    pub async fn forget(&mut self, file: &str) -> anyhow::Result<()> {
        let key = self.table.key(file);
        let name = name_of(&key);
        match self.api.delete(&name, &DeleteParams::default()).await {
            Ok(_) => {}
            Err(kube::Error::Api(status)) if status.code == 404 => {}
            Err(error) => return Err(error).with_context(|| format!("forget what {file} made")),
        }
        self.table.known.remove(&key);
        Ok(())
    }

    /// What events about a file are about.
    pub fn reference(&self, file: &str) -> ObjectReference {
        ObjectReference {
            api_version: Some("v1".into()),
            kind: Some("ConfigMap".into()),
            namespace: Some(NAMESPACE.into()),
            name: Some(name_of(&self.table.key(file))),
            ..ObjectReference::default()
        }
    }
}

impl Table {
    fn key(&self, file: &str) -> Key {
        Key {
            owner: self.owner.clone(),
            file: file.to_owned(),
        }
    }

    fn files_without<'f>(&self, files: impl Iterator<Item = &'f String>) -> Vec<String> {
        let there: BTreeSet<&String> = files.collect();
        let own = self.known.keys().filter(|key| key.owner == self.owner);
        let gone = own.filter(|key| !there.contains(&key.file));
        gone.map(|key| key.file.clone()).collect()
    }

    fn is_elsewhere(&self, file: &str, entry: &Entry) -> bool {
        let own = self.key(file);
        let mut others = self.known.iter().filter(|(key, _)| **key != own);
        others.any(|(_, entries)| entries.contains(entry))
    }
}

fn write(key: &Key, entries: &BTreeSet<Entry>) -> ConfigMap {
    let objects = serde_json::to_string(entries).unwrap_or_default();
    let data = [
        ("file", &key.file),
        ("server", &key.owner),
        ("objects", &objects),
    ];
    ConfigMap {
        metadata: ObjectMeta {
            name: Some(name_of(key)),
            namespace: Some(NAMESPACE.into()),
            labels: Some(BTreeMap::from([(LABEL.to_owned(), String::new())])),
            ..ObjectMeta::default()
        },
        data: Some(
            data.map(|(key, value)| (key.to_owned(), value.to_owned()))
                .into(),
        ),
        ..ConfigMap::default()
    }
}

/// One that somebody else broke counts as none.
fn read(record: &ConfigMap) -> Option<(Key, BTreeSet<Entry>)> {
    let data = record.data.as_ref()?;
    let key = Key {
        owner: data.get("server")?.clone(),
        file: data.get("file")?.clone(),
    };
    Some((key, serde_json::from_str(data.get("objects")?).ok()?))
}

/// A name for any file name (FNV-1a).
fn name_of(key: &Key) -> String {
    let mix = |hash: u64, byte: u8| (hash ^ u64::from(byte)).wrapping_mul(0x0000_0100_0000_01b3);
    let bytes = key.owner.bytes().chain([0]).chain(key.file.bytes());
    format!("manifest-{:016x}", bytes.fold(0xcbf2_9ce4_8422_2325, mix))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn entry(name: &str) -> Entry {
        Entry {
            api_version: "v1".into(),
            kind: "ConfigMap".into(),
            namespace: "default".into(),
            name: name.into(),
        }
    }

    fn table(known: &[(&str, &str, &[&str])]) -> Table {
        let one = |(owner, file, names): &(&str, &str, &[&str])| {
            let key = Key {
                owner: (*owner).into(),
                file: (*file).into(),
            };
            (key, names.iter().map(|name| entry(name)).collect())
        };
        Table {
            known: known.iter().map(one).collect(),
            owner: "s1".into(),
        }
    }

    #[test]
    fn a_record_is_read_as_it_was_written() {
        let key = table(&[]).key("web.yaml");
        let entries = BTreeSet::from([entry("a"), entry("b")]);
        assert_eq!(read(&write(&key, &entries)), Some((key, entries)));
    }

    #[test]
    fn only_this_servers_files_are_missed_and_shared_objects_are_seen() {
        let table = table(&[
            ("s1", "a", &["x"]),
            ("s1", "b", &["y"]),
            ("s2", "c", &["x"]),
        ]);
        assert_eq!(table.files_without([&"a".to_owned()].into_iter()), ["b"]);
        assert!(table.is_elsewhere("a", &entry("x")));
        assert!(!table.is_elsewhere("b", &entry("y")));
    }
}
