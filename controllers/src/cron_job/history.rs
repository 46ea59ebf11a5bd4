//! Which finished Jobs of a CronJob have been kept long enough.

use std::sync::Arc;

use crate::object::{CronJobSpec, Job};

/// The oldest of those that succeeded and of those that failed, beyond the
/// CronJob's limits.
pub fn surplus(spec: &CronJobSpec, jobs: &[Arc<Job>]) -> Vec<Arc<Job>> {
    let limits = [
        ("Complete", spec.successful_jobs_history_limit),
        ("Failed", spec.failed_jobs_history_limit),
    ];
    let mut surplus = Vec::new();
    for (end, limit) in limits {
        let Some(limit) = limit.and_then(|limit| usize::try_from(limit).ok()) else {
            continue;
        };
        let ended = jobs.iter().filter(|job| job.condition(end).is_some());
        let mut ended: Vec<_> = ended.cloned().collect();
        ended.sort_by_cached_key(|job| {
            let start = job.status.start_time.as_ref().map(|t| t.0);
            (start, job.metadata.name.clone())
        });
        ended.truncate(ended.len().saturating_sub(limit));
        surplus.extend(ended);
    }
    surplus
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn job(name: &str, end: &str, minute: u32) -> Arc<Job> {
        let conditions = json!([{ "type": end, "status": "True" }]);
        let start = format!("2026-01-01T00:{minute:02}:00Z");
        let status = json!({ "conditions": conditions, "startTime": start });
        let job =
            json!({ "metadata": { "name": name }, "spec": { "template": {} }, "status": status });
        Arc::new(serde_json::from_value(job).unwrap())
    }

    #[test]
    fn the_oldest_go_first_and_failures_have_a_limit_of_their_own() {
        let spec = json!({ "schedule": "", "jobTemplate": {}, "successfulJobsHistoryLimit": 1, "failedJobsHistoryLimit": 0 });
        let jobs = [
            job("new", "Complete", 2),
            job("old", "Complete", 1),
            job("bad", "Failed", 3),
            job("runs", "Suspended", 0),
        ];
        let gone = surplus(&serde_json::from_value(spec).unwrap(), &jobs);
        let names: Vec<_> = gone
            .iter()
            .filter_map(|job| job.metadata.name.as_deref())
            .collect();
        assert_eq!(names, ["old", "bad"]);
    }
}
