//! Names of resources: which Kubernetes knows, and how each kind of them is counted.

use apimachinery::names;

pub const HUGE_PAGES: &str = "hugepages-";

const FOR_CONTAINERS: [&str; 3] = ["cpu", "ephemeral-storage", "memory"];
/// Things that are counted, not measured.
const OBJECTS: [&str; 9] = [
    "configmaps",
    "persistentvolumeclaims",
    "pods",
    "replicationcontrollers",
    "resourcequotas",
    "secrets",
    "services",
    "services.loadbalancers",
    "services.nodeports",
];
const MEASURED: [&str; 11] = [
    "cpu",
    "ephemeral-storage",
    "limits.cpu",
    "limits.ephemeral-storage",
    "limits.memory",
    "memory",
    "requests.cpu",
    "requests.ephemeral-storage",
    "requests.memory",
    "requests.storage",
    "storage",
];

pub fn is_huge_page(name: &str) -> bool {
    name.starts_with(HUGE_PAGES)
}

fn is_huge_page_request(name: &str) -> bool {
    name.starts_with("requests.hugepages-")
}

/// Any name without a domain that means something.
pub fn is_standard(name: &str) -> bool {
    MEASURED.contains(&name)
        || OBJECTS.contains(&name)
        || is_huge_page(name)
        || is_huge_page_request(name)
}

pub fn is_standard_for_containers(name: &str) -> bool {
    FOR_CONTAINERS.contains(&name) || is_huge_page(name)
}

/// What a quota can be about, domains aside.
pub fn is_standard_for_quotas(name: &str) -> bool {
    (is_standard(name) && name != "storage") || is_huge_page(name)
}

/// Kubernetes' own: without a domain, or in `kubernetes.io`.
pub fn is_native(name: &str) -> bool {
    !name.contains('/') || name.contains("kubernetes.io/")
}

/// Someone else's, like `example.com/gpu`.
pub fn is_extended(name: &str) -> bool {
    let fits_a_quota = || names::qualified(&format!("requests.{name}")).is_empty();
    !is_native(name) && !name.starts_with("requests.") && fits_a_quota()
}

/// Whole things only.
pub fn is_whole(name: &str) -> bool {
    OBJECTS.contains(&name) || is_extended(name)
}

/// Whether more may be promised than there is.
pub fn may_be_overcommitted(name: &str) -> bool {
    is_native(name) && !is_huge_page(name)
}
