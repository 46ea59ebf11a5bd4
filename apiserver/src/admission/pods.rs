//! Pods stay five minutes on a node that is not ready, unless they say otherwise;
//! and a node is not ready until its kubelet said that it is.

use std::sync::LazyLock;

use apimachinery::meta;
use serde_json::{Value, json};

const SECONDS: i64 = 300;
const KEYS: [&str; 2] = [
    "node.kubernetes.io/not-ready",
    "node.kubernetes.io/unreachable",
];

static TOLERATIONS: LazyLock<[Value; 2]> = LazyLock::new(|| {
    KEYS.map(|key| {
        json!({ "key": key, "operator": "Exists", "effect": "NoExecute", "tolerationSeconds": SECONDS })
    })
});

pub fn add_tolerations(pod: &mut Value) {
    let spec = meta::entry(pod, "spec");
    for (key, toleration) in KEYS.iter().zip(&*TOLERATIONS) {
        let mut given = meta::items(spec, "tolerations").iter();
        if !given.any(|t| tolerates(t, key)) {
            meta::push(spec, "tolerations", toleration.clone());
        }
    }
}

/// Nothing is scheduled to a node before the node controller has seen it ready.
pub fn taint_new_node(node: &mut Value) {
    let spec = meta::entry(node, "spec");
    let mut given = meta::items(spec, "taints").iter();
    if !given.any(|t| t["key"] == KEYS[0]) {
        let taint = json!({ "key": KEYS[0], "effect": "NoSchedule" });
        meta::push(spec, "taints", taint);
    }
}

fn tolerates(toleration: &Value, key: &str) -> bool {
    let text = |field: &str| toleration[field].as_str().unwrap_or("");
    let of_key = text("key") == key || text("key").is_empty() && text("operator") == "Exists";
    of_key && matches!(text("effect"), "NoExecute" | "")
}
