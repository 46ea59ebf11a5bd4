//! ResourceQuota.

use std::collections::BTreeSet;

use apimachinery::field::Error;
use apimachinery::meta;
use jiff::Timestamp;
use serde_json::{Value, json};

use crate::columns::{self, AGE, Column, NAME};
use crate::defaults::{canonical_amounts, with};
use crate::errors::Errors;
use crate::kind::{Kind, Storage, Subresource};
use crate::node::Node;
use crate::pod_template;
use crate::prepare;
use crate::resource_names as known;
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
        scopes_stay(&new.at("spec.scopes"), &old.at("spec.scopes"), errors);
    },
    validate_status_update: validate_status,
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
/// In any order.
fn scopes_stay(now: &Node, was: &Node, errors: &mut Errors) {
    let set = |scopes: &Node| -> BTreeSet<String> {
        let texts = scopes.items().map(|scope| scope.text().to_owned());
        texts.collect()
    };
    if set(now) != set(was) {
        errors.invalid(now, "field is immutable");
    }
}

fn validate(quota: &Node, errors: &mut Errors) {
    let spec = quota.at("spec");
    amounts(&spec.at("hard"), errors);
    scopes(&spec, errors);
    selector(&spec, errors);
}

fn amounts(amounts: &Node, errors: &mut Errors) {
    for (name, amount) in amounts.entries() {
        pod_template::resource_name(name, &amount, errors);
        if !name.contains('/') && !known::is_standard_for_quotas(name) && !is_object_count(name) {
            let why = "must be a standard resource for quota";
            errors.push(Error::invalid(&amount.path, name, why));
        }
        pod_template::amount_of(name, &amount, errors);
    }
}

/// `count/deployments.apps`: the domain rule already let it through.
fn is_object_count(name: &str) -> bool {
    name.starts_with("count/")
}

fn scopes(spec: &Node, errors: &mut Errors) {
    let scopes = spec.at("scopes");
    for scope in scopes.items() {
        if !SCOPES.contains(&scope.text()) {
            errors.invalid(&scopes, "unsupported scope");
        }
        if !fits(scope.text(), &spec.at("hard")) {
            errors.invalid(&scopes, "unsupported scope applied to resource");
        }
    }
    let names: Vec<&str> = scopes.items().map(|scope| scope.text()).collect();
    conflicts(&names, &scopes, errors);
}

/// Most scopes are of pods: other objects have none of them.
fn fits(scope: &str, hard: &Node) -> bool {
    let fits = |name: &str| match scope {
        "BestEffort" => name == "pods",
        "VolumeAttributesClass" => matches!(name, "persistentvolumeclaims" | "requests.storage"),
        _ if !SCOPES.contains(&scope) => true,
        _ => {
            let measured = name
                .trim_start_matches("requests.")
                .trim_start_matches("limits.");
            name == "pods" || matches!(measured, "cpu" | "memory")
        }
    };
    let mut standard = hard
        .entries()
        .filter(|(name, _)| known::is_standard_for_quotas(name));
    standard.all(|(name, _)| fits(name))
}

fn conflicts(names: &[&str], scopes: &Node, errors: &mut Errors) {
    let pairs = [
        ["BestEffort", "NotBestEffort"],
        ["Terminating", "NotTerminating"],
    ];
    for pair in pairs {
        if pair.iter().all(|scope| names.contains(scope)) {
            errors.invalid(scopes, "conflicting scopes");
        }
    }
}

fn selector(spec: &Node, errors: &mut Errors) {
    // Kubernetes tells these without the expression's index.
    let selector = spec.at("scopeSelector");
    let list = selector.at("matchExpressions");
    for expression in list.items() {
        let expression = Node::new(expression.value, list.path);
        let scope = expression.at("scopeName");
        if !SCOPES.contains(&scope.text()) {
            errors.invalid_text(&scope, "unsupported scope");
        }
        if !fits(scope.text(), &spec.at("hard")) {
            let why = "unsupported scope applied to resource";
            errors.push(Error::invalid(&list.path, selector.value.clone(), why));
        }
        operator(&expression, scope.text(), errors);
    }
    let names: Vec<&str> = list
        .items()
        .map(|expression| expression.at("scopeName").text())
        .collect();
    let told = Node::new(spec.at("scopes").value, list.path);
    conflicts(&names, &told, errors);
}

fn operator(expression: &Node, scope: &str, errors: &mut Errors) {
    let (operator, values) = (expression.at("operator"), expression.at("values"));
    let has_values = matches!(scope, "PriorityClass" | "VolumeAttributesClass");
    if SCOPES.contains(&scope) && !has_values && operator.text() != "Exists" {
        let why = "must be 'Exists' when scope is any of ResourceQuotaScopeTerminating, ResourceQuotaScopeNotTerminating, ResourceQuotaScopeBestEffort, ResourceQuotaScopeNotBestEffort or ResourceQuotaScopeCrossNamespacePodAffinity";
        errors.invalid_text(&operator, why);
    }
    match operator.text() {
        "In" | "NotIn" => {
            let why =
                "must be at least one value when `operator` is 'In' or 'NotIn' for scope selector";
            errors.require_because(&values, why);
        }
        "Exists" | "DoesNotExist" if !values.is_empty() => {
            let why =
                "must be no value when `operator` is 'Exist' or 'DoesNotExist' for scope selector";
            errors.invalid(&values, why);
        }
        "Exists" | "DoesNotExist" => {}
        _ => errors.invalid_text(&operator, "not a valid selector operator"),
    }
}

fn validate_status(quota: &Node, _: &Node, errors: &mut Errors) {
    amounts(&quota.at("status.hard"), errors);
    amounts(&quota.at("status.used"), errors);
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
