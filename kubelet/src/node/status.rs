//! The node's status: what it has, where it is, how it is.

use std::collections::BTreeMap;

use jiff::Timestamp;
use k8s_openapi::api::core::v1::{
    DaemonEndpoint, NodeAddress, NodeCondition, NodeDaemonEndpoints, NodeStatus, NodeSystemInfo,
};
use k8s_openapi::apimachinery::pkg::api::resource::Quantity as Text;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::Time;

use super::{Keeper, machine};
use crate::resources::Allocatable;
use crate::status::whole_seconds;

pub fn of_node(keeper: &Keeper, before: Option<&NodeStatus>, now: Timestamp) -> NodeStatus {
    let amounts = |amounts: &Allocatable| -> BTreeMap<String, Text> {
        let amounts = amounts.0.iter();
        amounts
            .map(|(name, amount)| (name.clone(), Text(amount.to_string())))
            .collect()
    };
    let port = i32::from(keeper.config.listen.port());
    NodeStatus {
        addresses: Some(addresses(keeper)),
        capacity: Some(amounts(&keeper.capacity)),
        allocatable: Some(amounts(&keeper.allocatable)),
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
        container_runtime_version: format!("skiff://{}", release::version()),
        kubelet_version: keeper.config.version.clone(),
        kube_proxy_version: keeper.config.version.clone(),
        ..NodeSystemInfo::default()
    }
}

/// A condition's verdict and words.
struct Verdict(&'static str, &'static str, &'static str, &'static str);

fn conditions(keeper: &Keeper, before: Option<&NodeStatus>, now: Timestamp) -> Vec<NodeCondition> {
    let low = keeper.pressure.borrow().clone();
    let verdicts = [
        pressure(
            "MemoryPressure",
            low.memory,
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
            low.disk,
            ["KubeletHasDiskPressure", "kubelet has disk pressure"],
            ["KubeletHasNoDiskPressure", "kubelet has no disk pressure"],
        ),
        pressure(
            "PIDPressure",
            low.processes,
            [
                "KubeletHasInsufficientPID",
                "kubelet has insufficient PID available",
            ],
            [
                "KubeletHasSufficientPID",
                "kubelet has sufficient PID available",
            ],
        ),
        readiness(keeper.config.machine_stop.has_begun()),
    ];
    verdicts
        .into_iter()
        .map(|verdict| condition(verdict, before, now))
        .collect()
}

fn readiness(is_stopping: bool) -> Verdict {
    if is_stopping {
        return Verdict("Ready", "False", "KubeletNotReady", "node is shutting down");
    }
    Verdict(
        "Ready",
        "True",
        "KubeletReady",
        "kubelet is posting ready status",
    )
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

/// Tells the log what this node has just become short of.
pub fn warn_of_pressure(before: Option<&NodeStatus>, now: &NodeStatus) {
    let before: Vec<_> = before.map(short_of).unwrap_or_default();
    for name in short_of(now).iter().filter(|name| !before.contains(name)) {
        tracing::warn!("this node has {name}: it takes no new pods (see --eviction-hard)");
    }
}

/// The pressures that a status tells of.
fn short_of(status: &NodeStatus) -> Vec<&str> {
    let conditions = status.conditions.iter().flatten();
    let is_pressure = |c: &&NodeCondition| c.type_.ends_with("Pressure") && c.status == "True";
    conditions
        .filter(is_pressure)
        .map(|c| c.type_.as_str())
        .collect()
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
