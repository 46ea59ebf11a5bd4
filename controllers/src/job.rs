//! Jobs: pods that run to their end, as many as asked for.
//!
//! A look at a Job counts ([`counts`]), decides whether it has come to its end
//! ([`outcome`]), deletes or makes pods ([`plan`]), and writes down what has
//! ended so that nothing is counted twice or lost ([`tracking`]). All of these
//! are pure; here is what is done about them.

mod backoff;
mod counts;
mod failure_policy;
#[cfg(test)]
mod fixtures;
mod indexes;
mod orphans;
mod outcome;
mod plan;
mod status;
mod template;
mod tracking;

use std::borrow::Cow;
use std::collections::HashSet;
use std::sync::Arc;
use std::time::Duration;

use events::Recorder;
use futures::future::join_all;
use futures::{StreamExt, TryStreamExt, stream};
use jiff::Timestamp;
use k8s_openapi::api::batch::v1::JobStatus;
use kube::Api;
use kube::api::{Patch, PatchParams};
use serde_json::{Value, json};
use tokio::task::JoinSet;
use tokio_util::sync::CancellationToken;

use crate::cluster::Cluster;
use crate::controller::{self, Controller, Next};
use crate::error::Error;
use crate::key::Key;
use crate::merge_patch;
use crate::object::{Job, Pod, TRACKING, is_tracked};
use crate::queue::Queue;
use crate::workload::{self, Workload};
use counts::Counts;
use outcome::{End, Outcome};
use plan::NewPod;

const WORKERS: usize = 5;
/// Finalizers taken off at the same time.
const RELEASES: usize = 32;

struct Jobs {
    cluster: Cluster,
    recorder: Recorder,
}

pub fn start(cluster: &Cluster, tasks: &mut JoinSet<()>, shutdown: &CancellationToken) {
    let queue = Queue::new();
    controller::notice(&cluster.jobs, &queue);
    workload::notice_pods(cluster, &cluster.jobs, &queue);
    let controller = Jobs {
        cluster: cluster.clone(),
        recorder: cluster.events.recorder("job-controller"),
    };
    controller::start(tasks, controller, queue, WORKERS, shutdown);
    orphans::start(cluster, tasks, shutdown);
}

impl Workload for Job {
    fn selector(&self) -> &Value {
        &self.spec.selector
    }

    fn template(&self) -> &Value {
        &self.spec.template
    }

    const TRACKING: Option<&'static str> = Some(TRACKING);
}

impl Controller for Jobs {
    const NAME: &'static str = "job";
    const REST: u32 = 2;

    async fn informed(&self) {
        self.cluster.jobs.synced().await;
        self.cluster.pods.synced().await;
    }

    async fn reconcile(&self, key: &Key) -> Result<Next, Error> {
        let Some(job) = self.cluster.jobs.get(key) else {
            return Ok(Next::WhenChanged);
        };
        if job.is_managed_elsewhere() || job.is_finished() {
            return Ok(Next::WhenChanged);
        }
        let pods = workload::claim(&self.cluster, &*job, |_| true).await?;
        let now = Timestamp::now();
        let counts = Counts::of(&job, pods);
        let outcome = outcome::decide(&counts, now);
        let acted = self.act(&counts, outcome.as_ref(), now).await;
        // Nobody is told of an end while pods run that could not be deleted.
        let outcome = outcome.filter(|_| acted.is_ok());
        let counts = Counts::of(&job, workload::pods_of(&self.cluster, &*job));
        let is_all = self.record(key, &counts, outcome.as_ref(), now).await?;
        let wait = acted?;
        if !is_all {
            return Ok(Next::After(Duration::ZERO));
        }
        let waits = [
            wait,
            outcome::time_left(&job, now).filter(|_| outcome.is_none()),
        ];
        let soonest = waits.into_iter().flatten().min();
        Ok(soonest.map_or(Next::WhenChanged, Next::After))
    }
}

impl Jobs {
    /// Deletes or makes pods; says how long failures are to be waited out.
    async fn act(
        &self,
        counts: &Counts<'_>,
        outcome: Option<&Outcome>,
        now: Timestamp,
    ) -> Result<Option<Duration>, Error> {
        let job = counts.job;
        if outcome.is_some() {
            self.delete(job, &counts.active).await?;
            return Ok(None);
        }
        if job.metadata.deletion_timestamp.is_some() {
            return Ok(None);
        }
        let plan = plan::plan(counts, now);
        self.delete(job, &plan.delete).await?;
        self.make(job, &plan.make).await?;
        Ok(plan.wait)
    }

    async fn delete(&self, job: &Job, pods: &[Arc<Pod>]) -> Result<(), Error> {
        let delete = |pod| workload::delete_told(&self.cluster, &self.recorder, job, pod);
        let deleted = join_all(pods.iter().map(|pod| delete(pod))).await;
        deleted.into_iter().collect()
    }

    async fn make(&self, job: &Job, new: &[NewPod]) -> Result<(), Error> {
        if new.is_empty() {
            return Ok(());
        }
        let base = template::base(job);
        let pod = |at: usize| Cow::Owned(template::pod(&base, job, &new[at]));
        workload::create_many(&self.cluster, &self.recorder, job, new.len(), pod).await
    }

    /// Writes down what there is now; false if there is more to write.
    async fn record(
        &self,
        key: &Key,
        counts: &Counts<'_>,
        outcome: Option<&Outcome>,
        now: Timestamp,
    ) -> Result<bool, Error> {
        let mut job = Cow::Borrowed(counts.job);
        let mut status = job.status.clone();
        status::describe(counts, &mut status, now);
        let is_running = outcome.is_none() && job.metadata.deletion_timestamp.is_none();
        let turn = is_running.then(|| status::turn(&job, &mut status, now));
        let noted = tracking::note(counts, outcome, &mut status);
        if let Some(outcome) = outcome {
            status::announce(outcome, &mut status, now);
        }
        if !noted.release.is_empty() {
            if let Some(written) = self.write(key, &job, &status).await? {
                job = Cow::Owned(written);
            }
            self.release(noted.release).await?;
        }
        tracking::count_released(&self.tracked(counts.job), &mut status);
        let is_over = noted.is_all
            && tracking::is_settled(&status)
            && counts.active.is_empty()
            && counts.terminating == 0;
        let over = outcome.filter(|_| is_over);
        if let Some(outcome) = over {
            status::finish(outcome, &mut status, now);
        }
        self.write(key, &job, &status).await?;
        if let Some(turn) = turn.flatten() {
            self.recorder
                .normal(counts.job, turn.reason(), turn.message());
        }
        if let Some(outcome) = over {
            self.tell_end(counts.job, outcome, &status);
        }
        Ok(noted.is_all)
    }

    /// The uids of the Job's pods that have the finalizer.
    fn tracked(&self, job: &Job) -> HashSet<String> {
        let pods = workload::pods_of(&self.cluster, job).into_iter();
        let tracked = pods.filter(|pod| is_tracked(&pod.metadata));
        tracked.map(|pod| counts::uid(&pod).to_owned()).collect()
    }

    /// Writes the status if it differs. Nobody else may have written since:
    /// the counts would be of another time.
    async fn write(&self, key: &Key, job: &Job, status: &JobStatus) -> Result<Option<Job>, Error> {
        let difference = merge_patch::between(&json!(job.status), &json!(status));
        if difference.as_object().is_some_and(|d| d.is_empty()) {
            return Ok(None);
        }
        let version = &job.metadata.resource_version;
        let patch = json!({ "metadata": { "resourceVersion": version }, "status": difference });
        let api: Api<Job> = Api::namespaced(self.cluster.client.clone(), &key.namespace);
        let written = api
            .patch_status(&key.name, &PatchParams::default(), &Patch::Merge(patch))
            .await
            .map_err(Error::api("write status of", "Job", key))?;
        self.cluster.jobs.note(written.clone());
        Ok(Some(written))
    }

    async fn release(&self, pods: Vec<Arc<Pod>>) -> Result<(), Error> {
        let release = async |pod: Arc<Pod>| orphans::release(&self.cluster, &pod).await;
        stream::iter(pods)
            .map(release)
            .buffer_unordered(RELEASES)
            .try_collect()
            .await
    }

    fn tell_end(&self, job: &Job, outcome: &Outcome, status: &JobStatus) {
        match outcome.end {
            End::Success => {
                let wanted = job.spec.completions.unwrap_or(i32::MAX);
                if status.succeeded.unwrap_or(0) > wanted {
                    let note = "Too many succeeded pods running after completion count reached";
                    self.recorder.warning(job, "TooManySucceededPods", note);
                }
                self.recorder.normal(job, "Completed", "Job completed");
            }
            End::Failure => {
                let known = REASONS.iter().find(|reason| **reason == outcome.reason);
                let reason = known.unwrap_or(&"Failed");
                self.recorder.warning(job, reason, outcome.message.clone());
            }
        }
    }
}

/// Why Jobs fail.
const REASONS: [&str; 5] = [
    "PodFailurePolicy",
    "BackoffLimitExceeded",
    "DeadlineExceeded",
    "MaxFailedIndexesExceeded",
    "FailedIndexes",
];
