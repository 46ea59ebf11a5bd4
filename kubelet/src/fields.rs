//! `fieldRef`: what a pod may learn about itself, in environment and volumes.

use std::collections::BTreeMap;
use std::net::IpAddr;

use k8s_openapi::api::core::v1::Pod;

/// Where the pod is, as far as that is known.
#[derive(Clone, Debug, Default)]
pub struct Place {
    pub node_name: String,
    pub host_ip: Option<IpAddr>,
    pub pod_ip: Option<IpAddr>,
}

/// The text of `path`; `None` if there is no such field.
pub fn value(pod: &Pod, place: &Place, path: &str) -> Option<String> {
    if let Some((map, key)) = subscript(path) {
        let map = labels_or_annotations(pod, map)?;
        return Some(
            map.and_then(|map| map.get(key))
                .cloned()
                .unwrap_or_default(),
        );
    }
    let ip = |ip: Option<IpAddr>| ip.map(|ip| ip.to_string()).unwrap_or_default();
    let text = match path {
        "metadata.name" => pod.metadata.name.clone(),
        "metadata.namespace" => pod.metadata.namespace.clone(),
        "metadata.uid" => pod.metadata.uid.clone(),
        "metadata.labels" => Some(format_map(pod.metadata.labels.as_ref())),
        "metadata.annotations" => Some(format_map(pod.metadata.annotations.as_ref())),
        "spec.nodeName" => Some(place.node_name.clone()),
        "spec.serviceAccountName" => pod.spec.as_ref()?.service_account_name.clone(),
        "status.hostIP" | "status.hostIPs" => Some(ip(place.host_ip)),
        "status.podIP" | "status.podIPs" => Some(ip(place.pod_ip)),
        _ => return None,
    };
    Some(text.unwrap_or_default())
}

/// `metadata.labels['key']` in its two halves.
fn subscript(path: &str) -> Option<(&str, &str)> {
    let (map, rest) = path.split_once("['")?;
    Some((map, rest.strip_suffix("']")?))
}

type Map = BTreeMap<String, String>;

fn labels_or_annotations<'a>(pod: &'a Pod, path: &str) -> Option<Option<&'a Map>> {
    match path {
        "metadata.labels" => Some(pod.metadata.labels.as_ref()),
        "metadata.annotations" => Some(pod.metadata.annotations.as_ref()),
        _ => None,
    }
}

/// One `key="value"` a line, the value quoted as Go quotes it.
fn format_map(map: Option<&Map>) -> String {
    let lines: Vec<String> = map
        .into_iter()
        .flatten()
        .map(|(key, value)| format!("{key}={}", go_quote(value)))
        .collect();
    lines.join("\n")
}

fn go_quote(text: &str) -> String {
    let mut quoted = String::with_capacity(text.len() + 2);
    quoted.push('"');
    for c in text.chars() {
        match c {
            '"' => quoted.push_str("\\\""),
            '\\' => quoted.push_str("\\\\"),
            '\n' => quoted.push_str("\\n"),
            '\r' => quoted.push_str("\\r"),
            '\t' => quoted.push_str("\\t"),
            '\u{7}' => quoted.push_str("\\a"),
            '\u{8}' => quoted.push_str("\\b"),
            '\u{b}' => quoted.push_str("\\v"),
            '\u{c}' => quoted.push_str("\\f"),
            c if u32::from(c) < 0x20 || c == '\u{7f}' => {
                quoted.push_str(&format!("\\x{:02x}", u32::from(c)))
            }
            c => quoted.push(c),
        }
    }
    quoted.push('"');
    quoted
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn pod() -> Pod {
        serde_json::from_value(json!({
            "metadata": {"name": "p", "labels": {"b": "2", "a": "1"}, "annotations": {"n": "x\ny\"z"}},
            "spec": {"containers": [], "serviceAccountName": "default"}}))
        .unwrap()
    }

    fn read(path: &str) -> Option<String> {
        let place = Place {
            pod_ip: Some(IpAddr::from([10, 0, 0, 7])),
            ..Place::default()
        };
        value(&pod(), &place, path)
    }

    #[test]
    fn single_labels_and_annotations_are_read_raw() {
        assert_eq!(read("metadata.annotations['n']").unwrap(), "x\ny\"z");
        assert_eq!(read("metadata.labels['none']").unwrap(), "");
    }

    #[test]
    fn maps_are_sorted_lines_of_quoted_values() {
        assert_eq!(read("metadata.labels").unwrap(), "a=\"1\"\nb=\"2\"");
        assert_eq!(read("metadata.annotations").unwrap(), "n=\"x\\ny\\\"z\"");
    }

    #[test]
    fn addresses_and_accounts_are_known_and_other_fields_are_not() {
        assert_eq!(read("status.podIP").unwrap(), "10.0.0.7");
        assert_eq!(read("spec.serviceAccountName").unwrap(), "default");
        assert_eq!(read("spec.secrets"), None);
    }
}
