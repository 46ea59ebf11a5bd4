//! ServiceAccount.

use apimachinery::meta;
use jiff::Timestamp;
use serde_json::Value;

use crate::columns::{self, AGE, Column, NAME};
use crate::kind::{Kind, Storage, Subresource};

pub static KIND: Kind = Kind {
    kind: "ServiceAccount",
    list_kind: "ServiceAccountList",
    plural: "serviceaccounts",
    singular: "serviceaccount",
    short_names: &["sa"],
    subresources: &[Subresource::new(
        "token",
        ("authentication.k8s.io", "v1", "TokenRequest"),
        &["create"],
    )],
    storage: Storage::Stored {
        prefix: "serviceaccounts",
    },
    columns: &[
        NAME,
        Column::text("Secrets", "How many secrets the account may use."),
        AGE,
    ],
    row,
    ..Kind::BASE
};

fn row(account: &Value, now: Timestamp) -> Vec<Value> {
    vec![
        columns::name(account),
        meta::items(account, "secrets").len().into(),
        columns::age(account, now),
    ]
}
