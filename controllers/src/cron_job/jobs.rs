//! The Jobs of a CronJob: made, watched over, replaced and forgotten.

use std::sync::Arc;

use jiff::Timestamp;
use k8s_openapi::api::batch::v1::CronJobStatus;
use k8s_openapi::api::core::v1::ObjectReference;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::Time;
use kube::Api;
use kube::api::{DeleteParams, Preconditions};
use serde_json::{Value, json};

use super::schedule::Schedule;
use super::{CronJobs, history};
use crate::error::Error;
use crate::key::Key;
use crate::object::{CronJob, Job};
use crate::{owner, workload};

const SCHEDULED: &str = "batch.kubernetes.io/cronjob-scheduled-timestamp";

/// The name of the Job of this run.
pub fn name(cron: &CronJob, at: Timestamp) -> String {
    let name = cron.metadata.name.as_deref().unwrap_or_default();
    format!("{name}-{}", at.as_second() / 60)
}

/// The Job of the run at `at`, as the template says.
fn job(cron: &CronJob, schedule: &Schedule, at: Timestamp) -> Value {
    let template = &cron.spec.job_template;
    let mut metadata = json!({
        "name": name(cron, at),
        "ownerReferences": [owner::reference(cron)],
    });
    for part in ["labels", "annotations"] {
        if let Some(value) = template.pointer(&format!("/metadata/{part}")) {
            metadata[part] = value.clone();
        }
    }
    metadata["annotations"][SCHEDULED] = local(schedule, at).into();
    json!({ "apiVersion": "batch/v1", "kind": "Job", "metadata": metadata, "spec": template["spec"] })
}

fn local(schedule: &Schedule, at: Timestamp) -> String {
    let zoned = at.to_zoned(schedule.zone.clone());
    if zoned.offset().is_zero() {
        return at.to_string();
    }
    zoned.strftime("%Y-%m-%dT%H:%M:%S%:z").to_string()
}

fn reference(job: &Job) -> ObjectReference {
    let mut reference = events::reference(job);
    reference.field_path = None;
    reference
}

fn is_active(status: &CronJobStatus, job: &Job) -> bool {
    let active = status.active.as_deref().unwrap_or_default();
    active.iter().any(|a| a.uid == job.metadata.uid)
}

fn drop_active(status: &mut CronJobStatus, uid: Option<&str>) {
    if let Some(active) = &mut status.active {
        active.retain(|a| a.uid.as_deref() != uid);
    }
    status.active.take_if(|active| active.is_empty());
}

impl CronJobs {
    /// Takes what has become of the Jobs into the status.
    pub(super) async fn follow(
        &self,
        cron: &CronJob,
        jobs: &[Arc<Job>],
        status: &mut CronJobStatus,
    ) -> Result<(), Error> {
        for job in jobs {
            self.follow_one(cron, job, status);
        }
        let active = status.active.clone().unwrap_or_default();
        for gone in active {
            let is_there = jobs.iter().any(|job| job.metadata.uid == gone.uid);
            let name = gone.name.as_deref().unwrap_or_default();
            if !is_there
                && self
                    .find(cron, name)
                    .await?
                    .is_none_or(|job| job.metadata.uid != gone.uid)
            {
                let note = format!("Active job went missing: {name}");
                self.recorder.normal(cron, "MissingJob", note);
                drop_active(status, gone.uid.as_deref());
            }
        }
        Ok(())
    }

    fn follow_one(&self, cron: &CronJob, job: &Job, status: &mut CronJobStatus) {
        let name = job.metadata.name.as_deref().unwrap_or_default();
        match (is_active(status, job), job.end()) {
            (false, None) => {
                let note =
                    format!("Saw a job that the controller did not create or forgot: {name}");
                self.recorder.warning(cron, "UnexpectedJob", note);
            }
            (true, Some(end)) => {
                let note = format!("Saw completed job: {name}, condition: {}", end.type_);
                self.recorder.normal(cron, "SawCompletedJob", note);
                drop_active(status, job.metadata.uid.as_deref());
            }
            _ => {}
        }
        let ended = job.status.completion_time.as_ref();
        let ended = ended.filter(|_| job.condition("Complete").is_some());
        let known = status.last_successful_time.as_ref().map(|t| t.0);
        if let Some(ended) = ended.filter(|ended| known.is_none_or(|known| ended.0 > known)) {
            status.last_successful_time = Some(ended.clone());
        }
    }

    /// Asks for the Job: the informer may not have it yet.
    async fn find(&self, cron: &CronJob, name: &str) -> Result<Option<Job>, Error> {
        let key = Key::new(cron.metadata.namespace.as_deref().unwrap_or_default(), name);
        let api: Api<Job> = Api::namespaced(self.cluster.client.clone(), &key.namespace);
        let found = api.get_opt(name).await;
        found.map_err(Error::api("get", "Job", &key))
    }

    /// Deletes the Jobs that still run, to make room for the next.
    pub(super) async fn replace(
        &self,
        cron: &CronJob,
        status: &mut CronJobStatus,
    ) -> Result<(), Error> {
        for active in status.active.clone().unwrap_or_default() {
            let name = active.name.as_deref().unwrap_or_default();
            self.delete(cron, name, active.uid.as_deref()).await?;
            drop_active(status, active.uid.as_deref());
        }
        Ok(())
    }

    /// Deletes finished Jobs beyond the limits.
    pub(super) async fn forget(
        &self,
        cron: &CronJob,
        jobs: &[Arc<Job>],
        status: &mut CronJobStatus,
    ) -> Result<(), Error> {
        for job in history::surplus(&cron.spec, jobs) {
            if job.metadata.deletion_timestamp.is_none() {
                let name = job.metadata.name.as_deref().unwrap_or_default();
                self.delete(cron, name, job.metadata.uid.as_deref()).await?;
            }
            drop_active(status, job.metadata.uid.as_deref());
        }
        Ok(())
    }

    async fn delete(&self, cron: &CronJob, name: &str, uid: Option<&str>) -> Result<(), Error> {
        let key = Key::new(cron.metadata.namespace.as_deref().unwrap_or_default(), name);
        let api: Api<Job> = Api::namespaced(self.cluster.client.clone(), &key.namespace);
        let params = DeleteParams::background().preconditions(Preconditions {
            uid: uid.map(str::to_owned),
            resource_version: None,
        });
        match api.delete(name, &params).await {
            Ok(answer) => {
                match answer.left() {
                    Some(deleting) => self.cluster.jobs.note(deleting),
                    None => self.cluster.jobs.forget(&key),
                }
                let note = format!("Deleted job {name}");
                self.recorder.normal(cron, "SuccessfulDelete", note);
                Ok(())
            }
            Err(kube::Error::Api(status)) if status.code == 404 => Ok(()),
            Err(source) => {
                let note = format!("Deleted job: {}", workload::words(&source));
                self.recorder.warning(cron, "FailedDelete", note);
                Err(Error::api("delete", "Job", &key)(source))
            }
        }
    }

    pub(super) async fn make(
        &self,
        cron: &CronJob,
        status: &mut CronJobStatus,
        schedule: &Schedule,
        at: Timestamp,
    ) -> Result<(), Error> {
        let namespace = cron.metadata.namespace.as_deref().unwrap_or_default();
        let key = Key::new(namespace, &name(cron, at));
        let path = format!("/apis/batch/v1/namespaces/{namespace}/jobs");
        let made = workload::post(&self.cluster.client, path, &job(cron, schedule, at)).await;
        let made: Job = match made {
            Ok(made) => made,
            Err(error) if workload::is_ending_namespace(&error) => return Ok(()),
            // Made before, by us, without getting so far as to write it down?
            Err(kube::Error::Api(refusal)) if refusal.reason == "AlreadyExists" => {
                let found = self.find(cron, &key.name).await?;
                let Some(ours) = found.filter(|job| is_of(job, cron)) else {
                    let refused = kube::Error::Api(refusal);
                    return Err(Error::api("create", "Job", &key)(refused));
                };
                ours
            }
            Err(source) => {
                let note = format!("Error creating job: {}", workload::words(&source));
                self.recorder.warning(cron, "FailedCreate", note);
                return Err(Error::api("create", "Job", &key)(source));
            }
        };
        let note = format!("Created job {}", key.name);
        self.recorder.normal(cron, "SuccessfulCreate", note);
        status
            .active
            .get_or_insert_with(Vec::new)
            .push(reference(&made));
        status.last_schedule_time = Some(Time(at));
        self.cluster.jobs.note(made);
        Ok(())
    }
}

fn is_of(job: &Job, cron: &CronJob) -> bool {
    let owner = owner::controller(&job.metadata);
    owner.is_some_and(|owner| Some(&owner.uid) == cron.metadata.uid.as_ref())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn job_is_named_after_its_minute_and_knows_its_time_in_its_zone() {
        let template =
            json!({ "metadata": { "labels": { "a": "b" } }, "spec": { "completions": 2 } });
        let spec =
            json!({ "schedule": "* * * * *", "timeZone": "Asia/Kolkata", "jobTemplate": template });
        let cron = json!({ "metadata": { "name": "cj", "uid": "u" }, "spec": spec });
        let cron: CronJob = serde_json::from_value(cron).unwrap();
        let schedule = Schedule::of(&cron.spec).unwrap();
        let made = job(&cron, &schedule, "2026-11-23T03:23:00Z".parse().unwrap());
        assert_eq!(made["metadata"]["name"], "cj-29923403");
        assert_eq!(made["metadata"]["labels"], json!({ "a": "b" }));
        assert_eq!(
            made["metadata"]["annotations"][SCHEDULED],
            "2026-11-23T08:53:00+05:30"
        );
        assert_eq!(made["metadata"]["ownerReferences"][0]["kind"], "CronJob");
        assert_eq!(made["spec"], json!({ "completions": 2 }));
    }
}
