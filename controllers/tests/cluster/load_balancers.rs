//! Services that are reached at the nodes' own addresses.

use serde_json::{Value, json};

use crate::world::World;

const SERVICES: &str = "/api/v1/namespaces/t/services";

async fn give_address(world: &World, node: &str, address: &str, kubelet: u16) {
    let status = json!({ "status": {
        "addresses": [{ "type": "InternalIP", "address": address }],
        "daemonEndpoints": { "kubeletEndpoint": { "Port": kubelet } } } });
    world
        .patch(&format!("/api/v1/nodes/{node}/status"), status)
        .await;
}

fn service(name: &str, port: u16, more: Value) -> Value {
    let mut spec =
        json!({ "type": "LoadBalancer", "selector": { "app": "x" }, "ports": [{ "port": port }] });
    let more = more.as_object().cloned().unwrap_or_default();
    spec.as_object_mut().unwrap().extend(more);
    json!({ "metadata": { "name": name }, "spec": spec })
}

impl World {
    async fn until_balanced_at(&self, name: &str, addresses: &[&str]) {
        let path = format!("{SERVICES}/{name}");
        self.until(&format!("{name} at {addresses:?}"), async || {
            let service = self.find(&path).await?;
            let ingress = service["status"]["loadBalancer"]["ingress"].as_array();
            let ips = ingress.into_iter().flatten().map(|i| i["ip"].clone());
            (ips.collect::<Vec<_>>() == *addresses).then_some(())
        })
        .await;
    }

    async fn until_refused(&self, name: &str, why: &str) {
        self.until(&format!("{name} refused: {why}"), async || {
            let events = self.list("/api/v1/namespaces/t/events").await;
            let mut events = events.iter();
            events
                .any(|e| {
                    e["involvedObject"]["name"] == name
                        && e["reason"] == "SyncLoadBalancerFailed"
                        && e["message"].as_str().unwrap_or_default().contains(why)
                })
                .then_some(())
        })
        .await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn balanced_service_has_the_addresses_of_ready_nodes() {
    let world = World::start().await;
    give_address(&world, "n1", "10.0.0.1", 10250).await;
    world.create(SERVICES, service("web", 80, json!({}))).await;
    world.until_balanced_at("web", &["10.0.0.1"]).await;
    give_address(&world, "n2", "10.0.0.2", 10250).await;
    world
        .until_balanced_at("web", &["10.0.0.1", "10.0.0.2"])
        .await;
    let labels = json!({ "metadata": { "labels": {
        "node.kubernetes.io/exclude-from-external-load-balancers": "" } } });
    world.patch("/api/v1/nodes/n1", labels).await;
    world.until_balanced_at("web", &["10.0.0.2"]).await;
    let plain = json!({ "spec": { "type": "ClusterIP" } });
    world.patch(&format!("{SERVICES}/web"), plain).await;
    world.until_balanced_at("web", &[]).await;
    world.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn port_belongs_to_the_service_that_was_first() {
    let world = World::start().await;
    give_address(&world, "n1", "10.0.0.1", 10260).await;
    world
        .create(SERVICES, service("first", 80, json!({})))
        .await;
    world.until_balanced_at("first", &["10.0.0.1"]).await;
    // Ages are whole seconds; of two of one second the uid would decide.
    tokio::time::sleep(std::time::Duration::from_millis(1100)).await;
    world
        .create(SERVICES, service("second", 80, json!({})))
        .await;
    world
        .until_refused("second", "port 80/TCP is that of Service t/first")
        .await;
    world
        .create(SERVICES, service("kubelet", 10260, json!({})))
        .await;
    world
        .until_refused("kubelet", "port 10260 is the cluster's own on every node")
        .await;
    let ranges = json!({ "loadBalancerSourceRanges": ["10.0.0.0/8"] });
    world.create(SERVICES, service("closed", 81, ranges)).await;
    world
        .until_refused("closed", "loadBalancerSourceRanges are not supported")
        .await;
    let theirs = json!({ "loadBalancerClass": "example.com/theirs" });
    world.create(SERVICES, service("theirs", 82, theirs)).await;
    world
        .delete(&format!("{SERVICES}/first"), "Background")
        .await;
    world.until_balanced_at("second", &["10.0.0.1"]).await;
    for other in ["kubelet", "closed", "theirs"] {
        world.until_balanced_at(other, &[]).await;
    }
    world.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn service_that_stays_local_is_where_its_pods_are() {
    let world = World::start().await;
    give_address(&world, "n1", "10.0.0.1", 10250).await;
    give_address(&world, "n2", "10.0.0.2", 10250).await;
    let local = json!({ "externalTrafficPolicy": "Local" });
    world.create(SERVICES, service("web", 80, local)).await;
    let pod = json!({ "metadata": { "name": "p", "labels": { "app": "x" } }, "spec": {
        "nodeName": "n2", "containers": [{ "name": "c", "image": "i" }] } });
    world.create("/api/v1/namespaces/t/pods", pod).await;
    world.until_balanced_at("web", &["10.0.0.2"]).await;
    world
        .delete("/api/v1/namespaces/t/pods/p", "Background")
        .await;
    world.until_balanced_at("web", &[]).await;
    world.stop().await;
}
