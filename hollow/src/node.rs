//! What a hollow node says of itself, and how it comes into the cluster.

use futures::{TryStreamExt, stream};
use jiff::Timestamp;
use kube::Client;
use serde_json::{Value, json};

use crate::{Config, Error, api};

pub const NODES: &str = "/api/v1/nodes";
pub const LEASES: &str = "/apis/coordination.k8s.io/v1/namespaces/kube-node-lease/leases";
/// Registered at once.
const AT_ONCE: usize = 32;
/// A node whose lease is older is given up.
pub const LEASE_SECONDS: u64 = 40;

/// Makes all nodes and their leases; those that are there are taken over.
///
/// # Errors
/// The first that the server will not have.
pub async fn register(config: &Config, client: &Client) -> Result<(), Error> {
    stream::iter((0..config.nodes).map(Ok))
        .try_for_each_concurrent(AT_ONCE, |number| async move {
            let node = config.name(number);
            let registered = register_one(config, client, number).await;
            registered.map_err(|source| Error::Register { node, source })
        })
        .await
}

async fn register_one(config: &Config, client: &Client, number: usize) -> kube::Result<()> {
    let name = config.name(number);
    let made = api::create(client, NODES, &node(config, number)).await;
    if made.is_err_and(|error| api::is_code(&error, 409)) {
        api::patch_status(client, NODES, &name, status(config, number)).await?;
    }
    let lease = json!({
        "apiVersion": "coordination.k8s.io/v1", "kind": "Lease",
        "metadata": { "name": name, "namespace": "kube-node-lease" },
        "spec": lease_spec(&name),
    });
    match api::create(client, LEASES, &lease).await {
        Err(error) if !api::is_code(&error, 409) => Err(error),
        _ => Ok(()),
    }
}

pub fn lease_spec(name: &str) -> Value {
    let now = format!("{:.6}", Timestamp::now());
    json!({ "holderIdentity": name, "leaseDurationSeconds": LEASE_SECONDS, "renewTime": now })
}

fn node(config: &Config, number: usize) -> Value {
    let name = config.name(number);
    json!({
        "apiVersion": "v1", "kind": "Node",
        "metadata": {
            "name": name,
            "labels": {
                "kubernetes.io/hostname": name,
                "kubernetes.io/os": "linux",
                "kubernetes.io/arch": "amd64",
                "topology.kubernetes.io/region": "hollow",
                "topology.kubernetes.io/zone": format!("hollow-{}", number % config.zones.max(1)),
                "skiff.dev/hollow": "true",
            },
        },
        "status": status(config, number),
    })
}

pub fn status(config: &Config, number: usize) -> Value {
    let amounts = json!({
        "cpu": config.cpu, "memory": config.memory, "ephemeral-storage": "1Ti",
        "pods": config.pods.to_string(),
    });
    json!({
        "capacity": amounts, "allocatable": amounts,
        "addresses": [
            { "type": "InternalIP", "address": address(number) },
            { "type": "Hostname", "address": config.name(number) },
        ],
        "conditions": conditions(),
        "nodeInfo": {
            "architecture": "amd64", "bootID": "", "containerRuntimeVersion": "hollow://1",
            "kernelVersion": "hollow", "kubeProxyVersion": "", "kubeletVersion": "v1.37.0-hollow",
            "machineID": "", "operatingSystem": "linux", "osImage": "hollow", "systemUUID": "",
        },
    })
}

/// Those of a node that is well.
pub fn conditions() -> Value {
    let now = Timestamp::now().strftime("%Y-%m-%dT%H:%M:%SZ").to_string();
    let condition = |type_: &str, status: &str, reason: &str| {
        json!({ "type": type_, "status": status, "reason": reason, "message": "hollow",
            "lastHeartbeatTime": now, "lastTransitionTime": now })
    };
    json!([
        condition("MemoryPressure", "False", "KubeletHasSufficientMemory"),
        condition("DiskPressure", "False", "KubeletHasNoDiskPressure"),
        condition("PIDPressure", "False", "KubeletHasSufficientPID"),
        condition("Ready", "True", "KubeletReady"),
    ])
}

/// The node's own address, made up: 10.64.0.0/12.
pub fn address(number: usize) -> String {
    let n = number + 1;
    format!("10.{}.{}.{}", 64 + (n >> 16) % 16, (n >> 8) % 256, n % 256)
}

/// Waits as long as the server is away.
pub async fn patiently<F: Future<Output = kube::Result<()>>>(what: &str, work: impl Fn() -> F) {
    loop {
        match work().await {
            Ok(()) => return,
            Err(error) if api::is_code(&error, 404) || api::is_code(&error, 409) => return,
            Err(error) => tracing::debug!("{what}: {error}"),
        }
        tokio::time::sleep(std::time::Duration::from_secs(1)).await;
    }
}
