//! PriorityLevelConfiguration.

use apimachinery::meta;
use jiff::Timestamp;
use serde_json::{Value, json};

use crate::columns::{self, AGE, Column, NAME};
use crate::defaults::{is, object, set_default, set_number, with};
use crate::errors::Errors;
use crate::kind::{Kind, Scope, Storage, Subresource};
use crate::node::Node;
use crate::prepare;
use crate::text_cells::{NONE, plain};

pub static KIND: Kind = Kind {
    group: "flowcontrol.apiserver.k8s.io",
    kind: "PriorityLevelConfiguration",
    list_kind: "PriorityLevelConfigurationList",
    plural: "prioritylevelconfigurations",
    singular: "prioritylevelconfiguration",
    scope: Scope::Cluster,
    subresources: &[Subresource::status((
        "flowcontrol.apiserver.k8s.io",
        "v1",
        "PriorityLevelConfiguration",
    ))],
    storage: Storage::Stored {
        prefix: "prioritylevelconfigurations",
    },
    default,
    prepare_create: |level| {
        prepare::new_generation(level);
        level["status"] = json!({});
    },
    prepare_update: prepare::keep_status,
    validate,
    validate_update: |new, _, errors| validate(new, errors),
    columns: &[
        NAME,
        Column::text("Type", "Whether the level is limited."),
        Column::text(
            "NominalConcurrencyShares",
            "Its share of what the server does at once.",
        ),
        Column::text("Queues", "How many queues it has."),
        Column::text("HandSize", "How many queues a flow may use."),
        Column::text("QueueLengthLimit", "How many requests wait in a queue."),
        AGE,
    ],
    row,
    ..Kind::BASE
};

fn default(level: &mut Value) {
    let spec = object(level, "spec");
    with(spec, "exempt", |exempt| {
        set_default(exempt, "nominalConcurrencyShares", 0);
        set_default(exempt, "lendablePercent", 0);
    });
    with(spec, "limited", |limited| {
        set_default(limited, "nominalConcurrencyShares", 30);
        set_default(limited, "lendablePercent", 0);
        let response = object(limited, "limitResponse");
        if is(response, "type", "Queue") {
            let queuing = object(response, "queuing");
            set_number(queuing, "queues", 64);
            set_number(queuing, "handSize", 8);
            set_number(queuing, "queueLengthLimit", 50);
        }
    });
}

fn validate(level: &Node, errors: &mut Errors) {
    let spec = level.at("spec");
    let (kind, limited) = (spec.at("type"), spec.at("limited"));
    errors.one_of(&kind, &["Exempt", "Limited"]);
    match kind.text() {
        "Exempt" => errors.forbid(&limited, "must be nil if the type is not Limited"),
        "Limited" if !limited.exists() => {
            errors.required(&limited, "must not be empty when type is Limited");
        }
        "Limited" => validate_limited(&limited, errors),
        _ => {}
    }
}

fn validate_limited(limited: &Node, errors: &mut Errors) {
    errors.not_negative(&limited.at("nominalConcurrencyShares"));
    errors.in_range(&limited.at("lendablePercent"), 0, 100);
    let response = limited.at("limitResponse");
    let (kind, queuing) = (response.at("type"), response.at("queuing"));
    match kind.text() {
        "Reject" => errors.forbid(
            &queuing,
            "must be nil if limited.limitResponse.type is not Limited",
        ),
        "Queue" => {
            for field in ["queues", "handSize", "queueLengthLimit"] {
                let node = queuing.at(field);
                if node.int().unwrap_or(0) <= 0 {
                    errors.invalid(&node, "must be positive");
                }
            }
            let (queues, hand) = (queuing.at("queues"), queuing.at("handSize"));
            if hand.int() > queues.int() {
                let most = queues.int().unwrap_or(0);
                errors.invalid(&hand, format!("should not be greater than queues ({most})"));
            }
        }
        _ => {
            errors.one_of(&kind, &["Queue", "Reject"]);
        }
    }
}

fn row(level: &Value, now: Timestamp) -> Vec<Value> {
    let limited = meta::get(level, "spec.limited");
    let part = |path: &str| {
        let value = limited.and_then(|limited| meta::get(limited, path));
        Value::from(value.map_or(NONE.to_owned(), plain))
    };
    vec![
        columns::name(level),
        meta::text(level, "spec.type").into(),
        part("nominalConcurrencyShares"),
        part("limitResponse.queuing.queues"),
        part("limitResponse.queuing.handSize"),
        part("limitResponse.queuing.queueLengthLimit"),
        columns::age(level, now),
    ]
}
