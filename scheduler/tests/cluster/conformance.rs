//! `[sig-scheduling]` of the conformance suite; the names are its codenames.
//! The path of preemption with ReplicaSets is tested in the crate `controllers`.

use http::Method;
use serde_json::{Value, json};

use crate::world::{PODS, World};

const CLASSES: &str = "/apis/scheduling.k8s.io/v1/priorityclasses";
const LIMITS: &str = "/api/v1/namespaces/default/limitranges";

fn on(node: &str) -> Value {
    json!({ "nodeSelector": { "kubernetes.io/hostname": node } })
}

async fn make_class(world: &World, name: &str, value: i32) -> Value {
    let class = json!({ "metadata": { "name": name }, "value": value });
    world.make(CLASSES, class).await
}

/// Waits until the pod is gone from its node, by its uid.
async fn until_gone(world: &World, pod: &Value) {
    let name = pod["metadata"]["name"].as_str().unwrap();
    world
        .until(&format!("the end of {name}"), async || {
            let now = world.pod(name).await;
            (now["metadata"]["uid"] != pod["metadata"]["uid"]).then_some(())
        })
        .await;
}

#[tokio::test]
async fn sig_scheduling_limitrange_should_create_a_limitrange_with_defaults_and_ensure_pod_has_those_defaults_applied()
 {
    let world = World::start(1).await;
    let item = json!({ "type": "Container",
        "min": { "cpu": "50m", "memory": "100Mi" }, "max": { "cpu": "500m", "memory": "500Mi" },
        "default": { "cpu": "300m", "memory": "300Mi" },
        "defaultRequest": { "cpu": "100m", "memory": "200Mi" } });
    let range = json!({ "metadata": { "name": "range" }, "spec": { "limits": [item] } });
    let made = world.make(LIMITS, range).await;
    assert_eq!(made["spec"]["limits"][0]["max"]["cpu"], "500m");
    let pod = |name: &str, resources: Value| {
        json!({ "metadata": { "name": name }, "spec": { "containers": [{ "name": "c",
            "image": "busybox", "resources": resources }] } })
    };
    let of = |pod: &Value| pod["spec"]["containers"][0]["resources"].clone();
    let bare = world.make(PODS, pod("bare", json!({}))).await;
    let defaults = json!({ "limits": { "cpu": "300m", "memory": "300Mi" },
        "requests": { "cpu": "100m", "memory": "200Mi" } });
    assert_eq!(of(&bare), defaults);
    let some = json!({ "requests": { "cpu": "150m" }, "limits": { "memory": "400Mi" } });
    let some = world.make(PODS, pod("some", some)).await;
    // What is not asked for is what is allowed, where that is said.
    let merged = json!({ "limits": { "cpu": "300m", "memory": "400Mi" },
        "requests": { "cpu": "150m", "memory": "400Mi" } });
    assert_eq!(of(&some), merged);

    let path = format!("{LIMITS}/range");
    let mut changed = made["spec"]["limits"][0].clone();
    changed["min"] = json!({ "cpu": "9m", "memory": "9Mi" });
    let patch = json!({ "spec": { "limits": [changed] } });
    let patched = world.ask(Method::PATCH, &path, patch).await;
    assert_eq!(
        patched["spec"]["limits"][0]["min"]["cpu"], "9m",
        "{patched}"
    );
    let small = json!({ "requests": { "cpu": "10m", "memory": "10Mi" } });
    let small = world.ask(Method::POST, PODS, pod("small", small)).await;
    assert_eq!(of(&small)["requests"]["cpu"], "10m", "{small}");
    let large = json!({ "requests": { "cpu": "600m" }, "limits": { "cpu": "600m" } });
    let large = world.ask(Method::POST, PODS, pod("large", large)).await;
    assert_eq!(large["code"], 403, "{large}");

    world.ask(Method::DELETE, &path, json!({})).await;
    assert_eq!(
        world.ask(Method::GET, &path, Value::Null).await["code"],
        404
    );
    world.stop().await;
}

#[tokio::test]
async fn sig_scheduling_schedulerpredicates_validates_resource_limits_of_pods_that_are_allowed_to_run()
 {
    let world = World::start(2).await;
    for (name, node) in [("filler0", "n0"), ("filler1", "n1")] {
        world.make_pod(name, "1500m", on(node)).await;
        assert_eq!(world.node_of(name).await, node);
    }
    world.make_pod("more", "600m", json!({})).await;
    assert!(
        world
            .refusal("more")
            .await
            .starts_with("0/2 nodes are available: 2 Insufficient cpu.")
    );
    world.make_pod("rest", "500m", json!({})).await;
    world.node_of("rest").await;
    world.stop().await;
}

#[tokio::test]
async fn sig_scheduling_schedulerpredicates_validates_that_nodeselector_is_respected_if_matching() {
    let world = World::start(3).await;
    let labels = json!({ "metadata": { "labels": { "key": "42" } } });
    world.ask(Method::PATCH, "/api/v1/nodes/n1", labels).await;
    for name in ["one", "two", "three"] {
        let selector = json!({ "nodeSelector": { "key": "42" } });
        world.make_pod(name, "100m", selector).await;
        assert_eq!(world.node_of(name).await, "n1");
    }
    world.stop().await;
}

#[tokio::test]
async fn sig_scheduling_schedulerpredicates_validates_that_nodeselector_is_respected_if_not_matching()
 {
    let world = World::start(2).await;
    let selector = json!({ "nodeSelector": { "label": "nonempty" } });
    world.make_pod("restricted", "100m", selector).await;
    assert!(
        world
            .refusal("restricted")
            .await
            .contains("2 node(s) didn't match Pod's node affinity/selector")
    );
    let told = world.event("restricted", "FailedScheduling").await;
    assert!(told.starts_with("0/2 nodes are available"), "{told}");
    assert!(world.pod("restricted").await["spec"]["nodeName"].is_null());
    world.stop().await;
}

#[tokio::test]
async fn sig_scheduling_schedulerpredicates_validates_that_there_exists_conflict_between_pods_with_same_hostport_and_protocol_but_one_using_0_0_0_0_hostip()
 {
    let world = World::start(2).await;
    let with_port = |ip: &str, protocol: &str| {
        let port = json!({ "containerPort": 8080, "hostPort": 54322, "hostIP": ip,
            "protocol": protocol });
        let mut spec = on("n0");
        spec["containers"] = json!([{ "name": "c", "image": "busybox", "ports": [port] }]);
        spec
    };
    world
        .make_pod("all", "0", with_port("0.0.0.0", "TCP"))
        .await;
    assert_eq!(world.node_of("all").await, "n0");
    world
        .make_pod("one", "0", with_port("127.0.0.1", "TCP"))
        .await;
    let told = world.refusal("one").await;
    assert!(
        told.contains("1 node(s) didn't have free ports for the requested pod ports"),
        "{told}"
    );
    // Another protocol is another port.
    world
        .make_pod("udp", "0", with_port("127.0.0.1", "UDP"))
        .await;
    assert_eq!(world.node_of("udp").await, "n0");
    world.stop().await;
}

#[tokio::test]
async fn sig_scheduling_schedulerpreemption_validates_basic_preemption_works() {
    let world = World::start(2).await;
    for (name, value) in [("low", 1), ("medium", 100), ("high", 1000)] {
        make_class(&world, name, value).await;
    }
    let low = json!({ "priorityClassName": "low" });
    let victim = world.make_pod("victim", "1500m", low).await;
    world.node_of("victim").await;
    let medium = json!({ "priorityClassName": "medium" });
    let kept = world.make_pod("kept", "1500m", medium).await;
    world.node_of("kept").await;
    let high = json!({ "priorityClassName": "high" });
    world.make_pod("preemptor", "1500m", high).await;
    world.node_of("preemptor").await;
    until_gone(&world, &victim).await;
    let now = world.pod("kept").await;
    assert_eq!(now["metadata"]["uid"], kept["metadata"]["uid"]);
    assert!(now["metadata"]["deletionTimestamp"].is_null(), "{now}");
    world.stop().await;
}

#[tokio::test]
async fn sig_scheduling_schedulerpreemption_validates_lower_priority_pod_preemption_by_critical_pod()
 {
    let world = World::start(1).await;
    make_class(&world, "low", 1).await;
    let low = json!({ "priorityClassName": "low" });
    let victim = world.make_pod("victim", "1500m", low).await;
    world.node_of("victim").await;
    let namespace = json!({ "metadata": { "name": "kube-system" } });
    world.make("/api/v1/namespaces", namespace).await;
    let account = json!({ "metadata": { "name": "default" } });
    let accounts = "/api/v1/namespaces/kube-system/serviceaccounts";
    world.make(accounts, account).await;
    let pods = "/api/v1/namespaces/kube-system/pods";
    let critical = json!({ "metadata": { "name": "critical" }, "spec": {
        "priorityClassName": "system-cluster-critical", "containers": [{ "name": "c",
            "image": "busybox", "resources": { "requests": { "cpu": "1500m" } } }] } });
    let made = world.make(pods, critical).await;
    assert_eq!(made["spec"]["priority"], 2_000_000_000);
    world
        .until("the critical pod to run", async || {
            let path = format!("{pods}/critical");
            let pod = world.ask(Method::GET, &path, Value::Null).await;
            (pod["status"]["phase"] == "Running").then_some(())
        })
        .await;
    until_gone(&world, &victim).await;
    world.stop().await;
}

#[tokio::test]
async fn sig_scheduling_schedulerpreemption_priorityclass_endpoints_verify_priorityclass_endpoints_can_be_operated_with_different_http_methods()
 {
    let world = World::start(0).await;
    for (name, value) in [("p1", 1), ("p2", 2)] {
        make_class(&world, name, value).await;
    }
    let listed = world.ask(Method::GET, CLASSES, Value::Null).await;
    let items = listed["items"].as_array().unwrap();
    for name in ["p1", "p2"] {
        assert!(items.iter().any(|class| class["metadata"]["name"] == name));
    }
    let path = format!("{CLASSES}/p1");
    let describe = json!({ "description": "patched" });
    let patched = world.ask(Method::PATCH, &path, describe).await;
    assert_eq!(patched["description"], "patched", "{patched}");
    let mut class = patched;
    class["description"] = "updated".into();
    class["metadata"]["labels"] = json!({ "updated": "yes" });
    let mut updated = world.ask(Method::PUT, &path, class).await;
    assert_eq!(updated["description"], "updated", "{updated}");
    assert_eq!(updated["metadata"]["labels"]["updated"], "yes");

    let refused = world.ask(Method::PATCH, &path, json!({ "value": 7 })).await;
    assert_eq!(refused["code"], 422, "{refused}");
    updated["value"] = 7.into();
    let refused = world.ask(Method::PUT, &path, updated).await;
    assert_eq!(refused["code"], 422, "{refused}");
    let read = world.ask(Method::GET, &path, Value::Null).await;
    assert_eq!(read["value"], 1);
    world.ask(Method::DELETE, &path, json!({})).await;
    let gone = world.ask(Method::GET, &path, Value::Null).await;
    assert_eq!(gone["code"], 404, "{gone}");
    world.stop().await;
}
