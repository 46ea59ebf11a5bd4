//! Pods that use more of the node's disk than they are allowed to. Pure.

use apimachinery::Quantity;
use k8s_openapi::api::core::v1::{Container, PodSpec};

use super::message;
use super::usage::{self, DiskUsage};
use crate::resources;

const RESOURCE: &str = "ephemeral-storage";

/// Whether there is a limit that somebody must look after.
pub fn has_limits(spec: &PodSpec) -> bool {
    let mut volumes = volumes(spec);
    containers(spec).any(|c| limit(c).is_some()) || volumes.next().is_some()
}

/// Why the pod must go, if it must.
pub fn exceeded(spec: &PodSpec, used: &DiskUsage) -> Option<String> {
    of_volumes(spec, used)
        .or_else(|| of_pod(spec, used))
        .or_else(|| of_containers(spec, used))
}

fn of_volumes(spec: &PodSpec, used: &DiskUsage) -> Option<String> {
    volumes(spec).find_map(|(name, limit)| {
        let used = used.volumes.get(name)?.bytes;
        (used > usage::amount(limit)).then(|| message::of_empty_dir(name, &limit.to_string()))
    })
}

fn of_pod(spec: &PodSpec, used: &DiskUsage) -> Option<String> {
    let limit = pod_limit(spec)?;
    (used.total().bytes > usage::amount(limit)).then(|| message::of_pod_limit(&limit))
}

fn of_containers(spec: &PodSpec, used: &DiskUsage) -> Option<String> {
    containers(spec).find_map(|container| {
        let (limit, used) = (limit(container)?, used.containers.get(&container.name)?);
        let is_over = used.bytes > usage::amount(limit);
        is_over.then(|| message::of_container_limit(&container.name, &limit.to_string()))
    })
}

/// As in Kubernetes, containers without a limit are as if theirs were nothing.
fn pod_limit(spec: &PodSpec) -> Option<Quantity> {
    let (mut running, mut peak, mut any) = (Quantity::ZERO, Quantity::ZERO, false);
    for container in spec.init_containers.iter().flatten() {
        let Some(limit) = limit(container) else {
            continue;
        };
        any = true;
        let mut step = running;
        step += limit;
        if container.restart_policy.as_deref() == Some("Always") {
            running = step;
        }
        peak = peak.max(step);
    }
    for limit in spec.containers.iter().filter_map(limit) {
        any = true;
        running += limit;
    }
    any.then(|| running.max(peak))
}

fn containers(spec: &PodSpec) -> impl Iterator<Item = &Container> {
    spec.init_containers
        .iter()
        .flatten()
        .chain(&spec.containers)
}

fn limit(container: &Container) -> Option<Quantity> {
    resources::limit(container, RESOURCE)
}

/// Those on disk; the kernel keeps those in memory to their size.
fn volumes(spec: &PodSpec) -> impl Iterator<Item = (&String, Quantity)> {
    spec.volumes.iter().flatten().filter_map(|volume| {
        let source = volume.empty_dir.as_ref()?;
        let limit: Quantity = source.size_limit.as_ref()?.0.parse().ok()?;
        let is_on_disk = source.medium.as_deref() != Some("Memory");
        (is_on_disk && limit > Quantity::ZERO).then_some((&volume.name, limit))
    })
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::*;
    use crate::eviction::disk_use::DiskUse;

    fn used(containers: &[(&str, u64)], volumes: &[(&str, u64)]) -> DiskUsage {
        let list = |parts: &[(&str, u64)]| {
            let used = |mib| DiskUse {
                bytes: mib << 20,
                inodes: 1,
            };
            let parts = parts.iter();
            parts
                .map(|(name, mib)| ((*name).to_owned(), used(*mib)))
                .collect()
        };
        DiskUsage {
            containers: list(containers),
            volumes: list(volumes),
        }
    }

    fn spec(limits: [Option<&str>; 2], size_limit: Option<&str>) -> PodSpec {
        let container = |name: &str, limit: Option<&str>| match limit {
            Some(limit) => {
                json!({ "name": name, "resources": { "limits": { "ephemeral-storage": limit } } })
            }
            None => json!({ "name": name }),
        };
        let mut volume: Value = json!({ "name": "v", "emptyDir": {} });
        if let Some(limit) = size_limit {
            volume["emptyDir"]["sizeLimit"] = json!(limit);
        }
        let containers = [container("a", limits[0]), container("b", limits[1])];
        serde_json::from_value(json!({ "containers": containers, "volumes": [volume] })).unwrap()
    }

    #[test]
    fn limits_of_volumes_pods_and_containers_are_kept_to() {
        let cases = [
            (spec([None, None], None), None),
            (spec([Some("5Mi"), None], Some("10Mi")), Some("5Mi")),
            (
                spec([Some("30Mi"), Some("30Mi")], Some("3Mi")),
                Some("EmptyDir"),
            ),
            (spec([Some("5Mi"), Some("30Mi")], None), Some("Container a")),
            (spec([Some("6Mi"), Some("6Mi")], Some("4Mi")), None),
            (
                spec([Some("6Mi"), Some("5Mi")], Some("4Mi")),
                Some("of containers 11Mi"),
            ),
        ];
        let used = used(&[("a", 6), ("b", 2)], &[("v", 4)]);
        for (spec, expected) in cases {
            let found = exceeded(&spec, &used);
            match expected {
                None => assert_eq!(found, None),
                Some(part) => assert!(found.as_ref().unwrap().contains(part), "{found:?}"),
            }
        }
    }

    #[test]
    fn pods_without_limits_need_not_be_looked_at() {
        assert!(!has_limits(&spec([None, None], None)));
        assert!(!has_limits(&spec([None, None], Some("0"))));
        assert!(has_limits(&spec([None, Some("1")], None)));
        assert!(has_limits(&spec([None, None], Some("1Gi"))));
    }

    #[test]
    fn messages_are_those_of_kubernetes() {
        let used = used(&[("a", 6)], &[("v", 4)]);
        assert_eq!(
            of_containers(&spec([Some("5Mi"), None], None), &used).unwrap(),
            "Container a exceeded its local ephemeral storage limit \"5Mi\". "
        );
        assert_eq!(
            of_volumes(&spec([None, None], Some("1Mi")), &used).unwrap(),
            "Usage of EmptyDir volume \"v\" exceeds the limit \"1Mi\". "
        );
        assert_eq!(
            of_pod(&spec([Some("5Mi"), None], None), &used).unwrap(),
            "Pod ephemeral local storage usage exceeds the total limit of containers 5Mi. "
        );
    }
}
