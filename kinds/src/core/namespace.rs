//! Namespace.

use crate::kind::{Kind, Scope, Storage};

pub static KIND: Kind = Kind {
    kind: "Namespace",
    list_kind: "NamespaceList",
    plural: "namespaces",
    singular: "namespace",
    short_names: &["ns"],
    scope: Scope::Cluster,
    storage: Storage::Stored {
        prefix: "namespaces",
    },
    ..Kind::BASE
};
