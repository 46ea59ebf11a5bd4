//! DeviceClass.

use super::requests::{configurations, selectors};
use crate::columns::{AGE, NAME};
use crate::errors::Errors;
use crate::kind::{Kind, Scope, Storage};
use crate::node::Node;
use crate::prepare;

pub static KIND: Kind = Kind {
    group: "resource.k8s.io",
    kind: "DeviceClass",
    list_kind: "DeviceClassList",
    plural: "deviceclasses",
    singular: "deviceclass",
    scope: Scope::Cluster,
    storage: Storage::Stored {
        prefix: "deviceclasses",
    },
    prepare_create: prepare::new_generation,
    prepare_update: prepare::bump_on_spec,
    validate,
    validate_update: |new, _, errors| validate(new, errors),
    columns: &[NAME, AGE],
    row: crate::columns::name_and_how_old,
    ..Kind::BASE
};

fn validate(class: &Node, errors: &mut Errors) {
    let spec = class.at("spec");
    selectors(&spec.at("selectors"), errors);
    configurations(&spec.at("config"), errors);
}
