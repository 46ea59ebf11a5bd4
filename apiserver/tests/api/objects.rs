use http::Method;
use kube::api::{Patch, PatchParams, PostParams};
use serde_json::json;

use crate::cluster::Cluster;

const MAPS: &str = "/api/v1/namespaces/g/configmaps";

fn map(name: &str, data: &serde_json::Value) -> serde_json::Value {
    json!({ "apiVersion": "v1", "kind": "ConfigMap", "metadata": { "name": name }, "data": data })
}

#[tokio::test]
async fn what_is_created_is_got_with_the_revision_of_its_write() {
    let cluster = Cluster::start().await;
    cluster.namespace("g").await;
    let made = cluster
        .ask(Method::POST, MAPS, &map("c1", &json!({ "a": "b" })))
        .await;
    assert_eq!(made["data"], json!({ "a": "b" }));
    assert!(!made["metadata"]["uid"].as_str().unwrap().is_empty());
    assert!(
        made["metadata"]["resourceVersion"]
            .as_str()
            .unwrap()
            .parse::<u64>()
            .unwrap()
            > 0
    );
    assert_eq!(cluster.get(&format!("{MAPS}/c1")).await, made);
}

#[tokio::test]
async fn a_second_object_of_the_same_name_is_refused() {
    let cluster = Cluster::start().await;
    cluster.namespace("g").await;
    cluster
        .ask(Method::POST, MAPS, &map("c1", &json!({})))
        .await;
    let again = cluster
        .ask(Method::POST, MAPS, &map("c1", &json!({})))
        .await;
    assert_eq!(
        (again["code"].as_u64(), again["reason"].as_str()),
        (Some(409), Some("AlreadyExists"))
    );
}

#[tokio::test]
async fn nothing_is_created_in_a_namespace_that_is_not_there() {
    let cluster = Cluster::start().await;
    let refused = cluster
        .ask(Method::POST, MAPS, &map("c1", &json!({})))
        .await;
    assert_eq!(refused["message"], "namespaces \"g\" not found");
}

#[tokio::test]
async fn a_dry_run_stores_nothing() {
    let cluster = Cluster::start().await;
    cluster.namespace("g").await;
    let path = format!("{MAPS}?dryRun=All");
    let shown = cluster
        .ask(Method::POST, &path, &map("c1", &json!({ "a": "b" })))
        .await;
    assert_eq!(shown["data"]["a"], "b");
    assert_eq!(cluster.get(&format!("{MAPS}/c1")).await["code"], 404);
}

#[tokio::test]
async fn a_stale_update_is_refused_and_one_without_version_wins() {
    let cluster = Cluster::start().await;
    cluster.namespace("g").await;
    let made = cluster
        .ask(Method::POST, MAPS, &map("c1", &json!({ "n": "1" })))
        .await;
    let path = format!("{MAPS}/c1");
    cluster
        .ask(Method::PUT, &path, &map("c1", &json!({ "n": "2" })))
        .await;
    let stale = cluster.ask(Method::PUT, &path, &made).await;
    assert_eq!(stale["reason"], "Conflict");
    assert_eq!(cluster.get(&path).await["data"]["n"], "2");
}

#[tokio::test]
async fn an_update_that_changes_nothing_writes_nothing() {
    let cluster = Cluster::start().await;
    cluster.namespace("g").await;
    let made = cluster
        .ask(Method::POST, MAPS, &map("c1", &json!({ "n": "1" })))
        .await;
    let again = cluster.ask(Method::PUT, &format!("{MAPS}/c1"), &made).await;
    assert_eq!(
        again["metadata"]["resourceVersion"],
        made["metadata"]["resourceVersion"]
    );
}

#[tokio::test]
async fn racing_patches_of_one_object_all_count() {
    let cluster = Cluster::start().await;
    cluster.namespace("g").await;
    cluster
        .ask(Method::POST, MAPS, &map("c1", &json!({})))
        .await;
    let maps = cluster.config_maps("g");
    let patches = (0..16).map(|n| {
        let maps = maps.clone();
        tokio::spawn(async move {
            let patch = json!({ "data": { format!("k{n}"): "v" } });
            maps.patch("c1", &PatchParams::default(), &Patch::Merge(patch))
                .await
                .unwrap();
        })
    });
    for patch in patches.collect::<Vec<_>>() {
        patch.await.unwrap();
    }
    assert_eq!(maps.get("c1").await.unwrap().data.unwrap().len(), 16);
}

#[tokio::test]
async fn a_schema_error_names_the_applied_object_as_the_client_did() {
    let cluster = Cluster::start().await;
    cluster.namespace("g").await;
    let maps = cluster.config_maps("g");
    for (namespace, named) in [
        ("", "(/c1; v1, Kind=ConfigMap)"),
        ("g", "(g/c1; v1, Kind=ConfigMap)"),
    ] {
        let object = json!({
            "apiVersion": "v1", "kind": "ConfigMap", "bogus": 1,
            "metadata": { "name": "c1", "namespace": namespace },
        });
        let apply = PatchParams::apply("m");
        let refused = maps.patch("c1", &apply, &Patch::Apply(object)).await;
        let told = refused.unwrap_err().to_string();
        assert!(told.contains(named), "{told}");
    }
}

#[tokio::test]
async fn server_side_apply_creates_and_then_owns() {
    let cluster = Cluster::start().await;
    cluster.namespace("g").await;
    let maps = cluster.config_maps("g");
    let apply = |manager: &str, value: &str| {
        let object = map("c1", &json!({ "a": value }));
        (PatchParams::apply(manager), Patch::Apply(object))
    };
    let (params, patch) = apply("one", "1");
    maps.patch("c1", &params, &patch).await.unwrap();
    let (params, patch) = apply("two", "2");
    let refused = maps.patch("c1", &params, &patch).await.unwrap_err();
    assert!(matches!(refused, kube::Error::Api(s) if s.code == 409));
    maps.patch("c1", &params.force(), &patch).await.unwrap();
    assert_eq!(maps.get("c1").await.unwrap().data.unwrap()["a"], "2");
}

#[tokio::test]
async fn generated_names_do_not_meet() {
    let cluster = Cluster::start().await;
    cluster.namespace("g").await;
    let maps = cluster.config_maps("g");
    let mut object = k8s_openapi::api::core::v1::ConfigMap::default();
    object.metadata.generate_name = Some("gen-".into());
    let mut names = Vec::new();
    for _ in 0..20 {
        let made = maps.create(&PostParams::default(), &object).await.unwrap();
        names.push(made.metadata.name.unwrap());
    }
    names.sort();
    names.dedup();
    assert_eq!(names.len(), 20);
}

#[tokio::test]
async fn everything_acknowledged_is_there_after_a_restart() {
    let cluster = Cluster::start().await;
    cluster.namespace("g").await;
    let made = cluster
        .ask(Method::POST, MAPS, &map("c1", &json!({ "a": "b" })))
        .await;
    let Cluster {
        server, store, dir, ..
    } = cluster;
    server.stop().await;
    store.close().await;
    drop(store);
    let cluster = Cluster::start_in(dir, 0).await.unwrap();
    assert_eq!(cluster.get(&format!("{MAPS}/c1")).await, made);
}

#[tokio::test]
async fn racing_creates_do_not_pass_a_quota() {
    let cluster = Cluster::start().await;
    cluster.namespace("g").await;
    let quota = json!({ "apiVersion": "v1", "kind": "ResourceQuota", "metadata": { "name": "q" },
        "spec": { "hard": { "configmaps": "3" } } });
    cluster
        .ask(Method::POST, "/api/v1/namespaces/g/resourcequotas", &quota)
        .await;
    // Quotas reach admission by watch: a moment after the write.
    tokio::time::sleep(std::time::Duration::from_millis(50)).await;
    let creates = (0..12).map(|n| {
        let object = map(&format!("c{n}"), &json!({}));
        let cluster = &cluster;
        async move { cluster.ask(Method::POST, MAPS, &object).await }
    });
    let answers = futures::future::join_all(creates).await;
    let made = answers.iter().filter(|a| a["kind"] == "ConfigMap").count();
    assert_eq!(made, 3);
}

#[tokio::test]
async fn pod_applied_again_by_another_keeps_the_tolerations_every_pod_has() {
    const PODS: &str = "/api/v1/namespaces/g/pods";
    let cluster = Cluster::start().await;
    cluster.namespace("g").await;
    let pod = json!({ "apiVersion": "v1", "kind": "Pod", "metadata": { "name": "p" },
        "spec": { "containers": [{ "name": "c", "image": "i" }], "tolerations": [{ "key": "k", "operator": "Exists" }] } });
    let account = json!({ "metadata": { "name": "default" } });
    let accounts = "/api/v1/namespaces/g/serviceaccounts";
    cluster.ask(Method::POST, accounts, &account).await;
    let made = cluster.ask(Method::POST, PODS, &pod).await;
    assert_eq!(
        made["spec"]["tolerations"].as_array().map(Vec::len),
        Some(3)
    );
    let mut changed = made.clone();
    changed["spec"]["tolerations"] = pod["spec"]["tolerations"].clone();
    let put = cluster
        .ask(Method::PUT, &format!("{PODS}/p"), &changed)
        .await;
    assert_eq!(put["spec"]["tolerations"], made["spec"]["tolerations"]);
}

#[tokio::test]
async fn a_resize_is_a_new_generation_and_leaves_the_metadata_alone() {
    const PODS: &str = "/api/v1/namespaces/g/pods";
    let cluster = Cluster::start().await;
    cluster.namespace("g").await;
    let account = json!({ "metadata": { "name": "default" } });
    let accounts = "/api/v1/namespaces/g/serviceaccounts";
    cluster.ask(Method::POST, accounts, &account).await;
    let pod = json!({ "apiVersion": "v1", "kind": "Pod", "metadata": { "name": "p", "labels": { "a": "1" } },
        "spec": { "containers": [{ "name": "c", "image": "i", "resources": { "requests": { "cpu": "1" } } }] } });
    let made = cluster.ask(Method::POST, PODS, &pod).await;
    let mut wanted = made.clone();
    wanted["metadata"]["labels"] = json!({ "a": "2", "b": "1" });
    wanted["metadata"]["finalizers"] = json!(["example.com/f"]);
    wanted["spec"]["containers"][0]["resources"]["requests"]["cpu"] = "2".into();
    let path = format!("{PODS}/p/resize");
    let resized = cluster.ask(Method::PUT, &path, &wanted).await;
    let requests = &resized["spec"]["containers"][0]["resources"]["requests"];
    assert_eq!(requests["cpu"], "2", "{resized}");
    assert_eq!(resized["metadata"]["labels"], made["metadata"]["labels"]);
    assert!(resized["metadata"]["finalizers"].is_null());
    assert_eq!(resized["metadata"]["generation"], 2);
}
