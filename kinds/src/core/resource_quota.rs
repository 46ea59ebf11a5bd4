//! ResourceQuota.

use apimachinery::field::Error;
use apimachinery::{meta, names};
use jiff::Timestamp;
use serde_json::{Value, json};

use crate::columns::{self, AGE, Column, NAME};
use crate::defaults::{canonical_amounts, with};
use crate::errors::Errors;
use crate::kind::{Kind, Storage, Subresource};
use crate::node::Node;
use crate::prepare;
use crate::text_cells::plain;

pub static KIND: Kind = Kind {
    kind: "ResourceQuota",
    list_kind: "ResourceQuotaList",
    plural: "resourcequotas",
    singular: "resourcequota",
    short_names: &["quota"],
    subresources: &[Subresource::status(("", "v1", "ResourceQuota"))],
    storage: Storage::Stored {
        prefix: "resourcequotas",
    },
    default: |quota| {
        with(quota, "spec", |spec| canonical_amounts(spec, "hard"));
        with(quota, "status", |status| {
            canonical_amounts(status, "hard");
            canonical_amounts(status, "used");
        });
    },
    prepare_create: |quota| quota["status"] = json!({}),
    prepare_update: prepare::keep_status_only,
    validate,
    validate_update: |new, old, errors| {
        validate(new, errors);
        errors.immutable(&new.at("spec.scopes"), &old.at("spec.scopes"));
    },
    columns: &[
        NAME,
        AGE,
        Column::text("Request", "Requests and counts in use, of those allowed."),
        Column::text("Limit", "Limits in use, of those allowed."),
    ],
    row,
    ..Kind::BASE
};

const SCOPES: &[&str] = &[
    "BestEffort",
    "CrossNamespacePodAffinity",
    "NotBestEffort",
    "NotTerminating",
    "PriorityClass",
    "Terminating",
    "VolumeAttributesClass",
];
const STANDARD: &[&str] = &[
    "configmaps",
    "cpu",
    "ephemeral-storage",
    "limits.cpu",
    "limits.ephemeral-storage",
    "limits.memory",
    "memory",
    "persistentvolumeclaims",
    "pods",
    "replicationcontrollers",
    "requests.cpu",
    "requests.ephemeral-storage",
    "requests.memory",
    "requests.storage",
    "resourcequotas",
    "secrets",
    "services",
    "services.loadbalancers",
    "services.nodeports",
];

fn validate(quota: &Node, errors: &mut Errors) {
    let spec = quota.at("spec");
    for (name, amount) in spec.at("hard").entries() {
        for problem in names::qualified(name) {
            errors.push(Error::invalid(&amount.path, name, problem));
        }
        let known = name.contains('/') || name.contains("hugepages-") || STANDARD.contains(&name);
        if !known {
            let why = "must be a standard resource for quota";
            errors.push(Error::invalid(&amount.path, name, why));
        }
        errors.amount(&amount);
    }
    for scope in spec.at("scopes").items() {
        if !SCOPES.contains(&scope.text()) {
            errors.invalid(&scope, "unsupported scope");
        }
    }
    for expression in spec.at("scopeSelector.matchExpressions").items() {
        let scope = expression.at("scopeName");
        if !SCOPES.contains(&scope.text()) {
            errors.invalid_text(&scope, "unsupported scope");
        }
        let (operator, values) = (expression.at("operator"), expression.at("values"));
        match operator.text() {
            "In" | "NotIn" => {
                let why = "must be at least one value when `operator` is 'In' or 'NotIn' for scope selector";
                errors.require_because(&values, why);
            }
            "Exists" | "DoesNotExist" if !values.is_empty() => {
                let why = "must be no value when `operator` is 'Exist' or 'DoesNotExist' for scope selector";
                errors.invalid(&values, why);
            }
            "Exists" | "DoesNotExist" => {}
            _ => errors.invalid_text(&operator, "not a valid selector operator"),
        }
    }
}

fn row(quota: &Value, now: Timestamp) -> Vec<Value> {
    let hard = meta::map(quota, "status.hard").into_iter().flatten();
    let used = |name: &str| {
        meta::map(quota, "status.used")
            .and_then(|used| used.get(name))
            .map_or("0".to_owned(), plain)
    };
    let (mut requests, mut limits) = (Vec::new(), Vec::new());
    for (name, amount) in hard {
        let text = format!("{name}: {}/{}", used(name), plain(amount));
        let is_limit = name.starts_with("limits.");
        if is_limit {
            limits.push(text)
        } else {
            requests.push(text)
        }
    }
    vec![
        columns::name(quota),
        columns::age(quota, now),
        requests.join(", ").into(),
        limits.join(", ").into(),
    ]
}
