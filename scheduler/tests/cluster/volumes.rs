use http::Method;
use serde_json::{Value, json};

use crate::world::World;

const CLAIMS: &str = "/api/v1/namespaces/default/persistentvolumeclaims";
const VOLUMES: &str = "/api/v1/persistentvolumes";

async fn class(world: &World, provisioner: &str) {
    let class = json!({ "metadata": { "name": "late" }, "provisioner": provisioner,
        "volumeBindingMode": "WaitForFirstConsumer" });
    world
        .make("/apis/storage.k8s.io/v1/storageclasses", class)
        .await;
    let claim = json!({ "metadata": { "name": "c" }, "spec": { "storageClassName": "late",
        "accessModes": ["ReadWriteOnce"], "resources": { "requests": { "storage": "1Gi" } } } });
    world.make(CLAIMS, claim).await;
}

fn using_the_claim() -> Value {
    json!({ "volumes": [{ "name": "v", "persistentVolumeClaim": { "claimName": "c" } }] })
}

/// As the volume binder of the controllers does.
async fn bind(world: &World, volume: &str) {
    let claim = format!("{CLAIMS}/c");
    let bound = json!({ "metadata": { "annotations": { "pv.kubernetes.io/bind-completed": "yes" } },
        "spec": { "volumeName": volume } });
    world.ask(Method::PATCH, &claim, bound).await;
    let phase = json!({ "status": { "phase": "Bound" } });
    world
        .ask(Method::PATCH, &format!("{claim}/status"), phase)
        .await;
}

async fn volume(world: &World, name: &str, node: &str) {
    let here = json!({ "key": "kubernetes.io/hostname", "operator": "In", "values": [node] });
    let spec = json!({ "storageClassName": "late", "accessModes": ["ReadWriteOnce"],
        "capacity": { "storage": "1Gi" }, "local": { "path": "/mnt" },
        "nodeAffinity": { "required": { "nodeSelectorTerms": [{ "matchExpressions": [here] }] } } });
    world
        .make(
            VOLUMES,
            json!({ "metadata": { "name": name }, "spec": spec }),
        )
        .await;
    let phase = json!({ "status": { "phase": "Available" } });
    world
        .ask(Method::PATCH, &format!("{VOLUMES}/{name}/status"), phase)
        .await;
}

#[tokio::test]
async fn a_pod_goes_where_its_volume_is_once_the_volume_is_its_claims() {
    let world = World::start(2).await;
    class(&world, "kubernetes.io/no-provisioner").await;
    world.make_pod("p", "1", using_the_claim()).await;
    assert_eq!(
        world.refusal("p").await,
        "0/2 nodes are available: 2 node(s) didn't find available persistent volumes to bind. \
         preemption: 0/2 nodes are available: 2 Preemption is not helpful for scheduling."
    );
    volume(&world, "v1", "n1").await;
    let path = format!("{VOLUMES}/v1");
    let kept = world.until("the volume to be kept for the claim", async || {
        let volume = world.ask(Method::GET, &path, Value::Null).await;
        (volume["spec"]["claimRef"]["name"] == "c").then_some(volume)
    });
    let kept = kept.await;
    let by = &kept["metadata"]["annotations"]["pv.kubernetes.io/bound-by-controller"];
    assert_eq!(by, "yes");
    assert!(world.pod("p").await["spec"]["nodeName"].is_null());
    bind(&world, "v1").await;
    assert_eq!(world.node_of("p").await, "n1");
    world.stop().await;
}

#[tokio::test]
async fn a_claim_is_told_its_node_and_a_refusal_of_the_provisioner_is_heard() {
    let world = World::start(1).await;
    class(&world, "example.com/maker").await;
    world.make_pod("p", "1", using_the_claim()).await;
    let claim = format!("{CLAIMS}/c");
    let selected = async || {
        world
            .until("the claim's node", async || {
                let claim = world.ask(Method::GET, &claim, Value::Null).await;
                let node = &claim["metadata"]["annotations"]["volume.kubernetes.io/selected-node"];
                (node == "n0").then_some(())
            })
            .await;
    };
    selected().await;
    let refused =
        json!({ "metadata": { "annotations": { "volume.kubernetes.io/selected-node": null } } });
    world.ask(Method::PATCH, &claim, refused).await;
    let told = world.event("p", "FailedScheduling").await;
    assert!(
        told.starts_with("running PreBind plugin \"VolumeBinding\": binding volumes: "),
        "{told}"
    );
    selected().await;
    volume(&world, "made", "n0").await;
    bind(&world, "made").await;
    assert_eq!(world.node_of("p").await, "n0");
    world.stop().await;
}
