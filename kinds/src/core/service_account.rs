//! ServiceAccount.

use apimachinery::meta;
use jiff::Timestamp;
use serde_json::Value;

use crate::columns::{self, AGE, Column, NAME};
use crate::kind::{Kind, Storage, Subresource};
use crate::node::Node;
use crate::warnings;

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
    warnings: told,
    ..Kind::BASE
};

fn row(account: &Value, now: Timestamp) -> Vec<Value> {
    vec![
        columns::name(account),
        meta::items(account, "secrets").len().into(),
        columns::age(account, now),
    ]
}

fn told(new: &Value, old: Option<&Value>) -> Vec<String> {
    const MOUNTABLE: &str = "kubernetes.io/enforce-mountable-secrets";
    const WHY: &str =
        "deprecated in v1.32+; prefer separate namespaces to isolate access to mounted secrets";
    let mut told = Vec::new();
    let had = old.is_some_and(|old| old["metadata"]["annotations"].get(MOUNTABLE).is_some());
    if !had {
        warnings::annotation(&Node::root(new), MOUNTABLE, WHY, &mut told);
    }
    told
}
