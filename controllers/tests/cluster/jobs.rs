//! Jobs.

use std::collections::BTreeSet;

use http::Method;
use serde_json::{Value, json};

use crate::world::World;

pub const JOBS: &str = "/apis/batch/v1/namespaces/t/jobs";
pub const JOB: &str = "/apis/batch/v1/namespaces/t/jobs/j";
pub const PODS: &str = "/api/v1/namespaces/t/pods";
const TRACKING: &str = "batch.kubernetes.io/job-tracking";

pub fn job(spec: Value) -> Value {
    let mut whole = json!({ "template": template("Never") });
    for (key, value) in spec.as_object().unwrap() {
        whole[key] = value.clone();
    }
    json!({ "metadata": { "name": "j" }, "spec": whole })
}

pub fn template(restart: &str) -> Value {
    json!({ "metadata": { "labels": { "app": "a" } }, "spec": { "restartPolicy": restart,
        "containers": [{ "name": "c", "image": "app:1" }] } })
}

pub fn name(object: &Value) -> &str {
    object["metadata"]["name"].as_str().unwrap()
}

pub fn condition<'a>(job: &'a Value, type_: &str) -> Option<&'a Value> {
    let conditions = job["status"]["conditions"].as_array()?;
    conditions
        .iter()
        .find(|c| c["type"] == type_ && c["status"] == "True")
}

fn is_owned(pod: &Value) -> bool {
    pod["metadata"]["ownerReferences"][0]["kind"] == "Job"
}

pub fn is_tracked(pod: &Value) -> bool {
    let finalizers = pod["metadata"]["finalizers"].as_array();
    finalizers.is_some_and(|all| all.iter().any(|f| f == TRACKING))
}

impl World {
    /// The pods that run and are not being deleted.
    pub async fn running(&self) -> Vec<Value> {
        let mut pods = self.list(PODS).await;
        pods.retain(|p| {
            p["status"]["phase"] == "Running" && p["metadata"]["deletionTimestamp"].is_null()
        });
        pods.sort_by_key(|p| name(p).to_owned());
        pods
    }

    pub async fn until_running(&self, count: usize) -> Vec<Value> {
        let what = format!("{count} running pods");
        self.until(&what, async || {
            let running = self.running().await;
            (running.len() == count).then_some(running)
        })
        .await
    }

    /// The pod's container ends with this code.
    pub async fn end(&self, pod: &Value, code: i32) {
        let phase = if code == 0 { "Succeeded" } else { "Failed" };
        let ended = json!({ "exitCode": code, "finishedAt": jiff::Timestamp::now() });
        let container = json!({ "name": "c", "image": "app:1", "imageID": "i", "ready": false,
            "restartCount": 0, "state": { "terminated": ended } });
        let status = json!({ "status": { "phase": phase, "containerStatuses": [container] } });
        self.patch(&format!("{PODS}/{}/status", name(pod)), status)
            .await;
    }

    pub async fn until_job(&self, what: &str, is_it: impl Fn(&Value) -> bool) -> Value {
        self.until(what, async || self.find(JOB).await.filter(|job| is_it(job)))
            .await
    }

    pub async fn until_ended(&self, type_: &str) -> Value {
        self.until_job(type_, |job| condition(job, type_).is_some())
            .await
    }

    /// The reasons of the events about the job, once `reason` is among them.
    pub async fn until_told(&self, about: &str, reason: &str) -> Vec<(String, String)> {
        self.until(&format!("the event {reason}"), async || {
            let events = self.list("/api/v1/namespaces/t/events").await;
            let ours = events
                .iter()
                .filter(|e| e["involvedObject"]["name"] == about);
            let text = |event: &Value, field: &str| event[field].as_str().unwrap().to_owned();
            let told: Vec<_> = ours
                .map(|e| (text(e, "reason"), text(e, "message")))
                .collect();
            told.iter().any(|(r, _)| r == reason).then_some(told)
        })
        .await
    }
}

/// A container that fails is started again in its pod, which is no failure.
#[tokio::test(flavor = "multi_thread")]
async fn sig_apps_job_should_run_a_job_to_completion_when_tasks_sometimes_fail_and_are_locally_restarted()
 {
    let world = World::start().await;
    let spec = json!({ "completions": 4, "parallelism": 2, "backoffLimit": 6,
        "template": template("OnFailure") });
    world.create(JOBS, job(spec)).await;
    let mut seen = BTreeSet::new();
    while seen.len() < 4 {
        let next = async || {
            let running = world.running().await;
            running.into_iter().find(|p| !seen.contains(name(p)))
        };
        let pod = world.until("the next pod", next).await;
        seen.insert(name(&pod).to_owned());
        let failed =
            json!({ "terminated": { "exitCode": 1, "finishedAt": jiff::Timestamp::now() } });
        let container = json!({ "name": "c", "image": "app:1", "imageID": "i", "ready": true,
            "restartCount": 1, "lastState": failed, "state": { "running": {} } });
        let restarted = json!({ "status": { "containerStatuses": [container] } });
        let status = format!("{PODS}/{}/status", name(&pod));
        world.patch(&status, restarted).await;
        world.end(&pod, 0).await;
    }
    let job = world.until_ended("Complete").await;
    assert_eq!(
        (&job["status"]["succeeded"], &job["status"]["failed"]),
        (&json!(4), &Value::Null)
    );
    assert_eq!(world.list(PODS).await.len(), 4);
    world.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn job_runs_its_pods_to_completion_and_says_so() {
    let world = World::start().await;
    let made = world
        .create(JOBS, job(json!({ "completions": 3, "parallelism": 2 })))
        .await;
    let first = world.until_running(2).await;
    assert!(first.iter().all(|p| is_owned(p) && is_tracked(p)));
    let uid = &made["metadata"]["uid"];
    for label in ["controller-uid", "batch.kubernetes.io/controller-uid"] {
        assert_eq!(&first[0]["metadata"]["labels"][label], uid);
    }
    for pod in &first {
        world.end(pod, 0).await;
    }
    let last = world.until_running(1).await;
    let job = world
        .until_job("two counted", |job| job["status"]["succeeded"] == 2)
        .await;
    assert_eq!(job["status"]["active"], 1);
    world.end(&last[0], 0).await;
    let job = world.until_ended("Complete").await;
    let status = &job["status"];
    assert_eq!(status["succeeded"], 3);
    assert_eq!(
        (&status["ready"], &status["terminating"]),
        (&json!(0), &json!(0))
    );
    assert_eq!(
        (&status["active"], &status["failed"]),
        (&Value::Null, &Value::Null)
    );
    assert_eq!(status["uncountedTerminatedPods"], json!({}));
    assert!(status["startTime"].is_string() && status["completionTime"].is_string());
    assert_eq!(
        condition(&job, "SuccessCriteriaMet").unwrap()["reason"],
        "CompletionsReached"
    );
    let pods = world.list(PODS).await;
    assert!(pods.len() == 3 && !pods.iter().any(is_tracked), "{pods:?}");
    let told = world.until_told("j", "Completed").await;
    let created = told
        .iter()
        .filter(|(reason, _)| reason == "SuccessfulCreate")
        .count();
    assert_eq!(created, 3, "{told:?}");
    assert!(told.contains(&("Completed".into(), "Job completed".into())));
    world.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn sig_apps_job_should_adopt_matching_orphans_and_release_non_matching_pods() {
    let world = World::start().await;
    world
        .create(JOBS, job(json!({ "completions": 4, "parallelism": 2 })))
        .await;
    let pods = world.until_running(2).await;
    let path = format!("{PODS}/{}", name(&pods[0]));
    let orphaned = json!({ "metadata": { "ownerReferences": null } });
    world.patch(&path, orphaned).await;
    world
        .until("the adoption", async || {
            let pod = world.find(&path).await?;
            (is_owned(&pod) && is_tracked(&pod)).then_some(())
        })
        .await;
    let other = json!({ "metadata": { "labels": null } });
    world.patch(&path, other).await;
    world
        .until("the release", async || {
            let pod = world.find(&path).await?;
            (!is_owned(&pod) && !is_tracked(&pod)).then_some(())
        })
        .await;
    world.until_running(3).await;
    world.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn sig_apps_job_should_delete_a_job() {
    for policy in ["Background", "Foreground"] {
        let world = World::start().await;
        world
            .create(JOBS, job(json!({ "completions": 4, "parallelism": 2 })))
            .await;
        world.until_running(2).await;
        world.delete(JOB, policy).await;
        world.until_gone(JOB).await;
        world
            .until("the end of the pods", async || {
                world.list(PODS).await.is_empty().then_some(())
            })
            .await;
        world.stop().await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn pods_that_a_deleted_job_left_are_kept_by_nothing() {
    let world = World::start().await;
    world.create(JOBS, job(json!({ "completions": 1 }))).await;
    world.until_running(1).await;
    world.delete(JOB, "Orphan").await;
    world.until_gone(JOB).await;
    world
        .until("no finalizer", async || {
            let pods = world.list(PODS).await;
            (pods.len() == 1 && !is_tracked(&pods[0])).then_some(())
        })
        .await;
    world.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn pods_of_an_indexed_job_know_their_index_and_each_succeeds_once() {
    let world = World::start().await;
    let spec = json!({ "completionMode": "Indexed", "completions": 3, "parallelism": 2 });
    world.create(JOBS, job(spec)).await;
    let index = "batch.kubernetes.io/job-completion-index";
    for (expected, ended) in [("0", "0"), ("1", "0,1"), ("2", "0-2")] {
        let pods = world
            .until("the next pod", async || {
                let running = world.running().await;
                let next = running
                    .iter()
                    .find(|p| p["metadata"]["labels"][index] == expected)?;
                Some(next.clone())
            })
            .await;
        assert_eq!(pods["metadata"]["annotations"][index], expected);
        assert_eq!(pods["metadata"]["generateName"], format!("j-{expected}-"));
        assert_eq!(pods["spec"]["hostname"], format!("j-{expected}"));
        world.end(&pods, 0).await;
        world
            .until_job(ended, |job| job["status"]["completedIndexes"] == ended)
            .await;
    }
    let job = world.until_ended("Complete").await;
    assert_eq!(job["status"]["succeeded"], 3);
    assert_eq!(world.list(PODS).await.len(), 3);
    world.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn job_whose_success_policy_is_met_ends_the_pods_it_does_not_need() {
    let world = World::start().await;
    let spec = json!({ "completionMode": "Indexed", "completions": 3, "parallelism": 3,
        "successPolicy": { "rules": [{ "succeededIndexes": "1" }] } });
    world.create(JOBS, job(spec)).await;
    let pods = world.until_running(3).await;
    let leader = pods.iter().find(|p| name(p).starts_with("j-1-")).unwrap();
    world.end(leader, 0).await;
    let job = world.until_ended("Complete").await;
    let why = condition(&job, "Complete").unwrap();
    assert_eq!(
        (&why["reason"], &why["message"]),
        (&json!("SuccessPolicy"), &json!("Matched rules at index 0"))
    );
    assert_eq!(
        (&job["status"]["succeeded"], &job["status"]["failed"]),
        (&json!(1), &Value::Null)
    );
    assert_eq!(world.list(PODS).await.len(), 1);
    world.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn suspended_job_has_no_pods_until_it_goes_on() {
    let world = World::start().await;
    let spec = json!({ "completions": 2, "parallelism": 2, "suspend": true });
    world.create(JOBS, job(spec)).await;
    let job = world.until_ended("Suspended").await;
    assert!(job["status"]["startTime"].is_null());
    assert!(world.list(PODS).await.is_empty());
    world
        .patch(JOB, json!({ "spec": { "suspend": false } }))
        .await;
    world.until_running(2).await;
    world
        .patch(JOB, json!({ "spec": { "suspend": true } }))
        .await;
    world
        .until("the end of the pods", async || {
            world.list(PODS).await.is_empty().then_some(())
        })
        .await;
    world.until_ended("Suspended").await;
    let told = world.until_told("j", "Suspended").await;
    assert!(
        told.iter().any(|(reason, _)| reason == "Resumed"),
        "{told:?}"
    );
    world.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn what_ended_while_no_controller_ran_is_counted_once() {
    let world = World::start().await;
    world
        .create(JOBS, job(json!({ "completions": 6, "parallelism": 4 })))
        .await;
    let first = world.until_running(4).await;
    world.end(&first[0], 0).await;
    world
        .until_job("one success", |job| job["status"]["succeeded"] == 1)
        .await;
    let world = world
        .without_controllers(async |world| {
            for pod in world.running().await {
                world.end(&pod, 0).await;
            }
        })
        .await;
    let before: BTreeSet<String> = first.iter().map(|p| name(p).to_owned()).collect();
    world
        .until("the last", async || {
            for pod in world.running().await {
                world.end(&pod, 0).await;
            }
            let job = world.find(JOB).await?;
            condition(&job, "Complete").map(|_| ())
        })
        .await;
    let job = world.find(JOB).await.unwrap();
    assert_eq!(
        (&job["status"]["succeeded"], &job["status"]["failed"]),
        (&json!(6), &Value::Null)
    );
    let pods = world.list(PODS).await;
    assert_eq!(pods.len(), 6);
    assert!(before.iter().all(|n| pods.iter().any(|p| name(p) == n)));
    world.stop().await;
}

/// What an interrupted controller has noted, released or counted is not counted again.
#[tokio::test(flavor = "multi_thread")]
async fn uids_that_were_noted_and_released_are_counted_once() {
    let world = World::start().await;
    world
        .create(JOBS, job(json!({ "completions": 2, "parallelism": 2 })))
        .await;
    let pods = world.until_running(2).await;
    let world = world
        .without_controllers(async |world| {
            let uids: Vec<_> = pods.iter().map(|p| p["metadata"]["uid"].clone()).collect();
            let noted = json!({ "status": { "uncountedTerminatedPods": { "succeeded": uids } } });
            world.end(&pods[0], 0).await;
            world.end(&pods[1], 0).await;
            world.patch(&format!("{JOB}/status"), noted).await;
            let released = json!({ "metadata": { "finalizers": null } });
            let path = format!("{PODS}/{}", name(&pods[0]));
            world.patch(&path, released).await;
        })
        .await;
    let job = world.until_ended("Complete").await;
    assert_eq!(job["status"]["succeeded"], 2);
    assert_eq!(world.list(PODS).await.len(), 2);
    world.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn job_of_another_manager_is_left_alone() {
    let world = World::start().await;
    let mut other = job(json!({ "managedBy": "example.com/queue" }));
    other["metadata"]["name"] = "other".into();
    world.create(JOBS, other).await;
    world.create(JOBS, job(json!({ "completions": 1 }))).await;
    world.until_running(1).await;
    let other = world
        .ask(Method::GET, &format!("{JOBS}/other"), Value::Null)
        .await;
    assert_eq!(other["status"], json!({}));
    assert_eq!(world.list(PODS).await.len(), 1);
    world.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn namespace_with_a_running_job_ends() {
    let world = World::start().await;
    world
        .create(JOBS, job(json!({ "completions": 4, "parallelism": 2 })))
        .await;
    world.until_running(2).await;
    world.delete("/api/v1/namespaces/t", "Background").await;
    world.until_gone("/api/v1/namespaces/t").await;
    world.stop().await;
}
