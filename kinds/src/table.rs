//! Every built-in kind.

use crate::kind::Kind;
use crate::{
    admissionregistration, apiextensions, apiregistration, apps, authentication, authorization,
    autoscaling, batch, certificates, coordination, core, discovery, events, flowcontrol,
    networking, node_group, policy, rbac, resource, scheduling, storage, storagemigration,
};

static ALL: &[&Kind] = &[
    &core::binding::KIND,
    &core::component_status::KIND,
    &core::config_map::KIND,
    &core::endpoints::KIND,
    &core::event::KIND,
    &core::limit_range::KIND,
    &core::namespace::KIND,
    &core::node::KIND,
    &core::persistent_volume::KIND,
    &core::persistent_volume_claim::KIND,
    &core::pod::KIND,
    &core::pod_template::KIND,
    &core::replication_controller::KIND,
    &core::resource_quota::KIND,
    &core::secret::KIND,
    &core::service::KIND,
    &core::service_account::KIND,
    &apiregistration::api_service::KIND,
    &apps::controller_revision::KIND,
    &apps::daemon_set::KIND,
    &apps::deployment::KIND,
    &apps::replica_set::KIND,
    &apps::stateful_set::KIND,
    &events::event::KIND,
    &authentication::self_subject_review::KIND,
    &authentication::token_review::KIND,
    &authorization::local_subject_access_review::KIND,
    &authorization::self_subject_access_review::KIND,
    &authorization::self_subject_rules_review::KIND,
    &authorization::subject_access_review::KIND,
    &autoscaling::v2::KIND,
    &autoscaling::v1::KIND,
    &batch::cron_job::KIND,
    &batch::job::KIND,
    &certificates::certificate_signing_request::KIND,
    &certificates::cluster_trust_bundle::KIND,
    &certificates::pod_certificate_request::KIND,
    &networking::ingress_class::KIND,
    &networking::ingress::KIND,
    &networking::ip_address::KIND,
    &networking::network_policy::KIND,
    &networking::service_cidr::KIND,
    &policy::pod_disruption_budget::KIND,
    &rbac::cluster_role_binding::KIND,
    &rbac::cluster_role::KIND,
    &rbac::role_binding::KIND,
    &rbac::role::KIND,
    &storage::csi_driver::KIND,
    &storage::csi_node::KIND,
    &storage::csi_storage_capacity::KIND,
    &storage::storage_class::KIND,
    &storage::volume_attachment::KIND,
    &storage::volume_attributes_class::KIND,
    &storagemigration::storage_version_migration::KIND,
    &admissionregistration::mutating_admission_policy::KIND,
    &admissionregistration::mutating_admission_policy_binding::KIND,
    &admissionregistration::mutating_webhook_configuration::KIND,
    &admissionregistration::validating_admission_policy::KIND,
    &admissionregistration::validating_admission_policy_binding::KIND,
    &admissionregistration::validating_webhook_configuration::KIND,
    &apiextensions::custom_resource_definition::KIND,
    &scheduling::priority_class::KIND,
    &coordination::lease::KIND,
    &node_group::runtime_class::KIND,
    &discovery::endpoint_slice::KIND,
    &flowcontrol::flow_schema::KIND,
    &flowcontrol::priority_level_configuration::KIND,
    &resource::device_class::KIND,
    &resource::device_taint_rule::KIND,
    &resource::resource_claim::KIND,
    &resource::resource_claim_template::KIND,
    &resource::resource_slice::KIND,
];

/// Every built-in kind, by group, then as discovery lists them.
pub fn all() -> &'static [&'static Kind] {
    ALL
}

/// The kind served as `plural` in a group and version.
pub fn find(group: &str, version: &str, plural: &str) -> Option<&'static Kind> {
    let mut kinds = ALL.iter().copied();
    kinds.find(|k| k.plural == plural && k.group == group && k.version == version)
}

pub fn find_kind(group: &str, version: &str, kind: &str) -> Option<&'static Kind> {
    let mut kinds = ALL.iter().copied();
    kinds.find(|k| k.kind == kind && k.group == group && k.version == version)
}
