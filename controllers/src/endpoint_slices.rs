//! EndpointSlices: for each Service with a selector, its pods' addresses, whether
//! they serve, and on which ports.

pub mod plan;
pub mod write;

use std::collections::BTreeMap;
use std::sync::Arc;

use k8s_openapi::api::discovery::v1::{Endpoint, EndpointConditions, EndpointPort, EndpointSlice};
use tokio::task::JoinSet;
use tokio_util::sync::CancellationToken;

use crate::cluster::Cluster;
use crate::controller::{self, Controller, Next};
use crate::error::Error;
use crate::key::Key;
use crate::object::{Node, Pod, Service};
use crate::owner;
use crate::queue::Queue;
use crate::service_pods;
use crate::trigger_time::{self, Tracker};
use plan::{Frame, Group, Plan};

pub const MANAGED_BY: &str = "endpointslice.kubernetes.io/managed-by";
pub const SERVICE_NAME: &str = "kubernetes.io/service-name";
const MANAGER: &str = "endpointslice-controller.k8s.io";
const ZONE: &str = "topology.kubernetes.io/zone";
const WORKERS: usize = 5;

struct EndpointSlices {
    cluster: Cluster,
    triggers: Tracker,
}

pub fn start(cluster: &Cluster, tasks: &mut JoinSet<()>, shutdown: &CancellationToken) {
    let queue = Queue::new();
    service_pods::notice(cluster, &queue);
    notice_slices(cluster, &queue);
    notice_nodes(cluster, &queue);
    let controller = EndpointSlices {
        cluster: cluster.clone(),
        triggers: Tracker::default(),
    };
    controller::start(tasks, controller, queue, WORKERS, shutdown);
}

/// A slice that somebody else changed or removed is put right.
fn notice_slices(cluster: &Cluster, queue: &Arc<Queue>) {
    let queue = queue.clone();
    cluster.endpoint_slices.on_change(move |old, new| {
        let Some(slice) = new.or(old) else { return };
        let owner = owner::controller(&slice.metadata);
        if let Some(owner) = owner.filter(|o| o.kind == "Service" && is_ours(slice)) {
            let namespace = slice.metadata.namespace.as_deref().unwrap_or_default();
            queue.add(Key::new(namespace, &owner.name));
        }
    });
}

/// Endpoints tell the zone of their node, and none is on a node that is not there.
fn notice_nodes(cluster: &Cluster, queue: &Arc<Queue>) {
    let (queue, services) = (queue.clone(), cluster.services.clone());
    cluster.nodes.on_change(move |old, new| {
        let zones = [old, new].map(|node| node.map(|n| n.label(ZONE).map(str::to_owned)));
        if zones[0] != zones[1] {
            for service in services.all() {
                queue.add(Key::of(&*service));
            }
        }
    });
}

pub fn label<'a>(slice: &'a EndpointSlice, name: &str) -> Option<&'a str> {
    let labels = slice.metadata.labels.as_ref();
    labels.and_then(|l| l.get(name)).map(String::as_str)
}

fn is_ours(slice: &EndpointSlice) -> bool {
    label(slice, MANAGED_BY) == Some(MANAGER)
}

impl Controller for EndpointSlices {
    const NAME: &'static str = "endpointslice";
    const REST: u32 = 5;

    async fn informed(&self) {
        self.cluster.services.synced().await;
        self.cluster.nodes.synced().await;
        self.cluster.endpoint_slices.synced().await;
        self.cluster.pods.synced().await;
    }

    async fn reconcile(&self, key: &Key) -> Result<Next, Error> {
        // What was a Service's goes with it: the garbage collector sees to that.
        let service = self.cluster.services.get(key);
        let Some(service) = service.filter(|s| service_pods::is_selecting(s)) else {
            self.triggers.forget(key);
            return Ok(Next::WhenChanged);
        };
        let pods = service_pods::of(&self.cluster, &service);
        let (triggered, told) = self.triggers.look(key, &service, &pods);
        let mut plan = self.plan(&service, &pods);
        plan.annotate(trigger_time::ANNOTATION, triggered.map(|at| at.to_string()));
        write::carry_out(&self.cluster, key, plan).await?;
        self.triggers.note(key, told);
        Ok(Next::WhenChanged)
    }
}

impl EndpointSlices {
    fn plan(&self, service: &Service, pods: &[Arc<Pod>]) -> Plan {
        let node = |name: &str| self.cluster.nodes.get(&Key::new("", name));
        let uid = service.metadata.uid.as_deref().unwrap_or_default();
        let mut existing = self.cluster.endpoint_slices.owned_by(uid);
        existing.retain(|slice| is_ours(slice));
        let mut all = Plan::default();
        for family in service_pods::families(service) {
            let (same, other) = existing.into_iter().partition(|s| s.address_type == family);
            existing = other;
            let groups = groups(service, pods, &family, node);
            let plan = frame(service, &family).plan(groups, same);
            all.create.extend(plan.create);
            all.update.extend(plan.update);
            all.delete.extend(plan.delete);
        }
        all.delete.extend(existing);
        all
    }
}

fn frame(service: &Service, family: &str) -> Frame {
    let name = service.metadata.name.as_deref().unwrap_or_default();
    Frame {
        namespace: service.metadata.namespace.clone().unwrap_or_default(),
        generate_name: format!("{name}-"),
        labels: service_pods::labels(service, &[(MANAGED_BY, MANAGER), (SERVICE_NAME, name)]),
        owner: owner::reference(service),
        address_type: family.to_owned(),
    }
}

/// The Service's endpoints of one family, those of equal ports together.
fn groups(
    service: &Service,
    pods: &[Arc<Pod>],
    family: &str,
    node: impl Fn(&str) -> Option<Arc<Node>>,
) -> Vec<Group> {
    let mut groups: BTreeMap<Vec<service_pods::Port>, Vec<Endpoint>> = BTreeMap::new();
    for pod in pods {
        let node = pod.spec.node_name.as_deref().and_then(&node);
        if node.is_none() && !service.spec.publish_not_ready_addresses {
            continue;
        }
        let ports = service_pods::ports(service, pod);
        if ports.is_empty() && !(service.is_headless() && service.spec.ports.is_empty()) {
            continue;
        }
        if let Some(endpoint) = endpoint(service, pod, family, node.as_deref()) {
            groups.entry(ports).or_default().push(endpoint);
        }
    }
    let group = |(ports, endpoints): (Vec<service_pods::Port>, Vec<Endpoint>)| Group {
        ports: ports.into_iter().map(slice_port).collect(),
        endpoints,
    };
    groups.into_iter().map(group).collect()
}

fn slice_port(port: service_pods::Port) -> EndpointPort {
    EndpointPort {
        name: port.name,
        protocol: port.protocol,
        port: Some(port.number),
        app_protocol: port.app_protocol,
    }
}

fn endpoint(service: &Service, pod: &Pod, family: &str, node: Option<&Node>) -> Option<Endpoint> {
    let addresses: Vec<String> = service_pods::addresses(pod, family)
        .map(str::to_owned)
        .collect();
    let terminating = pod.metadata.deletion_timestamp.is_some();
    let serving = pod.is_ready();
    let ready = service.spec.publish_not_ready_addresses || (serving && !terminating);
    (!addresses.is_empty()).then(|| Endpoint {
        addresses,
        conditions: Some(EndpointConditions {
            ready: Some(ready),
            serving: Some(serving),
            terminating: Some(terminating),
        }),
        hostname: service_pods::hostname(service, pod),
        node_name: pod.spec.node_name.clone(),
        target_ref: Some(service_pods::reference(pod)),
        zone: node.and_then(|n| n.label(ZONE)).map(str::to_owned),
        ..Endpoint::default()
    })
}

#[cfg(test)]
mod tests;
