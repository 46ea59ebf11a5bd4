//! The Deployment that is on both nodes, and its Service.

use e2e::Vm;
use k8s_openapi::api::apps::v1::Deployment;
use k8s_openapi::api::core::v1::Service;
use kube::api::PostParams;
use serde_json::{Value, json};

use crate::api::Api;
use crate::cluster::Cluster;
use crate::pods;

const REPLICAS: i32 = 4;

pub struct Address {
    pub ip: String,
    pub node_port: i32,
}

fn deployment() -> Value {
    let serve = "mkdir /www; hostname > /www/index.html; echo serving; exec httpd -f -p 80 -h /www";
    let labels = json!({ "app": "web" });
    // What a node's end leaves waiting waits for the node, so that nothing starts on the other.
    let spread = json!([{ "maxSkew": 1, "topologyKey": "kubernetes.io/hostname",
        "whenUnsatisfiable": "DoNotSchedule", "labelSelector": { "matchLabels": labels } }]);
    json!({ "apiVersion": "apps/v1", "kind": "Deployment", "metadata": { "name": "web" }, "spec": {
        "replicas": REPLICAS, "selector": { "matchLabels": labels },
        "template": { "metadata": { "labels": labels }, "spec": {
            "topologySpreadConstraints": spread, "terminationGracePeriodSeconds": 1,
            "containers": [{ "name": "c", "image": "docker.io/library/busybox:1", "imagePullPolicy": "Never",
                "command": ["sh", "-c", serve] }] } } } })
}

fn service() -> Value {
    json!({ "apiVersion": "v1", "kind": "Service", "metadata": { "name": "web" }, "spec": {
        "type": "NodePort", "selector": { "app": "web" }, "ports": [{ "port": 80 }] } })
}

pub fn deploy(cluster: &Cluster, api: &Api) {
    cluster.step("a Deployment is spread over both nodes");
    let deployment: Deployment = serde_json::from_value(deployment()).expect("it is a Deployment");
    let service: Service = serde_json::from_value(service()).expect("it is a Service");
    let params = PostParams::default();
    let made = async {
        api.of().create(&params, &deployment).await?;
        api.of().create(&params, &service).await
    };
    api.runtime
        .block_on(made)
        .expect("make a Deployment and a Service");
    wait_ready(api);
    for node in &cluster.nodes {
        let here = pods::processes(node).len();
        assert_eq!(here, 2, "half of the pods are on {}", node.name);
    }
}

pub fn wait_ready(api: &Api) {
    api.until("all pods to be ready", || {
        let deployment = api.runtime.block_on(api.of::<Deployment>().get("web"));
        let status = deployment.map_err(|error| error.to_string())?.status;
        let ready = status.and_then(|status| status.ready_replicas);
        let is_ready = ready == Some(REPLICAS);
        is_ready
            .then_some(())
            .ok_or_else(|| format!("{ready:?} are"))
    });
}

/// By the Service's own address on every node, and by its port of every node on every machine.
pub fn answers_from_everywhere(cluster: &Cluster, api: &Api) -> Address {
    cluster.step("it answers by its Service on every machine");
    let address = address(api);
    cluster.on_all(|machine| {
        for node in &cluster.nodes {
            answers(machine, &node.ip.to_string(), address.node_port);
        }
    });
    cluster.on_nodes(|node| answers(node, &address.ip, 80));
    address
}

fn address(api: &Api) -> Address {
    let service = api.runtime.block_on(api.of::<Service>().get("web"));
    let spec = service.expect("read the Service").spec;
    let spec = spec.expect("a Service has a spec");
    let port = spec.ports.into_iter().flatten().next();
    Address {
        ip: spec.cluster_ip.expect("it has an address"),
        node_port: port
            .and_then(|port| port.node_port)
            .expect("it has a port on nodes"),
    }
}

/// Waits until a pod answers there.
#[track_caller]
pub fn answers(machine: &Vm, ip: &str, port: i32) {
    machine.until(&format!("{} | grep ^web-", ask(ip, port)));
}

/// The command that asks for a page, and prints its last line: the pod's name. (The wget of a
/// static busybox cannot do without the C library's name service.)
pub fn ask(ip: &str, port: i32) -> String {
    format!("printf 'GET / HTTP/1.0\\r\\n\\r\\n' | busybox nc -w 20 {ip} {port} | tail -n 1")
}
