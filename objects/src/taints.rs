//! Which taints of a node a pod tolerates.

use k8s_openapi::api::core::v1::{Taint, Toleration};

pub fn tolerates_any(tolerations: &[Toleration], taint: &Taint) -> bool {
    tolerations.iter().any(|t| tolerates(t, taint))
}

pub fn tolerates(toleration: &Toleration, taint: &Taint) -> bool {
    let (effect, key) = (text(&toleration.effect), text(&toleration.key));
    if !effect.is_empty() && effect != taint.effect {
        return false;
    }
    if !key.is_empty() && key != taint.key {
        return false;
    }
    match toleration.operator.as_deref() {
        Some("Exists") => true,
        None | Some("" | "Equal") => {
            !key.is_empty() && text(&toleration.value) == text(&taint.value)
        }
        Some(_) => false,
    }
}

fn text(field: &Option<String>) -> &str {
    field.as_deref().unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::{Value, json};

    fn tolerated(toleration: Value) -> bool {
        let taint = json!({ "key": "gpu", "value": "yes", "effect": "NoSchedule" });
        tolerates(
            &serde_json::from_value(toleration).unwrap(),
            &serde_json::from_value(taint).unwrap(),
        )
    }

    #[test]
    fn toleration_is_asked_for_key_value_and_effect() {
        let asked = [
            (json!({ "operator": "Exists" }), true),
            (json!({ "key": "gpu", "operator": "Exists" }), true),
            (json!({ "key": "cpu", "operator": "Exists" }), false),
            (json!({ "key": "gpu", "value": "yes" }), true),
            (json!({ "key": "gpu", "value": "no" }), false),
            (
                json!({ "key": "gpu", "value": "yes", "effect": "NoExecute" }),
                false,
            ),
            (json!({ "value": "yes" }), false),
        ];
        for (toleration, expected) in asked {
            assert_eq!(tolerated(toleration.clone()), expected, "{toleration}");
        }
    }
}
