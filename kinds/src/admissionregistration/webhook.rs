//! What both kinds of webhook configuration have in common.

use apimachinery::names;
use expressions::admission;
use jiff::Timestamp;
use serde_json::{Value, json};

use super::expression;
use crate::columns::{self, AGE, Column, NAME};
use crate::defaults::{each, set_default, set_text, with};
use crate::errors::{Errors, Seen};
use crate::label_selector;
use crate::node::Node;

pub const COLUMNS: &[Column] = &[
    NAME,
    Column::count("Webhooks", "How many webhooks the configuration lists."),
    AGE,
];

pub fn default(configuration: &mut Value) {
    each(configuration, "webhooks", |webhook| {
        set_text(webhook, "failurePolicy", "Fail");
        set_text(webhook, "matchPolicy", "Equivalent");
        set_default(webhook, "namespaceSelector", json!({}));
        set_default(webhook, "objectSelector", json!({}));
        set_default(webhook, "timeoutSeconds", 10);
        each(webhook, "rules", |rule| set_text(rule, "scope", "*"));
        with(webhook, "clientConfig", default_client);
    });
}

pub fn default_client(client: &mut Value) {
    with(client, "service", |service| {
        set_default(service, "port", 443)
    });
}

pub fn validate(configuration: &Node, errors: &mut Errors) {
    let mut seen = Seen::new();
    for webhook in configuration.at("webhooks").items() {
        let name = webhook.at("name");
        qualified_name(&name, errors);
        errors.unique(&name, &mut seen);
        validate_webhook(&webhook, errors);
    }
}

/// At least three segments, for webhooks share one namespace of names.
fn qualified_name(name: &Node, errors: &mut Errors) {
    if !errors.require(name) || !errors.follows(name, names::dns_subdomain) {
        return;
    }
    if name.text().split('.').count() < 3 {
        errors.invalid(
            name,
            "should be a domain with at least three segments separated by dots",
        );
    }
}

fn validate_webhook(webhook: &Node, errors: &mut Errors) {
    for rule in webhook.at("rules").items() {
        validate_rule(&rule, errors);
    }
    errors.one_of_if_set(&webhook.at("failurePolicy"), &["Fail", "Ignore"]);
    errors.one_of_if_set(&webhook.at("matchPolicy"), &["Equivalent", "Exact"]);
    let effects = webhook.at("sideEffects");
    if effects.exists() {
        errors.one_of(&effects, &["None", "NoneOnDryRun"]);
    } else {
        errors.required(&effects, "must specify one of None, NoneOnDryRun");
    }
    errors.in_range_text(
        &webhook.at("timeoutSeconds"),
        1,
        30,
        "the timeout value must be between 1 and 30 seconds",
    );
    label_selector::validate(&webhook.at("namespaceSelector"), errors);
    label_selector::validate(&webhook.at("objectSelector"), errors);
    client_config(&webhook.at("clientConfig"), errors);
    review_versions(&webhook.at("admissionReviewVersions"), errors);
    errors.one_of_if_set(&webhook.at("reinvocationPolicy"), &["IfNeeded", "Never"]);
    let environment = admission::match_conditions();
    expression::check_conditions(&webhook.at("matchConditions"), &environment, errors);
}

impl Errors {
    fn in_range_text(&mut self, node: &Node, least: i64, most: i64, why: &str) {
        if node
            .int()
            .is_some_and(|value| !(least..=most).contains(&value))
        {
            self.invalid(node, why);
        }
    }
}

fn review_versions(versions: &Node, errors: &mut Errors) {
    if !errors.require_because(versions, "must specify one of v1, v1beta1") {
        return;
    }
    let mut seen = Seen::new();
    for version in versions.items() {
        errors.unique(&version, &mut seen);
        errors.follows(&version, names::dns_1035_label);
    }
    if !versions
        .items()
        .any(|version| matches!(version.text(), "v1" | "v1beta1"))
    {
        let why = "must include at least one of v1, v1beta1";
        errors.invalid(versions, why);
    }
}

/// A rule says which operations on which resources are meant.
pub fn validate_rule(rule: &Node, errors: &mut Errors) {
    let operations = rule.at("operations");
    errors.require(&operations);
    for operation in operations.items() {
        errors.one_of(&operation, &["*", "CONNECT", "CREATE", "DELETE", "UPDATE"]);
    }
    for field in ["apiGroups", "apiVersions", "resources"] {
        let list = rule.at(field);
        errors.require(&list);
        let starred = list.items().any(|item| item.text() == "*");
        if starred && list.len() > 1 && field != "resources" {
            errors.invalid(&list, "if '*' is present, must not specify other values");
        }
    }
    errors.one_of_if_set(&rule.at("scope"), &["*", "Cluster", "Namespaced"]);
}

/// Exactly one way to reach the webhook.
pub fn client_config(client: &Node, errors: &mut Errors) {
    let (url, service) = (client.at("url"), client.at("service"));
    match (url.exists(), service.exists()) {
        (false, false) | (true, true) => {
            errors.required(client, "exactly one of url or service is required");
        }
        (true, false) => validate_url(&url, errors),
        (false, true) => {
            errors.require_because(&service.at("name"), "service name is required");
            errors.require_because(&service.at("namespace"), "service namespace is required");
            let port = service.at("port");
            if port.exists() && !(1..=65535).contains(&port.int().unwrap_or(0)) {
                errors.invalid(
                    &port,
                    "port is not valid: must be between 1 and 65535, inclusive",
                );
            }
        }
    }
}

fn validate_url(url: &Node, errors: &mut Errors) {
    let Some(rest) = url.text().strip_prefix("https://") else {
        let why = "'https' is the only allowed URL scheme; desired format: https://host[/path]";
        errors.invalid(url, why);
        return;
    };
    let authority = rest.split('/').next().unwrap_or_default();
    let why = if authority.is_empty() {
        "host must be specified; desired format: https://host[/path]"
    } else if authority.contains('@') {
        "user information is not permitted in the URL"
    } else if rest.contains('#') {
        "fragments are not permitted in the URL"
    } else if rest.contains('?') {
        "query parameters are not permitted in the URL"
    } else {
        return;
    };
    errors.invalid(url, why);
}

pub fn row(configuration: &Value, now: Timestamp) -> Vec<Value> {
    vec![
        columns::name(configuration),
        apimachinery::meta::items(configuration, "webhooks")
            .len()
            .into(),
        columns::age(configuration, now),
    ]
}
