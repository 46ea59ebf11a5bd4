//! The hashes that names and labels of templates are made of.

use apimachinery::random::safe_encode;
use serde_json::Value;

const OFFSET: u32 = 0x811c_9dc5;
const PRIME: u32 = 0x0100_0193;

/// FNV-1a of the template's canonical JSON, in the alphabet of name suffixes:
/// what tells the pods of one template from those of another.
pub fn of_template(template: &Value, collisions: Option<i32>) -> String {
    let mix = |hash: u32, byte: &u8| (hash ^ u32::from(*byte)).wrapping_mul(PRIME);
    let text = template.to_string();
    let collisions = collisions.map(i32::to_le_bytes);
    let bytes = text.as_bytes().iter().chain(collisions.iter().flatten());
    let hash = bytes.fold(OFFSET, mix);
    safe_encode(&hash.to_string())
}

/// FNV-1 of a StatefulSet's revision as Kubernetes writes and hashes it, so
/// that the names are the same ones.
pub fn of_revision(data: &Value, collisions: i32) -> String {
    let mix = |hash: u32, byte: u8| hash.wrapping_mul(PRIME) ^ u32::from(byte);
    let text = go_json(data) + &collisions.to_string();
    let hash = text.bytes().fold(OFFSET, mix);
    safe_encode(&hash.to_string())
}

/// JSON as Go writes it: some characters, which are in strings only, escaped.
fn go_json(value: &Value) -> String {
    let mut text = String::new();
    for c in value.to_string().chars() {
        match c {
            '<' | '>' | '&' | '\u{2028}' | '\u{2029}' => {
                text.push_str(&format!("\\u{:04x}", u32::from(c)));
            }
            c => text.push(c),
        }
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn revision_is_named_as_kubernetes_named_it() {
        let data = json!({ "spec": { "template": { "$patch": "replace",
            "metadata": { "creationTimestamp": null, "labels": { "app": "a" } },
            "spec": { "containers": [{ "image": "app:1", "imagePullPolicy": "IfNotPresent",
                "name": "c", "resources": {}, "terminationMessagePath": "/dev/termination-log",
                "terminationMessagePolicy": "File" }],
                "dnsPolicy": "ClusterFirst", "restartPolicy": "Always",
                "schedulerName": "default-scheduler", "securityContext": {},
                "terminationGracePeriodSeconds": 30 } } } });
        assert_eq!(of_revision(&data, 0), "7f859cdb77");
        assert_ne!(of_revision(&data, 1), "7f859cdb77");
    }

    #[test]
    fn markup_is_escaped_as_go_does() {
        assert_eq!(
            go_json(&json!("a && b <c>")),
            r#""a \u0026\u0026 b \u003cc\u003e""#
        );
    }

    #[test]
    fn collision_changes_the_hash_of_a_template() {
        let template = json!({ "a": 1 });
        assert_ne!(
            of_template(&template, None),
            of_template(&template, Some(1))
        );
    }
}
