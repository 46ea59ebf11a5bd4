//! Which pods stand behind a Service, and on which ports.

use std::collections::BTreeMap;
use std::sync::Arc;

use k8s_openapi::api::core::v1::{ObjectReference, ServicePort};
use k8s_openapi::apimachinery::pkg::util::intstr::IntOrString;

use crate::cluster::Cluster;
use crate::controller;
use crate::key::Key;
use crate::object::{Pod, Service};
use crate::queue::Queue;

const SELECTED: &str = "a Service without a selector has no pods";

/// Where one port of a Service leads on one pod.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Port {
    pub name: Option<String>,
    pub protocol: Option<String>,
    pub number: i32,
    pub app_protocol: Option<String>,
}

/// Puts every Service into `queue` that is touched by a change of itself or of
/// a pod that it selects.
pub fn notice(cluster: &Cluster, queue: &Arc<Queue>) {
    controller::notice(&cluster.services, queue);
    let (queue, services) = (queue.clone(), cluster.services.clone());
    cluster.pods.on_change(move |old, new| {
        let Some(any) = new.or(old) else { return };
        if let (Some(old), Some(new)) = (old, new)
            && is_alike(old, new)
        {
            return;
        }
        let namespace = any.metadata.namespace.as_deref().unwrap_or_default();
        for service in services.in_namespace(namespace) {
            let pods = [old, new].into_iter().flatten();
            if pods.into_iter().any(|pod| selects(&service, pod)) {
                queue.add(Key::of(&*service));
            }
        }
    });
}

/// Whether the change from `old` to `new` is one that no Service can tell.
fn is_alike(old: &Pod, new: &Pod) -> bool {
    old.labels == new.labels
        && old.metadata.deletion_timestamp.is_some() == new.metadata.deletion_timestamp.is_some()
        && old.metadata.uid == new.metadata.uid
        && old.spec == new.spec
        && old.status.pod_ips == new.status.pod_ips
        && old.status.phase == new.status.phase
        && old.is_ready() == new.is_ready()
}

/// Whether the controllers keep the endpoints of this Service.
pub fn is_selecting(service: &Service) -> bool {
    service.metadata.deletion_timestamp.is_none()
        && !service.spec.selector.is_empty()
        && service.spec.type_.as_deref() != Some("ExternalName")
}

fn selects(service: &Service, pod: &Pod) -> bool {
    let has = |(key, value): (&String, &String)| pod.labels.get(key) == Some(value);
    !service.spec.selector.is_empty() && service.spec.selector.iter().all(has)
}

/// The pods that may serve, by name: with an address, not finished.
pub fn of(cluster: &Cluster, service: &Service) -> Vec<Arc<Pod>> {
    debug_assert!(is_selecting(service), "{SELECTED}");
    let namespace = service.metadata.namespace.as_deref().unwrap_or_default();
    let mut pods = cluster.pods.in_namespace(namespace);
    pods.retain(|pod| {
        selects(service, pod) && !pod.is_finished() && !pod.status.pod_ips.is_empty()
    });
    pods
}

/// The pod's addresses of one family.
pub fn addresses<'a>(pod: &'a Pod, family: &'a str) -> impl Iterator<Item = &'a str> {
    let ips = pod.status.pod_ips.iter().map(String::as_str);
    ips.filter(move |ip| family_of(ip) == family)
}

pub fn family_of(address: &str) -> &'static str {
    if address.contains(':') {
        "IPv6"
    } else {
        "IPv4"
    }
}

/// The families of addresses that the Service is of, the first one first.
pub fn families(service: &Service) -> Vec<String> {
    if service.spec.ip_families.is_empty() {
        return vec!["IPv4".to_owned()];
    }
    service.spec.ip_families.clone()
}

/// The name that a headless Service gives the pod in DNS, if the pod asks for it.
pub fn hostname(service: &Service, pod: &Pod) -> Option<String> {
    let is_here = pod.spec.subdomain.as_ref() == service.metadata.name.as_ref();
    let hostname = pod.spec.hostname.clone().filter(|name| !name.is_empty());
    hostname.filter(|_| is_here)
}

pub fn reference(pod: &Pod) -> ObjectReference {
    ObjectReference {
        kind: Some("Pod".into()),
        namespace: pod.metadata.namespace.clone(),
        name: pod.metadata.name.clone(),
        uid: pod.metadata.uid.clone(),
        ..ObjectReference::default()
    }
}

/// The Service's ports on this pod; a named port that the pod lacks is left out.
pub fn ports(service: &Service, pod: &Pod) -> Vec<Port> {
    let ports = service.spec.ports.iter();
    ports
        .filter_map(|port| {
            Some(Port {
                name: Some(port.name.clone().unwrap_or_default()),
                protocol: Some(port.protocol.clone().unwrap_or_else(|| "TCP".into())),
                number: number(port, pod)?,
                app_protocol: port.app_protocol.clone(),
            })
        })
        .collect()
}

fn number(port: &ServicePort, pod: &Pod) -> Option<i32> {
    let name = match &port.target_port {
        None | Some(IntOrString::Int(0)) => return Some(port.port),
        Some(IntOrString::Int(number)) => return Some(*number),
        Some(IntOrString::String(name)) if name.is_empty() => return Some(port.port),
        Some(IntOrString::String(name)) => name,
    };
    let protocol = port.protocol.as_deref().unwrap_or("TCP");
    let mut ports = pod.spec.ports.iter();
    let found = ports.find(|p| p.name == *name && p.protocol == protocol);
    found.map(|p| p.number)
}

const HEADLESS: &str = "service.kubernetes.io/headless";
const LAST_APPLIED: &str = "kubectl.kubernetes.io/last-applied-configuration";

/// The labels of what is derived from a Service: its own and those given.
pub fn labels(service: &Service, more: &[(&str, &str)]) -> BTreeMap<String, String> {
    let mut labels = service.metadata.labels.clone().unwrap_or_default();
    labels.remove(HEADLESS);
    labels.remove(LAST_APPLIED);
    if service.is_headless() {
        labels.insert(HEADLESS.into(), String::new());
    }
    labels.extend(more.iter().map(|(k, v)| ((*k).to_owned(), (*v).to_owned())));
    labels
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::{Value, json};

    fn service(ports: Value) -> Service {
        serde_json::from_value(json!({ "metadata": { "name": "s", "namespace": "d" },
            "spec": { "ports": ports, "selector": { "app": "a" } } }))
        .unwrap()
    }

    fn pod() -> Pod {
        serde_json::from_value(json!({ "metadata": { "name": "p", "labels": { "app": "a" } },
            "spec": { "hostname": "h", "subdomain": "s",
                "containers": [{ "name": "c", "ports": [
                    { "name": "dns", "containerPort": 53, "protocol": "TCP" },
                    { "name": "dns", "containerPort": 5353, "protocol": "UDP" }] }],
                "initContainers": [
                    { "name": "once", "ports": [{ "name": "once", "containerPort": 1 }] },
                    { "name": "side", "restartPolicy": "Always", "ports": [{ "name": "side", "containerPort": 2 }] }] },
            "status": { "podIPs": [{ "ip": "10.0.0.1" }, { "ip": "fd00::1" }] } }))
        .unwrap()
    }

    fn number_of(target: Value, protocol: &str) -> Option<i32> {
        let port = json!([{ "port": 80, "protocol": protocol, "targetPort": target }]);
        ports(&service(port), &pod()).first().map(|p| p.number)
    }

    #[test]
    fn named_port_is_found_by_name_and_protocol() {
        assert_eq!(number_of(json!("dns"), "TCP"), Some(53));
        assert_eq!(number_of(json!("dns"), "UDP"), Some(5353));
        assert_eq!(number_of(json!("none"), "UDP"), None);
    }

    #[test]
    fn init_container_serves_only_as_a_sidecar() {
        assert_eq!(number_of(json!("side"), "TCP"), Some(2));
        assert_eq!(number_of(json!("once"), "TCP"), None);
    }

    #[test]
    fn port_without_a_target_is_its_own() {
        assert_eq!(number_of(Value::Null, "TCP"), Some(80));
        assert_eq!(number_of(json!(8080), "TCP"), Some(8080));
    }

    #[test]
    fn each_family_has_its_addresses() {
        let pod = pod();
        assert_eq!(addresses(&pod, "IPv4").collect::<Vec<_>>(), ["10.0.0.1"]);
        assert_eq!(addresses(&pod, "IPv6").collect::<Vec<_>>(), ["fd00::1"]);
    }

    #[test]
    fn pod_is_named_only_by_the_service_of_its_subdomain() {
        let mut service = service(json!([]));
        assert_eq!(hostname(&service, &pod()).as_deref(), Some("h"));
        service.metadata.name = Some("other".into());
        assert_eq!(hostname(&service, &pod()), None);
    }
}
