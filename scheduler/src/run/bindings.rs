//! Pods on their way to their node: first their volumes, then the binding.

use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;

use tokio::task::JoinError;
use tokio::time::Instant;
use traces::{Kind, Parent, Span};

use super::Scheduler;
use crate::Error;
use crate::bind::{self, Writes};
use crate::cache::{Candidate, NodeIndex};
use crate::evict::Victim;
use crate::happened::Happened;
use crate::metrics::{self, Outcome};
use crate::plugins::volume_binding;
use crate::queue::Wait;
use crate::storage::{Plan, Storage};

/// How long volumes may take, as Kubernetes' `bindTimeoutSeconds` has it.
const LONGEST_WAIT: Duration = Duration::from_secs(600);

/// A request has ended.
pub(super) enum Done {
    Bound {
        pod: Candidate,
        node: Arc<str>,
        /// None: it is no longer waited for.
        wait: Option<Wait>,
        result: Result<(), Error>,
    },
    /// What the pod's volumes need was written.
    VolumesAsked {
        pod: Candidate,
        result: Result<(), Error>,
    },
    Evicted {
        victim: Victim,
        result: Result<(), Error>,
    },
    Nominated(Result<(), Error>),
}

/// Pods whose volumes are on their way.
#[derive(Default)]
pub(super) struct Volumes(HashMap<Arc<str>, Waiting>);

struct Waiting {
    pod: Candidate,
    node: Arc<str>,
    plan: Plan,
    /// Since when the volumes may come; before that, they are being asked for.
    asked: Option<Instant>,
}

impl Volumes {
    pub fn remove(&mut self, key: &str) -> Option<Plan> {
        self.0.remove(key).map(|waiting| waiting.plan)
    }

    pub fn next_deadline(&self) -> Option<Instant> {
        let asked = self.0.values().filter_map(|waiting| waiting.asked);
        asked.min().map(|at| at + LONGEST_WAIT)
    }

    /// Those that something has become of: their volumes are there, or will
    /// not be.
    fn settled(&self, storage: &Storage) -> Vec<(Arc<str>, bool)> {
        let settled = self.0.iter().filter_map(|(key, waiting)| {
            waiting.asked?;
            let is_bound = volume_binding::are_bound(storage, &waiting.pod);
            let is_settled = is_bound || waiting.is_refused(storage);
            is_settled.then(|| (key.clone(), is_bound))
        });
        settled.collect()
    }
}

impl Waiting {
    /// A provisioner that cannot serve the node takes the node off the claim.
    fn is_refused(&self, storage: &Storage) -> bool {
        self.plan.provision.iter().any(|key| {
            let claim = storage.claims.get(key);
            claim.is_none_or(|claim| !claim.is_bound && claim.was_unselected)
        })
    }
}

impl Scheduler {
    pub(super) fn assume_and_bind(&mut self, pod: &Candidate, index: NodeIndex, plan: Plan) {
        let node = self.cluster.cache.node(index).name.clone();
        self.cluster.cache.assume(pod, index);
        self.nominations.remove(&pod.key);
        self.queue
            .wake(&Happened::PodPlaced(&pod.template), Instant::now());
        if volume_binding::are_bound(&self.cluster.storage, pod) {
            return self.bind(pod.clone(), node);
        }
        let writes = Writes::of(&plan, &self.cluster.storage, &node);
        self.cluster.storage.promise(&plan, &node);
        let waiting = Waiting {
            pod: pod.clone(),
            node,
            plan,
            asked: None,
        };
        self.volumes.0.insert(pod.key.clone(), waiting);
        let (client, pod) = (self.client.clone(), pod.clone());
        self.tasks.spawn(async move {
            let result = writes.run(&client).await;
            Done::VolumesAsked { pod, result }
        });
    }

    fn bind(&mut self, pod: Candidate, node: Arc<str>) {
        let client = self.client.clone();
        let wait = self.queue.wait_of(&pod.key);
        let span = placing(&pod, &node, wait);
        self.tasks.spawn(async move {
            let binding = bind::bind(&client, &pod, &node);
            let result = traces::within(span.as_ref(), binding).await;
            if let (Some(span), Err(error)) = (&span, &result) {
                span.fail(chain(error));
            }
            Done::Bound {
                pod,
                node,
                wait,
                result,
            }
        });
    }

    pub(super) fn on_done(&mut self, done: Result<Done, JoinError>) {
        match done {
            Ok(Done::Bound {
                pod,
                node,
                wait,
                result,
            }) => {
                if let (Ok(()), Some(wait)) = (&result, wait) {
                    self.metrics.scheduled(pod.scheduler(), wait);
                }
                self.on_bound(&pod, &node, result);
            }
            Ok(Done::VolumesAsked { pod, result }) => self.on_volumes_asked(&pod, result),
            Ok(Done::Evicted { victim, result }) => self.on_evicted(&victim, result),
            Ok(Done::Nominated(Err(error))) => {
                tracing::debug!(error = &error as &dyn std::error::Error, "not nominated");
            }
            Ok(Done::Nominated(Ok(()))) | Err(_) => {}
        }
    }

    fn on_bound(&mut self, pod: &Candidate, node: &str, result: Result<(), Error>) {
        match result {
            Ok(()) => {
                self.queue.done(pod);
                self.reports.scheduled(pod, node);
            }
            Err(error) => {
                if !is_gone(&error) {
                    tracing::warn!(error = &error as &dyn std::error::Error, "binding failed");
                }
                self.take_back(pod);
            }
        }
    }

    fn on_volumes_asked(&mut self, pod: &Candidate, result: Result<(), Error>) {
        let waiting = self.volumes.0.get_mut(&pod.key);
        // Another pod of this name may wait by now.
        let Some(waiting) = waiting.filter(|waiting| waiting.pod.uid == pod.uid) else {
            return;
        };
        match result {
            Ok(()) => {
                waiting.asked = Some(Instant::now());
                self.check_volumes();
            }
            Err(error) => self.fail_volumes(&pod.key, &chain(&error)),
        }
    }

    /// Binds the pods whose volumes have come.
    pub(super) fn check_volumes(&mut self) {
        for (key, is_bound) in self.volumes.settled(&self.cluster.storage) {
            if !is_bound {
                self.fail_volumes(&key, "provisioning failed: the claim's node was taken back");
            } else if let Some(waiting) = self.volumes.0.remove(&key) {
                self.cluster.storage.take_back(&waiting.plan);
                self.bind(waiting.pod, waiting.node);
            }
        }
    }

    pub(super) fn give_up_on_volumes(&mut self, now: Instant) {
        let waiting = self.volumes.0.iter();
        let late = waiting.filter(|(_, w)| w.asked.is_some_and(|at| at + LONGEST_WAIT <= now));
        let late: Vec<Arc<str>> = late.map(|(key, _)| key.clone()).collect();
        for key in late {
            self.fail_volumes(&key, "context deadline exceeded");
        }
    }

    fn fail_volumes(&mut self, key: &str, why: &str) {
        let Some(waiting) = self.volumes.0.remove(key) else {
            return;
        };
        self.cluster.storage.take_back(&waiting.plan);
        let message = format!("running PreBind plugin \"VolumeBinding\": binding volumes: {why}");
        self.reports.failed(&waiting.pod, &message);
        self.take_back(&waiting.pod);
    }

    /// The pod did not get there: what it was given is free again.
    fn take_back(&mut self, pod: &Candidate) {
        let now = Instant::now();
        let wait = self.queue.wait_of(&pod.key);
        metrics::attempted(pod.scheduler(), Outcome::Error, wait);
        self.queue.retry(pod, now);
        if self.cluster.cache.forget(pod).is_some() {
            self.queue.wake(&Happened::PodLeft(&pod.template), now);
        }
    }
}

/// A pod's way from the queue to its node, if its making was traced.
fn placing(pod: &Candidate, node: &str, wait: Option<Wait>) -> Option<Span> {
    let parent = Parent::Annotated(pod.trace.as_deref());
    let ago = wait.map(|wait| wait.added.elapsed()).unwrap_or_default();
    let span = Span::since(ago, "schedule pod", Kind::Internal, parent)?;
    let (namespace, name) = pod.key.split_once('/').unwrap_or_default();
    span.set("k8s.namespace.name", namespace.to_owned());
    span.set("k8s.pod.name", name.to_owned());
    span.set("k8s.pod.uid", pod.uid.to_string());
    span.set("k8s.node.name", node.to_owned());
    if let Some(wait) = wait {
        span.set("attempts", i64::from(wait.attempts));
    }
    Some(span)
}

fn chain(error: &dyn std::error::Error) -> String {
    let causes = std::iter::successors(Some(error), |error| error.source());
    causes
        .map(ToString::to_string)
        .collect::<Vec<_>>()
        .join(": ")
}

/// The pod was deleted, or bound by somebody else, while we decided.
fn is_gone(error: &Error) -> bool {
    matches!(error, Error::Bind { source: kube::Error::Api(status), .. } if status.code == 404 || status.code == 409)
}
