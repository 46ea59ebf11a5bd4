//! ConfigMap.

use crate::kind::{Kind, Storage};

pub static KIND: Kind = Kind {
    kind: "ConfigMap",
    list_kind: "ConfigMapList",
    plural: "configmaps",
    singular: "configmap",
    short_names: &["cm"],
    storage: Storage::Stored {
        prefix: "configmaps",
    },
    ..Kind::BASE
};
