//! One file: its objects applied, those that it has no more deleted.

use std::collections::BTreeSet;

use anyhow::{Context as _, ensure};
use events::{Level, Recorder, Told};
use serde_json::{Value, json};

use super::folder::Text;
use super::record::{Entry, Records};
use crate::cluster::{APPLY_PATCH, Cluster, is_not_found, text};
use crate::manifest::{self, Found};

/// Says which file an object comes from.
const ANNOTATION: &str = "skiff.dev/manifest";
const MANAGER: &str = "skiff-manifests";
/// A file with more objects is refused: its record would not fit an object.
const MOST_OBJECTS: usize = 2000;

/// What brings files into the cluster.
pub struct Appliance {
    pub records: Records,
    pub recorder: Recorder,
}

impl Appliance {
    /// Applies a file and tells how that went; true if all of it is as it says.
    pub async fn apply(&mut self, cluster: &mut Cluster, file: &str, text: &Text) -> bool {
        let applied = self.try_apply(cluster, file, text).await;
        match applied {
            Ok(count) => {
                let message = format!("Applied {file}: {count} objects");
                tracing::info!("{message}");
                self.tell(file, Level::Normal, "Applied", message);
                true
            }
            Err(error) => self.failed(file, "ApplyFailed", &error),
        }
    }

    /// Deletes what a file made that is gone; true if all of it is deleted.
    pub async fn remove(&mut self, cluster: &Cluster, file: &str) -> bool {
        match self.try_remove(cluster, file).await {
            Ok(()) => {
                tracing::info!("deleted what {file} made: the file is gone");
                true
            }
            Err(error) => self.failed(file, "PruneFailed", &error),
        }
    }

    fn failed(&self, file: &str, reason: &'static str, error: &anyhow::Error) -> bool {
        tracing::warn!("manifest {file}: {error:#}");
        self.tell(file, Level::Warning, reason, format!("{file}: {error:#}"));
        false
    }

    fn tell(&self, file: &str, level: Level, reason: &'static str, message: String) {
        self.recorder.tell(Told {
            about: self.records.reference(file),
            level,
            reason: reason.into(),
            action: None,
            message,
        });
    }

    async fn try_apply(
        &mut self,
        cluster: &mut Cluster,
        file: &str,
        text: &Text,
    ) -> anyhow::Result<usize> {
        let text = text.0.as_ref().map_err(|why| anyhow::anyhow!("{why}"))?;
        let objects = objects(text, file)?;
        let wanted: BTreeSet<Entry> = objects.iter().map(entry).collect::<anyhow::Result<_>>()?;
        let before = self.records.of(file);
        self.records
            .save(file, before.union(&wanted).cloned().collect())
            .await?;
        let mut failed = Vec::new();
        for object in &objects {
            if let Err(error) = apply(cluster, file, object).await {
                failed.push(format!("{error:#}"));
            }
        }
        ensure!(failed.is_empty(), "{}", failed.join("; "));
        let mut kept = wanted.clone();
        let pruned = self
            .prune(cluster, file, before.difference(&wanted), &mut kept)
            .await;
        self.records.save(file, kept).await?;
        pruned.map(|()| objects.len())
    }

    async fn try_remove(&mut self, cluster: &Cluster, file: &str) -> anyhow::Result<()> {
        let entries = self.records.of(file);
        let mut kept = BTreeSet::new();
        self.prune(cluster, file, entries.iter(), &mut kept).await?;
        self.records.forget(file).await
    }

    /// Deletes these, in an order that lets namespaces and kinds go last; what
    /// cannot be deleted now is `kept`.
    async fn prune(
        &self,
        cluster: &Cluster,
        file: &str,
        doomed: impl Iterator<Item = &Entry>,
        kept: &mut BTreeSet<Entry>,
    ) -> anyhow::Result<()> {
        let mut doomed: Vec<&Entry> = doomed.collect();
        doomed.sort_by_key(|entry| std::cmp::Reverse(rank(&entry.kind)));
        let mut failed = Vec::new();
        for entry in doomed {
            if self.records.is_elsewhere(file, entry) {
                continue;
            }
            if let Err(error) = delete(cluster, file, entry).await {
                kept.insert(entry.clone());
                failed.push(format!("delete {} {}: {error:#}", entry.kind, entry.name));
            }
        }
        ensure!(failed.is_empty(), "{}", failed.join("; "));
        Ok(())
    }
}

/// Others need these to be there.
fn rank(kind: &str) -> u8 {
    match kind {
        "Namespace" => 0,
        "CustomResourceDefinition" => 1,
        _ => 2,
    }
}

/// The objects of a file, in the order to apply them.
fn objects(text: &str, file: &str) -> anyhow::Result<Vec<Value>> {
    let mut found: Vec<Found> = Vec::new();
    manifest::parse(text, file, &mut found)?;
    ensure!(
        found.len() <= MOST_OBJECTS,
        "{} objects in one file; more than {MOST_OBJECTS} need several files",
        found.len()
    );
    let mut objects: Vec<Value> = found.into_iter().map(|found| found.object).collect();
    objects.sort_by_key(|object| rank(self::text(object, "/kind")));
    Ok(objects)
}

fn entry(object: &Value) -> anyhow::Result<Entry> {
    let field = |pointer| text(object, pointer).to_owned();
    let name = field("/metadata/name");
    ensure!(
        !name.is_empty(),
        "a {} has no metadata.name",
        field("/kind")
    );
    Ok(Entry {
        api_version: field("/apiVersion"),
        kind: field("/kind"),
        namespace: field("/metadata/namespace"),
        name,
    })
}

async fn apply(cluster: &mut Cluster, file: &str, object: &Value) -> anyhow::Result<()> {
    let (api_version, kind) = (text(object, "/apiVersion"), text(object, "/kind"));
    if cluster.of_kind(api_version, kind).is_err() {
        // A definition of this very file may just have brought it.
        *cluster = Cluster::of(cluster.client.clone()).await?;
    }
    let name = text(object, "/metadata/name");
    let resource = cluster
        .of_kind(api_version, kind)
        .with_context(|| format!("{kind} {name}"))?;
    let path = cluster.path(resource, Some(cluster.namespace_of(object)?), Some(name));
    let query = format!("{path}?fieldManager={MANAGER}&force=true&fieldValidation=Strict");
    let marked = marked(object, file);
    let applied = cluster.patch(&query, APPLY_PATCH, &marked).await;
    applied
        .map(drop)
        .with_context(|| format!("apply {kind} {name}"))
}

fn marked(object: &Value, file: &str) -> Value {
    let mut object = object.clone();
    if !object["metadata"]["annotations"].is_object() {
        object["metadata"]["annotations"] = json!({});
    }
    object["metadata"]["annotations"][ANNOTATION] = file.into();
    object
}

/// Deletes an object that is this file's still.
async fn delete(cluster: &Cluster, file: &str, entry: &Entry) -> anyhow::Result<()> {
    // A kind that is gone took its objects along.
    let Ok(resource) = cluster.of_kind(&entry.api_version, &entry.kind) else {
        return Ok(());
    };
    let namespace = match entry.namespace.as_str() {
        "" => cluster.namespace.as_str(),
        namespace => namespace,
    };
    let path = cluster.path(resource, Some(namespace), Some(&entry.name));
    let Some(found) = cluster.find(&path).await? else {
        return Ok(());
    };
    if found["metadata"]["annotations"][ANNOTATION] != file {
        return Ok(());
    }
    let options = json!({ "apiVersion": "v1", "kind": "DeleteOptions", "propagationPolicy": "Background",
        "preconditions": { "uid": text(&found, "/metadata/uid") } });
    match cluster.delete(&path, &options).await {
        Err(error) if !is_not_found(&error) => Err(error),
        _ => Ok(()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_others_need_is_applied_first_and_the_rest_in_its_order() {
        let text = ["Pod", "CustomResourceDefinition", "Service", "Namespace"]
            .map(|kind| format!("apiVersion: v1\nkind: {kind}\nmetadata: {{ name: x }}\n"))
            .join("---\n");
        let found = objects(&text, "f").unwrap();
        let kinds: Vec<&str> = found
            .iter()
            .map(|object| super::text(object, "/kind"))
            .collect();
        assert_eq!(
            kinds,
            ["Namespace", "CustomResourceDefinition", "Pod", "Service"]
        );
    }

    #[test]
    fn an_object_is_marked_with_its_file_and_keeps_its_annotations() {
        let object = json!({ "metadata": { "name": "x", "annotations": { "a": "b" } } });
        let marked = marked(&object, "web.yaml");
        let expected = json!({ "a": "b", "skiff.dev/manifest": "web.yaml" });
        assert_eq!(marked["metadata"]["annotations"], expected);
        assert!(entry(&json!({ "kind": "Pod" })).is_err());
    }

    #[test]
    fn a_file_with_too_many_objects_is_refused() {
        let text = "apiVersion: v1\nkind: A\n---\n".repeat(MOST_OBJECTS + 1);
        assert!(
            objects(&text, "f")
                .unwrap_err()
                .to_string()
                .contains("several files")
        );
    }
}
