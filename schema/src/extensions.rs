//! What Kubernetes says of its types and `k8s-openapi` leaves out: how lists and
//! maps merge. One row a field; everything not named is as JSON would have it
//! (lists atomic and replaced, objects and maps granular and merged).
//!
//! The facts are those of Kubernetes' OpenAPI document: `x-kubernetes-list-type`,
//! `-list-map-keys`, `-map-type`, `-patch-merge-key` and `-patch-strategy`.

use crate::node::Strategy;

/// What the table says of one field.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Extension {
    pub shape: Shape,
    pub merge_key: Option<&'static str>,
    pub strategy: Strategy,
}

/// How server-side apply sees the field.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Shape {
    /// As the type has it.
    Plain,
    /// A list of scalars, each owned by value.
    Set,
    /// A list of objects by these keys; `key=value` gives a key's default.
    Keyed(&'static [&'static str]),
    /// A map or object owned as a whole.
    AtomicMap,
}

const NO_STRATEGY: Strategy = Strategy {
    merge: false,
    replace: false,
    retain_keys: false,
};
const MERGE: Strategy = Strategy {
    merge: true,
    ..NO_STRATEGY
};
const RETAIN: Strategy = Strategy {
    retain_keys: true,
    ..NO_STRATEGY
};

const SET: Extension = of(Shape::Set, None, NO_STRATEGY);
const SET_MERGE: Extension = of(Shape::Set, None, MERGE);
const ATOMIC_MAP: Extension = of(Shape::AtomicMap, None, NO_STRATEGY);
const RETAIN_KEYS: Extension = of(Shape::Plain, None, RETAIN);
const REPLACE: Extension = of(
    Shape::Plain,
    None,
    Strategy {
        replace: true,
        ..NO_STRATEGY
    },
);

const BY_NAME: Extension = merge("name", &["name"]);
const BY_TYPE: Extension = merge("type", &["type"]);

const fn of(shape: Shape, merge_key: Option<&'static str>, strategy: Strategy) -> Extension {
    Extension {
        shape,
        merge_key,
        strategy,
    }
}

/// Merged by `key` in a strategic merge patch, by `keys` in server-side apply.
const fn merge(key: &'static str, keys: &'static [&'static str]) -> Extension {
    of(Shape::Keyed(keys), Some(key), MERGE)
}

/// As [`merge`], and items lose what a patch's `$retainKeys` does not name.
const fn merge_retain(key: &'static str, keys: &'static [&'static str]) -> Extension {
    let strategy = Strategy {
        merge: true,
        replace: false,
        retain_keys: true,
    };
    of(Shape::Keyed(keys), Some(key), strategy)
}

/// Merged by a strategic merge patch, atomic for server-side apply.
const fn merge_atomic(key: &'static str) -> Extension {
    of(Shape::Plain, Some(key), MERGE)
}

/// Known to server-side apply alone.
const fn keyed(keys: &'static [&'static str]) -> Extension {
    of(Shape::Keyed(keys), None, NO_STRATEGY)
}

const CONTAINER_PORTS: Extension = merge("containerPort", &["containerPort", "protocol=TCP"]);
const SERVICE_PORTS: Extension = merge("port", &["port", "protocol=TCP"]);
const SPREAD: Extension = merge("topologyKey", &["topologyKey", "whenUnsatisfiable"]);

/// Rows of (definition without `io.k8s.`, field, what it is), sorted.
const FIELDS: &[(&str, &str, Extension)] = &[
    (
        "api.admissionregistration.v1.MutatingAdmissionPolicySpec",
        "matchConditions",
        BY_NAME,
    ),
    (
        "api.admissionregistration.v1.MutatingWebhook",
        "matchConditions",
        BY_NAME,
    ),
    (
        "api.admissionregistration.v1.MutatingWebhookConfiguration",
        "webhooks",
        BY_NAME,
    ),
    (
        "api.admissionregistration.v1.ValidatingAdmissionPolicyBindingSpec",
        "validationActions",
        SET,
    ),
    (
        "api.admissionregistration.v1.ValidatingAdmissionPolicySpec",
        "matchConditions",
        BY_NAME,
    ),
    (
        "api.admissionregistration.v1.ValidatingAdmissionPolicySpec",
        "variables",
        BY_NAME,
    ),
    (
        "api.admissionregistration.v1.ValidatingAdmissionPolicyStatus",
        "conditions",
        keyed(&["type"]),
    ),
    (
        "api.admissionregistration.v1.ValidatingWebhook",
        "matchConditions",
        BY_NAME,
    ),
    (
        "api.admissionregistration.v1.ValidatingWebhookConfiguration",
        "webhooks",
        BY_NAME,
    ),
    ("api.apps.v1.DaemonSetStatus", "conditions", BY_TYPE),
    ("api.apps.v1.DeploymentSpec", "strategy", RETAIN_KEYS),
    ("api.apps.v1.DeploymentStatus", "conditions", BY_TYPE),
    ("api.apps.v1.ReplicaSetStatus", "conditions", BY_TYPE),
    ("api.apps.v1.StatefulSetStatus", "conditions", BY_TYPE),
    (
        "api.autoscaling.v2.HorizontalPodAutoscalerStatus",
        "conditions",
        BY_TYPE,
    ),
    (
        "api.batch.v1.JobSchedulingConfiguration",
        "resourceClaims",
        BY_NAME,
    ),
    ("api.batch.v1.JobStatus", "conditions", merge_atomic("type")),
    (
        "api.batch.v1.PodFailurePolicyOnExitCodesRequirement",
        "values",
        SET,
    ),
    ("api.batch.v1.UncountedTerminatedPods", "failed", SET),
    ("api.batch.v1.UncountedTerminatedPods", "succeeded", SET),
    (
        "api.certificates.v1.CertificateSigningRequestStatus",
        "conditions",
        keyed(&["type"]),
    ),
    (
        "api.certificates.v1.PodCertificateRequestStatus",
        "conditions",
        BY_TYPE,
    ),
    ("api.core.v1.ComponentStatus", "conditions", BY_TYPE),
    ("api.core.v1.Container", "env", BY_NAME),
    ("api.core.v1.Container", "ports", CONTAINER_PORTS),
    (
        "api.core.v1.Container",
        "volumeDevices",
        merge("devicePath", &["devicePath"]),
    ),
    (
        "api.core.v1.Container",
        "volumeMounts",
        merge("mountPath", &["mountPath"]),
    ),
    ("api.core.v1.ContainerRestartRuleOnExitCodes", "values", SET),
    (
        "api.core.v1.ContainerStatus",
        "allocatedResourcesStatus",
        BY_NAME,
    ),
    (
        "api.core.v1.ContainerStatus",
        "volumeMounts",
        merge("mountPath", &["mountPath"]),
    ),
    ("api.core.v1.EphemeralContainer", "env", BY_NAME),
    ("api.core.v1.EphemeralContainer", "ports", CONTAINER_PORTS),
    (
        "api.core.v1.EphemeralContainer",
        "volumeDevices",
        merge("devicePath", &["devicePath"]),
    ),
    (
        "api.core.v1.EphemeralContainer",
        "volumeMounts",
        merge("mountPath", &["mountPath"]),
    ),
    ("api.core.v1.NamespaceStatus", "conditions", BY_TYPE),
    ("api.core.v1.NodeSpec", "podCIDRs", SET_MERGE),
    ("api.core.v1.NodeStatus", "addresses", BY_TYPE),
    ("api.core.v1.NodeStatus", "conditions", BY_TYPE),
    (
        "api.core.v1.PersistentVolumeClaimStatus",
        "conditions",
        BY_TYPE,
    ),
    ("api.core.v1.PodSpec", "containers", BY_NAME),
    ("api.core.v1.PodSpec", "ephemeralContainers", BY_NAME),
    ("api.core.v1.PodSpec", "evictionResponders", BY_NAME),
    ("api.core.v1.PodSpec", "hostAliases", merge("ip", &["ip"])),
    (
        "api.core.v1.PodSpec",
        "imagePullSecrets",
        merge("name", &["name="]),
    ),
    ("api.core.v1.PodSpec", "initContainers", BY_NAME),
    ("api.core.v1.PodSpec", "nodeSelector", ATOMIC_MAP),
    (
        "api.core.v1.PodSpec",
        "resourceClaims",
        merge_retain("name", &["name"]),
    ),
    ("api.core.v1.PodSpec", "schedulingGates", BY_NAME),
    ("api.core.v1.PodSpec", "topologySpreadConstraints", SPREAD),
    (
        "api.core.v1.PodSpec",
        "volumes",
        merge_retain("name", &["name"]),
    ),
    ("api.core.v1.PodStatus", "conditions", BY_TYPE),
    ("api.core.v1.PodStatus", "hostIPs", merge_atomic("ip")),
    ("api.core.v1.PodStatus", "podIPs", merge("ip", &["ip"])),
    (
        "api.core.v1.PodStatus",
        "resourceClaimStatuses",
        merge_retain("name", &["name"]),
    ),
    (
        "api.core.v1.ReplicationControllerSpec",
        "selector",
        ATOMIC_MAP,
    ),
    (
        "api.core.v1.ReplicationControllerStatus",
        "conditions",
        BY_TYPE,
    ),
    (
        "api.core.v1.ResourceRequirements",
        "claims",
        keyed(&["name"]),
    ),
    (
        "api.core.v1.ResourceStatus",
        "resources",
        keyed(&["resourceID"]),
    ),
    ("api.core.v1.ServiceAccount", "secrets", BY_NAME),
    ("api.core.v1.ServiceSpec", "ports", SERVICE_PORTS),
    ("api.core.v1.ServiceSpec", "selector", ATOMIC_MAP),
    ("api.core.v1.ServiceStatus", "conditions", BY_TYPE),
    ("api.discovery.v1.Endpoint", "addresses", SET),
    ("api.flowcontrol.v1.FlowSchemaStatus", "conditions", BY_TYPE),
    (
        "api.flowcontrol.v1.NonResourcePolicyRule",
        "nonResourceURLs",
        SET,
    ),
    ("api.flowcontrol.v1.NonResourcePolicyRule", "verbs", SET),
    (
        "api.flowcontrol.v1.PriorityLevelConfigurationStatus",
        "conditions",
        BY_TYPE,
    ),
    ("api.flowcontrol.v1.ResourcePolicyRule", "apiGroups", SET),
    ("api.flowcontrol.v1.ResourcePolicyRule", "namespaces", SET),
    ("api.flowcontrol.v1.ResourcePolicyRule", "resources", SET),
    ("api.flowcontrol.v1.ResourcePolicyRule", "verbs", SET),
    ("api.networking.v1.ServiceCIDRStatus", "conditions", BY_TYPE),
    ("api.node.v1.Scheduling", "nodeSelector", ATOMIC_MAP),
    ("api.policy.v1.PodDisruptionBudgetSpec", "selector", REPLACE),
    (
        "api.policy.v1.PodDisruptionBudgetStatus",
        "conditions",
        BY_TYPE,
    ),
    (
        "api.resource.v1.AllocatedDeviceStatus",
        "conditions",
        keyed(&["type"]),
    ),
    (
        "api.resource.v1.DeviceTaintRuleStatus",
        "conditions",
        BY_TYPE,
    ),
    (
        "api.resource.v1.ResourceClaimStatus",
        "devices",
        keyed(&["driver", "device", "pool", "shareID="]),
    ),
    (
        "api.resource.v1.ResourceClaimStatus",
        "reservedFor",
        merge("uid", &["uid"]),
    ),
    ("api.storage.v1.CSIDriverSpec", "volumeLifecycleModes", SET),
    ("api.storage.v1.CSINodeSpec", "drivers", BY_NAME),
    (
        "api.storagemigration.v1.StorageVersionMigrationStatus",
        "conditions",
        BY_TYPE,
    ),
    (
        "apiextensions-apiserver.pkg.apis.apiextensions.v1.CustomResourceDefinitionStatus",
        "conditions",
        keyed(&["type"]),
    ),
    (
        "apiextensions-apiserver.pkg.apis.apiextensions.v1.JSONSchemaProps",
        "x-kubernetes-validations",
        merge("rule", &["rule"]),
    ),
    (
        "apimachinery.pkg.apis.meta.v1.ObjectMeta",
        "finalizers",
        SET_MERGE,
    ),
    (
        "apimachinery.pkg.apis.meta.v1.ObjectMeta",
        "ownerReferences",
        merge("uid", &["uid"]),
    ),
    (
        "kube-aggregator.pkg.apis.apiregistration.v1.APIServiceStatus",
        "conditions",
        BY_TYPE,
    ),
];

/// Definitions (without `io.k8s.`) that are owned as a whole wherever they stand, sorted.
const ATOMIC: &[&str] = &[
    "api.admissionregistration.v1.MatchResources",
    "api.admissionregistration.v1.NamedRuleWithOperations",
    "api.admissionregistration.v1.ParamKind",
    "api.admissionregistration.v1.ParamRef",
    "api.admissionregistration.v1.Variable",
    "api.autoscaling.v1.CrossVersionObjectReference",
    "api.core.v1.ConfigMapKeySelector",
    "api.core.v1.EndpointAddress",
    "api.core.v1.EndpointPort",
    "api.core.v1.FileKeySelector",
    "api.core.v1.LocalObjectReference",
    "api.core.v1.NodeSelector",
    "api.core.v1.NodeSelectorTerm",
    "api.core.v1.ObjectFieldSelector",
    "api.core.v1.ObjectReference",
    "api.core.v1.ResourceFieldSelector",
    "api.core.v1.ScopeSelector",
    "api.core.v1.SecretKeySelector",
    "api.core.v1.SecretReference",
    "api.core.v1.TopologySelectorTerm",
    "api.core.v1.TypedLocalObjectReference",
    "api.discovery.v1.EndpointPort",
    "api.networking.v1.ServiceBackendPort",
    "api.rbac.v1.RoleRef",
    "api.rbac.v1.Subject",
    "apimachinery.pkg.apis.meta.v1.LabelSelector",
    "apimachinery.pkg.apis.meta.v1.OwnerReference",
];

/// Fields whose object is granular although its definition is atomic.
const GRANULAR: &[(&str, &str)] = &[("api.core.v1.PersistentVolumeSpec", "claimRef")];

/// What is known of a field of a definition (full name: `io.k8s.api.…`).
pub fn field(definition: &str, field: &str) -> Option<&'static Extension> {
    let definition = definition.strip_prefix("io.k8s.")?;
    FIELDS
        .binary_search_by(|row| (row.0, row.1).cmp(&(definition, field)))
        .ok()
        .map(|at| &FIELDS[at].2)
}

/// The definition is owned as a whole.
pub fn is_atomic(definition: &str) -> bool {
    definition
        .strip_prefix("io.k8s.")
        .is_some_and(|name| ATOMIC.binary_search(&name).is_ok())
}

/// The field is granular although its definition is atomic.
pub fn is_granular(definition: &str, field: &str) -> bool {
    definition
        .strip_prefix("io.k8s.")
        .is_some_and(|name| GRANULAR.contains(&(name, field)))
}

#[cfg(test)]
#[path = "extensions/tests.rs"]
mod tests;
