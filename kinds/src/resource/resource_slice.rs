//! ResourceSlice: devices that a driver offers.

use apimachinery::field::Error;
use apimachinery::{meta, names};
use jiff::Timestamp;
use serde_json::Value;

use crate::columns::{self, AGE, Column, NAME};
use crate::errors::{Errors, Seen};
use crate::kind::{Kind, Scope, Storage, text_field};
use crate::node::Node;
use crate::pod_template::csi_driver;
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
    csi_driver(&spec.at("driver"), errors);
    let pool = spec.at("pool");
    super::pool_name(&pool.at("name"), errors);
    let count = pool.at("resourceSliceCount");
    if count.int().unwrap_or(0) <= 0 {
        errors.push(Error::invalid(
            &count.path,
            count.int().unwrap_or(0),
            "must be greater than zero",
        ));
    }
    errors.not_negative(&pool.at("generation"));
    validate_place(&spec, errors);
    let devices = spec.at("devices");
    errors.at_most(&devices, DEVICES_MAX);
    let mut seen = Seen::new();
    for device in devices.items() {
        let name = device.at("name");
        if errors.require_name(&name, names::dns_label) {
            errors.unique(&name, &mut seen);
        }
        validate_device(&device, errors);
    }
}

/// The devices are on one node, on those that a selector picks, or on all.
fn validate_place(spec: &Node, errors: &mut Errors) {
    const ONE: &str = "exactly one of `nodeName`, `nodeSelector`, `allNodes`, `perDeviceNodeSelection` is required";
    let places = [
        "nodeName",
        "nodeSelector",
        "allNodes",
        "perDeviceNodeSelection",
    ];
    let is_set = |place: &&str| {
        let place = spec.at(place);
        place.is_true() || !place.text().is_empty() || place.map().is_some()
    };
    let set: Vec<String> = places
        .iter()
        .copied()
        .filter(is_set)
        .map(|place| format!("`{place}`"))
        .collect();
    errors.follows_if_set(&spec.at("nodeName"), names::dns_subdomain);
    let selector = spec.at("nodeSelector");
    let terms = selector.at("nodeSelectorTerms");
    if selector.exists() && terms.len() != 1 {
        errors.invalid(&terms, "must have exactly one node selector term");
    }
    match set.len() {
        0 => errors.required(spec, ONE),
        1 => {}
        _ => {
            let all = format!("{{{}}}", set.join(", "));
            let why = format!("{ONE}, but multiple fields are set");
            errors.push(Error::invalid(&spec.path, all, why));
        }
    }
}

fn validate_device(device: &Node, errors: &mut Errors) {
    const MOST: usize = 32;
    let (attributes, capacity) = (device.at("attributes"), device.at("capacity"));
    let all = attributes.len() + capacity.len();
    if all > MOST {
        let why = format!("the total number of attributes and capacities must not exceed {MOST}");
        errors.push(Error::invalid(&device.path, all, why));
    }
    for (_, attribute) in attributes.entries() {
        if attribute.len() != 1 {
            errors.invalid(&attribute, "exactly one value must be specified");
        }
    }
    for taint in device.at("taints").items() {
        errors.require_name(&taint.at("key"), names::qualified);
        errors.require_one_of(&taint.at("effect"), &["NoExecute", "NoSchedule", "None"]);
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
