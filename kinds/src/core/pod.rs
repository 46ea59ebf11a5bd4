//! Pod.

use crate::kind::{Kind, Storage};

pub static KIND: Kind = Kind {
    kind: "Pod",
    list_kind: "PodList",
    plural: "pods",
    singular: "pod",
    short_names: &["po"],
    categories: &["all"],
    storage: Storage::Stored { prefix: "pods" },
    ..Kind::BASE
};
