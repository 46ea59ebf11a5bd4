//! Jobs with `ttlSecondsAfterFinished`, deleted when that has passed.

use std::time::Duration;

use jiff::{SignedDuration, Timestamp};
use kube::Api;
use kube::api::{DeleteParams, Preconditions};
use tokio::task::JoinSet;
use tokio_util::sync::CancellationToken;

use crate::cluster::Cluster;
use crate::controller::{self, Controller, Next};
use crate::error::Error;
use crate::key::Key;
use crate::object::Job;
use crate::queue::Queue;

const WORKERS: usize = 2;

struct TtlAfterFinished {
    cluster: Cluster,
}

pub fn start(cluster: &Cluster, tasks: &mut JoinSet<()>, shutdown: &CancellationToken) {
    let queue = Queue::new();
    let jobs = queue.clone();
    cluster.jobs.on_change(move |_, new| {
        if let Some(job) = new.filter(|job| expiry(job).is_some()) {
            jobs.add(Key::of(job));
        }
    });
    let controller = TtlAfterFinished {
        cluster: cluster.clone(),
    };
    controller::start(tasks, controller, queue, WORKERS, shutdown);
}

/// When the Job is to go, if it is over and is to go at all.
fn expiry(job: &Job) -> Option<Timestamp> {
    let ttl = job.spec.ttl_seconds_after_finished?;
    if job.metadata.deletion_timestamp.is_some() {
        return None;
    }
    let end = job.end()?.last_transition_time.as_ref()?.0;
    end.checked_add(SignedDuration::from_secs(ttl.into())).ok()
}

impl Controller for TtlAfterFinished {
    const NAME: &'static str = "ttl-after-finished";

    async fn informed(&self) {
        self.cluster.jobs.synced().await;
    }

    async fn reconcile(&self, key: &Key) -> Result<Next, Error> {
        let job = self.cluster.jobs.get(key);
        let Some((job, expiry)) = job.and_then(|job| Some((job.clone(), expiry(&job)?))) else {
            return Ok(Next::WhenChanged);
        };
        let left = expiry.duration_since(Timestamp::now());
        if left.is_positive() {
            return Ok(Next::After(Duration::try_from(left).unwrap_or_default()));
        }
        // Of a Job whose time was just made longer we may not know yet.
        let params = DeleteParams::foreground().preconditions(Preconditions {
            uid: job.metadata.uid.clone(),
            resource_version: job.metadata.resource_version.clone(),
        });
        let api: Api<Job> = Api::namespaced(self.cluster.client.clone(), &key.namespace);
        match api.delete(&key.name, &params).await {
            Ok(answer) => {
                if let Some(deleting) = answer.left() {
                    self.cluster.jobs.note(deleting);
                }
                Ok(Next::WhenChanged)
            }
            Err(source) => Err(Error::api("delete", "Job", key)(source)),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::{Value, json};

    fn job(ttl: Value, conditions: Value) -> Job {
        let spec = json!({ "template": {}, "ttlSecondsAfterFinished": ttl });
        let status = json!({ "conditions": conditions });
        serde_json::from_value(json!({ "metadata": {}, "spec": spec, "status": status })).unwrap()
    }

    #[test]
    fn only_a_job_that_is_over_expires_and_only_if_it_says_so() {
        let at = "2026-01-01T00:00:00Z";
        let over = json!([{ "type": "Failed", "status": "True", "lastTransitionTime": at }]);
        let expiry = |ttl, conditions| expiry(&job(ttl, conditions)).map(|t| t.to_string());
        assert_eq!(
            expiry(json!(60), over.clone()).as_deref(),
            Some("2026-01-01T00:01:00Z")
        );
        assert_eq!(expiry(json!(60), json!([])), None);
        assert_eq!(expiry(Value::Null, over), None);
    }
}
