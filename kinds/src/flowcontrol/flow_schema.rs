//! FlowSchema.

pub(super) mod rules;

use apimachinery::{meta, names};
use jiff::Timestamp;
use serde_json::{Value, json};

use crate::columns::{self, AGE, Column, NAME};
use crate::defaults::{object, set_number};
use crate::errors::Errors;
use crate::kind::{Kind, Scope, Storage, Subresource};
use crate::node::Node;
use crate::prepare;
use crate::text_cells::or_none;

pub static KIND: Kind = Kind {
    group: "flowcontrol.apiserver.k8s.io",
    kind: "FlowSchema",
    list_kind: "FlowSchemaList",
    plural: "flowschemas",
    singular: "flowschema",
    scope: Scope::Cluster,
    subresources: &[Subresource::status((
        "flowcontrol.apiserver.k8s.io",
        "v1",
        "FlowSchema",
    ))],
    storage: Storage::Stored {
        prefix: "flowschemas",
    },
    default: |schema| set_number(object(schema, "spec"), "matchingPrecedence", 1000),
    prepare_create: |schema| {
        prepare::new_generation(schema);
        schema["status"] = json!({});
    },
    prepare_update: prepare::keep_status,
    validate,
    validate_update: |new, _, errors| validate(new, errors),
    validate_status_update: |new, _, errors| rules::validate_status(new, errors),
    columns: &[
        NAME,
        Column::text("PriorityLevel", "The level its requests go to."),
        Column::count("MatchingPrecedence", "Lower goes first."),
        Column::text("DistinguisherMethod", "What tells flows apart."),
        AGE,
        Column::text("MissingPL", "Whether the level is missing."),
    ],
    row,
    ..Kind::BASE
};

fn validate(schema: &Node, errors: &mut Errors) {
    let spec = schema.at("spec");
    let precedence = spec.at("matchingPrecedence");
    let is_exempt = schema.at("metadata.name").text() == "exempt";
    match precedence.int().unwrap_or(0) {
        ..=0 => errors.invalid(&precedence, "must be a positive value"),
        1 if !is_exempt => errors.invalid(
            &precedence,
            "only the schema named 'exempt' may have matchingPrecedence 1",
        ),
        10_001.. => errors.invalid(&precedence, "must not be greater than 10000"),
        _ => {}
    }
    let method = spec.at("distinguisherMethod.type");
    if spec.at("distinguisherMethod").exists() {
        errors.one_of(&method, &["ByNamespace", "ByUser"]);
    }
    let level = spec.at("priorityLevelConfiguration.name");
    if errors.require_because(&level, "must reference a priority level") {
        errors.follows(&level, names::dns_subdomain);
    }
    for rule in spec.at("rules").items() {
        rules::validate(&rule, errors);
    }
    rules::validate_status(schema, errors);
}

fn row(schema: &Value, now: Timestamp) -> Vec<Value> {
    let mut conditions = meta::items(schema, "status.conditions").iter();
    let dangling = conditions.find(|condition| meta::text(condition, "type") == "Dangling");
    let dangling = dangling.map_or("?", |condition| meta::text(condition, "status"));
    vec![
        columns::name(schema),
        meta::text(schema, "spec.priorityLevelConfiguration.name").into(),
        meta::int(schema, "spec.matchingPrecedence")
            .unwrap_or(0)
            .into(),
        or_none(meta::text(schema, "spec.distinguisherMethod.type")).into(),
        columns::age(schema, now),
        dangling.into(),
    ]
}
