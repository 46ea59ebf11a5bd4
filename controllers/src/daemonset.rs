//! DaemonSets: a pod on each node that takes it.

mod backoff;
mod placement;
mod plan;
mod status;

use std::borrow::Cow;
use std::collections::{BTreeMap, BTreeSet, HashSet};
use std::sync::Arc;
use std::time::Duration;

use events::Recorder;
use futures::future::join_all;
use jiff::{SignedDuration, Timestamp};
use serde_json::Value;
use tokio::task::JoinSet;
use tokio_util::sync::CancellationToken;

use crate::cluster::Cluster;
use crate::controller::{self, Controller, Next};
use crate::error::Error;
use crate::hash;
use crate::key::Key;
use crate::object::{ControllerRevision, DaemonSet, Node, Pod};
use crate::queue::Queue;
use crate::revision::{self, History, Revised};
use crate::workload;

use backoff::Backoff;
use placement::{Placement, Verdict};
use plan::{Plan, Why};

const WORKERS: usize = 2;

struct DaemonSets {
    cluster: Cluster,
    recorder: Recorder,
    backoff: Backoff,
}

/// One node of the cluster, or of the past, with the set's pods there.
struct Place {
    node: String,
    verdict: Verdict,
    /// Oldest first; without those that have ended and are going.
    pods: Vec<Arc<Pod>>,
}

/// One set and what it owns, as one reconcile sees them.
struct View {
    set: Arc<DaemonSet>,
    update: Arc<ControllerRevision>,
    places: Vec<Place>,
    /// Nodes where pods failed too lately to try again.
    resting: BTreeSet<String>,
    now: Timestamp,
}

impl Revised for DaemonSet {
    const HASH_LABEL: &'static str = revision::POD_LABEL;

    fn hash(&self, _: &Value, collisions: i32) -> String {
        let collisions = (collisions > 0).then_some(collisions);
        hash::of_template(&self.spec.template, collisions)
    }

    fn collisions(&self) -> i32 {
        let status = self.status.as_ref();
        status.and_then(|s| s.collision_count).unwrap_or(0)
    }
}

pub fn start(cluster: &Cluster, tasks: &mut JoinSet<()>, shutdown: &CancellationToken) {
    let queue = Queue::new();
    controller::notice(&cluster.daemon_sets, &queue);
    workload::notice_pods(cluster, &cluster.daemon_sets, &queue);
    revision::notice::<DaemonSet>(cluster, &queue);
    notice_nodes(cluster, &queue);
    let controller = DaemonSets {
        cluster: cluster.clone(),
        recorder: cluster.events.recorder("daemonset-controller"),
        backoff: Backoff::default(),
    };
    controller::start(tasks, controller, queue, WORKERS, shutdown);
}

/// A node concerns the sets to which it is something else than before. Most of
/// what nodes say of themselves concerns none.
fn notice_nodes(cluster: &Cluster, queue: &Arc<Queue>) {
    let (queue, sets) = (queue.clone(), cluster.daemon_sets.clone());
    cluster.nodes.on_change(move |old, new| {
        let is_same = |old: &Node, new: &Node| {
            old.metadata.labels == new.metadata.labels && old.spec.taints == new.spec.taints
        };
        if let (Some(old), Some(new)) = (old, new)
            && is_same(old, new)
        {
            return;
        }
        for set in sets.all() {
            let placement = Placement::of(&set);
            let verdict = |node: Option<&Node>| node.map(|node| placement.verdict(node));
            if verdict(old) != verdict(new) {
                queue.add(Key::of(&*set));
            }
        }
    });
}

impl Controller for DaemonSets {
    const NAME: &'static str = "daemonset";
    const REST: u32 = 1;

    async fn informed(&self) {
        self.cluster.daemon_sets.synced().await;
        self.cluster.controller_revisions.synced().await;
        self.cluster.nodes.synced().await;
        self.cluster.pods.synced().await;
    }

    async fn reconcile(&self, key: &Key) -> Result<Next, Error> {
        let Some(set) = self.cluster.daemon_sets.get(key) else {
            return Ok(Next::WhenChanged);
        };
        if set.metadata.deletion_timestamp.is_some() {
            return Ok(Next::WhenChanged);
        }
        if selects_everything(&set.spec.selector) {
            let note = "This daemon set is selecting all pods. A non-empty selector is required.";
            self.recorder.warning(&*set, "SelectingAll", note);
            return Ok(Next::WhenChanged);
        }
        workload::claim(&self.cluster, &*set, |_| true).await?;
        let history = revision::history(&self.cluster, &*set).await?;
        let view = self.view(set, &history);
        let acted = self.act(&view, plan::plan(&view)).await;
        // The status tells of what is there now, also after a failure.
        let view = self.view(view.set, &history);
        self.write_status(key, &view, history.collisions).await?;
        acted?;
        self.forget_revisions(&view).await?;
        Ok(self.next_look(&view))
    }
}

impl DaemonSets {
    fn view(&self, set: Arc<DaemonSet>, history: &History) -> View {
        let placement = Placement::of(&set);
        let mut by_node = by_node(workload::pods_of(&self.cluster, &*set));
        let mut places: Vec<Place> = Vec::new();
        for node in self.cluster.nodes.all() {
            let name = node.metadata.name.clone().unwrap_or_default();
            places.push(Place {
                verdict: placement.verdict(&node),
                pods: by_node.remove(&name).unwrap_or_default(),
                node: name,
            });
        }
        places.extend(by_node.into_iter().map(|(node, pods)| Place {
            node,
            verdict: Verdict::NoNode,
            pods,
        }));
        let uid = set.metadata.uid.as_deref().unwrap_or_default();
        let failed = |place: &&Place| place.pods.iter().any(|pod| pod.is_finished());
        let resting = places.iter().filter(failed).map(|place| place.node.clone());
        let resting = resting.filter(|node| self.backoff.rest(uid, node).is_some());
        View {
            resting: resting.collect(),
            set,
            update: history.update.clone(),
            places,
            now: Timestamp::now(),
        }
    }

    async fn act(&self, view: &View, plan: Plan) -> Result<(), Error> {
        let (cluster, recorder, set) = (&self.cluster, &self.recorder, &*view.set);
        let uid = set.metadata.uid.as_deref().unwrap_or_default();
        for (pod, why, node) in &plan.delete {
            if *why == Why::Failed {
                self.backoff.failed(uid, node);
            }
            self.tell_of_end(set, pod, *why, node);
        }
        let deleted = plan.delete.iter();
        let deleted = deleted.map(|(pod, ..)| workload::delete_told(cluster, recorder, set, pod));
        let deleted = join_all(deleted).await;
        let placement = Placement::of(set);
        let pod = |at: usize| Cow::Owned(placement.pod(set, &view.update, &plan.create[at]));
        workload::create_many(cluster, recorder, set, plan.create.len(), pod).await?;
        deleted.into_iter().collect()
    }

    fn tell_of_end(&self, set: &DaemonSet, pod: &Pod, why: Why, node: &str) {
        let pod = Key::of(pod);
        match why {
            Why::Failed => {
                let note =
                    format!("Found failed daemon pod {pod} on node {node}, will try to kill it");
                self.recorder.warning(set, "FailedDaemonPod", note);
            }
            Why::Succeeded => {
                let note = format!(
                    "Found succeeded daemon pod {pod} on node {node}, will try to delete it"
                );
                self.recorder.normal(set, "SucceededDaemonPod", note);
            }
            Why::Surplus => {}
        }
    }

    async fn forget_revisions(&self, view: &View) -> Result<(), Error> {
        let pods = view.places.iter().flat_map(|place| &place.pods);
        let mut live: HashSet<&str> = pods.filter_map(|pod| revision::of_pod(pod)).collect();
        live.insert(view.update.name());
        let limit = view.set.spec.revision_history_limit;
        revision::truncate(&self.cluster, &*view.set, &live, limit).await
    }

    /// Ready pods become available, and failed ones may be replaced, by the
    /// passing of time alone.
    fn next_look(&self, view: &View) -> Next {
        let uid = view.set.metadata.uid.as_deref().unwrap_or_default();
        let min_ready = SignedDuration::from_secs(view.set.spec.min_ready_seconds.into());
        let pods = view.places.iter().flat_map(|place| &place.pods);
        let ready = pods.filter_map(|pod| {
            let due = pod.ready_since()? + min_ready;
            let wait = (due > view.now).then(|| due.duration_since(view.now))?;
            Duration::try_from(wait).ok()
        });
        let rested = view.resting.iter();
        let rested = rested.map(|node| self.backoff.rest(uid, node).unwrap_or_default());
        match ready.chain(rested).min() {
            Some(wait) => Next::After(wait),
            None => Next::WhenChanged,
        }
    }
}

impl View {
    fn hash(&self) -> &str {
        self.update.label(revision::POD_LABEL).unwrap_or_default()
    }

    fn is_updated(&self, pod: &Pod) -> bool {
        revision::of_pod(pod) == Some(self.hash())
    }

    fn is_available(&self, pod: &Pod) -> bool {
        let min_ready = SignedDuration::from_secs(self.set.spec.min_ready_seconds.into());
        pod.is_ready()
            && pod
                .ready_since()
                .is_none_or(|since| since + min_ready <= self.now)
    }
}

fn is_ending(pod: &Pod) -> bool {
    pod.metadata.deletion_timestamp.is_some()
}

fn selects_everything(selector: &Value) -> bool {
    let is_empty = |part: &str| match &selector[part] {
        Value::Object(labels) => labels.is_empty(),
        Value::Array(terms) => terms.is_empty(),
        _ => true,
    };
    is_empty("matchLabels") && is_empty("matchExpressions")
}

/// Where pods are, or are to be. One that has ended and is going stands in
/// nobody's way.
fn by_node(pods: Vec<Arc<Pod>>) -> BTreeMap<String, Vec<Arc<Pod>>> {
    let mut by_node: BTreeMap<String, Vec<Arc<Pod>>> = BTreeMap::new();
    for pod in pods {
        if pod.is_finished() && is_ending(&pod) {
            continue;
        }
        let (at, wanted) = (
            pod.spec.node_name.as_deref(),
            pod.spec.wanted_node.as_deref(),
        );
        if let Some(node) = at.or(wanted) {
            by_node.entry(node.to_owned()).or_default().push(pod);
        }
    }
    for pods in by_node.values_mut() {
        pods.sort_by_cached_key(|pod| {
            let created = pod.metadata.creation_timestamp.as_ref().map(|t| t.0);
            (
                pod.spec.node_name.is_none(),
                created,
                pod.metadata.name.clone(),
            )
        });
    }
    by_node
}
