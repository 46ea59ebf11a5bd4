use crate::world::World;

#[tokio::test(flavor = "multi_thread")]
async fn each_node_has_a_pod_range_of_its_own() {
    let world = World::start().await;
    let range = async |name: &str| {
        let path = format!("/api/v1/nodes/{name}");
        world
            .until("a pod range", async || {
                let node = world.find(&path).await?;
                assert_eq!(node["spec"]["podCIDRs"][0], node["spec"]["podCIDR"]);
                node["spec"]["podCIDR"].as_str().map(str::to_owned)
            })
            .await
    };
    assert_eq!(range("n1").await, "10.244.0.0/24");
    assert_eq!(range("n2").await, "10.244.1.0/24");
    world.stop().await;
}
