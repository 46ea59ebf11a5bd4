//! Volumes and claims: who gets whom, what goes when, and what is said of it.

use http::Method;
use serde_json::{Value, json};

use crate::world::World;

const CLAIMS: &str = "/api/v1/namespaces/t/persistentvolumeclaims";
const VOLUMES: &str = "/api/v1/persistentvolumes";
const CLASSES: &str = "/apis/storage.k8s.io/v1/storageclasses";
const PODS: &str = "/api/v1/namespaces/t/pods";

fn volume(name: &str, spec: Value) -> Value {
    let mut volume = json!({ "metadata": { "name": name }, "spec": {
        "capacity": { "storage": "1Gi" }, "accessModes": ["ReadWriteOnce"], "hostPath": { "path": "/x" } } });
    merge(&mut volume["spec"], spec);
    volume
}

fn claim(name: &str, spec: Value) -> Value {
    let mut claim = json!({ "metadata": { "name": name }, "spec": {
        "accessModes": ["ReadWriteOnce"], "resources": { "requests": { "storage": "1Gi" } } } });
    merge(&mut claim["spec"], spec);
    claim
}

fn merge(into: &mut Value, more: Value) {
    let fields = more.as_object().cloned().unwrap_or_default();
    into.as_object_mut().unwrap().extend(fields);
}

fn pod(name: &str, volume: Value) -> Value {
    let mut volume = volume;
    volume["name"] = json!("v");
    json!({ "metadata": { "name": name }, "spec": { "volumes": [volume],
        "containers": [{ "name": "c", "image": "i" }] } })
}

impl World {
    async fn until_claim(&self, name: &str, phase: &str) -> Value {
        let path = format!("{CLAIMS}/{name}");
        self.until(&format!("claim {name} {phase}"), async || {
            let claim = self.find(&path).await?;
            (claim["status"]["phase"] == phase).then_some(claim)
        })
        .await
    }

    async fn until_volume(&self, name: &str, phase: &str) -> Value {
        let path = format!("{VOLUMES}/{name}");
        self.until(&format!("volume {name} {phase}"), async || {
            let volume = self.find(&path).await?;
            (volume["status"]["phase"] == phase).then_some(volume)
        })
        .await
    }

    /// The message of an event of this reason about the object of this name.
    async fn until_said(&self, about: &str, reason: &str) -> String {
        self.until(&format!("{reason} about {about}"), async || {
            let events = self.list("/api/v1/events").await;
            let mut events = events.into_iter();
            let told =
                events.find(|e| e["reason"] == reason && e["involvedObject"]["name"] == about)?;
            told["message"].as_str().map(str::to_owned)
        })
        .await
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn claim_and_volume_name_each_other() {
    let world = World::start().await;
    world.create(CLAIMS, claim("c", json!({}))).await;
    let told = world.until_said("c", "FailedBinding").await;
    assert_eq!(
        told,
        "no persistent volumes available for this claim and no storage class is set"
    );
    world
        .create(
            VOLUMES,
            volume("large", json!({ "capacity": { "storage": "5Gi" } })),
        )
        .await;
    let claim = world.until_claim("c", "Bound").await;
    let volume = world.until_volume("large", "Bound").await;
    assert_eq!(claim["spec"]["volumeName"], "large");
    assert_eq!(claim["status"]["capacity"]["storage"], "5Gi");
    assert_eq!(claim["status"]["accessModes"], json!(["ReadWriteOnce"]));
    let annotations = &claim["metadata"]["annotations"];
    assert_eq!(annotations["pv.kubernetes.io/bind-completed"], "yes");
    assert_eq!(annotations["pv.kubernetes.io/bound-by-controller"], "yes");
    let of = &volume["spec"]["claimRef"];
    assert_eq!(of["uid"], claim["metadata"]["uid"]);
    assert_eq!(
        (&of["kind"], &of["namespace"]),
        (&json!("PersistentVolumeClaim"), &json!("t"))
    );
    let by = &volume["metadata"]["annotations"]["pv.kubernetes.io/bound-by-controller"];
    assert_eq!(by, "yes");
    assert!(volume["status"]["lastPhaseTransitionTime"].is_string());
    world.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn claim_and_volume_that_were_chosen_by_users_find_each_other() {
    let world = World::start().await;
    world.create(VOLUMES, volume("free", json!({}))).await;
    let aside = json!({ "claimRef": { "namespace": "t", "name": "mine" } });
    world.create(VOLUMES, volume("aside", aside)).await;
    world.until_volume("aside", "Available").await;
    world.create(CLAIMS, claim("mine", json!({}))).await;
    let mine = world.until_claim("mine", "Bound").await;
    assert_eq!(mine["spec"]["volumeName"], "aside");
    let aside = world.until_volume("aside", "Bound").await;
    assert_eq!(aside["spec"]["claimRef"]["uid"], mine["metadata"]["uid"]);
    assert!(aside["metadata"]["annotations"].is_null());
    let wish = |name| json!({ "volumeName": name });
    world.create(CLAIMS, claim("named", wish("free"))).await;
    let named = world.until_claim("named", "Bound").await;
    let annotations = &named["metadata"]["annotations"];
    assert!(annotations["pv.kubernetes.io/bound-by-controller"].is_null());
    world.create(CLAIMS, claim("late", wish("aside"))).await;
    let told = world.until_said("late", "FailedBinding").await;
    assert_eq!(told, "volume \"aside\" already bound to a different claim.");
    world
        .create(
            VOLUMES,
            volume("tiny", json!({ "capacity": { "storage": "1Mi" } })),
        )
        .await;
    world.create(CLAIMS, claim("greedy", wish("tiny"))).await;
    let told = world.until_said("greedy", "VolumeMismatch").await;
    assert_eq!(
        told,
        "Cannot bind to requested volume \"tiny\": requested PV is too small"
    );
    assert_eq!(
        world.until_claim("greedy", "Pending").await["spec"]["volumeName"],
        "tiny"
    );
    world.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn volume_whose_claim_is_gone_is_dealt_with_by_its_policy() {
    let world = World::start().await;
    let policies = [
        ("retain", "Retain", "Released", None),
        ("recycle", "Recycle", "Failed", Some("VolumeFailedRecycle")),
        ("delete", "Delete", "Failed", Some("VolumeFailedDelete")),
    ];
    for (name, policy, phase, reason) in policies {
        let spec = json!({ "persistentVolumeReclaimPolicy": policy });
        world.create(VOLUMES, volume(name, spec)).await;
        world
            .create(CLAIMS, claim(name, json!({ "volumeName": name })))
            .await;
        world.until_claim(name, "Bound").await;
        world
            .delete(&format!("{CLAIMS}/{name}"), "Background")
            .await;
        world.until_gone(&format!("{CLAIMS}/{name}")).await;
        let volume = world.until_volume(name, phase).await;
        if let Some(reason) = reason {
            let told = world.until_said(name, reason).await;
            assert_eq!(volume["status"]["message"], told);
        }
        // A claim of the same name does not get what the other left.
        world
            .create(CLAIMS, claim(name, json!({ "volumeName": name })))
            .await;
        world.until_said(name, "FailedBinding").await;
        world.until_claim(name, "Pending").await;
    }
    let told = world.until_said("delete", "VolumeFailedDelete").await;
    assert_eq!(
        told,
        "error getting deleter volume plugin for volume \"delete\": no deletable volume plugin matched"
    );
    // Freed by hand, it is there again for whoever wants it.
    let path = format!("{VOLUMES}/retain");
    world
        .patch(&path, json!({ "spec": { "claimRef": null } }))
        .await;
    world.until_claim("retain", "Bound").await;
    world.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn claim_whose_volume_goes_is_lost() {
    let world = World::start().await;
    world.create(VOLUMES, volume("v", json!({}))).await;
    world.create(CLAIMS, claim("c", json!({}))).await;
    world.until_claim("c", "Bound").await;
    world.delete(&format!("{VOLUMES}/v"), "Background").await;
    // Its claim holds it.
    assert!(world.find(&format!("{VOLUMES}/v")).await.is_some());
    let finalizers = json!({ "metadata": { "finalizers": null } });
    world.patch(&format!("{VOLUMES}/v"), finalizers).await;
    let lost = world.until_claim("c", "Lost").await;
    assert!(lost["status"]["capacity"].is_null());
    let told = world.until_said("c", "ClaimLost").await;
    assert_eq!(
        told,
        "Bound claim has lost its PersistentVolume. Data on the volume is lost!"
    );
    world.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn bound_volume_that_is_deleted_ends_after_its_claim() {
    let world = World::start().await;
    world.create(VOLUMES, volume("v", json!({}))).await;
    world.create(CLAIMS, claim("c", json!({}))).await;
    world.until_claim("c", "Bound").await;
    world.delete(&format!("{VOLUMES}/v"), "Background").await;
    let ending = world.until_volume("v", "Bound").await;
    assert!(ending["metadata"]["deletionTimestamp"].is_string());
    world.delete(&format!("{CLAIMS}/c"), "Background").await;
    world.until_gone(&format!("{CLAIMS}/c")).await;
    world.until_gone(&format!("{VOLUMES}/v")).await;
    world.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn claim_that_a_pod_uses_ends_after_the_pod() {
    let world = World::start().await;
    world.create(VOLUMES, volume("v", json!({}))).await;
    world.create(CLAIMS, claim("c", json!({}))).await;
    world.until_claim("c", "Bound").await;
    let uses = json!({ "persistentVolumeClaim": { "claimName": "c" } });
    world.create(PODS, pod("user", uses)).await;
    world
        .until("a running pod", async || {
            let pod = world.find(&format!("{PODS}/user")).await?;
            (pod["status"]["phase"] == "Running").then_some(())
        })
        .await;
    world.delete(&format!("{CLAIMS}/c"), "Background").await;
    tokio::time::sleep(std::time::Duration::from_millis(300)).await;
    let ending = world.find(&format!("{CLAIMS}/c")).await.unwrap();
    assert!(ending["metadata"]["deletionTimestamp"].is_string());
    assert_eq!(
        ending["metadata"]["finalizers"],
        json!(["kubernetes.io/pvc-protection"])
    );
    world.delete(&format!("{PODS}/user"), "Background").await;
    world.until_gone(&format!("{CLAIMS}/c")).await;
    world.until_volume("v", "Released").await;
    world.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn claim_of_a_class_that_waits_asks_for_its_volume_once_a_node_is_chosen() {
    let world = World::start().await;
    let class = json!({ "metadata": { "name": "slow" }, "provisioner": "example.com/disks",
        "volumeBindingMode": "WaitForFirstConsumer" });
    world.create(CLASSES, class).await;
    world
        .create(VOLUMES, volume("v", json!({ "storageClassName": "slow" })))
        .await;
    world
        .create(CLAIMS, claim("c", json!({ "storageClassName": "slow" })))
        .await;
    let told = world.until_said("c", "WaitForFirstConsumer").await;
    assert_eq!(
        told,
        "waiting for first consumer to be created before binding"
    );
    let path = format!("{CLAIMS}/c");
    let selected =
        json!({ "metadata": { "annotations": { "volume.kubernetes.io/selected-node": "n1" } } });
    world.patch(&path, selected).await;
    let told = world.until_said("c", "ExternalProvisioning").await;
    assert!(told.starts_with("Waiting for a volume to be created either by the external provisioner 'example.com/disks'"), "{told}");
    let asked = world.find(&path).await.unwrap();
    let annotations = &asked["metadata"]["annotations"];
    for name in [
        "volume.kubernetes.io/storage-provisioner",
        "volume.beta.kubernetes.io/storage-provisioner",
    ] {
        assert_eq!(annotations[name], "example.com/disks");
    }
    // What its provisioner makes is bound, and not the free one.
    let of = json!({ "namespace": "t", "name": "c", "uid": asked["metadata"]["uid"] });
    let made = json!({ "storageClassName": "slow", "claimRef": of });
    world.create(VOLUMES, volume("made", made)).await;
    let bound = world.until_claim("c", "Bound").await;
    assert_eq!(bound["spec"]["volumeName"], "made");
    world.until_volume("v", "Available").await;
    world.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn claim_without_a_class_gets_the_default_one_later() {
    let world = World::start().await;
    world.create(CLAIMS, claim("c", json!({}))).await;
    world
        .create(CLAIMS, claim("none", json!({ "storageClassName": "" })))
        .await;
    world
        .create(
            CLAIMS,
            claim("lost", json!({ "storageClassName": "absent" })),
        )
        .await;
    let told = world.until_said("lost", "ProvisioningFailed").await;
    assert_eq!(told, "storageclass.storage.k8s.io \"absent\" not found");
    world.until_said("c", "FailedBinding").await;
    let class = json!({ "metadata": { "name": "std", "annotations": {
        "storageclass.kubernetes.io/is-default-class": "true" } }, "provisioner": "example.com/disks" });
    world.create(CLASSES, class).await;
    let told = world.until_said("c", "ExternalProvisioning").await;
    assert!(told.contains("'example.com/disks'"));
    let path = format!("{CLAIMS}/c");
    assert_eq!(
        world.find(&path).await.unwrap()["spec"]["storageClassName"],
        "std"
    );
    let none = world
        .ask(Method::GET, &format!("{CLAIMS}/none"), Value::Null)
        .await;
    assert_eq!(none["spec"]["storageClassName"], "");
    world.stop().await;
}

/// The node keeps volumes under this directory.
async fn keep_volumes(world: &World, node: &str) {
    let annotations = json!({ "skiff.dev/storage-dir": "/somewhere/storage" });
    let labels = json!({ "kubernetes.io/hostname": format!("{node}-host") });
    let patch = json!({ "metadata": { "annotations": annotations, "labels": labels } });
    world.patch(&format!("/api/v1/nodes/{node}"), patch).await;
}

async fn select(world: &World, claim: &str, node: &str) {
    let selected =
        json!({ "metadata": { "annotations": { "volume.kubernetes.io/selected-node": node } } });
    world.patch(&format!("{CLAIMS}/{claim}"), selected).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn claim_gets_a_directory_of_the_node_that_was_chosen() {
    let world = World::start().await;
    assert_eq!(world.list(CLASSES).await, Vec::<Value>::new());
    keep_volumes(&world, "n1").await;
    let class = world
        .until("a class", async || {
            world.find(&format!("{CLASSES}/local-path")).await
        })
        .await;
    assert_eq!(class["provisioner"], "skiff.dev/local-path");
    assert_eq!(class["volumeBindingMode"], "WaitForFirstConsumer");
    world.create(CLAIMS, claim("c", json!({}))).await;
    world.until_said("c", "WaitForFirstConsumer").await;
    // A node that keeps none is given back to the scheduler.
    select(&world, "c", "n2").await;
    let said = world.until_said("c", "ProvisioningFailed").await;
    assert_eq!(
        said,
        "failed to provision volume with StorageClass \"local-path\": node \"n2\" does not keep volumes"
    );
    world
        .until("no node chosen", async || {
            let claim = world.find(&format!("{CLAIMS}/c")).await?;
            let selected = &claim["metadata"]["annotations"]["volume.kubernetes.io/selected-node"];
            selected.is_null().then_some(())
        })
        .await;
    select(&world, "c", "n1").await;
    let bound = world.until_claim("c", "Bound").await;
    let name = format!("pvc-{}", bound["metadata"]["uid"].as_str().unwrap());
    assert_eq!(bound["spec"]["volumeName"], name);
    let said = world.until_said("c", "ProvisioningSucceeded").await;
    assert_eq!(said, format!("Successfully provisioned volume {name}"));
    let volume = world.until_volume(&name, "Bound").await;
    let spec = &volume["spec"];
    assert_eq!(
        spec["local"]["path"],
        format!("/somewhere/storage/{name}_t_c")
    );
    let term = &spec["nodeAffinity"]["required"]["nodeSelectorTerms"][0]["matchExpressions"][0];
    assert_eq!(
        *term,
        json!({ "key": "kubernetes.io/hostname", "operator": "In", "values": ["n1-host"] })
    );
    assert_eq!(spec["persistentVolumeReclaimPolicy"], "Delete");
    assert_eq!(
        volume["metadata"]["annotations"]["pv.kubernetes.io/provisioned-by"],
        "skiff.dev/local-path"
    );
    // There is no kubelet here to remove the directory: the volume must stay and say so.
    world.delete(&format!("{CLAIMS}/c"), "Background").await;
    let failed = world.until_volume(&name, "Failed").await;
    let said = world.until_said(&name, "VolumeFailedDelete").await;
    assert_eq!(failed["status"]["message"], said);
    world.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn default_class_is_made_once() {
    let world = World::start().await;
    keep_volumes(&world, "n1").await;
    let path = format!("{CLASSES}/local-path");
    world
        .until("a class", async || world.find(&path).await)
        .await;
    world
        .until("that it is remembered", async || {
            let namespace = world.find("/api/v1/namespaces/kube-system").await?;
            namespace["metadata"]["annotations"]["skiff.dev/storage-class-made"]
                .as_str()
                .map(str::to_owned)
        })
        .await;
    world.delete(&path, "Background").await;
    keep_volumes(&world, "n2").await;
    let world = world.without_controllers(async |_| {}).await;
    keep_volumes(&world, "n1").await;
    // As far as they come is told by what they do for a new claim.
    world.create(CLAIMS, claim("c", json!({}))).await;
    world.until_said("c", "FailedBinding").await;
    assert!(world.find(&path).await.is_none());
    world.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn pod_gets_the_claims_that_it_brings_along() {
    let world = World::start().await;
    let spec = claim("", json!({}))["spec"].clone();
    let template = json!({ "metadata": { "labels": { "a": "b" } }, "spec": spec });
    let brought = json!({ "ephemeral": { "volumeClaimTemplate": template } });
    world.create(CLAIMS, claim("taken-v", json!({}))).await;
    let made = world.create(PODS, pod("p", brought.clone())).await;
    let path = format!("{CLAIMS}/p-v");
    let claim = world
        .until("the pod's claim", async || world.find(&path).await)
        .await;
    assert_eq!(claim["metadata"]["labels"]["a"], "b");
    let owner = &claim["metadata"]["ownerReferences"][0];
    assert_eq!(owner["uid"], made["metadata"]["uid"]);
    assert_eq!(
        (&owner["kind"], &owner["controller"]),
        (&json!("Pod"), &json!(true))
    );
    world.create(PODS, pod("taken", brought)).await;
    let said = world.until_said("taken", "FailedBinding").await;
    assert_eq!(
        said,
        "ephemeral volume v: PVC t/taken-v was not created for pod t/taken (pod is not owner)"
    );
    world.delete(&format!("{PODS}/p"), "Background").await;
    world.until_gone(&path).await;
    world.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn namespace_takes_its_claims_along() {
    let world = World::start().await;
    let names: Vec<String> = (0..12).map(|number| format!("v{number}")).collect();
    for name in &names {
        world.create(VOLUMES, volume(name, json!({}))).await;
        let wish = json!({ "volumeName": name });
        world.create(CLAIMS, claim(name, wish)).await;
        let uses = json!({ "persistentVolumeClaim": { "claimName": name } });
        world.create(PODS, pod(name, uses)).await;
    }
    for name in &names {
        world.until_claim(name, "Bound").await;
    }
    world.delete("/api/v1/namespaces/t", "Background").await;
    world.until_gone("/api/v1/namespaces/t").await;
    for name in &names {
        world.until_volume(name, "Released").await;
    }
    world.stop().await;
}
