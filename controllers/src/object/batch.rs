//! Jobs and CronJobs.

use k8s_openapi::api::batch::v1 as batch;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::ObjectMeta;
use objects::served_as;
use serde::Deserialize;
use serde_json::Value;

/// Who runs a Job that names nobody else.
const OURSELVES: &str = "kubernetes.io/job-controller";
const BACKOFF_LIMIT: i32 = 6;

#[derive(Debug, Clone, Default, Deserialize)]
pub struct Job {
    pub metadata: ObjectMeta,
    pub spec: JobSpec,
    #[serde(default)]
    pub status: batch::JobStatus,
}

#[derive(Debug, Clone, Default, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct JobSpec {
    pub parallelism: Option<i32>,
    pub completions: Option<i32>,
    pub completion_mode: Option<String>,
    pub backoff_limit: Option<i32>,
    pub backoff_limit_per_index: Option<i32>,
    pub max_failed_indexes: Option<i32>,
    pub pod_failure_policy: Option<batch::PodFailurePolicy>,
    pub success_policy: Option<batch::SuccessPolicy>,
    #[serde(default)]
    pub suspend: bool,
    pub active_deadline_seconds: Option<i64>,
    pub ttl_seconds_after_finished: Option<i32>,
    pub pod_replacement_policy: Option<String>,
    pub managed_by: Option<String>,
    #[serde(default)]
    pub selector: Value,
    pub template: Value,
}

#[derive(Debug, Clone, Default, Deserialize)]
pub struct CronJob {
    pub metadata: ObjectMeta,
    pub spec: CronJobSpec,
    #[serde(default)]
    pub status: batch::CronJobStatus,
}

#[derive(Debug, Clone, Default, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct CronJobSpec {
    pub schedule: String,
    pub time_zone: Option<String>,
    pub concurrency_policy: Option<String>,
    #[serde(default)]
    pub suspend: bool,
    pub starting_deadline_seconds: Option<i64>,
    pub successful_jobs_history_limit: Option<i32>,
    pub failed_jobs_history_limit: Option<i32>,
    pub job_template: Value,
}

impl Job {
    pub fn is_indexed(&self) -> bool {
        self.spec.completion_mode.as_deref() == Some("Indexed")
    }

    /// Somebody else is to run it.
    pub fn is_managed_elsewhere(&self) -> bool {
        let manager = self.spec.managed_by.as_deref();
        manager.is_some_and(|manager| manager != OURSELVES)
    }

    /// A pod is replaced when it has ended, and not as soon as it is ending.
    pub fn replaces_only_failed(&self) -> bool {
        self.spec.pod_replacement_policy.as_deref() == Some("Failed")
    }

    pub fn parallelism(&self) -> usize {
        usize::try_from(self.spec.parallelism.unwrap_or(1)).unwrap_or(0)
    }

    pub fn backoff_limit(&self) -> i32 {
        self.spec.backoff_limit.unwrap_or(BACKOFF_LIMIT)
    }

    /// The indexes of an indexed Job are below this.
    pub fn indexes(&self) -> u32 {
        u32::try_from(self.spec.completions.unwrap_or(0)).unwrap_or(0)
    }

    /// The condition of this type, if it holds.
    pub fn condition(&self, type_: &str) -> Option<&batch::JobCondition> {
        let conditions = self.status.conditions.as_deref().unwrap_or_default();
        conditions
            .iter()
            .find(|c| c.type_ == type_ && c.status == "True")
    }

    /// How it ended: its condition `Complete` or `Failed`.
    pub fn end(&self) -> Option<&batch::JobCondition> {
        self.condition("Complete")
            .or_else(|| self.condition("Failed"))
    }

    pub fn is_finished(&self) -> bool {
        self.end().is_some()
    }
}

served_as!(Job, batch::Job, NamespaceResourceScope);
served_as!(CronJob, batch::CronJob, NamespaceResourceScope);
