//! VolumeAttachment.

use apimachinery::{meta, names};
use jiff::Timestamp;
use serde_json::Value;

use crate::columns::{self, AGE, Column, NAME};
use crate::errors::Errors;
use crate::kind::{Kind, Scope, Storage, Subresource};
use crate::node::Node;
use crate::pod_template::csi_driver;
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
    csi_driver(&spec.at("attacher"), errors);
    let source = spec.at("source");
    let (volume, inline) = (
        source.at("persistentVolumeName"),
        source.at("inlineVolumeSpec"),
    );
    let why = "must specify exactly one of inlineVolumeSpec and persistentVolumeName";
    match (volume.exists(), inline.exists()) {
        (false, false) => errors.required(&source, why),
        (true, true) => errors.forbidden(&source, why),
        (true, false) => {
            let empty = "must specify non empty persistentVolumeName";
            errors.require_because(&volume, empty);
        }
        (false, true) if !inline.at("csi").exists() => {
            let why = "has to be specified in the context of inline volumes";
            errors.required(&inline.at("csi"), why);
        }
        (false, true) => {}
    }
    errors.follows(&spec.at("nodeName"), names::dns_subdomain);
    for field in ["attachError", "detachError"] {
        let status = attachment.at("status");
        let error = status.at(field);
        errors.within(&error.at("message"), MESSAGE_MAX);
    }
    for (key, value) in attachment.at("status.attachmentMetadata").entries() {
        if key.len() + value.len() > METADATA_MAX {
            errors.push(apimachinery::field::Error::too_long(
                &value.path,
                METADATA_MAX,
            ));
        }
    }
}

/// An error's text.
const MESSAGE_MAX: usize = 1024;
const METADATA_MAX: usize = 256 * 1024;

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
