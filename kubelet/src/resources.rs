//! Requests and limits of containers and pods: QoS class, cgroup values,
//! OOM score.

use std::collections::BTreeMap;

use apimachinery::Quantity;
use k8s_openapi::api::core::v1::{Container, PodSpec, ResourceRequirements};
use k8s_openapi::apimachinery::pkg::api::resource::Quantity as Text;

use crate::record::ephemeral_containers;

type List = BTreeMap<String, Text>;

/// Kubernetes' three classes of pods.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Qos {
    Guaranteed,
    Burstable,
    BestEffort,
}

impl Qos {
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Guaranteed => "Guaranteed",
            Self::Burstable => "Burstable",
            Self::BestEffort => "BestEffort",
        }
    }

    pub fn of(spec: &PodSpec) -> Self {
        let containers = || {
            spec.init_containers
                .iter()
                .flatten()
                .chain(&spec.containers)
        };
        let none = containers().all(|c| {
            ["cpu", "memory"]
                .iter()
                .all(|r| request(c, r).is_zero() && limit(c, r).is_none())
        });
        let all = containers().all(|c| {
            ["cpu", "memory"]
                .iter()
                .all(|r| limit(c, r).is_some_and(|limit| request(c, r) == limit))
        });
        match (none, all) {
            (true, _) => Self::BestEffort,
            (_, true) => Self::Guaranteed,
            _ => Self::Burstable,
        }
    }
}

/// The amount of `resource` in `list`; absent or unreadable is `None`.
pub fn amount(list: Option<&List>, resource: &str) -> Option<Quantity> {
    list?.get(resource)?.0.parse().ok()
}

/// Says which of the pod's limits cannot be read: it would not be kept.
pub fn check_limits(spec: &PodSpec) -> Result<(), String> {
    let containers = spec.init_containers.iter().flatten();
    for container in containers.chain(&spec.containers) {
        let limits = container.resources.as_ref().and_then(|r| r.limits.as_ref());
        for resource in ["cpu", "memory"] {
            let Some(text) = limits.and_then(|limits| limits.get(resource)) else {
                continue;
            };
            if let Err(e) = text.0.parse::<Quantity>() {
                let name = &container.name;
                return Err(format!(
                    "the {resource} limit {:?} of container {name:?}: {e}",
                    text.0
                ));
            }
        }
    }
    Ok(())
}

/// A container's limit; zero is none.
pub fn limit(container: &Container, resource: &str) -> Option<Quantity> {
    let list = container.resources.as_ref().and_then(|r| r.limits.as_ref());
    amount(list, resource).filter(|quantity| !quantity.is_zero())
}

/// A container's request, which defaults to its limit.
pub fn request(container: &Container, resource: &str) -> Quantity {
    let list = container
        .resources
        .as_ref()
        .and_then(|r| r.requests.as_ref());
    amount(list, resource)
        .or_else(|| limit(container, resource))
        .unwrap_or(Quantity::ZERO)
}

/// What the pod as a whole asks for: its main containers and sidecars
/// together, or the largest step of initialisation, whichever is more.
pub fn pod_request(spec: &PodSpec, resource: &str) -> Quantity {
    let mut running = Quantity::ZERO;
    let mut peak = Quantity::ZERO;
    for container in spec.init_containers.iter().flatten() {
        let mut step = running;
        step += request(container, resource);
        if container.restart_policy.as_deref() == Some("Always") {
            running = step;
        }
        peak = peak.max(step);
    }
    spec.containers
        .iter()
        .for_each(|c| running += request(c, resource));
    let mut total = running.max(peak);
    if let Some(overhead) = amount(spec.overhead.as_ref(), resource) {
        total += overhead;
    }
    total
}

/// The pod's limit, if every container has one.
pub fn pod_limit(spec: &PodSpec, resource: &str) -> Option<Quantity> {
    let mut total = Quantity::ZERO;
    for container in &spec.containers {
        total += limit(container, resource)?;
    }
    let mut init = Quantity::ZERO;
    for container in spec.init_containers.iter().flatten() {
        let one = limit(container, resource)?;
        match container.restart_policy.as_deref() {
            Some("Always") => total += one,
            _ => init = init.max(one),
        }
    }
    Some(total.max(init))
}

/// `cpu.shares` for an amount of CPU in thousandths.
pub fn cpu_shares(milli: i64) -> u64 {
    ((milli.max(0) as u64).saturating_mul(1024) / 1000).clamp(2, 262_144)
}

/// `cpu.cfs_quota_us` in a period of 100 ms; 1 ms is the kernel's least.
pub fn cpu_quota(milli: i64) -> i64 {
    milli.saturating_mul(100).max(1000)
}

/// How readily the kernel kills a container when the node is out of memory.
pub fn oom_score(qos: Qos, memory_request: i64, node_memory: i64) -> i32 {
    match qos {
        Qos::Guaranteed => -997,
        Qos::BestEffort => 1000,
        Qos::Burstable => {
            let share = i128::from(memory_request) * 1000 / i128::from(node_memory.max(1));
            (1000 - share).clamp(3, 999) as i32
        }
    }
}

/// What the node has, for limits nobody set.
#[derive(Clone, Debug, Default)]
pub struct Allocatable(pub BTreeMap<String, Quantity>);

/// `resourceFieldRef`: `limits.cpu` and the like, in units of `divisor`, rounded up.
///
/// `None` if there is no such field.
pub fn field(
    container: &Container,
    field: &str,
    divisor: Option<&Text>,
    node: &Allocatable,
) -> Option<i64> {
    let (kind, resource) = field.split_once('.')?;
    let value = match kind {
        "limits" => limit(container, resource).or_else(|| node.0.get(resource).copied()),
        "requests" => Some(request(container, resource)),
        _ => return None,
    }
    .unwrap_or(Quantity::ZERO);
    let divisor = divisor
        .and_then(|text| text.0.parse().ok())
        .filter(|d: &Quantity| !d.is_zero());
    let (value, divisor) = match resource {
        "cpu" => (
            value.milli_value(),
            divisor.map_or(1000, Quantity::milli_value),
        ),
        _ => (value.value(), divisor.map_or(1, Quantity::value)),
    };
    let divisor = divisor.max(1);
    Some(value / divisor + i64::from(value % divisor != 0))
}

/// The container that a field names, or the one that asks.
pub fn field_container<'a>(
    spec: &'a PodSpec,
    name: Option<&str>,
    own: Option<&'a Container>,
) -> Option<std::borrow::Cow<'a, Container>> {
    use std::borrow::Cow;
    let Some(name) = name.filter(|name| !name.is_empty()) else {
        return own.map(Cow::Borrowed);
    };
    let listed = spec
        .init_containers
        .iter()
        .flatten()
        .chain(&spec.containers);
    listed
        .filter(|c| c.name == name)
        .map(Cow::Borrowed)
        .next()
        .or_else(|| {
            ephemeral_containers(spec)
                .find(|c| c.name == name)
                .map(Cow::Owned)
        })
}

/// The container's resources, as its status reports them.
pub fn reported(container: &Container) -> Option<ResourceRequirements> {
    container
        .resources
        .clone()
        .filter(|r| r.limits.is_some() || r.requests.is_some())
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn spec(resources: &[serde_json::Value]) -> PodSpec {
        let containers: Vec<_> = resources
            .iter()
            .map(|r| json!({"name": "c", "resources": r}))
            .collect();
        serde_json::from_value(json!({"containers": containers})).unwrap()
    }

    #[test]
    fn quality_of_service_follows_requests_and_limits() {
        let full = json!({"limits": {"cpu": "100m", "memory": "64Mi"}});
        let half = json!({"limits": {"memory": "64Mi"}});
        assert_eq!(Qos::of(&spec(&[json!({})])), Qos::BestEffort);
        assert_eq!(Qos::of(&spec(std::slice::from_ref(&full))), Qos::Guaranteed);
        assert_eq!(Qos::of(&spec(&[full.clone(), json!({})])), Qos::Burstable);
        assert_eq!(Qos::of(&spec(&[half])), Qos::Burstable);
    }

    #[test]
    fn cgroup_values_are_those_of_kubernetes() {
        assert_eq!(
            (cpu_shares(100), cpu_shares(0), cpu_quota(250), cpu_quota(1)),
            (102, 2, 25_000, 1000)
        );
        assert_eq!(oom_score(Qos::Burstable, 0, 1 << 30), 999);
        assert_eq!(oom_score(Qos::Burstable, 1 << 30, 1 << 30), 3);
    }

    #[test]
    fn resource_fields_divide_and_round_up() {
        let spec = spec(&[
            json!({"requests": {"cpu": "250m"}, "limits": {"cpu": "500m", "memory": "128Mi"}}),
        ]);
        let node = Allocatable::default();
        let read = |name, divisor: Option<&str>| {
            let divisor = divisor.map(|d| Text(d.to_owned()));
            field(&spec.containers[0], name, divisor.as_ref(), &node)
        };
        assert_eq!(read("limits.cpu", None), Some(1));
        assert_eq!(read("limits.cpu", Some("1m")), Some(500));
        assert_eq!(read("limits.memory", Some("1Mi")), Some(128));
        assert_eq!(read("requests.cpu", Some("1m")), Some(250));
        assert_eq!(read("nonsense", None), None);
    }

    #[test]
    fn a_pod_asks_for_its_largest_moment() {
        let spec: PodSpec = serde_json::from_value(json!({
            "initContainers": [
                {"name": "s", "restartPolicy": "Always", "resources": {"requests": {"cpu": "1"}}},
                {"name": "i", "resources": {"requests": {"cpu": "4"}}}],
            "containers": [{"name": "c", "resources": {"requests": {"cpu": "2"}}}]}))
        .unwrap();
        assert_eq!(pod_request(&spec, "cpu").value(), 5);
    }
}
