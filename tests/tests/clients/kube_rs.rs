//! The `kube` crate: a typed custom resource, an operator for it, exec into a pod.

use std::collections::BTreeMap;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use futures::{StreamExt, TryStreamExt};
use k8s_openapi::api::core::v1::{ConfigMap, Pod};
use k8s_openapi::apiextensions_apiserver::pkg::apis::apiextensions::v1::CustomResourceDefinition;
use kube::api::{
    Api, AttachParams, DeleteParams, ListParams, Patch, PatchParams, PostParams, WatchEvent,
    WatchParams,
};
use kube::config::{KubeConfigOptions, Kubeconfig};
use kube::core::CustomResourceExt;
use kube::runtime::controller::{Action, Controller};
use kube::runtime::finalizer::{self, Event, finalizer};
use kube::runtime::wait::{await_condition, conditions};
use kube::runtime::watcher;
use kube::{Client, CustomResource, Resource, ResourceExt};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::json;
use tokio::io::AsyncReadExt;

/// What the operator of this test looks after.
#[derive(CustomResource, Clone, Debug, Deserialize, Serialize, JsonSchema)]
#[kube(
    group = "clients.example.com",
    version = "v1",
    kind = "Lamp",
    namespaced,
    status = "LampStatus"
)]
struct LampSpec {
    color: String,
}

#[derive(Clone, Debug, Default, Deserialize, Serialize, JsonSchema)]
struct LampStatus {
    lit: bool,
}

#[derive(Debug, thiserror::Error)]
enum Error {
    #[error(transparent)]
    Kube(#[from] kube::Error),
    #[error("finalizer: {0}")]
    Finalizer(#[from] Box<finalizer::Error<kube::Error>>),
}

pub fn all(kubeconfig: &Path, image: &str) {
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .expect("start a runtime");
    let work = async {
        let client = connect(kubeconfig).await;
        println!("kube: objects");
        objects(&client).await.expect("objects");
        println!("kube: exec");
        executes(&client, image).await.expect("exec");
        println!("kube: an operator");
        operates(&client).await;
    };
    let limit = Duration::from_secs(60);
    runtime
        .block_on(async { tokio::time::timeout(limit, work).await })
        .expect("done within a minute");
}

async fn connect(kubeconfig: &Path) -> Client {
    let file = Kubeconfig::read_from(kubeconfig).expect("read the kubeconfig");
    let config = kube::Config::from_custom_kubeconfig(file, &KubeConfigOptions::default())
        .await
        .expect("understand the kubeconfig");
    Client::try_from(config).expect("make a client")
}

async fn objects(client: &Client) -> kube::Result<()> {
    let api: Api<ConfigMap> = Api::default_namespaced(client.clone());
    let version = api
        .list(&ListParams::default())
        .await?
        .metadata
        .resource_version;
    let made: ConfigMap =
        serde_json::from_value(json!({ "metadata": { "name": "kube" } })).expect("a ConfigMap");
    api.create(&PostParams::default(), &made).await?;
    let applied = json!({ "apiVersion": "v1", "kind": "ConfigMap", "data": { "a": "1" } });
    let params = PatchParams::apply("kube-test");
    let applied = api.patch("kube", &params, &Patch::Apply(&applied)).await?;
    assert_eq!(applied.data.as_ref().map(BTreeMap::len), Some(1));
    let merged = json!({ "data": { "a": null, "b": "2" } });
    let merged = api
        .patch("kube", &PatchParams::default(), &Patch::Merge(&merged))
        .await?;
    assert_eq!(merged.data, Some([("b".to_owned(), "2".to_owned())].into()));
    api.delete("kube", &DeleteParams::default()).await?;
    let refused = api.get("kube").await.expect_err("it is deleted");
    assert!(matches!(refused, kube::Error::Api(status) if status.is_not_found()));

    let from = version.unwrap_or_default();
    let params = WatchParams::default().fields("metadata.name=kube");
    let events = api.watch(&params, &from).await?.take(4);
    let seen: Vec<&str> = events.map_ok(|event| name_of(&event)).try_collect().await?;
    assert_eq!(seen, ["ADDED", "MODIFIED", "MODIFIED", "DELETED"]);
    Ok(())
}

fn name_of(event: &WatchEvent<ConfigMap>) -> &'static str {
    match event {
        WatchEvent::Added(_) => "ADDED",
        WatchEvent::Modified(_) => "MODIFIED",
        WatchEvent::Deleted(_) => "DELETED",
        WatchEvent::Bookmark(_) => "BOOKMARK",
        WatchEvent::Error(_) => "ERROR",
    }
}

async fn executes(client: &Client, image: &str) -> kube::Result<()> {
    let pods: Api<Pod> = Api::default_namespaced(client.clone());
    let pod: Pod = serde_json::from_value(json!({ "metadata": { "name": "kube" }, "spec": {
        "terminationGracePeriodSeconds": 0,
        "containers": [{ "name": "c", "image": image, "imagePullPolicy": "Never", "command": ["sleep", "3600"] }] } }))
    .expect("a Pod");
    pods.create(&PostParams::default(), &pod).await?;
    await_condition(pods.clone(), "kube", conditions::is_pod_running())
        .await
        .expect("the pod runs");
    let params = AttachParams::default().stderr(false);
    let mut process = pods
        .exec("kube", ["sh", "-c", "echo $((6 * 7)); exit 4"], &params)
        .await?;
    let (mut said, status) = (String::new(), process.take_status().expect("asked for"));
    let mut stdout = process.stdout().expect("asked for");
    stdout
        .read_to_string(&mut said)
        .await
        .expect("read its output");
    assert_eq!(said, "42\n");
    let status = status.await.expect("it ended");
    assert!(format!("{status:?}").contains("\"4\""), "{status:?}");
    let uid = pods.get("kube").await?.uid().expect("a uid");
    let gone = conditions::is_deleted(&uid);
    pods.delete("kube", &DeleteParams::default()).await?;
    await_condition(pods, "kube", gone)
        .await
        .expect("the pod goes");
    Ok(())
}

/// Lights every lamp by a ConfigMap of its own, and sees it out.
async fn operates(client: &Client) {
    let definitions: Api<CustomResourceDefinition> = Api::all(client.clone());
    let name = Lamp::crd_name();
    let patch = Patch::Apply(Lamp::crd());
    definitions
        .patch(name, &PatchParams::apply("kube-test"), &patch)
        .await
        .expect("apply the definition");
    await_condition(definitions.clone(), name, conditions::is_crd_established())
        .await
        .expect("it is established");

    let lamps: Api<Lamp> = Api::default_namespaced(client.clone());
    let config_maps: Api<ConfigMap> = Api::default_namespaced(client.clone());
    let operator = Controller::new(lamps.clone(), watcher::Config::default())
        .owns(config_maps.clone(), watcher::Config::default())
        .run(reconcile, retry, Arc::new(client.clone()))
        .for_each(|_| async {});
    tokio::select! {
        () = operator => panic!("the operator ended"),
        () = live(&lamps, &config_maps) => {}
    }
    definitions
        .delete(name, &DeleteParams::default())
        .await
        .expect("delete the definition");
}

async fn live(lamps: &Api<Lamp>, config_maps: &Api<ConfigMap>) {
    println!("kube: a lamp is lit");
    let lamp = Lamp::new(
        "desk",
        LampSpec {
            color: "red".into(),
        },
    );
    let made = lamps
        .create(&PostParams::default(), &lamp)
        .await
        .expect("create a lamp");
    let is_lit = |lamp: Option<&Lamp>| {
        lamp.and_then(|lamp| lamp.status.as_ref())
            .is_some_and(|status| status.lit)
    };
    await_condition(lamps.clone(), "desk", is_lit)
        .await
        .expect("it is lit");
    let light = config_maps.get("desk").await.expect("its ConfigMap");
    assert_eq!(
        light.data,
        Some([("color".to_owned(), "red".to_owned())].into())
    );

    println!("kube: what is taken away comes back");
    config_maps
        .delete("desk", &DeleteParams::default())
        .await
        .expect("delete its light");
    let is_there = |light: Option<&ConfigMap>| light.is_some();
    await_condition(config_maps.clone(), "desk", is_there)
        .await
        .expect("it is back");

    println!("kube: the lamp goes, and what it owns");
    let uid = made.uid().expect("a uid");
    let gone = conditions::is_deleted(&uid);
    lamps
        .delete("desk", &DeleteParams::default())
        .await
        .expect("delete the lamp");
    await_condition(lamps.clone(), "desk", gone)
        .await
        .expect("it goes");
    let is_gone = |light: Option<&ConfigMap>| light.is_none();
    await_condition(config_maps.clone(), "desk", is_gone)
        .await
        .expect("its ConfigMap goes");
}

async fn reconcile(lamp: Arc<Lamp>, client: Arc<Client>) -> Result<Action, Error> {
    let lamps: Api<Lamp> = Api::default_namespaced((*client).clone());
    finalizer(&lamps, "clients.example.com/lamp", lamp, |event| async {
        if let Event::Apply(lamp) = event {
            light(&lamp, &client).await?;
        }
        Ok(Action::await_change())
    })
    .await
    .map_err(|error| Error::Finalizer(Box::new(error)))
}

async fn light(lamp: &Lamp, client: &Client) -> kube::Result<()> {
    let name = lamp.name_any();
    let params = PatchParams::apply("lamps").force();
    let light = json!({ "apiVersion": "v1", "kind": "ConfigMap",
        "metadata": { "ownerReferences": [lamp.controller_owner_ref(&())] },
        "data": { "color": lamp.spec.color } });
    let config_maps: Api<ConfigMap> = Api::default_namespaced(client.clone());
    config_maps
        .patch(&name, &params, &Patch::Apply(&light))
        .await?;
    let status = json!({ "apiVersion": "clients.example.com/v1", "kind": "Lamp", "status": { "lit": true } });
    let lamps: Api<Lamp> = Api::default_namespaced(client.clone());
    lamps
        .patch_status(&name, &params, &Patch::Apply(&status))
        .await?;
    Ok(())
}

fn retry(_: Arc<Lamp>, error: &Error, _: Arc<Client>) -> Action {
    println!("the operator tries again: {error}");
    Action::requeue(Duration::from_millis(200))
}
