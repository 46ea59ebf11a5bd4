//! CronJobs: a Job for each time of a schedule.
//!
//! A run's Job is named after its time, so a run cannot be made twice. What
//! was made and what still runs stands in the status.

mod due;
mod history;
mod jobs;
mod schedule;

use events::Recorder;
use jiff::Timestamp;
use k8s_openapi::api::batch::v1::CronJobStatus;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::Time;
use kube::Api;
use kube::api::{Patch, PatchParams};
use serde_json::json;
use tokio::task::JoinSet;
use tokio_util::sync::CancellationToken;

use crate::cluster::Cluster;
use crate::controller::{self, Controller, Next};
use crate::error::Error;
use crate::key::Key;
use crate::merge_patch;
use crate::object::CronJob;
use crate::owner;
use crate::queue::Queue;
use due::Missed;
use schedule::{Schedule, Unusable};

const WORKERS: usize = 5;
const TOO_MANY: &str = "too many missed start times. Set or decrease .spec.startingDeadlineSeconds or check clock skew";
const STILL_RUNS: &str =
    "Not starting job because prior execution is running and concurrency policy is Forbid";

struct CronJobs {
    cluster: Cluster,
    recorder: Recorder,
}

pub fn start(cluster: &Cluster, tasks: &mut JoinSet<()>, shutdown: &CancellationToken) {
    let queue = Queue::new();
    controller::notice(&cluster.cron_jobs, &queue);
    let of_jobs = queue.clone();
    cluster.jobs.on_change(move |old, new| {
        for job in [old, new].into_iter().flatten() {
            let owner = owner::controller(&job.metadata).filter(|o| o.kind == "CronJob");
            if let Some(owner) = owner {
                let namespace = job.metadata.namespace.as_deref().unwrap_or_default();
                of_jobs.add(Key::new(namespace, &owner.name));
            }
        }
    });
    let controller = CronJobs {
        cluster: cluster.clone(),
        recorder: cluster.events.recorder("cronjob-controller"),
    };
    controller::start(tasks, controller, queue, WORKERS, shutdown);
}

impl Controller for CronJobs {
    const NAME: &'static str = "cronjob";

    async fn informed(&self) {
        self.cluster.cron_jobs.synced().await;
        self.cluster.jobs.synced().await;
    }

    async fn reconcile(&self, key: &Key) -> Result<Next, Error> {
        let Some(cron) = self.cluster.cron_jobs.get(key) else {
            return Ok(Next::WhenChanged);
        };
        let mut status = cron.status.clone();
        let jobs = self
            .cluster
            .jobs
            .owned_by(cron.metadata.uid.as_deref().unwrap_or_default());
        self.follow(&cron, &jobs, &mut status).await?;
        let run = self.run(&cron, &mut status).await;
        let forgotten = self.forget(&cron, &jobs, &mut status).await;
        self.write(key, &cron, &status).await?;
        forgotten?;
        run
    }
}

impl CronJobs {
    /// Makes the Job that is due, if one is; says when the next will be.
    async fn run(&self, cron: &CronJob, status: &mut CronJobStatus) -> Result<Next, Error> {
        if cron.metadata.deletion_timestamp.is_some() || cron.spec.suspend {
            return Ok(Next::WhenChanged);
        }
        let schedule = match Schedule::of(&cron.spec) {
            Ok(schedule) => schedule,
            Err(why) => {
                self.tell_unusable(cron, &why);
                return Ok(Next::WhenChanged);
            }
        };
        let now = Timestamp::now();
        let due = due::due(cron, &schedule, now);
        if let Some(at) = due.at {
            if due.missed == Missed::Many {
                self.recorder.warning(cron, "TooManyMissedTimes", TOO_MANY);
            }
            self.run_at(cron, status, &schedule, at, now).await?;
        }
        // What was just made counts as the last.
        let mut cron = cron.clone();
        cron.status = status.clone();
        let wait = due::wait(&cron, &schedule, now);
        Ok(wait.map_or(Next::WhenChanged, Next::After))
    }

    async fn run_at(
        &self,
        cron: &CronJob,
        status: &mut CronJobStatus,
        schedule: &Schedule,
        at: Timestamp,
        now: Timestamp,
    ) -> Result<(), Error> {
        let deadline = cron.spec.starting_deadline_seconds;
        if deadline
            .is_some_and(|deadline| at.as_second().saturating_add(deadline) < now.as_second())
        {
            let note = format!("Missed scheduled time to start a job: {}", rfc1123(at));
            self.recorder.warning(cron, "MissSchedule", note);
            return Ok(());
        }
        let name = jobs::name(cron, at);
        let active = status.active.as_deref().unwrap_or_default();
        let is_made = active.iter().any(|job| job.name.as_ref() == Some(&name));
        if is_made || status.last_schedule_time == Some(Time(at)) {
            return Ok(());
        }
        match cron.spec.concurrency_policy.as_deref() {
            Some("Forbid") if !active.is_empty() => {
                self.recorder.normal(cron, "JobAlreadyActive", STILL_RUNS);
                return Ok(());
            }
            Some("Replace") => self.replace(cron, status).await?,
            _ => {}
        }
        self.make(cron, status, schedule, at).await
    }

    fn tell_unusable(&self, cron: &CronJob, why: &Unusable) {
        match why {
            Unusable::Zone(why) => {
                let zone = cron.spec.time_zone.as_deref().unwrap_or_default();
                let note = format!("invalid timeZone: {zone:?}: {why}");
                self.recorder.warning(cron, "UnknownTimeZone", note);
            }
            Unusable::Schedule(why) => {
                let note = format!("unparseable schedule: {:?} : {why}", cron.spec.schedule);
                self.recorder.warning(cron, "UnparseableSchedule", note);
            }
        }
    }

    async fn write(&self, key: &Key, cron: &CronJob, status: &CronJobStatus) -> Result<(), Error> {
        let difference = merge_patch::between(&json!(cron.status), &json!(status));
        if difference.as_object().is_some_and(|d| d.is_empty()) {
            return Ok(());
        }
        // Not "if unchanged": only we write this, and what was made must be written down.
        let uid = &cron.metadata.uid;
        let patch = json!({ "metadata": { "uid": uid }, "status": difference });
        let api: Api<CronJob> = Api::namespaced(self.cluster.client.clone(), &key.namespace);
        let written = api
            .patch_status(&key.name, &PatchParams::default(), &Patch::Merge(patch))
            .await
            .map_err(Error::api("write status of", "CronJob", key))?;
        self.cluster.cron_jobs.note(written);
        Ok(())
    }
}

fn rfc1123(at: Timestamp) -> String {
    at.strftime("%a, %d %b %Y %H:%M:%S +0000").to_string()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn missed_time_is_told_as_go_writes_it() {
        let at = "2026-01-02T03:04:05Z".parse().unwrap();
        assert_eq!(rfc1123(at), "Fri, 02 Jan 2026 03:04:05 +0000");
    }
}
