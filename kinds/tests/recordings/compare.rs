//! Whether a recorded answer is contained in ours.

use serde_json::Value;

/// Set by the server, by admission or by allocation, not by the table.
const NOT_OURS: &[&str] = &[
    "uid",
    "resourceVersion",
    "creationTimestamp",
    "managedFields",
    "selfLink",
    "clusterIP",
    "clusterIPs",
    "ipFamilies",
    "ipFamilyPolicy",
    "nodePort",
    "healthCheckNodePort",
    "volumes",
    "volumeMounts",
    "tolerations",
    "taints",
    "serviceAccount",
    "serviceAccountName",
    "priority",
    "preemptionPolicy",
];

/// The paths where `got` lacks what was recorded.
pub fn missing(want: &Value, got: &Value) -> Vec<String> {
    let mut problems = Vec::new();
    walk(want, got, "", &mut problems);
    problems
}

fn walk(want: &Value, got: &Value, path: &str, problems: &mut Vec<String>) {
    match (want, got) {
        (Value::Object(want), Value::Object(got)) => {
            for (key, value) in want
                .iter()
                .filter(|(key, _)| !NOT_OURS.contains(&key.as_str()))
            {
                let below = format!("{path}.{key}");
                match got.get(key) {
                    Some(have) => walk(value, have, &below, problems),
                    None => problems.push(format!("{below} is missing, want {value}")),
                }
            }
        }
        (Value::Array(want), Value::Array(got)) if want.len() == got.len() => {
            for (index, (want, got)) in want.iter().zip(got).enumerate() {
                walk(want, got, &format!("{path}[{index}]"), problems);
            }
        }
        _ if want == got => {}
        _ => problems.push(format!("{path} is {got}, want {want}")),
    }
}
