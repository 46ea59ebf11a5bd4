use crate::cache::{Candidate, NodeInfo};

/// Below this an image is as good as absent, above the other as good as any.
const MIN: i64 = 23 * 1024 * 1024;
const MAX_PER_CONTAINER: i64 = 1000 * 1024 * 1024;

/// The more of the pod's images the node already has, by size, the better.
pub fn score(pod: &Candidate, node: &NodeInfo) -> i64 {
    let containers = &pod.spec.containers;
    let names = containers.iter().filter_map(|c| c.image.as_deref());
    let present: i64 = names.filter_map(|name| size(node, name)).sum();
    let max = MAX_PER_CONTAINER * i64::try_from(containers.len().max(1)).unwrap_or(1);
    100 * (present.clamp(MIN, max) - MIN) / (max - MIN)
}

fn size(node: &NodeInfo, name: &str) -> Option<i64> {
    let exact = node.images.get(name);
    let tagged = || node.images.get(&format!("docker.io/library/{name}"));
    exact.or_else(tagged).copied()
}
