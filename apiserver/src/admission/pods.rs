//! Pods stay five minutes on a node that is not ready, unless they say otherwise;
//! and a node is not ready until its kubelet said that it is.

use apimachinery::meta;
use serde_json::{Value, json};

const SECONDS: i64 = 300;
const KEYS: [&str; 2] = [
    "node.kubernetes.io/not-ready",
    "node.kubernetes.io/unreachable",
];

pub fn add_tolerations(pod: &mut Value) {
    for key in KEYS {
        let tolerated = meta::items(pod, "spec.tolerations")
            .iter()
            .any(|t| tolerates(t, key));
        if tolerated {
            continue;
        }
        let toleration = json!({
            "key": key, "operator": "Exists", "effect": "NoExecute", "tolerationSeconds": SECONDS,
        });
        let spec = meta::entry(pod, "spec");
        match spec.get_mut("tolerations").and_then(Value::as_array_mut) {
            Some(list) => list.push(toleration),
            None => spec["tolerations"] = json!([toleration]),
        }
    }
}

/// Nothing is scheduled to a node before the node controller has seen it ready.
pub fn taint_new_node(node: &mut Value) {
    let taint = json!({ "key": KEYS[0], "effect": "NoSchedule" });
    if meta::items(node, "spec.taints")
        .iter()
        .any(|t| t["key"] == KEYS[0])
    {
        return;
    }
    let spec = meta::entry(node, "spec");
    match spec.get_mut("taints").and_then(Value::as_array_mut) {
        Some(list) => list.push(taint),
        None => spec["taints"] = json!([taint]),
    }
}

fn tolerates(toleration: &Value, key: &str) -> bool {
    let text = |field: &str| toleration[field].as_str().unwrap_or("");
    let of_key = text("key") == key || text("key").is_empty() && text("operator") == "Exists";
    of_key && matches!(text("effect"), "NoExecute" | "")
}
