//! PriorityClass.

use apimachinery::meta;
use jiff::Timestamp;
use serde_json::Value;

use crate::columns::{self, AGE, Column, NAME};
use crate::defaults::set_default;
use crate::errors::Errors;
use crate::kind::{Kind, Scope, Storage};
use crate::node::Node;
use crate::prepare;
use crate::text_cells;

pub static KIND: Kind = Kind {
    group: "scheduling.k8s.io",
    kind: "PriorityClass",
    list_kind: "PriorityClassList",
    plural: "priorityclasses",
    singular: "priorityclass",
    short_names: &["pc"],
    scope: Scope::Cluster,
    storage: Storage::Stored {
        prefix: "priorityclasses",
    },
    default: |class| {
        set_default(class, "preemptionPolicy", "PreemptLowerPriority");
        set_default(class, "value", 0);
    },
    prepare_create: prepare::new_generation,
    prepare_update: prepare::bump_on_content,
    validate,
    validate_update,
    columns: &[
        NAME,
        Column::count("Value", "The priority: higher goes first."),
        Column::flag(
            "Global-Default",
            "Whether pods without a class get this one.",
        ),
        AGE,
        Column::text(
            "PreemptionPolicy",
            "Whether pods of lower priority may be pushed out.",
        )
        .wide(),
    ],
    row,
    ..Kind::BASE
};

/// What is above is for the system.
const USER_MAX: i64 = 1_000_000_000;
/// The classes of the system, and their values.
pub const SYSTEM: [(&str, i64); 2] = [
    ("system-cluster-critical", 2_000_000_000),
    ("system-node-critical", 2_000_001_000),
];

fn validate(class: &Node, errors: &mut Errors) {
    let name = class.at("metadata.name");
    if name.text().starts_with("system-") {
        system(class, &name, errors);
    } else if class.at("value").int().unwrap_or(0) > USER_MAX {
        let why = format!("maximum allowed value of a user defined priority is {USER_MAX}");
        errors.forbidden(&class.at("value"), why);
    }
    let policies = &["Never", "PreemptLowerPriority"];
    errors.one_of_if_set(&class.at("preemptionPolicy"), policies);
}

fn system(class: &Node, name: &Node, errors: &mut Errors) {
    let text = name.text();
    let known = SYSTEM.iter().find(|(known, _)| *known == text);
    let problem = match known {
        None => format!("{text} is not a known system priority class"),
        Some((_, value)) if class.at("value").int() != Some(*value) => {
            format!("value of {text} PriorityClass must be {value}")
        }
        Some(_) if class.at("globalDefault").is_true() => {
            format!("globalDefault of {text} PriorityClass must be false")
        }
        Some(_) => return,
    };
    let why = format!(
        "priority class names with 'system-' prefix are reserved for system use only. error: {problem}"
    );
    errors.forbidden(name, why);
}

fn validate_update(new: &Node, old: &Node, errors: &mut Errors) {
    for field in ["value", "preemptionPolicy"] {
        let (now, was) = (new.at(field), old.at(field));
        if now.value != was.value {
            errors.forbidden(&now, "may not be changed in an update.");
        }
    }
}

fn row(class: &Value, now: Timestamp) -> Vec<Value> {
    vec![
        columns::name(class),
        meta::int(class, "value").unwrap_or(0).into(),
        meta::flag(class, "globalDefault").into(),
        columns::age(class, now),
        text_cells::or_none(meta::text(class, "preemptionPolicy")).into(),
    ]
}
