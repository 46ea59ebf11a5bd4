//! What pods use of a resource, and what they asked for.

use std::collections::BTreeMap;
use std::sync::Arc;

use apimachinery::Quantity;
use k8s_openapi::api::core::v1::{Pod, PodSpec, Volume};
use runtime::ContainerId;

use super::disk_use::{self, DiskUse};
use super::signal::Resource;
use crate::agent::PodView;
use crate::dirs::PodDirs;
use crate::resources;

/// What one pod uses of one resource.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Usage {
    pub total: u64,
    /// By container; empty where they cannot be told apart.
    pub containers: BTreeMap<String, u64>,
}

/// What a pod holds of the node's disk.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct DiskUsage {
    /// Writable layers and logs.
    pub containers: BTreeMap<String, DiskUse>,
    /// Volumes that are directories on the node's disk.
    pub volumes: BTreeMap<String, DiskUse>,
}

impl DiskUsage {
    pub fn total(&self) -> DiskUse {
        let mut total = DiskUse::default();
        let parts = self.containers.values().chain(self.volumes.values());
        parts.for_each(|part| total += *part);
        total
    }
}

/// None if it cannot be found out.
pub async fn of(view: &Arc<PodView>, dirs: Option<PodDirs>, resource: Resource) -> Option<Usage> {
    match resource {
        Resource::Memory => memory(view).await,
        Resource::Processes => {
            let stats = view.sandbox.as_ref()?.pod_stats().await.ok()?;
            Some(Usage {
                total: stats.pids,
                ..Usage::default()
            })
        }
        Resource::Disk | Resource::Inodes => {
            let used = disk(view.pod.clone(), dirs?).await?;
            let amount = |part: DiskUse| match resource {
                Resource::Inodes => part.inodes,
                _ => part.bytes,
            };
            let containers = used.containers.iter();
            Some(Usage {
                total: amount(used.total()),
                containers: containers
                    .map(|(name, part)| (name.clone(), amount(*part)))
                    .collect(),
            })
        }
    }
}

async fn memory(view: &PodView) -> Option<Usage> {
    let sandbox = view.sandbox.as_ref()?;
    let mut containers = BTreeMap::new();
    for container in &view.containers {
        let Some(Ok(id)) = container.running.clone().map(ContainerId::new) else {
            continue;
        };
        if let Ok(stats) = sandbox.stats(&id).await {
            containers.insert(container.name.clone(), stats.memory_working_set_bytes);
        }
    }
    let stats = sandbox.pod_stats().await.ok()?;
    Some(Usage {
        total: stats.memory_working_set_bytes,
        containers,
    })
}

/// Looks at all files of the pod, where that may take its time.
pub async fn disk(pod: Arc<Pod>, dirs: PodDirs) -> Option<DiskUsage> {
    let look = move || disk_of(&pod, &dirs);
    tokio::task::spawn_blocking(look).await.ok()
}

fn disk_of(pod: &Pod, dirs: &PodDirs) -> DiskUsage {
    let Some(spec) = &pod.spec else {
        return DiskUsage::default();
    };
    let container = |name: &String| {
        let mut used = disk_use::of(&dirs.runs(name));
        used += disk_use::of(&dirs.log_dir(name));
        (name.clone(), used)
    };
    let volumes = spec.volumes.iter().flatten().filter(|v| is_on_disk(v));
    DiskUsage {
        containers: container_names(spec).map(container).collect(),
        volumes: volumes
            .map(|v| (v.name.clone(), disk_use::of(&dirs.volume(&v.name))))
            .collect(),
    }
}

fn container_names(spec: &PodSpec) -> impl Iterator<Item = &String> {
    let listed = spec.init_containers.iter().flatten().map(|c| &c.name);
    let main = spec.containers.iter().map(|c| &c.name);
    let others = spec.ephemeral_containers.iter().flatten().map(|c| &c.name);
    listed.chain(main).chain(others)
}

fn is_on_disk(volume: &Volume) -> bool {
    let is_in_memory = |medium: Option<&str>| medium == Some("Memory");
    match &volume.empty_dir {
        Some(source) => !is_in_memory(source.medium.as_deref()),
        None => volume.config_map.is_some(),
    }
}

/// What the pod asked for of a resource; nobody can ask for inodes or processes.
pub fn request(spec: &PodSpec, resource: Resource) -> u64 {
    match resource {
        Resource::Memory | Resource::Disk => amount(resources::pod_request(spec, resource.name())),
        Resource::Inodes | Resource::Processes => 0,
    }
}

pub fn amount(quantity: Quantity) -> u64 {
    u64::try_from(quantity.value()).unwrap_or(0)
}

#[cfg(test)]
mod tests {
    use std::fs;

    use serde_json::json;

    use super::*;

    #[test]
    fn a_pod_holds_layers_logs_and_its_volumes_on_disk() {
        let dir = tempfile::tempdir().unwrap();
        let dirs = PodDirs::new(&dir.path().join("d"), &dir.path().join("l"), "ns", "p", "u");
        let dirs = dirs.unwrap();
        let files = [
            dirs.container("c", 1).join("upper"),
            dirs.log_dir("c"),
            dirs.volume("disk"),
            dirs.volume("memory"),
            dirs.volume("host"),
        ];
        for place in files {
            fs::create_dir_all(&place).unwrap();
            fs::write(place.join("f"), vec![1; 64 << 10]).unwrap();
        }
        let pod = json!({ "spec": {
            "containers": [{ "name": "c" }, { "name": "other" }],
            "volumes": [
                { "name": "disk", "emptyDir": {} },
                { "name": "memory", "emptyDir": { "medium": "Memory" } },
                { "name": "host", "hostPath": { "path": "/" } }],
        } });
        let used = disk_of(&serde_json::from_value(pod).unwrap(), &dirs);
        assert!(used.containers["c"].bytes >= 128 << 10, "{used:?}");
        assert_eq!(used.containers["other"], DiskUse::default());
        assert!(used.volumes["disk"].bytes >= 64 << 10, "{used:?}");
        assert_eq!(used.volumes.len(), 1);
        let total = used.total().bytes;
        assert_eq!(
            total,
            used.containers["c"].bytes + used.volumes["disk"].bytes
        );
    }
}
