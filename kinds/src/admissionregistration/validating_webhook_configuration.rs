//! ValidatingWebhookConfiguration.

use super::webhook::{COLUMNS, default, row, validate};
use crate::kind::{Kind, Scope, Storage};
use crate::prepare;

pub static KIND: Kind = Kind {
    group: "admissionregistration.k8s.io",
    kind: "ValidatingWebhookConfiguration",
    list_kind: "ValidatingWebhookConfigurationList",
    plural: "validatingwebhookconfigurations",
    singular: "validatingwebhookconfiguration",
    categories: &["api-extensions"],
    scope: Scope::Cluster,
    storage: Storage::Stored {
        prefix: "validatingwebhookconfigurations",
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
