//! Jobs that fail, or some of whose pods do.

use serde_json::json;

use crate::jobs::{JOBS, PODS, condition, is_tracked, job, name};
use crate::world::World;

#[tokio::test(flavor = "multi_thread")]
async fn job_that_failed_too_often_ends_its_other_pods_and_fails() {
    let world = World::start().await;
    let spec = json!({ "completions": 3, "parallelism": 3, "backoffLimit": 1 });
    world.create(JOBS, job(spec)).await;
    let pods = world.until_running(3).await;
    world.end(&pods[0], 1).await;
    world
        .until_job("one failure", |job| job["status"]["failed"] == 1)
        .await;
    world.end(&pods[1], 1).await;
    let job = world.until_ended("Failed").await;
    assert_eq!(job["status"]["failed"], 3);
    let message = "Job has reached the specified backoff limit";
    for type_ in ["FailureTarget", "Failed"] {
        let why = condition(&job, type_).unwrap();
        assert_eq!(
            (&why["reason"], &why["message"]),
            (&json!("BackoffLimitExceeded"), &json!(message))
        );
    }
    assert!(job["status"]["completionTime"].is_null());
    let told = world.until_told("j", "BackoffLimitExceeded").await;
    assert!(
        told.contains(&("BackoffLimitExceeded".into(), message.into())),
        "{told:?}"
    );
    world.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn job_that_ran_longer_than_its_deadline_fails() {
    let world = World::start().await;
    world
        .create(JOBS, job(json!({ "activeDeadlineSeconds": 1 })))
        .await;
    world.until_running(1).await;
    let job = world.until_ended("Failed").await;
    let why = condition(&job, "Failed").unwrap();
    assert_eq!(why["reason"], "DeadlineExceeded");
    assert_eq!(
        why["message"],
        "Job was active longer than specified deadline"
    );
    world
        .until("the end of the pods", async || {
            world.list(PODS).await.is_empty().then_some(())
        })
        .await;
    world.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn failure_policy_ignores_one_exit_code_and_fails_the_job_by_another() {
    let world = World::start().await;
    let rule = |action, code| json!({ "action": action, "onExitCodes": { "operator": "In", "values": [code] } });
    let rules = [rule("Ignore", 7), rule("FailJob", 42)];
    let spec = json!({ "completions": 2, "parallelism": 2, "backoffLimit": 0, "podFailurePolicy": { "rules": rules } });
    world.create(JOBS, job(spec)).await;
    let pods = world.until_running(2).await;
    world.end(&pods[0], 7).await;
    world
        .until("the release of the ignored", async || {
            let pod = world.find(&format!("{PODS}/{}", name(&pods[0]))).await?;
            (!is_tracked(&pod)).then_some(())
        })
        .await;
    world.end(&pods[1], 42).await;
    let job = world.until_ended("Failed").await;
    let why = condition(&job, "Failed").unwrap();
    assert_eq!(why["reason"], "PodFailurePolicy");
    let message = format!(
        "Container c for pod t/{} failed with exit code 42 matching FailJob rule at index 1",
        name(&pods[1])
    );
    assert_eq!(why["message"], message);
    assert_eq!(job["status"]["failed"], 1);
    world.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn index_over_its_limit_fails_the_job_only_at_the_end() {
    let world = World::start().await;
    let spec = json!({ "completionMode": "Indexed", "completions": 2, "parallelism": 2, "backoffLimitPerIndex": 0 });
    world.create(JOBS, job(spec)).await;
    let pods = world.until_running(2).await;
    world.end(&pods[0], 1).await;
    let job = world
        .until_job("a failed index", |job| {
            job["status"]["failedIndexes"] == "0"
        })
        .await;
    assert!(condition(&job, "FailureTarget").is_none());
    world.end(&pods[1], 0).await;
    let job = world.until_ended("Failed").await;
    assert_eq!(
        condition(&job, "Failed").unwrap()["reason"],
        "FailedIndexes"
    );
    assert_eq!(job["status"]["completedIndexes"], "1");
    assert_eq!(job["status"]["failed"], 1);
    world.stop().await;
}

/// A pod that somebody deletes is a failure, and another follows after the back-off only.
#[tokio::test(flavor = "multi_thread")]
async fn deleted_pod_of_a_job_is_counted_as_failed_once() {
    let world = World::start().await;
    let spec = json!({ "completions": 2, "parallelism": 2, "backoffLimit": 4 });
    world.create(JOBS, job(spec)).await;
    let pods = world.until_running(2).await;
    world
        .delete(&format!("{PODS}/{}", name(&pods[0])), "Background")
        .await;
    let job = world
        .until_job("one failure", |job| job["status"]["failed"] == 1)
        .await;
    assert_eq!(job["status"]["uncountedTerminatedPods"], json!({}));
    world
        .until_gone(&format!("{PODS}/{}", name(&pods[0])))
        .await;
    world.end(&pods[1], 0).await;
    let job = world
        .until_job("one success", |job| job["status"]["succeeded"] == 1)
        .await;
    assert_eq!(job["status"]["failed"], 1);
    world.stop().await;
}
