//! StatefulSets: pods that are told apart, each with a name, a hostname and
//! claims that stay its own; made, removed and updated in order.

mod claims;
mod identity;
mod plan;
mod status;

use std::collections::HashSet;
use std::sync::Arc;
use std::time::Duration;

use events::Recorder;
use futures::future::join_all;
use jiff::{SignedDuration, Timestamp};
use kube::Api;
use kube::api::{Patch, PatchParams};
use serde_json::{Value, json};
use tokio::task::JoinSet;
use tokio_util::sync::CancellationToken;

use crate::cluster::Cluster;
use crate::controller::{self, Controller, Next};
use crate::error::Error;
use crate::hash;
use crate::key::Key;
use crate::object::{ControllerRevision, Pod, StatefulSet};
use crate::queue::Queue;
use crate::revision::{self, History, Revised};
use crate::workload;

use plan::Step;

const WORKERS: usize = 5;

struct StatefulSets {
    cluster: Cluster,
    recorder: Recorder,
}

/// One set and what it owns, as one reconcile sees them.
struct View {
    set: Arc<StatefulSet>,
    /// By ordinal.
    pods: Vec<Arc<Pod>>,
    /// What pods were made of before the rollout that goes on.
    current: Arc<ControllerRevision>,
    update: Arc<ControllerRevision>,
    now: Timestamp,
}

/// How events tell of a deed.
struct Verb {
    word: &'static str,
    success: &'static str,
    failure: &'static str,
}

const CREATE: Verb = Verb {
    word: "create",
    success: "SuccessfulCreate",
    failure: "FailedCreate",
};
const DELETE: Verb = Verb {
    word: "delete",
    success: "SuccessfulDelete",
    failure: "FailedDelete",
};

impl Revised for StatefulSet {
    const HASH_LABEL: &'static str = "controller.kubernetes.io/hash";

    fn hash(&self, data: &Value, collisions: i32) -> String {
        hash::of_revision(data, collisions)
    }

    fn collisions(&self) -> i32 {
        self.status.collision_count.unwrap_or(0)
    }
}

pub fn start(cluster: &Cluster, tasks: &mut JoinSet<()>, shutdown: &CancellationToken) {
    let queue = Queue::new();
    controller::notice(&cluster.stateful_sets, &queue);
    workload::notice_pods(cluster, &cluster.stateful_sets, &queue);
    revision::notice::<StatefulSet>(cluster, &queue);
    claims::notice(cluster, &queue);
    let controller = StatefulSets {
        cluster: cluster.clone(),
        recorder: cluster.events.recorder("statefulset-controller"),
    };
    controller::start(tasks, controller, queue, WORKERS, shutdown);
}

impl Controller for StatefulSets {
    const NAME: &'static str = "statefulset";

    async fn informed(&self) {
        self.cluster.stateful_sets.synced().await;
        self.cluster.controller_revisions.synced().await;
        self.cluster.pods.synced().await;
        self.cluster.claims.synced().await;
    }

    async fn reconcile(&self, key: &Key) -> Result<Next, Error> {
        let Some(set) = self.cluster.stateful_sets.get(key) else {
            return Ok(Next::WhenChanged);
        };
        if set.metadata.deletion_timestamp.is_some() {
            let (current, update) = status::recorded_revisions(&set);
            let status = status::of(&set, &self.pods(&set), current, update, Timestamp::now());
            self.write_status(key, &set, status).await?;
            return Ok(Next::WhenChanged);
        }
        workload::claim(&self.cluster, &*set, |pod| {
            identity::ordinal(&set, pod).is_some()
        })
        .await?;
        let history = revision::history(&self.cluster, &*set).await?;
        let view = self.view(set, &history);
        let acted = self.act(&view).await;
        // The status tells of what is there now, also after a failure.
        let view = self.view(view.set, &history);
        let names = (view.current.name(), view.update.name());
        let mut status = status::of(&view.set, &view.pods, names.0, names.1, view.now);
        status.collision_count = Some(history.collisions);
        self.write_status(key, &view.set, status).await?;
        acted?;
        self.forget_revisions(&view).await?;
        Ok(next_look(&view))
    }
}

impl StatefulSets {
    fn pods(&self, set: &StatefulSet) -> Vec<Arc<Pod>> {
        let mut pods = workload::pods_of(&self.cluster, set);
        pods.sort_by_cached_key(|pod| identity::ordinal(set, pod));
        pods
    }

    fn view(&self, set: Arc<StatefulSet>, history: &History) -> View {
        let current = set.status.current_revision.as_deref();
        let current = history.all.iter().find(|r| Some(r.name()) == current);
        View {
            pods: self.pods(&set),
            set,
            current: current.unwrap_or(&history.update).clone(),
            update: history.update.clone(),
            now: Timestamp::now(),
        }
    }

    async fn act(&self, view: &View) -> Result<(), Error> {
        let steps = plan::steps(view);
        self.keep_claims(view).await?;
        self.create_all(view, &steps).await?;
        let done = join_all(steps.iter().map(|step| self.take(view, step))).await;
        done.into_iter().collect()
    }

    async fn create_all(&self, view: &View, steps: &[Step]) -> Result<(), Error> {
        let ordinals = steps.iter().filter_map(|step| match step {
            Step::Create(ordinal) => Some(*ordinal),
            _ => None,
        });
        let ordinals: Vec<i64> = ordinals.collect();
        workload::in_batches(ordinals.len(), |at| self.create(view, ordinals[at])).await
    }

    async fn create(&self, view: &View, ordinal: i64) -> Result<(), Error> {
        let set = &*view.set;
        let key = Key::new(
            set.metadata.namespace.as_deref().unwrap_or_default(),
            &identity::name(set, ordinal),
        );
        if claims::is_awaited(&self.cluster, set, ordinal) {
            return Ok(());
        }
        let revision = match plan::is_current_needed(view, ordinal) {
            true => &view.current,
            false => &view.update,
        };
        let pod = identity::pod(set, revision, ordinal);
        let made = match self.make_claims(set, ordinal).await {
            Ok(()) => workload::create_pod(&self.cluster, &key.namespace, &pod)
                .await
                .map(drop)
                .map_err(Error::api("create", "Pod", &key)),
            failed => failed,
        };
        self.tell_of_pod(set, &CREATE, &key, made.as_ref().err());
        made
    }

    async fn take(&self, view: &View, step: &Step) -> Result<(), Error> {
        let set = &*view.set;
        match step {
            Step::Create(_) => Ok(()),
            Step::Identify(pod, ordinal) => self.identify(set, pod, *ordinal).await,
            Step::Replace(pod) => {
                self.tell_of_replacement(set, pod);
                self.delete(set, pod).await
            }
            Step::Remove(pod) => self.delete(set, pod).await,
        }
    }

    async fn delete(&self, set: &StatefulSet, pod: &Pod) -> Result<(), Error> {
        let key = Key::of(pod);
        match workload::delete_pod(&self.cluster, pod).await {
            Ok(true) => self.tell_of_pod(set, &DELETE, &key, None),
            Ok(false) => {}
            Err(source) => {
                let error = Error::api("delete", "Pod", &key)(source);
                self.tell_of_pod(set, &DELETE, &key, Some(&error));
                return Err(error);
            }
        }
        Ok(())
    }

    /// Gives an adopted pod the labels of its place.
    async fn identify(&self, set: &StatefulSet, pod: &Pod, ordinal: i64) -> Result<(), Error> {
        let key = Key::of(pod);
        let api: Api<Pod> = Api::namespaced(self.cluster.client.clone(), &key.namespace);
        let labels = identity::labels(set, ordinal);
        let patch = json!({ "metadata": { "uid": pod.metadata.uid, "labels": labels } });
        let patched = api
            .patch(&key.name, &PatchParams::default(), &Patch::Merge(patch))
            .await
            .map_err(Error::api("patch", "Pod", &key))?;
        self.cluster.pods.note(patched);
        Ok(())
    }

    /// Somebody else's pod of the same name is waited for in silence.
    fn tell_of_pod(&self, set: &StatefulSet, verb: &Verb, key: &Key, failure: Option<&Error>) {
        let set_name = Key::of(set).name;
        let what = format!("{} Pod {} in StatefulSet {set_name}", verb.word, key.name);
        match failure {
            None => {
                let note = format!("{what} successful");
                self.recorder.normal(set, verb.success, note);
            }
            Some(error) if error.is_expected() || error.is_ending_namespace() => {}
            Some(error) => {
                let note = format!("{what} failed error: {}", error.words());
                self.recorder.warning(set, verb.failure, note);
            }
        }
    }

    fn tell_of_replacement(&self, set: &StatefulSet, pod: &Pod) {
        let (set_key, name) = (Key::of(set), Key::of(pod).name);
        if pod.status.phase.as_deref() == Some("Failed") {
            let note = format!("StatefulSet {set_key} is recreating failed Pod {name}");
            self.recorder.warning(set, "RecreatingFailedPod", note);
        } else {
            let note = format!("StatefulSet {set_key} is recreating terminated Pod {name}");
            self.recorder.normal(set, "RecreatingTerminatedPod", note);
        }
    }

    async fn forget_revisions(&self, view: &View) -> Result<(), Error> {
        let mut live: HashSet<&str> = view
            .pods
            .iter()
            .filter_map(|p| revision::of_pod(p))
            .collect();
        live.extend([view.current.name(), view.update.name()]);
        let limit = view.set.spec.revision_history_limit;
        revision::truncate(&self.cluster, &*view.set, &live, limit).await
    }
}

impl View {
    fn is_available(&self, pod: &Pod) -> bool {
        status::is_available(&self.set, pod, self.now) && !is_ending(pod)
    }
}

fn is_ending(pod: &Pod) -> bool {
    pod.metadata.deletion_timestamp.is_some()
}

/// Ready pods become available by the passing of time alone.
fn next_look(view: &View) -> Next {
    let min_ready = SignedDuration::from_secs(view.set.spec.min_ready_seconds.into());
    let waits = view.pods.iter().filter_map(|pod| {
        let due = pod.ready_since()? + min_ready;
        (due > view.now).then(|| due.duration_since(view.now))
    });
    match waits.min() {
        Some(wait) => Next::After(Duration::try_from(wait).unwrap_or_default()),
        None => Next::WhenChanged,
    }
}
