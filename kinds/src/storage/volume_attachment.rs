//! VolumeAttachment.

use apimachinery::meta;
use jiff::Timestamp;
use serde_json::Value;

use crate::columns::{self, AGE, Column, NAME};
use crate::errors::Errors;
use crate::kind::{Kind, Scope, Storage, Subresource};
use crate::node::Node;
use crate::prepare;

pub static KIND: Kind = Kind {
    group: "storage.k8s.io",
    kind: "VolumeAttachment",
    list_kind: "VolumeAttachmentList",
    plural: "volumeattachments",
    singular: "volumeattachment",
    scope: Scope::Cluster,
    subresources: &[Subresource::status((
        "storage.k8s.io",
        "v1",
        "VolumeAttachment",
    ))],
    storage: Storage::Stored {
        prefix: "volumeattachments",
    },
    update_needs_version: true,
    prepare_create: |attachment| attachment["status"] = serde_json::json!({"attached": false}),
    prepare_update: prepare::keep_status_only,
    validate,
    validate_update: |new, old, errors| {
        errors.immutable(&new.at("spec"), &old.at("spec"));
    },
    columns: &[
        NAME,
        Column::text("Attacher", "Who attaches the volume."),
        Column::text("PV", "The volume."),
        Column::text("Node", "The node it is attached to."),
        Column::flag("Attached", "Whether it is."),
        AGE,
    ],
    row,
    ..Kind::BASE
};

fn validate(attachment: &Node, errors: &mut Errors) {
    let spec = attachment.at("spec");
    errors.require(&spec.at("attacher"));
    let (volume, inline) = (
        spec.at("source.persistentVolumeName"),
        spec.at("source.inlineVolumeSpec"),
    );
    if volume.is_empty() && !inline.exists() {
        let why = "must specify exactly one of inlineVolumeSpec and persistentVolumeName";
        errors.required(&spec.at("source"), why);
    } else if !volume.is_empty() && inline.exists() {
        let why = "must specify exactly one of inlineVolumeSpec and persistentVolumeName";
        errors.forbidden(&spec.at("source"), why);
    }
    errors.require(&spec.at("nodeName"));
}

fn row(attachment: &Value, now: Timestamp) -> Vec<Value> {
    vec![
        columns::name(attachment),
        meta::text(attachment, "spec.attacher").into(),
        meta::text(attachment, "spec.source.persistentVolumeName").into(),
        meta::text(attachment, "spec.nodeName").into(),
        meta::flag(attachment, "status.attached").into(),
        columns::age(attachment, now),
    ]
}
