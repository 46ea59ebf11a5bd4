//! `[sig-apps] DisruptionController`: PodDisruptionBudgets, and evictions.

use http::Method;
use serde_json::{Value, json};

use crate::world::World;

const BUDGETS: &str = "/apis/policy/v1/namespaces/t/poddisruptionbudgets";
const BUDGET: &str = "/apis/policy/v1/namespaces/t/poddisruptionbudgets/b";
const PODS: &str = "/api/v1/namespaces/t/pods";

fn budget(name: &str, least: u32) -> Value {
    json!({ "metadata": { "name": name, "labels": { "special": "yes" } }, "spec": {
        "minAvailable": least, "selector": { "matchLabels": { "app": "a" } } } })
}

impl World {
    /// Bare pods, which run.
    async fn make_running(&self, names: &[&str]) {
        for name in names {
            let pod = json!({ "metadata": { "name": name, "labels": { "app": "a" } },
                "spec": { "containers": [{ "name": "c", "image": "app:1" }] } });
            self.create(PODS, pod).await;
        }
        self.until_running(names.len()).await;
    }

    async fn until_allowed(&self, wanted: u64) -> Value {
        self.until(&format!("{wanted} disruptions allowed"), async || {
            let found = self.find(BUDGET).await?;
            let status = &found["status"];
            let is_seen = status["observedGeneration"] == found["metadata"]["generation"];
            (is_seen && status["disruptionsAllowed"] == wanted).then_some(found)
        })
        .await
    }

    async fn evict(&self, pod: &str) -> Value {
        let eviction =
            json!({ "apiVersion": "policy/v1", "kind": "Eviction", "metadata": { "name": pod } });
        let path = format!("{PODS}/{pod}/eviction");
        self.ask(Method::POST, &path, eviction).await
    }

    async fn is_refused(&self, pod: &str) {
        let refused = self.evict(pod).await;
        assert_eq!(refused["code"], 429, "{refused}");
        let cause = &refused["details"]["causes"][0]["reason"];
        assert_eq!(cause, "DisruptionBudget", "{refused}");
        let pod = self.find(&format!("{PODS}/{pod}")).await.unwrap();
        assert!(pod["metadata"]["deletionTimestamp"].is_null());
    }

    async fn is_evicted(&self, pod: &str) {
        let done = self.evict(pod).await;
        assert_eq!(done["status"], "Success", "{done}");
        self.until_gone(&format!("{PODS}/{pod}")).await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn sig_apps_disruptioncontroller_listing_poddisruptionbudgets_for_all_namespaces_should_list_and_delete_a_collection_of_poddisruptionbudgets()
 {
    let world = World::start().await;
    world.make_namespace("u").await;
    let elsewhere = "/apis/policy/v1/namespaces/u/poddisruptionbudgets";
    world.create(BUDGETS, budget("b1", 1)).await;
    world.create(BUDGETS, budget("b2", 1)).await;
    world.create(elsewhere, budget("b3", 1)).await;
    let selected = "labelSelector=special%3Dyes";
    let all = format!("/apis/policy/v1/poddisruptionbudgets?{selected}");
    assert_eq!(world.list(&all).await.len(), 3);
    let here = format!("{BUDGETS}?{selected}");
    assert_eq!(world.list(&here).await.len(), 2);
    world.delete(&here, "Background").await;
    world
        .until("the end of the collection", async || {
            world.list(&here).await.is_empty().then_some(())
        })
        .await;
    let left = world.list(&all).await;
    assert_eq!(left.len(), 1);
    assert_eq!(left[0]["metadata"]["name"], "b3");
    world.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn sig_apps_disruptioncontroller_should_block_an_eviction_until_the_pdb_is_updated_to_allow_it()
 {
    let world = World::start().await;
    world.make_running(&["p1", "p2", "p3"]).await;
    world.create(BUDGETS, budget("b", 3)).await;
    world.until_allowed(0).await;
    world.is_refused("p1").await;
    let two = |budget: &mut Value| budget["spec"]["minAvailable"] = json!(2);
    world.update(BUDGET, two).await;
    world.until_allowed(1).await;
    world.is_evicted("p1").await;
    // Two are left of the two that must be.
    world.until_allowed(0).await;
    world.is_refused("p2").await;
    world.delete(BUDGET, "Background").await;
    world.until_gone(BUDGET).await;
    world.is_evicted("p2").await;
    world.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn sig_apps_disruptioncontroller_should_create_a_poddisruptionbudget() {
    let world = World::start().await;
    let made = world.create(BUDGETS, budget("b", 1)).await;
    assert_eq!(made["spec"]["minAvailable"], 1);
    world.until_allowed(0).await;
    let two = |budget: &mut Value| budget["spec"]["minAvailable"] = json!("50%");
    let updated = world.update(BUDGET, two).await;
    assert_eq!(updated["spec"]["minAvailable"], "50%");
    let patch = json!({ "spec": { "minAvailable": 2 } });
    world.patch(BUDGET, patch).await;
    let read = world.until_allowed(0).await;
    assert_eq!(read["spec"]["minAvailable"], 2);
    assert_eq!(read["metadata"]["uid"], made["metadata"]["uid"]);
    world.delete(BUDGET, "Background").await;
    world.until_gone(BUDGET).await;
    world.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn sig_apps_disruptioncontroller_should_observe_poddisruptionbudget_status_updated() {
    let world = World::start().await;
    world.make_running(&["p1", "p2", "p3"]).await;
    world.create(BUDGETS, budget("b", 1)).await;
    let status = world.until_allowed(2).await["status"].clone();
    for (field, value) in [
        ("currentHealthy", 3),
        ("desiredHealthy", 1),
        ("expectedPods", 3),
    ] {
        assert_eq!(status[field], value, "{field}");
    }
    let conditions = status["conditions"].as_array().unwrap();
    let allowed = conditions.iter().find(|c| c["type"] == "DisruptionAllowed");
    assert_eq!(allowed.unwrap()["status"], "True");
    world.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn sig_apps_disruptioncontroller_should_update_patch_poddisruptionbudget_status() {
    let world = World::start().await;
    world.make_running(&["p1", "p2", "p3"]).await;
    world.create(BUDGETS, budget("b", 1)).await;
    world.until_allowed(2).await;
    let path = format!("{BUDGET}/status");
    let now = jiff::Timestamp::now().to_string();
    let update = |budget: &mut Value| budget["status"]["disruptedPods"] = json!({ "p1": now });
    let updated = world.update(&path, update).await;
    assert!(
        updated["status"]["disruptedPods"]["p1"].is_string(),
        "{updated}"
    );
    // The controller believes that the pod is about to go.
    let read = world.until_allowed(1).await;
    assert!(read["status"]["disruptedPods"]["p1"].is_string(), "{read}");
    let patch = json!({ "status": { "disruptedPods": { "p2": now } } });
    let patched = world.patch(&path, patch).await;
    let disrupted = patched["status"]["disruptedPods"].as_object().unwrap();
    assert_eq!(disrupted.len(), 2, "{patched}");
    let read = world.until_allowed(0).await;
    assert_eq!(
        read["status"]["disruptedPods"].as_object().unwrap().len(),
        2
    );
    world.stop().await;
}
