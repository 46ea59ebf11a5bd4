//! ResourceClaimTemplate.

use super::requests::{default_devices, validate_devices};
use crate::columns::{AGE, NAME, name_and_how_old};
use crate::defaults::object;
use crate::kind::{Kind, Storage};
use crate::object_meta;

pub static KIND: Kind = Kind {
    group: "resource.k8s.io",
    kind: "ResourceClaimTemplate",
    list_kind: "ResourceClaimTemplateList",
    plural: "resourceclaimtemplates",
    singular: "resourceclaimtemplate",
    storage: Storage::Stored {
        prefix: "resourceclaimtemplates",
    },
    default: |template| default_devices(object(object(template, "spec"), "spec")),
    validate: |template, errors| {
        object_meta::validate_template(&template.at("spec.metadata"), errors);
        validate_devices(&template.at("spec.spec.devices"), errors);
    },
    validate_update: |new, old, errors| {
        errors.immutable(&new.at("spec"), &old.at("spec"));
    },
    columns: &[NAME, AGE],
    row: name_and_how_old,
    ..Kind::BASE
};
