//! CronJobs, and Jobs that go when they are done.
//!
//! Nobody waits for the clock here: a CronJob is told that it last ran hours
//! ago, so that a run is due at once.

use std::time::Duration;

use jiff::{SignedDuration, Timestamp};
use serde_json::{Value, json};

use crate::jobs::{JOBS, condition, name, template};
use crate::world::World;

const CRON_JOBS: &str = "/apis/batch/v1/namespaces/t/cronjobs";
const CRON_JOB: &str = "/apis/batch/v1/namespaces/t/cronjobs/cj";
const STATUS: &str = "/apis/batch/v1/namespaces/t/cronjobs/cj/status";

fn hourly(more: Value) -> Value {
    let mut spec = json!({ "schedule": "0 * * * *", "suspend": true,
        "jobTemplate": { "metadata": { "labels": { "from": "cron" } }, "spec": { "template": template("Never") } } });
    for (key, value) in more.as_object().unwrap() {
        spec[key] = value.clone();
    }
    json!({ "metadata": { "name": "cj" }, "spec": spec })
}

fn hours_ago(hours: i64) -> Timestamp {
    Timestamp::from_second(Timestamp::now().as_second()).unwrap()
        - SignedDuration::from_hours(hours)
}

impl World {
    /// A suspended CronJob that ran last so many hours ago.
    async fn make_cron_job(&self, more: Value, hours: i64) -> Value {
        let made = self.create(CRON_JOBS, hourly(more)).await;
        let last = json!({ "status": { "lastScheduleTime": hours_ago(hours) } });
        self.patch(STATUS, last).await;
        made
    }

    async fn resume(&self) {
        self.patch(CRON_JOB, json!({ "spec": { "suspend": false } }))
            .await;
    }

    /// A Job of an earlier run, which still runs.
    async fn make_earlier_run(&self, cron: &Value) {
        let uid = &cron["metadata"]["uid"];
        let owner = json!({ "apiVersion": "batch/v1", "kind": "CronJob", "name": "cj", "uid": uid, "controller": true });
        let job = self
            .create(
                JOBS,
                json!({ "metadata": { "name": "earlier", "ownerReferences": [owner] },
                "spec": { "template": template("Never") } }),
            )
            .await;
        let active = json!([{ "apiVersion": "batch/v1", "kind": "Job", "namespace": "t", "name": "earlier",
            "uid": job["metadata"]["uid"] }]);
        self.patch(STATUS, json!({ "status": { "active": active } }))
            .await;
    }

    async fn until_active(&self, count: usize) -> Value {
        self.until(&format!("{count} active jobs"), async || {
            let cron = self.find(CRON_JOB).await?;
            let active = cron["status"]["active"].as_array().map_or(0, Vec::len);
            (active == count).then_some(cron)
        })
        .await
    }

    async fn until_jobs(&self, wanted: impl Fn(&[Value]) -> bool) -> Vec<Value> {
        self.until("the jobs", async || {
            let jobs = self.list(JOBS).await;
            wanted(&jobs).then_some(jobs)
        })
        .await
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn sig_apps_cronjob_should_support_cronjob_api_operations() {
    let world = World::start().await;
    world.is_discovered("batch", "v1", "cronjobs").await;
    let make = |_: &str| hourly(json!({}));
    world.are_operated("batch/v1", "cronjobs", make).await;

    world.create(CRON_JOBS, hourly(json!({}))).await;
    let first = hours_ago(2).to_string();
    let update = |cron: &mut Value| cron["status"]["lastScheduleTime"] = json!(first);
    let updated = world.update(STATUS, update).await;
    assert_eq!(updated["status"]["lastScheduleTime"], first);
    let second = hours_ago(1).to_string();
    let patch = json!({ "status": { "lastScheduleTime": second } });
    world.patch(STATUS, patch).await;
    let read = world.find(STATUS).await.unwrap();
    assert_eq!(read["status"]["lastScheduleTime"], second);
    world.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn cron_job_makes_the_job_of_its_last_missed_run_and_follows_it() {
    let world = World::start().await;
    world.make_cron_job(json!({}), 3).await;
    world.resume().await;
    let cron = world.until_active(1).await;
    let jobs = world.list(JOBS).await;
    assert_eq!(jobs.len(), 1);
    let run: Timestamp = cron["status"]["lastScheduleTime"]
        .as_str()
        .unwrap()
        .parse()
        .unwrap();
    assert!(run.as_second() % 3600 == 0 && run > hours_ago(1), "{run}");
    assert_eq!(name(&jobs[0]), format!("cj-{}", run.as_second() / 60));
    let metadata = &jobs[0]["metadata"];
    assert_eq!(metadata["labels"]["from"], "cron");
    let at = &metadata["annotations"]["batch.kubernetes.io/cronjob-scheduled-timestamp"];
    assert_eq!(at.as_str().unwrap().parse::<Timestamp>().unwrap(), run);
    assert_eq!(metadata["ownerReferences"][0]["kind"], "CronJob");
    let active = &cron["status"]["active"][0];
    assert_eq!(
        (&active["name"], &active["uid"]),
        (&metadata["name"], &metadata["uid"])
    );
    for pod in world.until_running(1).await {
        world.end(&pod, 0).await;
    }
    let cron = world.until_active(0).await;
    assert!(cron["status"]["lastSuccessfulTime"].is_string());
    let told = world.until_told("cj", "SawCompletedJob").await;
    let name = name(&jobs[0]);
    assert!(
        told.contains(&("SuccessfulCreate".into(), format!("Created job {name}"))),
        "{told:?}"
    );
    let saw = format!("Saw completed job: {name}, condition: Complete");
    assert!(told.contains(&("SawCompletedJob".into(), saw)), "{told:?}");
    world.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn sig_apps_cronjob_should_not_schedule_jobs_when_suspended() {
    let world = World::start().await;
    world.make_cron_job(json!({}), 3).await;
    tokio::time::sleep(Duration::from_millis(300)).await;
    assert!(world.list(JOBS).await.is_empty());
    world.resume().await;
    world.until_active(1).await;
    world.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn sig_apps_cronjob_should_schedule_multiple_jobs_concurrently() {
    let world = World::start().await;
    let cron = world
        .make_cron_job(json!({ "concurrencyPolicy": "Allow" }), 3)
        .await;
    world.make_earlier_run(&cron).await;
    world.resume().await;
    world.until_active(2).await;
    assert_eq!(world.list(JOBS).await.len(), 2);
    world.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn sig_apps_cronjob_should_not_schedule_new_jobs_when_forbidconcurrent() {
    let world = World::start().await;
    let cron = world
        .make_cron_job(json!({ "concurrencyPolicy": "Forbid" }), 3)
        .await;
    world.make_earlier_run(&cron).await;
    world.resume().await;
    let told = world.until_told("cj", "JobAlreadyActive").await;
    assert!(
        !told.iter().any(|(reason, _)| reason == "SuccessfulCreate"),
        "{told:?}"
    );
    assert_eq!(world.list(JOBS).await.len(), 1);
    for pod in world.until_running(1).await {
        world.end(&pod, 0).await;
    }
    world.until_jobs(|jobs| jobs.len() == 2).await;
    world.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn sig_apps_cronjob_should_replace_jobs_when_replaceconcurrent() {
    let world = World::start().await;
    let cron = world
        .make_cron_job(json!({ "concurrencyPolicy": "Replace" }), 3)
        .await;
    world.make_earlier_run(&cron).await;
    world.resume().await;
    let jobs = world
        .until_jobs(|jobs| jobs.len() == 1 && name(&jobs[0]) != "earlier")
        .await;
    world
        .until("the new run to be active", async || {
            let cron = world.find(CRON_JOB).await?;
            let active = cron["status"]["active"].as_array()?;
            let is_new = active.len() == 1 && active[0]["name"] == jobs[0]["metadata"]["name"];
            is_new.then_some(())
        })
        .await;
    let told = world.until_told("cj", "SuccessfulDelete").await;
    assert!(
        told.contains(&("SuccessfulDelete".into(), "Deleted job earlier".into())),
        "{told:?}"
    );
    world.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn many_missed_runs_make_one_job_and_a_warning() {
    let world = World::start().await;
    world.make_cron_job(json!({}), 200).await;
    world.resume().await;
    world.until_active(1).await;
    let told = world.until_told("cj", "TooManyMissedTimes").await;
    assert!(
        told.iter()
            .any(|(_, message)| message.starts_with("too many missed start times."))
    );
    assert_eq!(world.list(JOBS).await.len(), 1);
    world.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn finished_jobs_beyond_the_history_are_deleted() {
    let world = World::start().await;
    world
        .make_cron_job(json!({ "successfulJobsHistoryLimit": 0 }), 3)
        .await;
    world.resume().await;
    for pod in world.until_running(1).await {
        world.end(&pod, 0).await;
    }
    world.until_jobs(<[Value]>::is_empty).await;
    let cron = world.until_active(0).await;
    assert!(cron["status"]["lastSuccessfulTime"].is_string());
    world.stop().await;
}

/// A run whose Job was made, but not written down, is not made again.
#[tokio::test(flavor = "multi_thread")]
async fn run_that_was_made_before_a_crash_is_taken_up() {
    let world = World::start().await;
    world.make_cron_job(json!({}), 3).await;
    world.resume().await;
    let before = world.until_active(1).await;
    let world = world
        .without_controllers(async |world| {
            let forgotten =
                json!({ "status": { "active": null, "lastScheduleTime": hours_ago(3) } });
            world.patch(STATUS, forgotten).await;
        })
        .await;
    let after = world.until_active(1).await;
    assert_eq!(
        after["status"]["active"][0]["uid"],
        before["status"]["active"][0]["uid"]
    );
    assert_eq!(world.list(JOBS).await.len(), 1);
    world.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn finished_job_goes_when_its_time_to_live_is_over() {
    let world = World::start().await;
    for (job, ttl) in [
        ("short", json!(0)),
        ("long", json!(3600)),
        ("kept", Value::Null),
    ] {
        let spec = json!({ "template": template("Never"), "ttlSecondsAfterFinished": ttl });
        world
            .create(JOBS, json!({ "metadata": { "name": job }, "spec": spec }))
            .await;
    }
    for pod in world.until_running(3).await {
        world.end(&pod, 0).await;
    }
    world.until_gone(&format!("{JOBS}/short")).await;
    let jobs = world
        .until_jobs(|jobs| jobs.iter().all(|job| condition(job, "Complete").is_some()))
        .await;
    assert_eq!(jobs.len(), 2);
    world.stop().await;
}
