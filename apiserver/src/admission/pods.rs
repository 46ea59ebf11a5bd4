//! Pods stay five minutes on a node that is not ready, unless they say otherwise.

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

fn tolerates(toleration: &Value, key: &str) -> bool {
    let text = |field: &str| toleration[field].as_str().unwrap_or("");
    let of_key = text("key") == key || text("key").is_empty() && text("operator") == "Exists";
    of_key && matches!(text("effect"), "NoExecute" | "")
}
