//! Pretended nodes: a scheduler that puts pods on living nodes in turn, and
//! kubelets that say at once that they run, and let them go when asked.

use std::collections::BTreeSet;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use futures::StreamExt;
use http::Method;
use k8s_openapi::api::core::v1::Pod;
use kube::runtime::watcher::{self, Event, watcher};
use kube::{Api, Client};
use serde_json::{Value, json};
use tokio_util::sync::CancellationToken;

use crate::world::ask;

const LEASES: &str = "/apis/coordination.k8s.io/v1/namespaces/kube-node-lease/leases";

#[derive(Clone)]
pub struct FakeNodes {
    client: Client,
    alive: Arc<Mutex<BTreeSet<String>>>,
    addresses: Arc<AtomicUsize>,
    stop: CancellationToken,
    /// Somebody else puts pods on nodes, and pods come to their end.
    is_scheduled: bool,
}

impl FakeNodes {
    pub fn start(client: Client, stop: CancellationToken) -> Self {
        Self::run_with(client, stop, false)
    }

    /// Kubelets alone. Their pods that do not restart end at once, and fail
    /// where they are labelled so.
    pub fn start_unscheduled(client: Client, stop: CancellationToken) -> Self {
        Self::run_with(client, stop, true)
    }

    fn run_with(client: Client, stop: CancellationToken, is_scheduled: bool) -> Self {
        let nodes = Self {
            client,
            alive: Arc::default(),
            addresses: Arc::default(),
            stop: stop.clone(),
            is_scheduled,
        };
        let (pods, beats) = (nodes.clone(), nodes.clone());
        tokio::spawn(async move { pods.stop.run_until_cancelled(pods.run()).await });
        tokio::spawn(async move { beats.stop.run_until_cancelled(beats.beat()).await });
        nodes
    }

    pub async fn register(&self, name: &str) {
        let node = json!({ "metadata": { "name": name, "labels": { "topology.kubernetes.io/zone": "z1" } } });
        ask(&self.client, Method::POST, "/api/v1/nodes", node).await;
        let lease = json!({ "metadata": { "name": name, "namespace": "kube-node-lease" },
            "spec": { "holderIdentity": name, "leaseDurationSeconds": 40 } });
        ask(&self.client, Method::POST, LEASES, lease).await;
        self.revive(name).await;
    }

    /// The node says that it is well again.
    pub async fn revive(&self, name: &str) {
        self.alive.lock().unwrap().insert(name.to_owned());
        self.renew(name).await;
        let now = jiff::Timestamp::now().to_string();
        let condition = |type_: &str, status: &str| {
            json!({ "type": type_, "status": status, "reason": "Said", "message": "said so",
                "lastHeartbeatTime": now, "lastTransitionTime": now })
        };
        let conditions = json!([
            condition("MemoryPressure", "False"),
            condition("Ready", "True")
        ]);
        let path = format!("/api/v1/nodes/{name}/status");
        let room = json!({ "cpu": "32", "memory": "64Gi", "pods": "110" });
        let status = json!({ "status": { "conditions": conditions,
            "capacity": room, "allocatable": room } });
        ask(&self.client, Method::PATCH, &path, status).await;
    }

    /// The node falls silent, and does nothing any more.
    pub fn lose(&self, name: &str) {
        self.alive.lock().unwrap().remove(name);
    }

    async fn renew(&self, name: &str) {
        let spec = json!({ "spec": { "renewTime": format!("{:.6}", jiff::Timestamp::now()) } });
        ask(
            &self.client,
            Method::PATCH,
            &format!("{LEASES}/{name}"),
            spec,
        )
        .await;
    }

    async fn beat(&self) {
        loop {
            tokio::time::sleep(Duration::from_millis(200)).await;
            let alive = self.alive.lock().unwrap().clone();
            for name in alive {
                self.renew(&name).await;
            }
        }
    }

    async fn run(&self) {
        let pods: Api<Pod> = Api::all(self.client.clone());
        let mut events = Box::pin(watcher(pods, watcher::Config::default()));
        while let Some(event) = events.next().await {
            if let Ok(Event::Apply(pod) | Event::InitApply(pod)) = event {
                self.care_for(&pod).await;
            }
        }
    }

    async fn care_for(&self, pod: &Pod) {
        let name = pod.metadata.name.as_deref().unwrap();
        let namespace = pod.metadata.namespace.as_deref().unwrap();
        let path = format!("/api/v1/namespaces/{namespace}/pods/{name}");
        let node = pod.spec.as_ref().and_then(|s| s.node_name.clone());
        let phase = pod.status.as_ref().and_then(|s| s.phase.as_deref());
        let Some(node) = node else {
            if !self.is_scheduled {
                self.bind(&path, pod).await;
            }
            return;
        };
        if !self.alive.lock().unwrap().contains(&node) {
            return;
        }
        if pod.metadata.deletion_timestamp.is_some() {
            let now = json!({ "gracePeriodSeconds": 0 });
            ask(&self.client, Method::DELETE, &path, now).await;
        } else if phase == Some("Pending") && !is_lazy(pod) {
            ask(
                &self.client,
                Method::PATCH,
                &format!("{path}/status"),
                self.running(),
            )
            .await;
        } else if phase == Some("Running") && self.is_scheduled && ends(pod) {
            let status = ended(pod);
            ask(
                &self.client,
                Method::PATCH,
                &format!("{path}/status"),
                status,
            )
            .await;
        }
    }

    async fn bind(&self, path: &str, pod: &Pod) {
        let turn = self.addresses.fetch_add(1, Ordering::Relaxed);
        let mut alive: Vec<String> = self.alive.lock().unwrap().iter().cloned().collect();
        if let Some(wanted) = wanted_node(pod) {
            alive.retain(|node| *node == wanted);
        }
        let Some(node) = alive.get(turn % alive.len().max(1)) else {
            return;
        };
        let name = pod.metadata.name.as_deref().unwrap();
        let binding = json!({ "apiVersion": "v1", "kind": "Binding", "metadata": { "name": name },
            "target": { "kind": "Node", "name": node } });
        ask(
            &self.client,
            Method::POST,
            &format!("{path}/binding"),
            binding,
        )
        .await;
    }

    fn running(&self) -> Value {
        let number = self.addresses.fetch_add(1, Ordering::Relaxed) + 2;
        let ip = format!("10.200.{}.{}", number / 256, number % 256);
        let now = jiff::Timestamp::now().to_string();
        json!({ "status": { "phase": "Running", "podIP": ip, "podIPs": [{ "ip": ip }],
            "conditions": [{ "type": "Ready", "status": "True", "lastTransitionTime": now }] } })
    }
}

/// By its name or its image: it never runs.
fn is_lazy(pod: &Pod) -> bool {
    let image = pod
        .spec
        .as_ref()
        .and_then(|s| s.containers[0].image.as_deref());
    let texts = [pod.metadata.name.as_deref(), image];
    texts.iter().flatten().any(|text| text.starts_with("lazy"))
}

/// The node that a pod of a DaemonSet asks for.
fn wanted_node(pod: &Pod) -> Option<String> {
    let pod = serde_json::to_value(pod).unwrap();
    let affinity = &pod["spec"]["affinity"]["nodeAffinity"];
    let required = &affinity["requiredDuringSchedulingIgnoredDuringExecution"];
    let field = &required["nodeSelectorTerms"][0]["matchFields"][0];
    (field["key"] == "metadata.name").then(|| field["values"][0].as_str().unwrap().to_owned())
}

fn ends(pod: &Pod) -> bool {
    let policy = pod.spec.as_ref().and_then(|s| s.restart_policy.as_deref());
    policy == Some("Never")
}

fn ended(pod: &Pod) -> Value {
    let labels = pod.metadata.labels.as_ref();
    let fails = labels.is_some_and(|l| l.contains_key("fail"));
    let (phase, code) = if fails {
        ("Failed", 1)
    } else {
        ("Succeeded", 0)
    };
    let now = jiff::Timestamp::now().to_string();
    json!({ "status": { "phase": phase, "containerStatuses": [{ "name": "c", "image": "x",
        "imageID": "x", "ready": false, "restartCount": 0, "state": { "terminated": {
            "exitCode": code, "startedAt": now, "finishedAt": now } } }] } })
}
