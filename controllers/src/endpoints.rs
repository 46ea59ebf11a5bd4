//! Endpoints: the older form of EndpointSlices, one object a Service.

use std::collections::BTreeMap;
use std::sync::Arc;

use k8s_openapi::api::core::v1::{EndpointAddress, EndpointPort, EndpointSubset, Endpoints};
use kube::Api;
use kube::api::{DeleteParams, ObjectMeta, PostParams};
use tokio::task::JoinSet;
use tokio_util::sync::CancellationToken;

use crate::cluster::Cluster;
use crate::controller::{self, Controller, Next};
use crate::error::Error;
use crate::key::Key;
use crate::object::{Pod, Service};
use crate::queue::Queue;
use crate::service_pods::{self, Port};
use crate::trigger_time::{self, Tracker};

/// Marks the objects that this controller made.
pub const MANAGED_BY: &str = "endpoints.kubernetes.io/managed-by";
pub const MANAGER: &str = "endpoint-controller";
const OVER_CAPACITY: &str = "endpoints.kubernetes.io/over-capacity";
/// Addresses in one object, at most; the rest is only in the slices.
const MOST: usize = 1000;
const WORKERS: usize = 5;

struct EndpointsController {
    cluster: Cluster,
    triggers: Tracker,
}

pub fn start(cluster: &Cluster, tasks: &mut JoinSet<()>, shutdown: &CancellationToken) {
    let queue = Queue::new();
    service_pods::notice(cluster, &queue);
    let ours = queue.clone();
    cluster.endpoints.on_change(move |old, new| {
        if let Some(endpoints) = new.or(old).filter(|e| is_ours(e)) {
            ours.add(Key::of(endpoints));
        }
    });
    let controller = EndpointsController {
        cluster: cluster.clone(),
        triggers: Tracker::default(),
    };
    controller::start(tasks, controller, queue, WORKERS, shutdown);
}

fn is_ours(endpoints: &Endpoints) -> bool {
    let labels = endpoints.metadata.labels.as_ref();
    labels.and_then(|l| l.get(MANAGED_BY)).map(String::as_str) == Some(MANAGER)
}

impl Controller for EndpointsController {
    const NAME: &'static str = "endpoints";
    const REST: u32 = 5;

    async fn informed(&self) {
        self.cluster.services.synced().await;
        self.cluster.endpoints.synced().await;
        self.cluster.pods.synced().await;
    }

    async fn reconcile(&self, key: &Key) -> Result<Next, Error> {
        let current = self.cluster.endpoints.get(key);
        match self.cluster.services.get(key) {
            None => {
                self.triggers.forget(key);
                self.remove(key, current).await?;
            }
            Some(service) if service_pods::is_selecting(&service) => {
                let pods = service_pods::of(&self.cluster, &service);
                let mut wanted = describe(&service, &pods);
                let (triggered, told) = self.triggers.look(key, &service, &pods);
                let triggered = triggered.map(|at| at.to_string());
                annotate(&mut wanted, trigger_time::ANNOTATION, triggered);
                self.write(key, wanted, current).await?;
                self.triggers.note(key, told);
            }
            Some(_) => {}
        }
        Ok(Next::WhenChanged)
    }
}

impl EndpointsController {
    fn api(&self, key: &Key) -> Api<Endpoints> {
        Api::namespaced(self.cluster.client.clone(), &key.namespace)
    }

    /// Endpoints go with their Service, also those that somebody wrote by hand.
    async fn remove(&self, key: &Key, current: Option<Arc<Endpoints>>) -> Result<(), Error> {
        if current.is_none() {
            return Ok(());
        }
        let params = DeleteParams::default();
        match self.api(key).delete(&key.name, &params).await {
            Ok(_) => {}
            Err(kube::Error::Api(status)) if status.code == 404 => {}
            Err(source) => return Err(Error::api("delete", "Endpoints", key)(source)),
        }
        self.cluster.endpoints.forget(key);
        Ok(())
    }

    async fn write(
        &self,
        key: &Key,
        mut wanted: Endpoints,
        current: Option<Arc<Endpoints>>,
    ) -> Result<(), Error> {
        let params = PostParams::default();
        let written = match current {
            Some(current) if is_same(&current, &wanted) => return Ok(()),
            Some(current) => {
                let mut annotations = current.metadata.annotations.clone().unwrap_or_default();
                annotations.remove(OVER_CAPACITY);
                annotations.remove(trigger_time::ANNOTATION);
                annotations.extend(wanted.metadata.annotations.take().unwrap_or_default());
                wanted.metadata = ObjectMeta {
                    labels: wanted.metadata.labels,
                    annotations: Some(annotations),
                    ..current.metadata.clone()
                };
                self.api(key).replace(&key.name, &params, &wanted).await
            }
            None => self.api(key).create(&params, &wanted).await,
        };
        let written = written.map_err(Error::api("write", "Endpoints", key))?;
        self.cluster.endpoints.note(written);
        Ok(())
    }
}

fn is_same(current: &Endpoints, wanted: &Endpoints) -> bool {
    let subsets = |e: &Endpoints| e.subsets.clone().unwrap_or_default();
    let over = |e: &Endpoints| {
        let annotations = e.metadata.annotations.as_ref();
        annotations.and_then(|a| a.get(OVER_CAPACITY)).cloned()
    };
    subsets(current) == subsets(wanted)
        && current.metadata.labels == wanted.metadata.labels
        && over(current) == over(wanted)
}

fn describe(service: &Service, pods: &[Arc<Pod>]) -> Endpoints {
    let (subsets, is_truncated) = subsets(service, pods);
    let over = BTreeMap::from([(OVER_CAPACITY.to_owned(), "truncated".to_owned())]);
    Endpoints {
        metadata: ObjectMeta {
            name: service.metadata.name.clone(),
            namespace: service.metadata.namespace.clone(),
            labels: Some(service_pods::labels(service, &[(MANAGED_BY, MANAGER)])),
            annotations: is_truncated.then_some(over),
            ..ObjectMeta::default()
        },
        subsets: (!subsets.is_empty()).then_some(subsets),
    }
}

fn annotate(endpoints: &mut Endpoints, key: &str, value: Option<String>) {
    if let Some(value) = value {
        let annotations = endpoints.metadata.annotations.get_or_insert_default();
        annotations.insert(key.to_owned(), value);
    }
}

#[derive(Default)]
struct Addresses {
    ready: Vec<EndpointAddress>,
    not_ready: Vec<EndpointAddress>,
}

/// One subset for each set of ports; whether there were more addresses than fit.
fn subsets(service: &Service, pods: &[Arc<Pod>]) -> (Vec<EndpointSubset>, bool) {
    let unready = service.spec.publish_not_ready_addresses;
    let family = service_pods::families(service).swap_remove(0);
    let mut by_ports: BTreeMap<Vec<Port>, Addresses> = BTreeMap::new();
    let mut count = 0;
    for pod in pods {
        if pod.metadata.deletion_timestamp.is_some() && !unready {
            continue;
        }
        let ports = service_pods::ports(service, pod);
        if ports.is_empty() && !(service.is_headless() && service.spec.ports.is_empty()) {
            continue;
        }
        let Some(ip) = service_pods::addresses(pod, &family).next() else {
            continue;
        };
        count += 1;
        if count > MOST {
            break;
        }
        let addresses = by_ports.entry(ports).or_default();
        let address = address(service, pod, ip);
        if unready || pod.is_ready() {
            addresses.ready.push(address);
        } else {
            addresses.not_ready.push(address);
        }
    }
    (by_ports.into_iter().map(subset).collect(), count > MOST)
}

fn address(service: &Service, pod: &Pod, ip: &str) -> EndpointAddress {
    EndpointAddress {
        ip: ip.to_owned(),
        hostname: service_pods::hostname(service, pod),
        node_name: pod.spec.node_name.clone(),
        target_ref: Some(service_pods::reference(pod)),
    }
}

fn subset((ports, addresses): (Vec<Port>, Addresses)) -> EndpointSubset {
    let sorted = |mut list: Vec<EndpointAddress>| {
        list.sort_by_key(|a| a.ip.parse::<std::net::IpAddr>().ok());
        (!list.is_empty()).then_some(list)
    };
    let ports: Vec<EndpointPort> = ports.into_iter().map(port).collect();
    EndpointSubset {
        addresses: sorted(addresses.ready),
        not_ready_addresses: sorted(addresses.not_ready),
        ports: (!ports.is_empty()).then_some(ports),
    }
}

fn port(port: Port) -> EndpointPort {
    EndpointPort {
        name: port.name.filter(|name| !name.is_empty()),
        port: port.number,
        protocol: port.protocol,
        app_protocol: port.app_protocol,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn service() -> Service {
        serde_json::from_value(json!({ "metadata": { "name": "s", "namespace": "d" },
            "spec": { "selector": { "app": "a" }, "ports": [{ "name": "http", "port": 80, "targetPort": 8080 }] } }))
        .unwrap()
    }

    fn pod(ip: &str, ready: bool, terminating: bool) -> Arc<Pod> {
        let deletion = terminating.then_some("2026-01-01T00:00:00Z");
        Arc::new(
            serde_json::from_value(json!({
                "metadata": { "name": ip, "namespace": "d", "deletionTimestamp": deletion },
                "spec": { "nodeName": "n" },
                "status": { "podIPs": [{ "ip": ip }],
                    "conditions": [{ "type": "Ready", "status": if ready { "True" } else { "False" } }] } }))
            .unwrap(),
        )
    }

    fn ips(list: &Option<Vec<EndpointAddress>>) -> Vec<&str> {
        list.iter().flatten().map(|a| a.ip.as_str()).collect()
    }

    #[test]
    fn ready_and_unready_pods_are_told_apart_and_ending_ones_left_out() {
        let pods = [
            pod("10.0.0.10", true, false),
            pod("10.0.0.9", true, false),
            pod("10.0.0.3", false, false),
            pod("10.0.0.4", true, true),
        ];
        let (subsets, _) = subsets(&service(), &pods);
        assert_eq!(subsets.len(), 1);
        assert_eq!(ips(&subsets[0].addresses), ["10.0.0.9", "10.0.0.10"]);
        assert_eq!(ips(&subsets[0].not_ready_addresses), ["10.0.0.3"]);
        assert_eq!(subsets[0].ports.as_ref().unwrap()[0].port, 8080);
    }

    #[test]
    fn more_than_a_thousand_addresses_are_cut_off_and_marked() {
        let pods: Vec<_> = (0..1001)
            .map(|n| pod(&format!("10.0.{}.{}", n / 200, n % 200 + 1), true, false))
            .collect();
        let endpoints = describe(&service(), &pods);
        assert_eq!(
            endpoints.metadata.annotations.unwrap()[OVER_CAPACITY],
            "truncated"
        );
        assert_eq!(
            endpoints.subsets.unwrap()[0]
                .addresses
                .as_ref()
                .unwrap()
                .len(),
            1000
        );
    }
}
