//! ControllerRevision.

use apimachinery::meta;
use jiff::Timestamp;
use serde_json::Value;

use crate::columns::{self, AGE, Column, NAME};
use crate::errors::Errors;
use crate::kind::{Kind, Storage};
use crate::node::Node;
use crate::text_cells::NONE;

pub static KIND: Kind = Kind {
    group: "apps",
    kind: "ControllerRevision",
    list_kind: "ControllerRevisionList",
    plural: "controllerrevisions",
    singular: "controllerrevision",
    storage: Storage::Stored {
        prefix: "controllerrevisions",
    },
    validate,
    validate_update: |new, old, errors| {
        validate(new, errors);
        errors.immutable(&new.at("data"), &old.at("data"));
    },
    columns: &[
        NAME,
        Column::text("Controller", "Which workload the revision is of."),
        Column::text("Revision", "The number of the revision."),
        AGE,
    ],
    row,
    ..Kind::BASE
};

fn validate(revision: &Node, errors: &mut Errors) {
    let data = revision.at("data");
    if !data.exists() {
        errors.required(&data, "data is mandatory");
    } else if !data.value.is_object() {
        errors.invalid(&data, "data must be a valid JSON object");
    }
    errors.not_negative(&revision.at("revision"));
}

fn row(revision: &Value, now: Timestamp) -> Vec<Value> {
    let controller = meta::controller(revision).map_or(NONE.to_owned(), |owner| {
        let kind = meta::text(owner, "kind").to_lowercase();
        let group = meta::text(owner, "apiVersion")
            .split_once('/')
            .map_or("", |(group, _)| group);
        let dot = if group.is_empty() { "" } else { "." };
        format!("{kind}{dot}{group}/{}", meta::text(owner, "name"))
    });
    vec![
        columns::name(revision),
        controller.into(),
        meta::int(revision, "revision").unwrap_or(0).into(),
        columns::age(revision, now),
    ]
}
