//! The templates that a StatefulSet or DaemonSet has had, each kept in a
//! ControllerRevision: what pods of an older template are made of, and what a
//! rollout goes back to.

use std::collections::{BTreeMap, HashSet};
use std::sync::Arc;

use apimachinery::selector::LabelSelector;
use k8s_openapi::NamespaceResourceScope;
use kube::api::{DeleteParams, ObjectMeta, Patch, PatchParams, PostParams};
use kube::{Api, Resource};
use serde_json::{Value, json};

use crate::cluster::Cluster;
use crate::error::Error;
use crate::key::Key;
use crate::object::{ControllerRevision, Pod};
use crate::owner;
use crate::queue::Queue;
use crate::workload::{self, Workload};

/// The label of a pod that says of which revision it is.
pub const POD_LABEL: &str = "controller-revision-hash";
/// Hashes that collide more often than this in a row are no hashes.
const MOST_COLLISIONS: i32 = 16;
/// A name is this long at most before its hash is put behind it.
const LONGEST_PREFIX: usize = 223;

/// A kind whose templates are kept.
pub trait Revised: Workload + Resource<Scope = NamespaceResourceScope> {
    /// The label of a revision that holds its hash.
    const HASH_LABEL: &'static str;

    fn hash(&self, data: &Value, collisions: i32) -> String;
    /// How often names were taken.
    fn collisions(&self) -> i32;
}

/// Today's template among all there were.
pub struct History {
    /// Oldest first, today's last.
    pub all: Vec<Arc<ControllerRevision>>,
    pub update: Arc<ControllerRevision>,
    pub collisions: i32,
}

/// Puts the owner of every revision that changes into `queue`.
pub fn notice<K: Revised>(cluster: &Cluster, queue: &Arc<Queue>) {
    let queue = queue.clone();
    cluster.controller_revisions.on_change(move |old, new| {
        for revision in [old, new].into_iter().flatten() {
            if let Some(owner) = owner::controller(&revision.metadata)
                && owner.kind == workload::kind::<K>()
            {
                let namespace = revision.metadata.namespace.as_deref();
                queue.add(Key::new(namespace.unwrap_or_default(), &owner.name));
            }
        }
    });
}

/// The owner's revisions, with one for today's template: found, made the
/// newest again, or made.
pub async fn history<K: Revised>(cluster: &Cluster, owner: &K) -> Result<History, Error> {
    adopt(cluster, owner).await?;
    let mut all = owned(cluster, owner);
    let newest = all.last().map_or(0, |r| r.revision);
    let today = data(owner.template());
    let found = all.iter().rposition(|r| is_same(&r.data, &today));
    let (update, collisions) = match found.map(|at| all.remove(at)) {
        Some(found) if found.revision == newest => (found, owner.collisions()),
        Some(found) => (
            renumber(cluster, &found, newest + 1).await?,
            owner.collisions(),
        ),
        None => create(cluster, owner, &today, newest + 1).await?,
    };
    all.push(update.clone());
    Ok(History {
        all,
        update,
        collisions,
    })
}

/// Deletes the oldest of what no pod is of, beyond `limit`.
pub async fn truncate<K: Revised>(
    cluster: &Cluster,
    owner: &K,
    live: &HashSet<&str>,
    limit: Option<i32>,
) -> Result<(), Error> {
    let limit = limit.map_or(10, |limit| usize::try_from(limit).unwrap_or(0));
    let mut unused = owned(cluster, owner);
    unused.retain(|r| {
        !live.contains(r.name()) && !r.label(K::HASH_LABEL).is_some_and(|h| live.contains(h))
    });
    let surplus = unused.len().saturating_sub(limit);
    for revision in unused.iter().take(surplus) {
        let key = Key::of(&**revision);
        match api(cluster, &key)
            .delete(&key.name, &DeleteParams::default())
            .await
        {
            Ok(_) => cluster.controller_revisions.forget(&key),
            Err(kube::Error::Api(status)) if status.code == 404 => {}
            Err(source) => return Err(Error::api("delete", "ControllerRevision", &key)(source)),
        }
    }
    Ok(())
}

/// The template that a revision keeps.
pub fn template(revision: &ControllerRevision) -> Value {
    let mut template = revision.data["spec"]["template"].clone();
    if let Some(template) = template.as_object_mut() {
        template.remove("$patch");
    }
    template
}

/// Which revision a pod says it is of.
pub fn of_pod(pod: &Pod) -> Option<&str> {
    pod.labels.get(POD_LABEL)
}

/// What is kept of a template: the patch that brings it back.
fn data(template: &Value) -> Value {
    let mut template = template.clone();
    template["$patch"] = "replace".into();
    if let Some(meta) = template["metadata"].as_object_mut() {
        meta.entry("creationTimestamp").or_insert(Value::Null);
    }
    json!({ "spec": { "template": template } })
}

/// Equal, whichever release of Kubernetes wrote them.
fn is_same(a: &Value, b: &Value) -> bool {
    let plain = |data: &Value| {
        let mut data = data.clone();
        let meta = data.pointer_mut("/spec/template/metadata");
        if let Some(meta) = meta.and_then(Value::as_object_mut) {
            meta.retain(|_, value| !value.is_null());
        }
        data
    };
    a == b || plain(a) == plain(b)
}

fn owned<K: Revised>(cluster: &Cluster, owner: &K) -> Vec<Arc<ControllerRevision>> {
    let uid = owner.meta().uid.as_deref().unwrap_or_default();
    let mut revisions = cluster.controller_revisions.owned_by(uid);
    revisions.sort_by(|a, b| order(a).cmp(&order(b)));
    revisions
}

fn order(revision: &ControllerRevision) -> (i64, Option<jiff::Timestamp>, &str) {
    let created = revision.metadata.creation_timestamp.as_ref().map(|t| t.0);
    (revision.revision, created, revision.name())
}

/// Takes over what a deleted owner of the same pods has left.
async fn adopt<K: Revised>(cluster: &Cluster, owner: &K) -> Result<(), Error> {
    let namespace = owner.meta().namespace.as_deref().unwrap_or_default();
    let orphans = cluster.controller_revisions.orphans(namespace);
    let Ok(selector) = LabelSelector::from_object(owner.selector()) else {
        return Ok(());
    };
    for revision in orphans {
        if owner::selects(&selector, |name| revision.label(name)) {
            let owners = json!([owner::reference(owner)]);
            let meta = json!({ "uid": revision.metadata.uid, "ownerReferences": owners });
            patch(cluster, &revision, json!({ "metadata": meta })).await?;
        }
    }
    Ok(())
}

async fn renumber(
    cluster: &Cluster,
    revision: &ControllerRevision,
    number: i64,
) -> Result<Arc<ControllerRevision>, Error> {
    patch(cluster, revision, json!({ "revision": number })).await
}

async fn patch(
    cluster: &Cluster,
    revision: &ControllerRevision,
    patch: Value,
) -> Result<Arc<ControllerRevision>, Error> {
    let key = Key::of(revision);
    let patched = api(cluster, &key)
        .patch(&key.name, &PatchParams::default(), &Patch::Merge(patch))
        .await
        .map_err(Error::api("patch", "ControllerRevision", &key))?;
    cluster.controller_revisions.note(patched.clone());
    Ok(Arc::new(patched))
}

/// Makes the revision; a name that another template has is passed over.
async fn create<K: Revised>(
    cluster: &Cluster,
    owner: &K,
    data: &Value,
    number: i64,
) -> Result<(Arc<ControllerRevision>, i32), Error> {
    let mut collisions = owner.collisions();
    loop {
        let revision = describe(owner, data, number, collisions);
        let key = Key::of(&revision);
        let api = api(cluster, &key);
        let taken = match api.create(&PostParams::default(), &revision).await {
            Ok(made) => {
                cluster.controller_revisions.note(made.clone());
                return Ok((Arc::new(made), collisions));
            }
            Err(kube::Error::Api(status)) if status.reason == "AlreadyExists" => {
                api.get(&key.name).await
            }
            Err(error) => Err(error),
        };
        let taken = taken.map_err(Error::api("create", "ControllerRevision", &key))?;
        let is_mine = owner::controller(&taken.metadata).map(|o| Some(&o.uid))
            == Some(owner.meta().uid.as_ref());
        if is_mine && is_same(&taken.data, data) {
            cluster.controller_revisions.note(taken.clone());
            return Ok((Arc::new(taken), collisions));
        }
        collisions += 1;
        if collisions - owner.collisions() > MOST_COLLISIONS {
            return Err(Error::NameTaken { key });
        }
    }
}

fn describe<K: Revised>(
    owner: &K,
    data: &Value,
    number: i64,
    collisions: i32,
) -> ControllerRevision {
    let hash = owner.hash(data, collisions);
    let mut prefix = owner.meta().name.as_deref().unwrap_or_default();
    prefix = &prefix[..prefix.floor_char_boundary(LONGEST_PREFIX)];
    let mut labels = text_map(owner.template().pointer("/metadata/labels"));
    labels.insert(K::HASH_LABEL.into(), hash.clone());
    ControllerRevision {
        metadata: ObjectMeta {
            name: Some(format!("{prefix}-{hash}")),
            namespace: owner.meta().namespace.clone(),
            labels: Some(labels),
            annotations: owner.meta().annotations.clone(),
            owner_references: Some(vec![owner::reference(owner)]),
            ..ObjectMeta::default()
        },
        data: data.clone(),
        revision: number,
    }
}

fn text_map(value: Option<&Value>) -> BTreeMap<String, String> {
    let entries = value.and_then(Value::as_object).into_iter().flatten();
    let texts = entries.filter_map(|(k, v)| Some((k.clone(), v.as_str()?.to_owned())));
    texts.collect()
}

fn api(cluster: &Cluster, key: &Key) -> Api<ControllerRevision> {
    Api::namespaced(cluster.client.clone(), &key.namespace)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_kept_of_a_template_brings_it_back() {
        let before = json!({ "metadata": { "labels": { "a": "b" } }, "spec": { "x": 1 } });
        let kept = data(&before);
        assert_eq!(kept["spec"]["template"]["$patch"], "replace");
        let revision = ControllerRevision {
            data: kept,
            ..ControllerRevision::default()
        };
        let mut after = template(&revision);
        assert_eq!(after["metadata"]["creationTimestamp"], Value::Null);
        after["metadata"]
            .as_object_mut()
            .unwrap()
            .remove("creationTimestamp");
        assert_eq!(after, before);
    }

    #[test]
    fn revision_of_a_release_that_leaves_nulls_out_is_the_same() {
        let template = json!({ "metadata": { "labels": { "a": "b" } }, "spec": {} });
        let mut newer = data(&template);
        newer["spec"]["template"]["metadata"]
            .as_object_mut()
            .unwrap()
            .remove("creationTimestamp");
        assert!(is_same(&newer, &data(&template)));
        newer["spec"]["template"]["spec"]["x"] = 1.into();
        assert!(!is_same(&newer, &data(&template)));
    }
}
