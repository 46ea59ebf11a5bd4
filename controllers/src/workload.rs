//! What keeps pods made of a template: one way of making, removing, adopting
//! and letting go of pods for all such kinds.

use std::borrow::Cow;
use std::sync::Arc;

use apimachinery::selector::LabelSelector;
use events::Recorder;
use futures::future::join_all;
use kube::api::{DeleteParams, Patch, PatchParams, PostParams, Preconditions};
use kube::{Api, Client};
use serde::de::DeserializeOwned;
use serde_json::{Value, json};

use crate::cluster::Cluster;
use crate::error::Error;
use crate::informer::{Informer, Object};
use crate::key::Key;
use crate::object::Pod;
use crate::owner;
use crate::queue::Queue;

/// How often a create is sent whose answers do not say whether it was made.
const TRIES: u32 = 5;

/// A kind whose objects own pods.
pub trait Workload: Object {
    /// Its `LabelSelector`.
    fn selector(&self) -> &Value;
    fn template(&self) -> &Value;
    /// By this finalizer its pods are kept until it has counted them; such a
    /// kind adopts finished pods too.
    const TRACKING: Option<&'static str> = None;
}

/// The kind's name.
pub fn kind<K: Workload>() -> &'static str {
    match K::kind(&()) {
        Cow::Borrowed(kind) => kind,
        Cow::Owned(_) => "object",
    }
}

/// Puts into `queue` whom a changed pod concerns: the one that owns it or
/// owned it, or for an orphan all of its namespace that might adopt it.
pub fn notice_pods<K: Workload>(cluster: &Cluster, all: &Arc<Informer<K>>, queue: &Arc<Queue>) {
    let (queue, all) = (queue.clone(), all.clone());
    cluster.pods.on_change(move |old, new| {
        for pod in [old, new].into_iter().flatten() {
            let namespace = pod.metadata.namespace.as_deref().unwrap_or_default();
            match owner::controller(&pod.metadata) {
                Some(owner) if owner.kind == kind::<K>() => {
                    queue.add(Key::new(namespace, &owner.name));
                }
                Some(_) => {}
                None => {
                    for owner in all.in_namespace(namespace) {
                        let selector = LabelSelector::from_object(owner.selector());
                        if selector.is_ok_and(|s| selects(&s, pod)) {
                            queue.add(Key::of(&*owner));
                        }
                    }
                }
            }
        }
    });
}

/// The pod that the template describes, without a name: whoever asks for it
/// says `name` or [`generated_name`].
pub fn pod_of<K: Workload>(owner: &K) -> Value {
    pod_from(owner, owner.template())
}

/// The same of another template than today's.
pub fn pod_from<K: Workload>(owner: &K, template: &Value) -> Value {
    let mut metadata = json!({ "ownerReferences": [owner::reference(owner)] });
    for part in ["labels", "annotations", "finalizers"] {
        if let Some(value) = template.pointer(&format!("/metadata/{part}")) {
            metadata[part] = value.clone();
        }
    }
    json!({ "apiVersion": "v1", "kind": "Pod", "metadata": metadata, "spec": template["spec"] })
}

/// What the names of the owner's pods begin with.
pub fn generated_name<K: Workload>(owner: &K) -> Value {
    let name = owner.meta().name.as_deref().unwrap_or_default();
    format!("{name}-").into()
}

/// Makes a pod, and tells the informer.
pub async fn create_pod(
    cluster: &Cluster,
    namespace: &str,
    pod: &Value,
) -> Result<Pod, kube::Error> {
    let path = format!("/api/v1/namespaces/{namespace}/pods");
    let made: Pod = post(&cluster.client, path, pod).await?;
    cluster.pods.note(made.clone());
    Ok(made)
}

/// The same with a generated name, which is chosen here: so a create that got no
/// answer can be sent again, and finds what it has made.
async fn create_once(cluster: &Cluster, namespace: &str, pod: &Value) -> Result<Pod, kube::Error> {
    let mut pod = pod.clone();
    let prefix = pod["metadata"]["generateName"].as_str().unwrap_or_default();
    let name = apimachinery::random::name(prefix);
    pod["metadata"]["name"] = name.as_str().into();
    let mut tries = 1;
    loop {
        match create_pod(cluster, namespace, &pod).await {
            Err(kube::Error::Api(status)) if status.code == 504 && tries < TRIES => tries += 1,
            Err(kube::Error::Api(status)) if tries > 1 && status.is_already_exists() => {
                let api: Api<Pod> = Api::namespaced(cluster.client.clone(), namespace);
                let made = api.get(&name).await?;
                cluster.pods.note(made.clone());
                return Ok(made);
            }
            made => return made,
        }
    }
}

/// A create whose body goes out as the JSON it is.
pub async fn post<K: DeserializeOwned>(
    client: &Client,
    path: String,
    body: &Value,
) -> Result<K, kube::Error> {
    let body = serde_json::to_vec(body).map_err(kube::Error::SerdeError)?;
    let request = kube::core::Request::new(path)
        .create(&PostParams::default(), body)
        .map_err(kube::Error::BuildRequest)?;
    client.request(request).await
}

/// Deletes exactly this pod, and tells the informer; false if it was gone.
pub async fn delete_pod(cluster: &Cluster, pod: &Pod) -> Result<bool, kube::Error> {
    let key = Key::of(pod);
    let api: Api<Pod> = Api::namespaced(cluster.client.clone(), &key.namespace);
    let params = DeleteParams::default().preconditions(Preconditions {
        uid: pod.metadata.uid.clone(),
        resource_version: None,
    });
    match api.delete(&key.name, &params).await {
        Ok(answer) => {
            if let Some(deleting) = answer.left() {
                cluster.pods.note(deleting);
            }
            Ok(true)
        }
        Err(kube::Error::Api(status)) if status.code == 404 => Ok(false),
        Err(error) => Err(error),
    }
}

/// Makes a pod with a generated name and tells of it as most kinds do.
pub async fn create_told<K: Workload>(
    cluster: &Cluster,
    recorder: &Recorder,
    owner: &K,
    pod: &Value,
) -> Result<Pod, Error> {
    let key = Key::of(owner);
    match create_once(cluster, &key.namespace, pod).await {
        Ok(pod) => {
            let note = format!("Created pod: {}", Key::of(&pod).name);
            recorder.normal(owner, "SuccessfulCreate", note);
            Ok(pod)
        }
        Err(source) => {
            if !is_ending_namespace(&source) {
                let note = format!("Error creating: {}", words(&source));
                recorder.warning(owner, "FailedCreate", note);
            }
            Err(Error::api("create a pod of", kind::<K>(), &key)(source))
        }
    }
}

/// Makes `count` pods in batches, and tells of them as most kinds do.
pub async fn create_many<'a, K: Workload>(
    cluster: &Cluster,
    recorder: &Recorder,
    owner: &K,
    count: usize,
    pod: impl Fn(usize) -> Cow<'a, Value>,
) -> Result<(), Error> {
    let pod = &pod;
    let create_one = |at| async move {
        let made = create_told(cluster, recorder, owner, &pod(at)).await;
        made.map(drop)
    };
    in_batches(count, create_one).await
}

/// Does what makes pods `count` times, in batches that double from one, so
/// that what cannot be made fails once and not five hundred times.
pub async fn in_batches<F: Future<Output = Result<(), Error>>>(
    count: usize,
    make: impl Fn(usize) -> F,
) -> Result<(), Error> {
    let (mut done, mut batch) = (0, 1);
    while done < count {
        let end = (done + batch).min(count);
        let made = join_all((done..end).map(&make)).await;
        match made.into_iter().collect::<Result<(), Error>>() {
            Err(error) if error.is_ending_namespace() => return Ok(()),
            made => made?,
        }
        done = end;
        batch *= 2;
    }
    Ok(())
}

/// Deletes a pod and tells of it as most kinds do.
pub async fn delete_told<K: Workload>(
    cluster: &Cluster,
    recorder: &Recorder,
    owner: &K,
    pod: &Pod,
) -> Result<(), Error> {
    let key = Key::of(pod);
    match delete_pod(cluster, pod).await {
        Ok(true) => {
            let note = format!("Deleted pod: {}", key.name);
            recorder.normal(owner, "SuccessfulDelete", note);
            Ok(())
        }
        Ok(false) => Ok(()),
        Err(source) => {
            let note = format!("Error deleting: {}", words(&source));
            recorder.warning(owner, "FailedDelete", note);
            Err(Error::api("delete", "Pod", &key)(source))
        }
    }
}

/// The pods that an object owns, as far as the informer knows.
pub fn pods_of<K: Workload>(cluster: &Cluster, owner: &K) -> Vec<Arc<Pod>> {
    let uid = owner.meta().uid.as_deref().unwrap_or_default();
    cluster.pods.owned_by(uid)
}

/// The object's pods, after orphans that match and `may_adopt` were adopted
/// and pods that no longer match were let go.
pub async fn claim<K: Workload>(
    cluster: &Cluster,
    owner: &K,
    may_adopt: impl Fn(&Pod) -> bool,
) -> Result<Vec<Arc<Pod>>, Error> {
    let selector = LabelSelector::from_object(owner.selector()).map_err(|e| Error::Selector {
        kind: kind::<K>(),
        key: Key::of(owner),
        reason: e.to_string(),
    })?;
    if owner.meta().deletion_timestamp.is_none() {
        let namespace = owner.meta().namespace.as_deref().unwrap_or_default();
        for pod in cluster.pods.orphans(namespace) {
            let is_ending = pod.metadata.deletion_timestamp.is_some();
            let is_wanted = pod.is_active() || (K::TRACKING.is_some() && !is_ending);
            if is_wanted && selects(&selector, &pod) && may_adopt(&pod) {
                let mine = json!({ "ownerReferences": [owner::reference(owner)] });
                patch_owner(cluster, &pod, with_tracking::<K>(mine, "finalizers")).await?;
            }
        }
        for pod in pods_of(cluster, owner) {
            let is_mine = selects(&selector, &pod) && may_adopt(&pod);
            if pod.metadata.deletion_timestamp.is_none() && !is_mine {
                let uid = owner.meta().uid.as_deref();
                let others = json!({ "ownerReferences": [{ "$patch": "delete", "uid": uid }] });
                let path = "$deleteFromPrimitiveList/finalizers";
                patch_owner(cluster, &pod, with_tracking::<K>(others, path)).await?;
            }
        }
    }
    Ok(pods_of(cluster, owner))
}

fn with_tracking<K: Workload>(mut metadata: Value, list: &str) -> Value {
    if let Some(finalizer) = K::TRACKING {
        metadata[list] = json!([finalizer]);
    }
    metadata
}

async fn patch_owner(cluster: &Cluster, pod: &Pod, mut metadata: Value) -> Result<(), Error> {
    let key = Key::of(pod);
    let api: Api<Pod> = Api::namespaced(cluster.client.clone(), &key.namespace);
    metadata["uid"] = json!(pod.metadata.uid);
    let patch = json!({ "metadata": metadata });
    let patched = api
        .patch(&key.name, &PatchParams::default(), &Patch::Strategic(patch))
        .await
        .map_err(Error::api("patch owner of", "Pod", &key))?;
    cluster.pods.note(patched);
    Ok(())
}

fn selects(selector: &LabelSelector, pod: &Pod) -> bool {
    owner::selects(selector, |name| pod.labels.get(name))
}

/// Nothing can be made in a namespace that is being deleted; nobody need be told.
pub fn is_ending_namespace(error: &kube::Error) -> bool {
    matches!(error, kube::Error::Api(status)
        if status.code == 403 && status.message.contains("because it is being terminated"))
}

/// What an event says of an error.
pub fn words(error: &kube::Error) -> String {
    match error {
        kube::Error::Api(status) => status.message.clone(),
        other => other.to_string(),
    }
}
