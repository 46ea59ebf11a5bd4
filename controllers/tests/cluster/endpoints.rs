use http::Method;
use serde_json::{Value, json};

use crate::deployments::deployment;
use crate::world::{ADVERTISED, World};

const SERVICES: &str = "/api/v1/namespaces/t/services";
const ENDPOINTS: &str = "/api/v1/namespaces/t/endpoints";
const SLICES: &str = "/apis/discovery.k8s.io/v1/namespaces/t/endpointslices";

fn service(selector: Value) -> Value {
    json!({ "metadata": { "name": "web", "labels": { "team": "x" } }, "spec": { "selector": selector,
        "ports": [{ "name": "http", "port": 80, "targetPort": "http" }] } })
}

async fn slice_with(world: &World, count: usize) -> Value {
    world
        .until(&format!("a slice of {count} endpoints"), async || {
            let slices = world.list(SLICES).await;
            let has = |s: &&Value| s["endpoints"].as_array().map_or(0, Vec::len) == count;
            (slices.len() == 1).then(|| slices.iter().find(has).cloned())?
        })
        .await
}

#[tokio::test(flavor = "multi_thread")]
async fn sig_network_endpointslice_should_create_and_delete_endpoints_and_endpointslices_for_a_service_with_a_selector_specified()
 {
    let world = World::start().await;
    let service = world.create(SERVICES, service(json!({ "app": "a" }))).await;
    let empty = slice_with(&world, 0).await;
    world
        .create(
            "/apis/apps/v1/namespaces/t/deployments",
            deployment(3, "app:1"),
        )
        .await;
    world.until_rolled_out(3, "app:1").await;
    let slice = slice_with(&world, 3).await;
    assert_eq!(
        slice["metadata"]["uid"], empty["metadata"]["uid"],
        "written in place"
    );
    assert_eq!(
        slice["metadata"]["ownerReferences"][0]["uid"],
        service["metadata"]["uid"]
    );
    let labels = &slice["metadata"]["labels"];
    assert_eq!(labels["kubernetes.io/service-name"], "web");
    assert_eq!(labels["team"], "x");
    assert_eq!(
        labels["endpointslice.kubernetes.io/managed-by"],
        "endpointslice-controller.k8s.io"
    );
    assert_eq!(
        slice["ports"],
        json!([{ "name": "http", "port": 8080, "protocol": "TCP" }])
    );
    let endpoint = &slice["endpoints"][0];
    assert_eq!(
        endpoint["conditions"],
        json!({ "ready": true, "serving": true, "terminating": false })
    );
    assert_eq!(endpoint["zone"], "z1");
    assert_eq!(endpoint["targetRef"]["kind"], "Pod");
    let endpoints = world
        .until("3 addresses", async || {
            let found = world.find(&format!("{ENDPOINTS}/web")).await?;
            let count = found["subsets"][0]["addresses"].as_array()?.len();
            (count == 3).then_some(found)
        })
        .await;
    assert_eq!(
        endpoints["subsets"][0]["ports"],
        json!([{ "name": "http", "port": 8080, "protocol": "TCP" }])
    );
    world.delete(&format!("{SERVICES}/web"), "Background").await;
    world.until_gone(&format!("{ENDPOINTS}/web")).await;
    world
        .until("no slice", async || {
            world.list(SLICES).await.is_empty().then_some(())
        })
        .await;
    world.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn pod_that_is_not_ready_any_more_is_said_so() {
    let world = World::start().await;
    world.create(SERVICES, service(json!({ "app": "a" }))).await;
    world
        .create(
            "/apis/apps/v1/namespaces/t/deployments",
            deployment(1, "app:1"),
        )
        .await;
    world.until_rolled_out(1, "app:1").await;
    let pod = world.list("/api/v1/namespaces/t/pods").await.remove(0);
    let name = pod["metadata"]["name"].as_str().unwrap();
    let unready = json!({ "status": { "conditions": [{ "type": "Ready", "status": "False" }] } });
    world
        .patch(&format!("/api/v1/namespaces/t/pods/{name}/status"), unready)
        .await;
    world
        .until("an unready endpoint", async || {
            let slice = slice_with(&world, 1).await;
            (slice["endpoints"][0]["conditions"]["ready"] == false).then_some(())
        })
        .await;
    world
        .until("a not ready address", async || {
            let found = world.find(&format!("{ENDPOINTS}/web")).await?;
            let subset = &found["subsets"][0];
            (subset["addresses"].is_null() && subset["notReadyAddresses"].is_array()).then_some(())
        })
        .await;
    world.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn sig_network_endpointslicemirroring_should_mirror_a_custom_endpoints_resource_through_create_update_and_delete()
 {
    let world = World::start().await;
    world.create(SERVICES, service(Value::Null)).await;
    let endpoints = json!({ "metadata": { "name": "web" }, "subsets": [
        { "addresses": [{ "ip": "192.0.2.7" }], "ports": [{ "name": "http", "port": 8080 }] }] });
    world.create(ENDPOINTS, endpoints).await;
    let slice = slice_with(&world, 1).await;
    assert_eq!(slice["endpoints"][0]["addresses"], json!(["192.0.2.7"]));
    assert_eq!(
        slice["metadata"]["labels"]["endpointslice.kubernetes.io/managed-by"],
        "endpointslicemirroring-controller.k8s.io"
    );
    let path = format!("{ENDPOINTS}/web");
    let moved = json!({ "subsets": [{ "addresses": [{ "ip": "192.0.2.8" }], "ports": [{ "name": "http", "port": 8080 }] }] });
    world.ask(Method::PATCH, &path, moved).await;
    world
        .until("the other address", async || {
            let slice = slice_with(&world, 1).await;
            (slice["endpoints"][0]["addresses"] == json!(["192.0.2.8"])).then_some(())
        })
        .await;
    world.delete(&path, "Background").await;
    world
        .until("no slice", async || {
            world.list(SLICES).await.is_empty().then_some(())
        })
        .await;
    world.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn sig_network_endpointslice_should_have_endpoints_and_endpointslices_pointing_to_api_server()
{
    let world = World::start().await;
    world
        .is_discovered("discovery.k8s.io", "v1", "endpointslices")
        .await;
    let base = "/api/v1/namespaces/default";
    let service = world.find(&format!("{base}/services/kubernetes")).await;
    assert!(service.is_some());
    let ip = std::net::Ipv4Addr::from(ADVERTISED).to_string();
    let endpoints = world
        .until("the endpoints of the API", async || {
            world.find(&format!("{base}/endpoints/kubernetes")).await
        })
        .await;
    let subset = &endpoints["subsets"][0];
    assert_eq!(subset["addresses"], json!([{ "ip": ip }]));
    assert_eq!(subset["ports"][0]["port"], 6443);
    let slices = "/apis/discovery.k8s.io/v1/namespaces/default/endpointslices";
    let selected = format!("{slices}?labelSelector=kubernetes.io%2Fservice-name%3Dkubernetes");
    let slices = world
        .until("the slice of the API", async || {
            let slices = world.list(&selected).await;
            (!slices.is_empty()).then_some(slices)
        })
        .await;
    assert_eq!(slices.len(), 1);
    assert_eq!(slices[0]["endpoints"][0]["addresses"], json!([ip]));
    assert_eq!(slices[0]["ports"][0]["port"], 6443);
    world.stop().await;
}

fn pod(name: &str, app: &str, port: u16) -> Value {
    json!({ "metadata": { "name": name, "labels": { "app": app } }, "spec": { "containers": [{
        "name": "c", "image": "app:1", "ports": [{ "name": "http", "containerPort": port }] }] } })
}

/// Two pods give the port of a name two numbers; a third is none of the Service's.
#[tokio::test(flavor = "multi_thread")]
async fn sig_network_endpointslice_should_create_endpoints_and_endpointslices_for_pods_matching_a_service()
 {
    let world = World::start().await;
    world
        .is_discovered("discovery.k8s.io", "v1", "endpointslices")
        .await;
    let pods = "/api/v1/namespaces/t/pods";
    for (name, app, port) in [("p1", "a", 8001), ("p2", "a", 8002), ("p3", "b", 8003)] {
        world.create(pods, pod(name, app, port)).await;
    }
    world.until_running(3).await;
    world.create(SERVICES, service(json!({ "app": "a" }))).await;
    let mut wanted = Vec::new();
    for (name, port) in [("p1", 8001), ("p2", 8002)] {
        let pod = world.find(&format!("{pods}/{name}")).await.unwrap();
        let ip = pod["status"]["podIP"].as_str().unwrap().to_owned();
        wanted.push((ip, name.to_owned(), port));
    }
    let text = |value: &Value| value.as_str().unwrap_or_default().to_owned();
    world
        .until("both in slices", async || {
            let mut found = Vec::new();
            for slice in world.list(SLICES).await {
                let port = slice["ports"][0]["port"].as_u64().unwrap_or(0);
                for endpoint in slice["endpoints"].as_array()? {
                    assert_eq!(endpoint["conditions"]["ready"], true, "{slice}");
                    let name = text(&endpoint["targetRef"]["name"]);
                    found.push((text(&endpoint["addresses"][0]), name, port));
                }
            }
            found.sort_by(|a, b| a.1.cmp(&b.1));
            (found == wanted).then_some(())
        })
        .await;
    world
        .until("both in endpoints", async || {
            let endpoints = world.find(&format!("{ENDPOINTS}/web")).await?;
            let mut found = Vec::new();
            for subset in endpoints["subsets"].as_array()? {
                let port = subset["ports"][0]["port"].as_u64()?;
                for address in subset["addresses"].as_array()? {
                    let name = text(&address["targetRef"]["name"]);
                    found.push((text(&address["ip"]), name, port));
                }
            }
            found.sort_by(|a, b| a.1.cmp(&b.1));
            (found == wanted).then_some(())
        })
        .await;
    world.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn sig_network_endpointslice_should_support_creating_endpointslice_api_operations() {
    let world = World::start().await;
    world
        .is_discovered("discovery.k8s.io", "v1", "endpointslices")
        .await;
    let make =
        |_: &str| json!({ "addressType": "IPv4", "endpoints": [{ "addresses": ["192.0.2.9"] }] });
    world
        .are_operated("discovery.k8s.io/v1", "endpointslices", make)
        .await;
    world.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn sig_network_services_should_test_the_lifecycle_of_an_endpoint() {
    let world = World::start().await;
    let mut watching = world.watch(ENDPOINTS, "labelSelector=life%3Dcycle").await;
    let made = json!({ "metadata": { "name": "e", "labels": { "life": "cycle" } }, "subsets": [
        { "addresses": [{ "ip": "192.0.2.7" }], "ports": [{ "name": "http", "port": 80 }] }] });
    world.create(ENDPOINTS, made).await;
    watching.until("ADDED", |_| true).await;
    let listed = "/api/v1/endpoints?labelSelector=life%3Dcycle";
    assert_eq!(world.list(listed).await.len(), 1);
    let path = format!("{ENDPOINTS}/e");
    let label = |e: &mut Value| e["metadata"]["labels"]["updated"] = "yes".into();
    world.update(&path, label).await;
    let read = world.find(&path).await.unwrap();
    assert_eq!(read["metadata"]["labels"]["updated"], "yes");
    let patch = json!({ "metadata": { "labels": { "patched": "yes" } }, "subsets": [
        { "addresses": [{ "ip": "192.0.2.8" }], "ports": [{ "name": "https", "port": 443 }] }] });
    world.patch(&path, patch).await;
    let read = world.find(&path).await.unwrap();
    assert_eq!(read["metadata"]["labels"]["patched"], "yes");
    let subset = &read["subsets"][0];
    assert_eq!(subset["addresses"][0]["ip"], "192.0.2.8");
    assert_eq!(subset["ports"][0]["port"], 443);
    world
        .delete(
            &format!("{ENDPOINTS}?labelSelector=life%3Dcycle"),
            "Background",
        )
        .await;
    watching.until("DELETED", |_| true).await;
    world.until_gone(&path).await;
    world.stop().await;
}
