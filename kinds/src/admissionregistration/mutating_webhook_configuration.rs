//! MutatingWebhookConfiguration.

use serde_json::Value;

use super::webhook::{self, COLUMNS, row, validate};
use crate::defaults::{each, set_text};
use crate::kind::{Kind, Scope, Storage};
use crate::prepare;

pub static KIND: Kind = Kind {
    group: "admissionregistration.k8s.io",
    kind: "MutatingWebhookConfiguration",
    list_kind: "MutatingWebhookConfigurationList",
    plural: "mutatingwebhookconfigurations",
    singular: "mutatingwebhookconfiguration",
    categories: &["api-extensions"],
    scope: Scope::Cluster,
    storage: Storage::Stored {
        prefix: "mutatingwebhookconfigurations",
    },
    default,
    prepare_create: prepare::new_generation,
    prepare_update: prepare::bump_on_content,
    validate,
    validate_update: |new, _, errors| validate(new, errors),
    columns: COLUMNS,
    row,
    ..Kind::BASE
};

fn default(configuration: &mut Value) {
    webhook::default(configuration);
    each(configuration, "webhooks", |webhook| {
        set_text(webhook, "reinvocationPolicy", "Never")
    });
}
