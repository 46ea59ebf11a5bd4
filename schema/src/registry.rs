//! The built-in kinds, and their compiled schemas.

use std::borrow::Cow;
use std::sync::OnceLock;

use k8s_openapi::Resource;
use k8s_openapi::api::admissionregistration::v1 as admissionregistration_v1;
use k8s_openapi::api::apps::v1 as apps_v1;
use k8s_openapi::api::authentication::v1 as authentication_v1;
use k8s_openapi::api::authorization::v1 as authorization_v1;
use k8s_openapi::api::autoscaling::v1 as autoscaling_v1;
use k8s_openapi::api::autoscaling::v2 as autoscaling_v2;
use k8s_openapi::api::batch::v1 as batch_v1;
use k8s_openapi::api::certificates::v1 as certificates_v1;
use k8s_openapi::api::coordination::v1 as coordination_v1;
use k8s_openapi::api::core::v1 as core_v1;
use k8s_openapi::api::discovery::v1 as discovery_v1;
use k8s_openapi::api::events::v1 as events_v1;
use k8s_openapi::api::flowcontrol::v1 as flowcontrol_v1;
use k8s_openapi::api::networking::v1 as networking_v1;
use k8s_openapi::api::node::v1 as node_v1;
use k8s_openapi::api::policy::v1 as policy_v1;
use k8s_openapi::api::rbac::v1 as rbac_v1;
use k8s_openapi::api::resource::v1 as resource_v1;
use k8s_openapi::api::scheduling::v1 as scheduling_v1;
use k8s_openapi::api::storage::v1 as storage_v1;
use k8s_openapi::api::storagemigration::v1 as storagemigration_v1;
use k8s_openapi::apiextensions_apiserver::pkg::apis::apiextensions::v1 as apiextensions_v1;
use k8s_openapi::apimachinery::pkg::apis::meta::v1 as meta_v1;
use k8s_openapi::kube_aggregator::pkg::apis::apiregistration::v1 as apiregistration_v1;
use schemars::{JsonSchema, Schema, SchemaGenerator};

use crate::{Node, compile};

/// A built-in kind and where its schema comes from.
pub(crate) struct Entry {
    pub group: &'static str,
    pub version: &'static str,
    pub kind: &'static str,
    /// Kubernetes' name of the definition: `io.k8s.api.core.v1.Pod`.
    pub definition: fn() -> Cow<'static, str>,
    pub generate: fn(&mut SchemaGenerator) -> Schema,
    node: OnceLock<Node>,
}

impl Entry {
    const fn new<T: Resource + JsonSchema>() -> Self {
        Self::named::<T>(T::GROUP, T::VERSION, T::KIND)
    }

    const fn named<T: JsonSchema>(
        group: &'static str,
        version: &'static str,
        kind: &'static str,
    ) -> Self {
        Self {
            group,
            version,
            kind,
            definition: T::schema_name,
            generate: SchemaGenerator::subschema_for::<T>,
            node: OnceLock::new(),
        }
    }

    fn node(&self) -> &Node {
        self.node.get_or_init(|| compile::kind(self.generate))
    }
}

macro_rules! entries {
    ($($module:ident { $($kind:ident)+ })+) => {
        [$($(Entry::new::<$module::$kind>()),+),+]
    };
}

/// Every built-in kind of a stable version.
static KINDS: [Entry; 80] = entries! {
    core_v1 {
        Binding ComponentStatus ConfigMap Endpoints Event LimitRange Namespace Node
        PersistentVolume PersistentVolumeClaim Pod PodTemplate ReplicationController
        ResourceQuota Secret Service ServiceAccount
    }
    admissionregistration_v1 {
        MutatingAdmissionPolicy MutatingAdmissionPolicyBinding MutatingWebhookConfiguration
        ValidatingAdmissionPolicy ValidatingAdmissionPolicyBinding ValidatingWebhookConfiguration
    }
    apiextensions_v1 { CustomResourceDefinition }
    apiregistration_v1 { APIService }
    apps_v1 { ControllerRevision DaemonSet Deployment ReplicaSet StatefulSet }
    authentication_v1 { SelfSubjectReview TokenRequest TokenReview }
    authorization_v1 {
        LocalSubjectAccessReview SelfSubjectAccessReview SelfSubjectRulesReview SubjectAccessReview
    }
    autoscaling_v1 { HorizontalPodAutoscaler Scale }
    autoscaling_v2 { HorizontalPodAutoscaler }
    batch_v1 { CronJob Job }
    certificates_v1 { CertificateSigningRequest ClusterTrustBundle PodCertificateRequest }
    coordination_v1 { Lease }
    discovery_v1 { EndpointSlice }
    events_v1 { Event }
    flowcontrol_v1 { FlowSchema PriorityLevelConfiguration }
    networking_v1 { IPAddress Ingress IngressClass NetworkPolicy ServiceCIDR }
    node_v1 { RuntimeClass }
    policy_v1 { Eviction PodDisruptionBudget }
    rbac_v1 { ClusterRole ClusterRoleBinding Role RoleBinding }
    resource_v1 {
        DeviceClass DeviceTaintRule ResourceClaim ResourceClaimTemplate ResourceSlice
    }
    scheduling_v1 { PriorityClass }
    storage_v1 {
        CSIDriver CSINode CSIStorageCapacity StorageClass VolumeAttachment VolumeAttributesClass
    }
    storagemigration_v1 { StorageVersionMigration }
    meta_v1 { APIGroup APIGroupList APIResourceList APIVersions Status }
};

/// Kinds that are parts of requests or answers and no resources.
static PARTS: [Entry; 1] = [Entry::named::<meta_v1::DeleteOptions>(
    "",
    "v1",
    "DeleteOptions",
)];

/// The schema of a built-in kind; compiled on first use. `None` for a kind that
/// is not built in (group is `""` for the core group).
pub fn of(group: &str, version: &str, kind: &str) -> Option<&'static Node> {
    entry(group, version, kind).map(Entry::node)
}

/// The (group, version, kind) of every built-in kind.
pub fn kinds() -> impl Iterator<Item = (&'static str, &'static str, &'static str)> {
    entries().map(|e| (e.group, e.version, e.kind))
}

pub(crate) fn entry(group: &str, version: &str, kind: &str) -> Option<&'static Entry> {
    entries().find(|e| e.kind == kind && e.group == group && e.version == version)
}

pub(crate) fn entries() -> impl Iterator<Item = &'static Entry> {
    KINDS.iter().chain(&PARTS)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{ListKey, ListKind};
    use serde_json::Value;

    #[test]
    fn every_kind_compiles_to_an_object() {
        for (group, version, kind) in kinds() {
            let node = of(group, version, kind).expect("listed");
            let Node::Object(object) = node else {
                panic!("{group}/{version} {kind} is {node:?}");
            };
            assert!(
                object.field("kind").is_some(),
                "{kind} has {:?}",
                object.fields()
            );
        }
    }

    #[test]
    fn a_kind_that_is_not_built_in_has_no_schema() {
        assert!(of("apps", "v1beta1", "Deployment").is_none());
        assert!(of("", "v1", "Deployment").is_none());
    }

    #[test]
    fn definitions_are_shared_between_kinds() {
        let pod = of("", "v1", "Pod").expect("built in");
        let deployment = of("apps", "v1", "Deployment").expect("built in");
        let (Some(Node::Object(a)), Some(Node::Object(b))) = (
            pod.at(&["spec"]),
            deployment.at(&["spec", "template", "spec"]),
        ) else {
            panic!("both have a pod spec");
        };
        assert!(std::sync::Arc::ptr_eq(a, b));
    }

    #[test]
    fn container_ports_are_keyed_by_port_and_defaulted_protocol() {
        let pod = of("", "v1", "Pod").expect("built in");
        let Some(Node::List(containers)) = pod.at(&["spec", "containers"]) else {
            panic!("containers is a list");
        };
        let Some(Node::List(ports)) = containers.items.child("ports") else {
            panic!("ports is a list");
        };
        let key = |name: &str, default: Option<&str>| ListKey {
            name: name.into(),
            default: default.map(Value::from),
        };
        let keys = [key("containerPort", None), key("protocol", Some("TCP"))];
        assert_eq!(ports.kind, ListKind::Map(Box::new(keys)));
        assert_eq!(ports.merge_key.as_deref(), Some("containerPort"));
    }
}
