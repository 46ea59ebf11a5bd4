//! ResourceQuotas, and roles that are put together of others. The API server
//! itself counts what quotas have used; here, while controllers make and take.

use http::Method;
use serde_json::{Value, json};

use crate::world::World;

const QUOTAS: &str = "/api/v1/namespaces/t/resourcequotas";
const ROLES: &str = "/apis/rbac.authorization.k8s.io/v1/clusterroles";

impl World {
    async fn make_quota(&self, name: &str, spec: Value) {
        self.create(
            QUOTAS,
            json!({ "metadata": { "name": name }, "spec": spec }),
        )
        .await;
        self.until(&format!("the status of {name}"), async || {
            let quota = self.find(&format!("{QUOTAS}/{name}")).await?;
            (quota["status"]["hard"] == quota["spec"]["hard"]).then_some(())
        })
        .await;
    }

    async fn until_used(&self, name: &str, resource: &str, amount: &str) {
        self.until(&format!("{amount} {resource} used of {name}"), async || {
            let quota = self.find(&format!("{QUOTAS}/{name}")).await?;
            (quota["status"]["used"][resource] == amount).then_some(())
        })
        .await;
    }
}

fn pod(name: &str, requests: Value) -> Value {
    let resources = json!({ "requests": requests, "limits": requests });
    json!({ "metadata": { "name": name }, "spec": {
        "containers": [{ "name": "c", "image": "app:1", "resources": resources }] } })
}

#[tokio::test(flavor = "multi_thread")]
async fn sig_api_machinery_resourcequota_should_create_a_resourcequota_and_ensure_its_status_is_promptly_calculated()
 {
    let world = World::start().await;
    let hard = json!({ "cpu": "1", "memory": "500Mi", "pods": "5", "resourcequotas": "2" });
    world.make_quota("q", json!({ "hard": hard })).await;
    for (resource, used) in [
        ("cpu", "0"),
        ("memory", "0"),
        ("pods", "0"),
        ("resourcequotas", "1"),
    ] {
        world.until_used("q", resource, used).await;
    }
    let quota = world.find(&format!("{QUOTAS}/q")).await.unwrap();
    assert_eq!(quota["status"]["hard"], hard);
    world.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn sig_api_machinery_resourcequota_should_be_able_to_update_and_delete_resourcequota() {
    let world = World::start().await;
    let hard = json!({ "cpu": "1", "memory": "500Mi" });
    world.make_quota("q", json!({ "hard": hard })).await;
    let path = format!("{QUOTAS}/q");
    let more = |quota: &mut Value| {
        quota["spec"]["hard"] = json!({ "cpu": "2", "memory": "1Gi" });
    };
    let updated = world.update(&path, more).await;
    assert_eq!(updated["spec"]["hard"]["memory"], "1Gi");
    world
        .until("the new limits", async || {
            let hard = world.find(&path).await?["status"]["hard"].clone();
            (hard == json!({ "cpu": "2", "memory": "1Gi" })).then_some(())
        })
        .await;
    world.delete(&path, "Background").await;
    world.until_gone(&path).await;
    world.stop().await;
}

/// Makes and deletes the object `one` while a quota counts its kind.
async fn captures_the_life(kind: &str, resource: &str, mut object: Value) {
    let world = World::start().await;
    if kind == "configmaps" {
        // Every namespace has a ConfigMap of its own.
        let own = "/api/v1/namespaces/t/configmaps/kube-root-ca.crt";
        let made = async || world.find(own).await;
        world.until("the namespace's own ConfigMap", made).await;
    }
    let base = match kind {
        "replicasets" => "/apis/apps/v1/namespaces/t",
        _ => "/api/v1/namespaces/t",
    };
    let path = format!("{base}/{kind}");
    let before = world.list(&path).await.len();
    world
        .make_quota(
            "q",
            json!({ "hard": { resource: "5", "resourcequotas": "1" } }),
        )
        .await;
    world.until_used("q", resource, &before.to_string()).await;
    world.until_used("q", "resourcequotas", "1").await;
    object["metadata"] = json!({ "name": "one" });
    world.create(&path, object).await;
    let with_it = (before + 1).to_string();
    world.until_used("q", resource, &with_it).await;
    world.delete(&format!("{path}/one"), "Background").await;
    world.until_used("q", resource, &before.to_string()).await;
    world.stop().await;
}

fn template() -> Value {
    json!({ "metadata": { "labels": { "a": "b" } }, "spec": { "containers": [{ "name": "c", "image": "i" }] } })
}

#[tokio::test(flavor = "multi_thread")]
async fn sig_api_machinery_resourcequota_should_create_a_resourcequota_and_capture_the_life_of_a_configmap()
 {
    captures_the_life("configmaps", "configmaps", json!({})).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn sig_api_machinery_resourcequota_should_create_a_resourcequota_and_capture_the_life_of_a_secret()
 {
    captures_the_life("secrets", "secrets", json!({})).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn sig_api_machinery_resourcequota_should_create_a_resourcequota_and_capture_the_life_of_a_service()
 {
    let service = json!({ "spec": { "ports": [{ "port": 80 }] } });
    captures_the_life("services", "services", service).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn sig_api_machinery_resourcequota_should_create_a_resourcequota_and_capture_the_life_of_a_replica_set()
 {
    let set = json!({ "spec": { "replicas": 0, "selector": { "matchLabels": { "a": "b" } }, "template": template() } });
    captures_the_life("replicasets", "count/replicasets.apps", set).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn sig_api_machinery_resourcequota_should_create_a_resourcequota_and_capture_the_life_of_a_replication_controller()
 {
    let controller =
        json!({ "spec": { "replicas": 0, "selector": { "a": "b" }, "template": template() } });
    captures_the_life(
        "replicationcontrollers",
        "replicationcontrollers",
        controller,
    )
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn sig_api_machinery_resourcequota_should_create_a_resourcequota_and_capture_the_life_of_a_pod()
 {
    let world = World::start().await;
    let hard = json!({ "pods": "5", "cpu": "1", "memory": "500Mi", "ephemeral-storage": "50Gi",
            "requests.example.com/dongle": "3" });
    world.make_quota("q", json!({ "hard": hard })).await;
    let pods = "/api/v1/namespaces/t/pods";
    let some = json!({ "cpu": "500m", "memory": "252Mi", "ephemeral-storage": "30Gi",
        "example.com/dongle": "2" });
    let made = world.create(pods, pod("some", some)).await;
    world.until_used("q", "pods", "1").await;
    world.until_used("q", "cpu", "500m").await;
    world.until_used("q", "memory", "252Mi").await;
    world.until_used("q", "ephemeral-storage", "30Gi").await;
    world
        .until_used("q", "requests.example.com/dongle", "2")
        .await;
    for more in [
        json!({ "cpu": "600m", "memory": "100Mi" }),
        json!({ "cpu": "500m", "memory": "100Mi", "example.com/dongle": "2" }),
    ] {
        let refused = world.ask(Method::POST, pods, pod("more", more)).await;
        assert_eq!(refused["code"], 403, "{refused}");
        assert!(
            refused["message"]
                .as_str()
                .unwrap()
                .contains("exceeded quota: q"),
            "{refused}"
        );
    }
    let mut containers = made["spec"]["containers"].clone();
    containers[0]["resources"]["requests"]["memory"] = "100Mi".into();
    let path = format!("{pods}/some");
    let patch = json!({ "spec": { "containers": containers } });
    let refused = world.ask(Method::PATCH, &path, patch).await;
    assert_eq!(refused["code"], 422, "{refused}");
    world.delete(&path, "Background").await;
    for resource in [
        "pods",
        "cpu",
        "memory",
        "ephemeral-storage",
        "requests.example.com/dongle",
    ] {
        world.until_used("q", resource, "0").await;
    }
    world.stop().await;
}

impl World {
    /// Makes a pod that only the quota `counting` counts, and deletes it.
    async fn only_one_counts(&self, pod: Value, counting: &str, other: &str) {
        let pods = "/api/v1/namespaces/t/pods";
        self.create(pods, pod).await;
        self.until_used(counting, "pods", "1").await;
        let quota = self.find(&format!("{QUOTAS}/{other}")).await.unwrap();
        assert_eq!(quota["status"]["used"]["pods"], "0", "{quota}");
        self.delete(&format!("{pods}/one"), "Background").await;
        self.until_gone(&format!("{pods}/one")).await;
        self.until_used(counting, "pods", "0").await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn sig_api_machinery_resourcequota_should_verify_resourcequota_with_best_effort_scope() {
    let world = World::start().await;
    let (with, without) = ("best-effort", "not-best-effort");
    for (name, scope) in [(with, "BestEffort"), (without, "NotBestEffort")] {
        let spec = json!({ "hard": { "pods": "5" }, "scopes": [scope] });
        world.make_quota(name, spec).await;
    }
    let modest = pod("one", json!({}));
    world.only_one_counts(modest, with, without).await;
    let asking = pod("one", json!({ "cpu": "100m", "memory": "10Mi" }));
    world.only_one_counts(asking, without, with).await;
    world.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn sig_api_machinery_resourcequota_should_verify_resourcequota_with_terminating_scopes() {
    let world = World::start().await;
    let (with, without) = ("terminating", "not-terminating");
    for (name, scope) in [(with, "Terminating"), (without, "NotTerminating")] {
        let spec = json!({ "hard": { "pods": "5", "requests.cpu": "1", "limits.memory": "1Gi" },
            "scopes": [scope] });
        world.make_quota(name, spec).await;
    }
    let mut asking = pod("one", json!({ "cpu": "100m", "memory": "10Mi" }));
    world.only_one_counts(asking.clone(), without, with).await;
    asking["spec"]["activeDeadlineSeconds"] = 3600.into();
    world.only_one_counts(asking, with, without).await;
    world.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn aggregated_role_follows_the_roles_it_is_made_of() {
    let world = World::start().await;
    let rule =
        |resource: &str| json!({ "apiGroups": [""], "resources": [resource], "verbs": ["get"] });
    let selector = json!({ "clusterRoleSelectors": [{ "matchLabels": { "into": "whole" } }] });
    world
        .create(
            ROLES,
            json!({ "metadata": { "name": "whole" }, "aggregationRule": selector, "rules": [] }),
        )
        .await;
    let part = json!({ "metadata": { "name": "part", "labels": { "into": "whole" } }, "rules": [rule("pods")] });
    world.create(ROLES, part).await;
    let until_rules = async |rules: Value| {
        world
            .until("the rules", async || {
                let whole = world.find(&format!("{ROLES}/whole")).await?;
                let is = whole["rules"].as_array().cloned().unwrap_or_default();
                (Value::from(is) == rules).then_some(())
            })
            .await;
    };
    until_rules(json!([rule("pods")])).await;
    let path = format!("{ROLES}/part");
    world
        .patch(&path, json!({ "rules": [rule("nodes")] }))
        .await;
    until_rules(json!([rule("nodes")])).await;
    world.delete(&path, "Background").await;
    until_rules(json!([])).await;
    world
        .until("the rules of admin", async || {
            let admin = world.find(&format!("{ROLES}/admin")).await?;
            admin["rules"]
                .as_array()
                .filter(|rules| rules.len() > 5)
                .map(|_| ())
        })
        .await;
    world.stop().await;
}
