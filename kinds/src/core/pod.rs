//! Pod.

mod cells;
mod gated;
mod resize;
mod status;
mod update;

use apimachinery::meta;
use serde_json::{Value, json};

use crate::columns::{AGE, Column, NAME};
use crate::defaults::object;
use crate::errors::Errors;
use crate::kind::{
    CONNECT_VERBS, FieldLabel, GET_PATCH_UPDATE, Kind, Storage, Subresource, plain_field,
    text_field,
};
use crate::node::Node;
use crate::pod_template::defaults::{default_pod_spec, qos_class};
use crate::pod_template::{Place, annotations, validate_spec};
use crate::prepare;
use crate::warnings;

pub use resize::validate_resize;
pub use update::validate_ephemeral_containers;

const SELF: (&str, &str, &str) = ("", "v1", "Pod");

pub static KIND: Kind = Kind {
    kind: "Pod",
    list_kind: "PodList",
    plural: "pods",
    singular: "pod",
    short_names: &["po"],
    categories: &["all"],
    subresources: &[
        Subresource::new("attach", ("", "v1", "PodAttachOptions"), &["create", "get"]),
        Subresource::new("binding", ("", "v1", "Binding"), &["create"]),
        Subresource::new("ephemeralcontainers", SELF, GET_PATCH_UPDATE),
        Subresource::new("eviction", ("policy", "v1", "Eviction"), &["create"]),
        Subresource::new("exec", ("", "v1", "PodExecOptions"), &["create", "get"]),
        Subresource::new("log", SELF, &["get"]),
        Subresource::new(
            "portforward",
            ("", "v1", "PodPortForwardOptions"),
            &["create", "get"],
        ),
        Subresource::new("proxy", ("", "v1", "PodProxyOptions"), CONNECT_VERBS),
        Subresource::new("resize", SELF, GET_PATCH_UPDATE),
        Subresource::status(SELF),
    ],
    storage: Storage::Stored { prefix: "pods" },
    default: |pod| default_pod_spec(object(pod, "spec")),
    prepare_create,
    prepare_update: prepare::keep_status,
    prepare_status_update,
    validate,
    validate_update: update::validate,
    validate_status_update: status::validate,
    columns: &[
        NAME,
        Column::text("Ready", "How many containers are ready, of how many."),
        Column::text("Status", "What the containers are doing, in one word."),
        Column::text(
            "Restarts",
            "How often containers were restarted, and when last.",
        ),
        AGE,
        Column::text("IP", "The pod's address.").wide(),
        Column::text("Node", "The node the pod is on.").wide(),
        Column::text(
            "Nominated Node",
            "The node that is being cleared for the pod.",
        )
        .wide(),
        Column::text(
            "Readiness Gates",
            "How many readiness gates hold, of how many.",
        )
        .wide(),
    ],
    row: cells::row,
    field_labels: &[
        text_field!("spec.nodeName"),
        text_field!("spec.restartPolicy"),
        text_field!("spec.schedulerName"),
        text_field!("spec.serviceAccountName"),
        plain_field!("spec.hostNetwork", "false"),
        text_field!("status.phase"),
        text_field!("status.podIP"),
        FieldLabel::new("status.podIPs", |pod| {
            meta::text(pod, "status.podIP").into()
        }),
        text_field!("status.nominatedNodeName"),
    ],
    grace_seconds: Some(grace_seconds),
    warnings: warnings::pod,
    ..Kind::BASE
};

fn prepare_create(pod: &mut Value) {
    meta::set_meta(pod, "generation", 1);
    let spec = pod.get("spec").unwrap_or(&Value::Null);
    let mut status = json!({"phase": "Pending", "qosClass": qos_class(spec)});
    if !meta::items(spec, "schedulingGates").is_empty() {
        status["conditions"] = json!([{
            "type": "PodScheduled", "status": "False", "reason": "SchedulingGated",
            "message": "Scheduling is blocked due to non-empty scheduling gates",
            "lastProbeTime": null, "lastTransitionTime": null}]);
    }
    pod["status"] = status;
}

fn prepare_status_update(new: &mut Value, old: &Value) {
    // Nodes of old write owners back without what they do not know.
    let empty = Value::Null;
    let before = old.get("metadata").unwrap_or(&empty);
    prepare::copy_field(&mut new["metadata"], before, "ownerReferences");
    prepare::only_status(new, old);
}

fn validate(pod: &Node, errors: &mut Errors) {
    let (metadata, spec) = (pod.at("metadata"), pod.at("spec"));
    validate_whole(&metadata, &spec, errors);
    let ephemeral = spec.at("ephemeralContainers");
    if !ephemeral.is_empty() {
        errors.forbidden(&ephemeral, "cannot be set on create");
    }
    let node_name = spec.at("nodeName");
    if !node_name.is_empty() && !spec.at("schedulingGates").is_empty() {
        errors.forbidden(
            &node_name,
            "cannot be set until all schedulingGates have been cleared",
        );
    }
    annotations::agree(&metadata, &spec, errors);
}

/// Rules on a pod as it stands, new or changed.
fn validate_whole(metadata: &Node, spec: &Node, errors: &mut Errors) {
    annotations::validate(metadata, spec, errors);
    validate_spec(spec, Place::Pod(metadata.at("name").text()), errors);
    if spec.at("serviceAccountName").is_empty() {
        no_tokens(spec, errors);
    }
}

/// A token is of an account: without one there is none to mount.
fn no_tokens(spec: &Node, errors: &mut Errors) {
    for volume in spec.at("volumes").items() {
        for source in volume.at("projected.sources").items() {
            let why = "must not be specified when serviceAccountName is not set";
            errors.forbid(&source.at("serviceAccountToken"), why);
        }
    }
}

/// How long the pod's node has to stop it: nothing if no node runs it.
fn grace_seconds(pod: &Value, requested: Option<i64>) -> i64 {
    let spec_grace = meta::int(pod, "spec.terminationGracePeriodSeconds").unwrap_or(30);
    let ended = matches!(meta::text(pod, "status.phase"), "Failed" | "Succeeded");
    if meta::text(pod, "spec.nodeName").is_empty() || ended {
        return 0;
    }
    match requested.unwrap_or(spec_grace) {
        // A negative time means: as soon as is decent.
        negative if negative < 0 => 1,
        seconds => seconds,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_pod_on_no_node_is_deleted_at_once() {
        assert_eq!(grace_seconds(&json!({"spec": {}}), Some(30)), 0);
        let running = json!({"spec": {"nodeName": "n", "terminationGracePeriodSeconds": 7}});
        assert_eq!(grace_seconds(&running, None), 7);
        assert_eq!(grace_seconds(&running, Some(0)), 0);
        let done = json!({"spec": {"nodeName": "n"}, "status": {"phase": "Succeeded"}});
        assert_eq!(grace_seconds(&done, None), 0);
    }
}
