//! PriorityLevelConfiguration.

use apimachinery::meta;
use jiff::Timestamp;
use serde_json::{Value, json};

use super::flow_schema::rules::validate_status;
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
    validate_status_update: |new, _, errors| validate_status(new, errors),
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
    let (kind, limited, exempt) = (spec.at("type"), spec.at("limited"), spec.at("exempt"));
    let is_exempt = level.at("metadata.name").text() == "exempt";
    if is_exempt != (kind.text() == "Exempt") {
        let why = "type must be 'Exempt' if and only if name is 'exempt'";
        errors.invalid_text(&kind, why);
    }
    match kind.text() {
        "Exempt" => {
            errors.forbid(&limited, "must be nil if the type is not Limited");
            shares(&exempt, errors);
        }
        "Limited" => {
            errors.forbid(&exempt, "must be nil if the type is Limited");
            if limited.exists() {
                validate_limited(&limited, errors);
            } else {
                errors.required(&limited, "must not be empty when type is Limited");
            }
        }
        _ => {
            errors.one_of(&kind, &["Exempt", "Limited"]);
        }
    }
    validate_status(level, errors);
}

fn shares(of: &Node, errors: &mut Errors) {
    let shares = of.at("nominalConcurrencyShares");
    if shares.int().is_some_and(|shares| shares < 0) {
        errors.invalid(&shares, "must be a non-negative integer");
    }
    let percent = of.at("lendablePercent");
    if percent.int().is_some_and(|p| !(0..=100).contains(&p)) {
        errors.invalid(&percent, "must be between 0 and 100, inclusive");
    }
}

fn validate_limited(limited: &Node, errors: &mut Errors) {
    shares(limited, errors);
    let borrowing = limited.at("borrowingLimitPercent");
    if borrowing.int().is_some_and(|percent| percent < 0) {
        errors.invalid(&borrowing, "if specified, must be a non-negative integer");
    }
    let response = limited.at("limitResponse");
    let (kind, queuing) = (response.at("type"), response.at("queuing"));
    match kind.text() {
        "Reject" => errors.forbid(
            &queuing,
            "must be nil if limited.limitResponse.type is not Limited",
        ),
        "Queue" if queuing.exists() => validate_queuing(&queuing, errors),
        "Queue" => errors.required(
            &queuing,
            "must not be empty if limited.limitResponse.type is Limited",
        ),
        _ => {
            errors.one_of(&kind, &["Queue", "Reject"]);
        }
    }
}

fn validate_queuing(queuing: &Node, errors: &mut Errors) {
    const QUEUES_MAX: i64 = 10_000_000;
    for field in ["queueLengthLimit", "queues", "handSize"] {
        let node = queuing.at(field);
        if node.int().unwrap_or(0) <= 0 {
            errors.invalid(&node, "must be positive");
        }
    }
    let (queues, hand) = (queuing.at("queues"), queuing.at("handSize"));
    let most = queues.int().unwrap_or(0);
    if most > QUEUES_MAX {
        errors.invalid(&queues, format!("must not be greater than {QUEUES_MAX}"));
    }
    let size = hand.int().unwrap_or(0);
    if size > most {
        errors.invalid(&hand, format!("should not be greater than queues ({most})"));
    } else if size > 0 && entropy(most, size) > HASH_BITS {
        errors.invalid(
            &hand,
            format!("required entropy bits of deckSize {most} and handSize {size} should not be greater than {HASH_BITS}"),
        );
    }
}

/// Of a flow's hash, so many bits deal its queues.
const HASH_BITS: i64 = 60;

/// The bits that it takes to deal a hand.
fn entropy(queues: i64, hand: i64) -> i64 {
    let mut possible: u128 = 1;
    for dealt in 0..hand {
        let left = u128::try_from(queues - dealt).unwrap_or(1);
        possible = possible.saturating_mul(left);
        if possible > 1 << HASH_BITS {
            break;
        }
    }
    i64::from(u128::BITS - (possible - 1).leading_zeros())
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
