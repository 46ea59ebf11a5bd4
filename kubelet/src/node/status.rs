//! The node's status: what it has, where it is, how it is.

use std::collections::BTreeMap;

use jiff::Timestamp;
use k8s_openapi::api::core::v1::{
    DaemonEndpoint, NodeAddress, NodeCondition, NodeDaemonEndpoints, NodeStatus, NodeSystemInfo,
};
use k8s_openapi::apimachinery::pkg::api::resource::Quantity as Text;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::Time;

use super::{Keeper, machine};
use crate::status::whole_seconds;

/// Less free memory than this is pressure, as with Kubernetes' defaults.
const LEAST_MEMORY: i64 = 100 << 20;
/// Less than a tenth of the disk, or a twentieth of its inodes, is pressure.
const LEAST_DISK: u64 = 10;
const LEAST_INODES: u64 = 20;

pub fn of_node(keeper: &Keeper, before: Option<&NodeStatus>, now: Timestamp) -> NodeStatus {
    let amounts: BTreeMap<String, Text> = keeper
        .allocatable
        .0
        .iter()
        .map(|(name, amount)| (name.clone(), Text(amount.to_string())))
        .collect();
    let port = i32::from(keeper.config.listen.port());
    NodeStatus {
        addresses: Some(addresses(keeper)),
        capacity: Some(amounts.clone()),
        allocatable: Some(amounts),
        conditions: Some(conditions(keeper, before, now)),
        daemon_endpoints: Some(NodeDaemonEndpoints {
            kubelet_endpoint: Some(DaemonEndpoint { port }),
        }),
        node_info: Some(info(keeper)),
        ..NodeStatus::default()
    }
}

fn addresses(keeper: &Keeper) -> Vec<NodeAddress> {
    let address = |kind: &str, address: String| NodeAddress {
        type_: kind.to_owned(),
        address,
    };
    vec![
        address("InternalIP", keeper.config.node_ip.to_string()),
        address("Hostname", keeper.config.node_name.clone()),
    ]
}

fn info(keeper: &Keeper) -> NodeSystemInfo {
    let machine = &keeper.machine;
    NodeSystemInfo {
        architecture: machine::architecture().to_owned(),
        boot_id: machine.boot_id.clone(),
        machine_id: machine.machine_id.clone(),
        system_uuid: machine.machine_id.clone(),
        kernel_version: machine.kernel.clone(),
        os_image: machine.os_image.clone(),
        operating_system: "linux".to_owned(),
        container_runtime_version: format!("skiff://{}", env!("CARGO_PKG_VERSION")),
        kubelet_version: keeper.config.version.clone(),
        kube_proxy_version: keeper.config.version.clone(),
        ..NodeSystemInfo::default()
    }
}

/// A condition's verdict and words.
struct Verdict(&'static str, &'static str, &'static str, &'static str);

fn conditions(keeper: &Keeper, before: Option<&NodeStatus>, now: Timestamp) -> Vec<NodeCondition> {
    let memory = machine::memory("MemAvailable").is_some_and(|free| free < LEAST_MEMORY);
    let disk = machine::room(&keeper.config.data_dir).is_some_and(|room| {
        room.bytes_free < room.bytes / LEAST_DISK || room.inodes_free < room.inodes / LEAST_INODES
    });
    let processes = machine::processes().is_some_and(|(used, most)| used > most - most / 10);
    let verdicts = [
        pressure(
            "MemoryPressure",
            memory,
            [
                "KubeletHasInsufficientMemory",
                "kubelet has insufficient memory available",
            ],
            [
                "KubeletHasSufficientMemory",
                "kubelet has sufficient memory available",
            ],
        ),
        pressure(
            "DiskPressure",
            disk,
            ["KubeletHasDiskPressure", "kubelet has disk pressure"],
            ["KubeletHasNoDiskPressure", "kubelet has no disk pressure"],
        ),
        pressure(
            "PIDPressure",
            processes,
            [
                "KubeletHasInsufficientPID",
                "kubelet has insufficient PID available",
            ],
            [
                "KubeletHasSufficientPID",
                "kubelet has sufficient PID available",
            ],
        ),
        Verdict(
            "Ready",
            "True",
            "KubeletReady",
            "kubelet is posting ready status",
        ),
    ];
    verdicts
        .into_iter()
        .map(|verdict| condition(verdict, before, now))
        .collect()
}

fn pressure(
    name: &'static str,
    is_high: bool,
    high: [&'static str; 2],
    low: [&'static str; 2],
) -> Verdict {
    let (status, [reason, message]) = if is_high {
        ("True", high)
    } else {
        ("False", low)
    };
    Verdict(name, status, reason, message)
}

fn condition(
    Verdict(name, status, reason, message): Verdict,
    before: Option<&NodeStatus>,
    now: Timestamp,
) -> NodeCondition {
    let now = Time(whole_seconds(now));
    let known = before
        .and_then(|status| status.conditions.as_ref())
        .into_iter()
        .flatten()
        .find(|c| c.type_ == name && c.status == status);
    NodeCondition {
        type_: name.to_owned(),
        status: status.to_owned(),
        reason: Some(reason.to_owned()),
        message: Some(message.to_owned()),
        last_heartbeat_time: Some(now.clone()),
        last_transition_time: known
            .and_then(|c| c.last_transition_time.clone())
            .or(Some(now)),
    }
}

/// Whether there is news worth writing at once.
pub fn differs(seen: Option<&NodeStatus>, wanted: &NodeStatus) -> bool {
    let Some(seen) = seen else { return true };
    let verdicts = |status: &NodeStatus| -> Vec<(String, String)> {
        let mut all: Vec<_> = status
            .conditions
            .iter()
            .flatten()
            .map(|c| (c.type_.clone(), c.status.clone()))
            .collect();
        all.sort();
        all
    };
    // Conditions that others added to the node are not ours to compare.
    let others = verdicts(seen);
    verdicts(wanted)
        .iter()
        .any(|verdict| !others.contains(verdict))
        || seen.addresses != wanted.addresses
        || seen.node_info != wanted.node_info
}
