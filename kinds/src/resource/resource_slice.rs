//! ResourceSlice: devices that a driver offers.

use apimachinery::field::Error;
use apimachinery::{meta, names};
use jiff::Timestamp;
use serde_json::Value;

use crate::columns::{self, AGE, Column, NAME};
use crate::errors::{Errors, Seen};
use crate::kind::{Kind, Scope, Storage, text_field};
use crate::node::Node;
use crate::prepare;
use crate::text_cells::or_none;

pub static KIND: Kind = Kind {
    group: "resource.k8s.io",
    kind: "ResourceSlice",
    list_kind: "ResourceSliceList",
    plural: "resourceslices",
    singular: "resourceslice",
    scope: Scope::Cluster,
    storage: Storage::Stored {
        prefix: "resourceslices",
    },
    prepare_create: prepare::new_generation,
    prepare_update: prepare::bump_on_spec,
    validate,
    validate_update: |new, old, errors| {
        validate(new, errors);
        for field in ["driver", "nodeName", "pool.name"] {
            errors.immutable(&new.at("spec").at(field), &old.at("spec").at(field));
        }
    },
    columns: &[
        NAME,
        Column::text("Node", "The node that has the devices."),
        Column::text("Driver", "The driver that offers them."),
        Column::text("Pool", "The pool they belong to."),
        AGE,
    ],
    row,
    field_labels: &[text_field!("spec.nodeName"), text_field!("spec.driver")],
    ..Kind::BASE
};

const DEVICES_MAX: usize = 128;

fn validate(slice: &Node, errors: &mut Errors) {
    let spec = slice.at("spec");
    errors.require_name(&spec.at("driver"), names::dns_subdomain);
    let pool = spec.at("pool");
    errors.require(&pool.at("name"));
    let count = pool.at("resourceSliceCount");
    if count.int().unwrap_or(0) <= 0 {
        errors.push(Error::invalid(
            &count.path,
            count.int().unwrap_or(0),
            "must be greater than zero",
        ));
    }
    errors.not_negative(&pool.at("generation"));
    let places = [
        "nodeName",
        "nodeSelector",
        "allNodes",
        "perDeviceNodeSelection",
    ];
    let set = places
        .iter()
        .filter(|place| !spec.at(place).is_empty())
        .count();
    if set != 1 {
        let why = "exactly one of `nodeName`, `nodeSelector`, `allNodes`, `perDeviceNodeSelection` is required";
        errors.push(Error::invalid(&spec.path, "", why));
    }
    let devices = spec.at("devices");
    if devices.len() > DEVICES_MAX {
        errors.push(Error::too_many(&devices.path, devices.len(), DEVICES_MAX));
    }
    let mut seen = Seen::new();
    for device in devices.items() {
        let name = device.at("name");
        if errors.require_name(&name, names::dns_label) {
            errors.unique(&name, &mut seen);
        }
    }
}

fn row(slice: &Value, now: Timestamp) -> Vec<Value> {
    vec![
        columns::name(slice),
        or_none(meta::text(slice, "spec.nodeName")).into(),
        meta::text(slice, "spec.driver").into(),
        meta::text(slice, "spec.pool.name").into(),
        columns::age(slice, now),
    ]
}
