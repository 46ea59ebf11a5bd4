//! EndpointSlices for Services without a selector: copies of the Endpoints that
//! somebody else writes for them.

use std::collections::BTreeMap;
use std::sync::Arc;

use k8s_openapi::api::core::v1::{EndpointAddress, EndpointSubset, Endpoints};
use k8s_openapi::api::discovery::v1::{Endpoint, EndpointConditions, EndpointPort, EndpointSlice};
use tokio::task::JoinSet;
use tokio_util::sync::CancellationToken;

use crate::cluster::Cluster;
use crate::controller::{self, Controller, Next};
use crate::endpoint_slices::plan::{Frame, Group, Plan};
use crate::endpoint_slices::{MANAGED_BY, SERVICE_NAME, label, write};
use crate::error::Error;
use crate::key::Key;
use crate::queue::Queue;
use crate::{endpoints, owner, service_pods};

const MANAGER: &str = "endpointslicemirroring-controller.k8s.io";
const SKIP: &str = "endpointslice.kubernetes.io/skip-mirror";
const LEADER: &str = "control-plane.alpha.kubernetes.io/leader";
/// Addresses taken over from one subset, at most.
const MOST: usize = 1000;
const WORKERS: usize = 2;
const FAMILIES: [&str; 2] = ["IPv4", "IPv6"];

struct Mirror {
    cluster: Cluster,
}

pub fn start(cluster: &Cluster, tasks: &mut JoinSet<()>, shutdown: &CancellationToken) {
    let queue = Queue::new();
    controller::notice(&cluster.services, &queue);
    controller::notice(&cluster.endpoints, &queue);
    let slices = queue.clone();
    cluster.endpoint_slices.on_change(move |old, new| {
        let slice = new
            .or(old)
            .filter(|s| label(s, MANAGED_BY) == Some(MANAGER));
        if let Some(slice) = slice
            && let Some(service) = label(slice, SERVICE_NAME)
        {
            let namespace = slice.metadata.namespace.as_deref().unwrap_or_default();
            slices.add(Key::new(namespace, service));
        }
    });
    let controller = Mirror {
        cluster: cluster.clone(),
    };
    controller::start(tasks, controller, queue, WORKERS, shutdown);
}

impl Controller for Mirror {
    const NAME: &'static str = "endpointslicemirroring";
    const REST: u32 = 5;

    async fn informed(&self) {
        self.cluster.services.synced().await;
        self.cluster.endpoints.synced().await;
        self.cluster.endpoint_slices.synced().await;
    }

    async fn reconcile(&self, key: &Key) -> Result<Next, Error> {
        let Some(endpoints) = self.cluster.endpoints.get(key) else {
            return Ok(Next::WhenChanged);
        };
        let uid = endpoints.metadata.uid.as_deref().unwrap_or_default();
        let existing = self.cluster.endpoint_slices.owned_by(uid);
        let service = self.cluster.services.get(key);
        let is_wanted = service.is_some_and(|s| s.spec.selector.is_empty());
        let plan = if is_wanted && is_mirrored(&endpoints) {
            plan(&endpoints, existing)
        } else {
            Plan {
                delete: existing,
                ..Plan::default()
            }
        };
        write::carry_out(&self.cluster, key, plan).await?;
        Ok(Next::WhenChanged)
    }
}

fn is_mirrored(endpoints: &Endpoints) -> bool {
    let has = |map: &Option<BTreeMap<String, String>>, key: &str, value: Option<&str>| {
        let found = map.as_ref().and_then(|m| m.get(key));
        found.is_some_and(|found| value.is_none_or(|value| found == value))
    };
    let meta = &endpoints.metadata;
    meta.deletion_timestamp.is_none()
        && !has(&meta.labels, SKIP, Some("true"))
        && !has(
            &meta.labels,
            endpoints::MANAGED_BY,
            Some(endpoints::MANAGER),
        )
        && !has(&meta.annotations, LEADER, None)
}

fn plan(endpoints: &Endpoints, mut existing: Vec<Arc<EndpointSlice>>) -> Plan {
    let mut all = Plan::default();
    for family in FAMILIES {
        let (same, other): (Vec<_>, Vec<_>) =
            existing.into_iter().partition(|s| s.address_type == family);
        existing = other;
        let groups = groups(endpoints, family);
        if groups.is_empty() {
            all.delete.extend(same);
            continue;
        }
        let plan = frame(endpoints, family).plan(groups, same);
        all.create.extend(plan.create);
        all.update.extend(plan.update);
        all.delete.extend(plan.delete);
    }
    all.delete.extend(existing);
    all
}

fn frame(endpoints: &Endpoints, family: &str) -> Frame {
    let name = endpoints.metadata.name.clone().unwrap_or_default();
    let mut labels = endpoints.metadata.labels.clone().unwrap_or_default();
    labels.insert(MANAGED_BY.into(), MANAGER.into());
    labels.insert(SERVICE_NAME.into(), name.clone());
    Frame {
        namespace: endpoints.metadata.namespace.clone().unwrap_or_default(),
        generate_name: format!("{name}-"),
        labels,
        owner: owner::reference(endpoints),
        address_type: family.to_owned(),
    }
}

fn groups(endpoints: &Endpoints, family: &str) -> Vec<Group> {
    let subsets = endpoints.subsets.iter().flatten();
    let groups = subsets.map(|subset| group(subset, family));
    groups.filter(|g| !g.endpoints.is_empty()).collect()
}

fn group(subset: &EndpointSubset, family: &str) -> Group {
    let ready = subset.addresses.iter().flatten().map(|a| (a, true));
    let not_ready = subset.not_ready_addresses.iter().flatten();
    let all = ready.chain(not_ready.map(|a| (a, false)));
    let of_family = all.filter(|(a, _)| service_pods::family_of(&a.ip) == family);
    let ports = subset.ports.iter().flatten().map(|port| EndpointPort {
        name: Some(port.name.clone().unwrap_or_default()),
        port: Some(port.port),
        protocol: port.protocol.clone(),
        app_protocol: port.app_protocol.clone(),
    });
    Group {
        ports: ports.collect(),
        endpoints: of_family
            .take(MOST)
            .map(|(a, ready)| endpoint(a, ready))
            .collect(),
    }
}

fn endpoint(address: &EndpointAddress, ready: bool) -> Endpoint {
    Endpoint {
        addresses: vec![address.ip.clone()],
        conditions: Some(EndpointConditions {
            ready: Some(ready),
            ..EndpointConditions::default()
        }),
        hostname: address.hostname.clone(),
        node_name: address.node_name.clone(),
        target_ref: address.target_ref.clone(),
        ..Endpoint::default()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::{Value, json};

    fn endpoints(labels: Value) -> Endpoints {
        serde_json::from_value(
            json!({ "metadata": { "name": "db", "namespace": "d", "labels": labels },
            "subsets": [{ "addresses": [{ "ip": "192.0.2.1" }, { "ip": "fd00::1" }],
                "notReadyAddresses": [{ "ip": "192.0.2.2" }], "ports": [{ "port": 5432 }] }] }),
        )
        .unwrap()
    }

    #[test]
    fn each_family_has_a_slice_of_the_ready_and_the_unready() {
        let plan = plan(&endpoints(json!({ "a": "b" })), vec![]);
        let slices: Vec<_> = plan
            .create
            .iter()
            .map(|s| (s.address_type.as_str(), s.endpoints.as_ref().unwrap().len()))
            .collect();
        assert_eq!(slices, [("IPv4", 2), ("IPv6", 1)]);
        let labels = plan.create[0].metadata.labels.as_ref().unwrap();
        assert_eq!(labels["a"], "b");
        assert_eq!(labels[MANAGED_BY], MANAGER);
        assert_eq!(labels[SERVICE_NAME], "db");
    }

    #[test]
    fn endpoints_that_ask_not_to_be_mirrored_are_not() {
        assert!(is_mirrored(&endpoints(json!({}))));
        assert!(!is_mirrored(&endpoints(json!({ SKIP: "true" }))));
    }
}
