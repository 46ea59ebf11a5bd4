//! Whether this node can run a pod that was given to it.
//!
//! The scheduler has asked the same questions, but pods also come by
//! `spec.nodeName`, and two schedulers may disagree.

use std::collections::{BTreeMap, HashMap};
use std::sync::{Mutex, PoisonError};

use apimachinery::Quantity;
use k8s_openapi::api::core::v1::{Pod, PodSpec, Taint};
use objects::node_selector::Node;
use objects::taints;

use crate::eviction::{self, Pressure};
use crate::resources::{Allocatable, Qos, pod_request};
use crate::status::Failure;

/// What running pods hold of the node.
#[derive(Default)]
pub struct Ledger(Mutex<HashMap<String, Demand>>);

/// What one pod holds.
#[derive(Clone, Debug, Default)]
struct Demand {
    is_burstable: bool,
    amounts: BTreeMap<&'static str, Quantity>,
    ports: Vec<(i32, String, String)>,
}

const COUNTED: [&str; 3] = ["cpu", "memory", "ephemeral-storage"];

/// The node, as far as admission looks at it.
pub struct NodeFacts<'a> {
    pub name: &'a str,
    pub labels: &'a BTreeMap<String, String>,
    pub allocatable: &'a Allocatable,
    pub max_pods: u32,
    pub allowed_unsafe_sysctls: &'a [String],
}

/// Whether a pod may come to a node that is short of something: critical ones may, and where
/// only memory is short those that asked for some, or tolerate that.
///
/// # Errors
/// It would have to go again at once.
pub fn may_press(pod: &Pod, pressure: &Pressure) -> Result<(), Failure> {
    if *pressure == Pressure::default() || eviction::is_critical(pod) {
        return Ok(());
    }
    let is_memory_only = pressure.memory && !pressure.disk && !pressure.processes;
    if is_memory_only && pod.spec.as_ref().is_some_and(bears_memory_pressure) {
        return Ok(());
    }
    Err(refusal(eviction::REASON, eviction::of_admission(pressure)))
}

fn bears_memory_pressure(spec: &PodSpec) -> bool {
    let taint = Taint {
        key: "node.kubernetes.io/memory-pressure".to_owned(),
        effect: "NoSchedule".to_owned(),
        ..Taint::default()
    };
    let tolerations = spec.tolerations.as_deref().unwrap_or_default();
    Qos::of(spec) != Qos::BestEffort || taints::tolerates_any(tolerations, &taint)
}

impl Ledger {
    /// Takes what the pod needs, or says why it cannot run here.
    ///
    /// # Errors
    /// The reason and message its status shall have.
    pub fn admit(&self, uid: &str, spec: &PodSpec, node: &NodeFacts<'_>) -> Result<(), Failure> {
        if !selects(spec, node) {
            return Err(refusal(
                "NodeAffinity",
                "Predicate NodeAffinity failed".to_owned(),
            ));
        }
        check_sysctls(spec, node.allowed_unsafe_sysctls)?;
        if spec.host_users == Some(false) {
            // Who asks for it would be root of the machine otherwise.
            let why =
                "hostUsers: false needs user namespaces, which this node does not give to pods yet";
            return Err(refusal("UserNamespaces", why.to_owned()));
        }
        let demand = Demand::of(spec);
        let mut held = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        held.remove(uid);
        if held.len() >= node.max_pods as usize {
            return Err(out_of(
                "pods",
                1,
                held.len() as i64,
                i64::from(node.max_pods),
            ));
        }
        for resource in COUNTED {
            fits(resource, &demand, held.values(), node.allocatable)?;
        }
        let taken = demand.ports.iter().any(|port| {
            held.values()
                .any(|other| other.ports.iter().any(|held| clash(port, held)))
        });
        if taken {
            return Err(refusal(
                "NodePorts",
                "Predicate NodePorts failed".to_owned(),
            ));
        }
        held.insert(uid.to_owned(), demand);
        Ok(())
    }

    /// Notes a pod that runs already, whatever it needs.
    pub fn note(&self, uid: &str, spec: &PodSpec) {
        let mut held = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        held.insert(uid.to_owned(), Demand::of(spec));
    }

    /// The CPU that burstable pods ask for together, in thousandths.
    pub fn burstable_cpu(&self) -> i64 {
        let held = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let burstable = held.values().filter(|demand| demand.is_burstable);
        burstable
            .filter_map(|demand| demand.amounts.get("cpu"))
            .map(|cpu| cpu.milli_value())
            .sum()
    }

    /// Gives back what a pod held.
    pub fn release(&self, uid: &str) {
        self.0
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .remove(uid);
    }
}

impl Demand {
    fn of(spec: &PodSpec) -> Self {
        let amounts = COUNTED
            .iter()
            .map(|resource| (*resource, pod_request(spec, resource)))
            .collect();
        let ports = spec
            .containers
            .iter()
            .flat_map(|c| c.ports.iter().flatten())
            .filter_map(|port| {
                let number = port.host_port.filter(|number| *number > 0)?;
                let protocol = port.protocol.clone().unwrap_or_else(|| "TCP".to_owned());
                Some((number, protocol, port.host_ip.clone().unwrap_or_default()))
            });
        Self {
            is_burstable: Qos::of(spec) == Qos::Burstable,
            amounts,
            ports: ports.collect(),
        }
    }
}

fn clash(a: &(i32, String, String), b: &(i32, String, String)) -> bool {
    let any = |ip: &str| ip.is_empty() || ip == "0.0.0.0";
    a.0 == b.0 && a.1 == b.1 && (any(&a.2) || any(&b.2) || a.2 == b.2)
}

fn fits<'a>(
    resource: &'static str,
    demand: &Demand,
    held: impl Iterator<Item = &'a Demand>,
    node: &Allocatable,
) -> Result<(), Failure> {
    let wanted = demand
        .amounts
        .get(resource)
        .copied()
        .unwrap_or(Quantity::ZERO);
    let Some(capacity) = node.0.get(resource).copied().filter(|_| !wanted.is_zero()) else {
        return Ok(());
    };
    let mut used = Quantity::ZERO;
    held.filter_map(|other| other.amounts.get(resource))
        .for_each(|amount| used += *amount);
    let mut total = used;
    total += wanted;
    if total <= capacity {
        return Ok(());
    }
    let number = |q: Quantity| {
        if resource == "cpu" {
            q.milli_value()
        } else {
            q.value()
        }
    };
    Err(out_of(
        resource,
        number(wanted),
        number(used),
        number(capacity),
    ))
}

fn out_of(resource: &str, requested: i64, used: i64, capacity: i64) -> Failure {
    let message = format!(
        "Node didn't have enough resource: {resource}, requested: {requested}, used: {used}, capacity: {capacity}"
    );
    refusal(&format!("OutOf{resource}"), message)
}

fn refusal(reason: &str, message: String) -> Failure {
    Failure {
        reason: reason.to_owned(),
        message,
    }
}

/// `nodeSelector` and required node affinity.
fn selects(spec: &PodSpec, node: &NodeFacts<'_>) -> bool {
    let affinity = spec.affinity.as_ref();
    let node = Node {
        name: node.name,
        labels: node.labels,
    };
    let selector = spec.node_selector.clone().unwrap_or_default();
    node.is_wanted_by(&selector, affinity.and_then(|a| a.node_affinity.as_ref()))
}

/// Sysctls that touch nothing but the pod.
const SAFE_SYSCTLS: [&str; 12] = [
    "kernel.shm_rmid_forced",
    "net.ipv4.ip_local_port_range",
    "net.ipv4.tcp_syncookies",
    "net.ipv4.ping_group_range",
    "net.ipv4.ip_unprivileged_port_start",
    "net.ipv4.ip_local_reserved_ports",
    "net.ipv4.tcp_keepalive_time",
    "net.ipv4.tcp_fin_timeout",
    "net.ipv4.tcp_keepalive_intvl",
    "net.ipv4.tcp_keepalive_probes",
    "net.ipv4.tcp_rmem",
    "net.ipv4.tcp_wmem",
];

fn check_sysctls(spec: &PodSpec, allowed: &[String]) -> Result<(), Failure> {
    let sysctls = spec
        .security_context
        .iter()
        .flat_map(|c| c.sysctls.iter().flatten());
    for sysctl in sysctls {
        let name = sysctl.name.replace('/', ".");
        let matches = |pattern: &String| match pattern.strip_suffix('*') {
            Some(prefix) => name.starts_with(prefix),
            None => name == *pattern,
        };
        let host = match name.split('.').next() {
            Some("net") if spec.host_network.unwrap_or_default() => Some("net"),
            Some("kernel" | "fs") if spec.host_ipc.unwrap_or_default() => Some("ipc"),
            _ => None,
        };
        let problem = match host {
            Some(host) => format!("not allowed with host {host} enabled"),
            None if SAFE_SYSCTLS.contains(&name.as_str()) || allowed.iter().any(matches) => {
                continue;
            }
            None => "not allowlisted".to_owned(),
        };
        return Err(refusal(
            "SysctlForbidden",
            format!("forbidden sysctl: {name:?} {problem}"),
        ));
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::{Value, json};

    fn admit(ledger: &Ledger, uid: &str, spec: Value) -> Result<(), Failure> {
        let labels = BTreeMap::from([("zone".to_owned(), "a".to_owned())]);
        let allocatable = Allocatable(BTreeMap::from([(
            "cpu".to_owned(),
            Quantity::from_milli(1000),
        )]));
        let facts = NodeFacts {
            name: "n",
            labels: &labels,
            allocatable: &allocatable,
            max_pods: 3,
            allowed_unsafe_sysctls: &[],
        };
        ledger.admit(uid, &serde_json::from_value(spec).unwrap(), &facts)
    }

    #[test]
    fn under_memory_pressure_only_pods_that_asked_for_nothing_are_refused() {
        let asks = json!([{ "name": "c", "resources": { "requests": { "memory": "1Mi" } } }]);
        let tolerates =
            json!([{ "key": "node.kubernetes.io/memory-pressure", "operator": "Exists" }]);
        let containers = json!([{ "name": "c" }]);
        let pods = [
            json!({ "containers": containers }),
            json!({ "containers": containers, "tolerations": tolerates }),
            json!({ "containers": asks }),
            json!({ "containers": containers, "priority": 2_000_001_000 }),
        ];
        let admitted = |memory, disk| {
            let pressure = Pressure {
                memory,
                disk,
                processes: false,
            };
            pods.clone().map(|spec| {
                let pod = json!({ "metadata": {}, "spec": spec });
                may_press(&serde_json::from_value(pod).unwrap(), &pressure).is_ok()
            })
        };
        assert_eq!(admitted(false, false), [true; 4]);
        assert_eq!(admitted(true, false), [false, true, true, true]);
        assert_eq!(admitted(false, true), [false, false, false, true]);
        assert_eq!(admitted(true, true), [false, false, false, true]);
    }

    fn asking(cpu: &str) -> Value {
        json!({"containers": [{"name": "c", "resources": {"requests": {"cpu": cpu}}}]})
    }

    #[test]
    fn resources_are_held_until_released() {
        let ledger = Ledger::default();
        admit(&ledger, "a", asking("600m")).unwrap();
        let refused = admit(&ledger, "b", asking("500m")).unwrap_err();
        assert_eq!(refused.reason, "OutOfcpu");
        assert_eq!(
            refused.message,
            "Node didn't have enough resource: cpu, requested: 500, used: 600, capacity: 1000"
        );
        ledger.release("a");
        assert!(admit(&ledger, "b", asking("500m")).is_ok());
    }

    #[test]
    fn selectors_and_affinity_must_match_the_node() {
        let refused = |spec| admit(&Ledger::default(), "a", spec).unwrap_err().reason;
        let affinity = |operator: &str, values: Value| {
            let terms = json!([{"matchExpressions": [{"key": "zone", "operator": operator, "values": values}]}]);
            json!({"containers": [], "affinity": {"nodeAffinity":
                {"requiredDuringSchedulingIgnoredDuringExecution": {"nodeSelectorTerms": terms}}}})
        };
        assert_eq!(
            refused(json!({"containers": [], "nodeSelector": {"no": "such"}})),
            "NodeAffinity"
        );
        assert_eq!(refused(affinity("NotIn", json!(["a"]))), "NodeAffinity");
        assert!(admit(&Ledger::default(), "a", affinity("In", json!(["a"]))).is_ok());
    }

    #[test]
    fn unsafe_sysctls_are_forbidden_by_name() {
        let spec = |name: &str| json!({"containers": [], "securityContext": {"sysctls": [{"name": name, "value": "1"}]}});
        let refused = admit(&Ledger::default(), "a", spec("kernel.msgmax")).unwrap_err();
        assert_eq!(
            refused.message,
            "forbidden sysctl: \"kernel.msgmax\" not allowlisted"
        );
        assert!(admit(&Ledger::default(), "a", spec("kernel.shm_rmid_forced")).is_ok());
    }

    #[test]
    fn a_host_port_is_held_by_one_pod() {
        let ledger = Ledger::default();
        let spec = |ip: &str| json!({"containers": [{"name": "c", "ports": [{"containerPort": 80, "hostPort": 80, "hostIP": ip}]}]});
        admit(&ledger, "a", spec("127.0.0.1")).unwrap();
        assert!(admit(&ledger, "b", spec("127.0.0.2")).is_ok());
        assert_eq!(
            admit(&ledger, "c", spec("")).unwrap_err().reason,
            "NodePorts"
        );
    }
}
