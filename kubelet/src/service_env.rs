//! The variables by which a container finds the Services of its namespace, in
//! the form Docker links once had.

use std::collections::BTreeMap;

use k8s_openapi::api::core::v1::Service;

/// The variables of `services` for a pod of `namespace`. The API server's own
/// Service is there always, the namespace's with `links` only.
pub fn variables<'a>(
    services: impl Iterator<Item = &'a Service>,
    namespace: &str,
    links: bool,
) -> BTreeMap<String, String> {
    let mut own = BTreeMap::new();
    let mut variables = BTreeMap::new();
    for service in services {
        let (Some(name), Some(home)) = (&service.metadata.name, &service.metadata.namespace) else {
            continue;
        };
        if links && home == namespace {
            add(service, name, &mut own);
        } else if home == "default" && name == "kubernetes" {
            add(service, name, &mut variables);
        }
    }
    variables.extend(own);
    variables
}

fn add(service: &Service, name: &str, variables: &mut BTreeMap<String, String>) {
    let Some(spec) = &service.spec else { return };
    let ip = spec.cluster_ip.as_deref().unwrap_or_default();
    let ports = spec.ports.as_deref().unwrap_or_default();
    let (false, Some(first)) = (ip.is_empty() || ip == "None", ports.first()) else {
        return;
    };
    let name = name.to_uppercase().replace('-', "_");
    let mut set = |key: String, value: String| {
        variables.insert(format!("{name}{key}"), value);
    };
    let url = |protocol: &str, port: i32| format!("{protocol}://{}:{port}", bracketed(ip));
    set("_SERVICE_HOST".into(), ip.into());
    set("_SERVICE_PORT".into(), first.port.to_string());
    for port in ports {
        if let Some(port_name) = port.name.as_deref().filter(|n| !n.is_empty()) {
            let port_name = port_name.to_uppercase().replace('-', "_");
            set(format!("_SERVICE_PORT_{port_name}"), port.port.to_string());
        }
        let protocol = port.protocol.as_deref().unwrap_or("TCP");
        let lower = protocol.to_lowercase();
        let prefix = format!("_PORT_{}_{protocol}", port.port);
        set(prefix.clone(), url(&lower, port.port));
        set(format!("{prefix}_PROTO"), lower);
        set(format!("{prefix}_PORT"), port.port.to_string());
        set(format!("{prefix}_ADDR"), ip.into());
    }
    let first_protocol = first.protocol.as_deref().unwrap_or("TCP").to_lowercase();
    set("_PORT".into(), url(&first_protocol, first.port));
}

fn bracketed(ip: &str) -> String {
    if ip.contains(':') {
        format!("[{ip}]")
    } else {
        ip.to_owned()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn service(namespace: &str, name: &str, ip: &str) -> Service {
        serde_json::from_value(json!({
            "metadata": {"namespace": namespace, "name": name},
            "spec": {"clusterIP": ip, "ports": [{"name": "https", "port": 443, "protocol": "TCP"}]}}))
        .unwrap()
    }

    #[test]
    fn a_service_is_described_by_eight_variables() {
        let services = [service("default", "kubernetes", "10.96.0.1")];
        let read = variables(services.iter(), "ns", false);
        let wanted = [
            ("KUBERNETES_PORT", "tcp://10.96.0.1:443"),
            ("KUBERNETES_PORT_443_TCP", "tcp://10.96.0.1:443"),
            ("KUBERNETES_PORT_443_TCP_ADDR", "10.96.0.1"),
            ("KUBERNETES_PORT_443_TCP_PORT", "443"),
            ("KUBERNETES_PORT_443_TCP_PROTO", "tcp"),
            ("KUBERNETES_SERVICE_HOST", "10.96.0.1"),
            ("KUBERNETES_SERVICE_PORT", "443"),
            ("KUBERNETES_SERVICE_PORT_HTTPS", "443"),
        ];
        assert_eq!(
            read,
            wanted.map(|(k, v)| (k.to_owned(), v.to_owned())).into()
        );
    }

    #[test]
    fn links_add_the_namespaces_services_but_no_headless_ones() {
        let services = [
            service("ns", "my-db", "10.96.0.2"),
            service("ns", "headless", "None"),
            service("other", "x", "10.96.0.3"),
        ];
        let keys = |links| {
            variables(services.iter(), "ns", links)
                .into_keys()
                .collect::<Vec<_>>()
        };
        assert!(keys(false).is_empty());
        assert!(keys(true).iter().all(|key| key.starts_with("MY_DB_")));
        assert!(!keys(true).is_empty());
    }
}
