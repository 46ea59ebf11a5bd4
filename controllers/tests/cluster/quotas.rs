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

/// [sig-api-machinery] ResourceQuota should create a ResourceQuota and ensure its status is promptly calculated.
/// [sig-api-machinery] ResourceQuota should be able to update and delete ResourceQuota.
#[tokio::test(flavor = "multi_thread")]
async fn quota_says_at_once_what_is_used_and_follows_its_spec() {
    let world = World::start().await;
    world
        .make_quota(
            "q",
            json!({ "hard": { "cpu": "1", "memory": "500Mi", "resourcequotas": "2" } }),
        )
        .await;
    world.until_used("q", "resourcequotas", "1").await;
    world.until_used("q", "cpu", "0").await;
    let path = format!("{QUOTAS}/q");
    world
        .patch(&path, json!({ "spec": { "hard": { "cpu": "2" } } }))
        .await;
    world
        .until("the new limit", async || {
            let quota = world.find(&path).await?;
            (quota["status"]["hard"]["cpu"] == "2").then_some(())
        })
        .await;
    world.delete(&path, "Background").await;
    world.until_gone(&path).await;
    world.stop().await;
}

/// [sig-api-machinery] ResourceQuota should create a ResourceQuota and capture the life of a configMap.
/// [sig-api-machinery] ResourceQuota should create a ResourceQuota and capture the life of a secret.
/// [sig-api-machinery] ResourceQuota should create a ResourceQuota and capture the life of a service.
/// [sig-api-machinery] ResourceQuota should create a ResourceQuota and capture the life of a replica set.
/// [sig-api-machinery] ResourceQuota should create a ResourceQuota and capture the life of a replication controller.
#[tokio::test(flavor = "multi_thread")]
async fn quota_captures_the_life_of_objects_of_each_kind() {
    let world = World::start().await;
    let template = json!({ "metadata": { "labels": { "a": "b" } }, "spec": { "containers": [{ "name": "c", "image": "i" }] } });
    let kinds = [
        ("/api/v1/namespaces/t", "configmaps", json!({})),
        ("/api/v1/namespaces/t", "secrets", json!({})),
        (
            "/api/v1/namespaces/t",
            "services",
            json!({ "spec": { "ports": [{ "port": 80 }] } }),
        ),
        (
            "/apis/apps/v1/namespaces/t",
            "replicasets",
            json!({ "spec": { "replicas": 0, "selector": { "matchLabels": { "a": "b" } }, "template": template } }),
        ),
        (
            "/api/v1/namespaces/t",
            "replicationcontrollers",
            json!({ "spec": { "replicas": 0, "selector": { "a": "b" }, "template": template } }),
        ),
    ];
    for (base, plural, mut object) in kinds {
        let resource = match plural {
            "replicasets" => "count/replicasets.apps",
            plural => plural,
        };
        // Every namespace has a ConfigMap of its own.
        let (before, after) = if plural == "configmaps" {
            ("1", "2")
        } else {
            ("0", "1")
        };
        world
            .make_quota(plural, json!({ "hard": { resource: "5" } }))
            .await;
        world.until_used(plural, resource, before).await;
        object["metadata"] = json!({ "name": "one" });
        let path = format!("{base}/{plural}");
        world.create(&path, object).await;
        world.until_used(plural, resource, after).await;
        world.delete(&format!("{path}/one"), "Background").await;
        world.until_used(plural, resource, before).await;
    }
    world.stop().await;
}

/// [sig-api-machinery] ResourceQuota should create a ResourceQuota and capture the life of a pod.
#[tokio::test(flavor = "multi_thread")]
async fn quota_captures_the_life_of_a_pod_and_refuses_what_is_too_much() {
    let world = World::start().await;
    let hard =
        json!({ "pods": "5", "cpu": "1", "memory": "500Mi", "requests.example.com/dongle": "3" });
    world.make_quota("q", json!({ "hard": hard })).await;
    let pods = "/api/v1/namespaces/t/pods";
    let some = json!({ "cpu": "500m", "memory": "252Mi", "example.com/dongle": "2" });
    world.create(pods, pod("some", some)).await;
    world.until_used("q", "pods", "1").await;
    world.until_used("q", "cpu", "500m").await;
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
    world.delete(&format!("{pods}/some"), "Background").await;
    world.until_used("q", "pods", "0").await;
    world.until_used("q", "cpu", "0").await;
    world.stop().await;
}

/// [sig-api-machinery] ResourceQuota should verify ResourceQuota with best effort scope.
/// [sig-api-machinery] ResourceQuota should verify ResourceQuota with terminating scopes.
#[tokio::test(flavor = "multi_thread")]
async fn quota_counts_the_pods_of_its_scope_only() {
    let world = World::start().await;
    for scope in [
        "BestEffort",
        "NotBestEffort",
        "Terminating",
        "NotTerminating",
    ] {
        let spec = json!({ "hard": { "pods": "5" }, "scopes": [scope] });
        world.make_quota(&scope.to_lowercase(), spec).await;
    }
    let pods = "/api/v1/namespaces/t/pods";
    let modest = json!({ "metadata": { "name": "modest" }, "spec": { "containers": [{ "name": "c", "image": "i" }] } });
    world.create(pods, modest).await;
    let mut short = pod("short", json!({ "cpu": "100m", "memory": "10Mi" }));
    short["spec"]["activeDeadlineSeconds"] = 3600.into();
    world.create(pods, short).await;
    for scope in [
        "besteffort",
        "notbesteffort",
        "terminating",
        "notterminating",
    ] {
        world.until_used(scope, "pods", "1").await;
    }
    world.delete(&format!("{pods}/modest"), "Background").await;
    world.until_used("besteffort", "pods", "0").await;
    world.until_used("notterminating", "pods", "0").await;
    world.until_used("terminating", "pods", "1").await;
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
