//! Services of type LoadBalancer get the addresses of nodes: each node's proxy
//! listens at its own address on the Service's ports.
//!
//! A Service that names a `loadBalancerClass` is somebody else's. What a node
//! cannot do for a Service it is not asked to: ports that another Service has, or
//! the cluster itself, and sources that are to be kept out.

mod plan;

use std::sync::Arc;

use events::Recorder;
use kube::Api;
use kube::api::{Patch, PatchParams};
use serde_json::json;
use tokio::task::JoinSet;
use tokio_util::sync::CancellationToken;

use crate::cluster::Cluster;
use crate::controller::{self, Controller, Next};
use crate::error::Error;
use crate::key::Key;
use crate::object::{Node, Service};
use crate::queue::Queue;

const SERVICE_NAME: &str = "kubernetes.io/service-name";

struct LoadBalancers {
    cluster: Cluster,
    recorder: Recorder,
}

pub fn start(cluster: &Cluster, tasks: &mut JoinSet<()>, shutdown: &CancellationToken) {
    let queue = Queue::new();
    notice_services(cluster, &queue);
    notice_nodes(cluster, &queue);
    notice_endpoints(cluster, &queue);
    let controller = LoadBalancers {
        cluster: cluster.clone(),
        recorder: cluster.events.recorder("service-controller"),
    };
    // One at a time: who has a port is decided over all of them.
    controller::start(tasks, controller, queue, 1, shutdown);
}

/// What one Service gives up, another may have waited for.
fn notice_services(cluster: &Cluster, queue: &Arc<Queue>) {
    let (queue, services) = (queue.clone(), cluster.services.clone());
    cluster.services.on_change(move |old, new| {
        let was_or_is = [old, new].into_iter().flatten();
        if !was_or_is.into_iter().any(Service::is_balanced) {
            return;
        }
        if let Some(service) = new {
            queue.add(Key::of(service));
        }
        if old.map(|old| &old.spec) != new.map(|new| &new.spec) {
            add_all(&queue, &services.all());
        }
    });
}

fn notice_nodes(cluster: &Cluster, queue: &Arc<Queue>) {
    let (queue, services) = (queue.clone(), cluster.services.clone());
    cluster.nodes.on_change(move |old, new| {
        let offer = |node: Option<&Node>| node.and_then(plan::address_of);
        if offer(old) != offer(new) {
            add_all(&queue, &services.all());
        }
    });
}

/// A Service whose traffic stays local is where its pods are.
fn notice_endpoints(cluster: &Cluster, queue: &Arc<Queue>) {
    let (queue, services) = (queue.clone(), cluster.services.clone());
    cluster.endpoint_slices.on_change(move |old, new| {
        let Some(slice) = new.or(old) else { return };
        let labels = slice.metadata.labels.as_ref();
        let name = labels.and_then(|labels| labels.get(SERVICE_NAME));
        let Some(name) = name else { return };
        let key = Key::new(&controller::namespace_of(slice).name, name);
        if services.get(&key).is_some_and(|s| s.stays_local()) {
            queue.add(key);
        }
    });
}

fn add_all(queue: &Queue, services: &[Arc<Service>]) {
    let balanced = services.iter().filter(|service| service.is_balanced());
    balanced.for_each(|service| queue.add(Key::of(&**service)));
}

impl Controller for LoadBalancers {
    const NAME: &'static str = "service-lb";

    async fn informed(&self) {
        self.cluster.services.synced().await;
        self.cluster.nodes.synced().await;
        self.cluster.endpoints.synced().await;
        self.cluster.endpoint_slices.synced().await;
    }

    async fn reconcile(&self, key: &Key) -> Result<Next, Error> {
        let Some(service) = self.cluster.services.get(key) else {
            return Ok(Next::WhenChanged);
        };
        let wanted = if service.is_balanced() {
            match plan::refusal(&self.cluster, &service) {
                None => plan::addresses(&self.cluster, &service),
                Some(why) => {
                    let message = format!(
                        "Error syncing load balancer: failed to ensure load balancer: {why}"
                    );
                    self.recorder
                        .warning(&*service, "SyncLoadBalancerFailed", message);
                    Vec::new()
                }
            }
        } else if service.spec.type_.as_deref() == Some("LoadBalancer") {
            // Of a class: somebody else's.
            return Ok(Next::WhenChanged);
        } else {
            Vec::new()
        };
        if service.addresses().eq(wanted.iter().map(String::as_str)) {
            return Ok(Next::WhenChanged);
        }
        self.write(&service, key, &wanted).await?;
        Ok(Next::WhenChanged)
    }
}

impl LoadBalancers {
    async fn write(&self, service: &Service, key: &Key, addresses: &[String]) -> Result<(), Error> {
        let ingress: Vec<_> = addresses.iter().map(|ip| json!({ "ip": ip })).collect();
        let patch = json!({
            "metadata": { "uid": service.metadata.uid, "resourceVersion": service.metadata.resource_version },
            "status": { "loadBalancer": { "ingress": if ingress.is_empty() { json!(null) } else { json!(ingress) } } },
        });
        let api: Api<Service> = Api::namespaced(self.cluster.client.clone(), &key.namespace);
        let patched = api
            .patch_status(&key.name, &PatchParams::default(), &Patch::Merge(patch))
            .await;
        let patched = patched.map_err(Error::api("balance", "Service", key))?;
        if service.addresses().next().is_none() {
            let message = "Ensured load balancer";
            self.recorder
                .normal(&patched, "EnsuredLoadBalancer", message);
        }
        self.cluster.services.note(patched);
        Ok(())
    }
}
