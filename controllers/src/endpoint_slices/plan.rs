//! From the endpoints there should be to the slices to write, with as few
//! writes as can be: whoever watches slices pays for each of them.

use std::collections::{BTreeMap, HashMap};
use std::sync::Arc;

use k8s_openapi::api::discovery::v1::{Endpoint, EndpointPort, EndpointSlice};
use k8s_openapi::apimachinery::pkg::apis::meta::v1::OwnerReference;
use kube::api::ObjectMeta;

/// Endpoints in one slice, at most.
pub const MOST: usize = 100;

/// Endpoints that share their ports.
#[derive(Debug, Default)]
pub struct Group {
    pub ports: Vec<EndpointPort>,
    pub endpoints: Vec<Endpoint>,
}

/// What all slices of one owner and address family have alike.
pub struct Frame {
    pub namespace: String,
    pub generate_name: String,
    pub labels: BTreeMap<String, String>,
    pub owner: OwnerReference,
    pub address_type: String,
}

#[derive(Debug, Default)]
pub struct Plan {
    pub create: Vec<EndpointSlice>,
    pub update: Vec<EndpointSlice>,
    pub delete: Vec<Arc<EndpointSlice>>,
}

/// A slice that exists, and what it is to hold.
struct Draft {
    base: Arc<EndpointSlice>,
    endpoints: Vec<Endpoint>,
    is_changed: bool,
}

impl Frame {
    /// The writes that lead from `existing` to `groups`. Without any endpoint
    /// one empty slice stays, which says that the Service is known.
    pub fn plan(&self, mut groups: Vec<Group>, existing: Vec<Arc<EndpointSlice>>) -> Plan {
        groups.retain(|group| !group.endpoints.is_empty());
        if groups.is_empty() {
            groups.push(Group::default());
        }
        let mut by_ports: HashMap<Vec<PortKey>, Vec<Arc<EndpointSlice>>> = HashMap::new();
        for slice in existing {
            let ports = slice.ports.as_deref().unwrap_or_default();
            by_ports.entry(port_keys(ports)).or_default().push(slice);
        }
        let mut plan = Plan::default();
        for group in groups {
            let have = by_ports
                .remove(&port_keys(&group.ports))
                .unwrap_or_default();
            self.plan_group(group, have, &mut plan);
        }
        plan.delete.extend(by_ports.into_values().flatten());
        plan.recycle();
        plan
    }

    fn plan_group(&self, group: Group, have: Vec<Arc<EndpointSlice>>, plan: &mut Plan) {
        let order: Vec<String> = group.endpoints.iter().map(identity).collect();
        let mut missing: HashMap<String, Endpoint> =
            order.iter().cloned().zip(group.endpoints).collect();
        let mut drafts: Vec<Draft> = have
            .into_iter()
            .map(|slice| self.keep(slice, &mut missing))
            .collect();
        let new = order.iter().filter_map(|identity| missing.remove(identity));
        let mut rest: Vec<Endpoint> = new.collect();
        fill_changed(&mut drafts, &mut rest);
        while rest.len() >= MOST {
            let full = rest.drain(..MOST).collect();
            plan.create.push(self.slice(group.ports.clone(), full));
        }
        if !rest.is_empty() {
            match fullest_with_room(&mut drafts, rest.len()) {
                Some(draft) => draft.append(&mut rest, MOST),
                None => plan.create.push(self.slice(group.ports.clone(), rest)),
            }
        }
        let is_empty = drafts.iter().all(|d| d.endpoints.is_empty()) && plan.create.is_empty();
        self.settle(
            drafts,
            is_empty && group.ports.is_empty(),
            &group.ports,
            plan,
        );
    }

    /// What of a slice is still wanted, brought up to date.
    fn keep(&self, base: Arc<EndpointSlice>, missing: &mut HashMap<String, Endpoint>) -> Draft {
        let before = base.endpoints.as_deref().unwrap_or_default();
        let endpoints: Vec<Endpoint> = before
            .iter()
            .filter_map(|endpoint| missing.remove(&identity(endpoint)))
            .collect();
        let is_framed = base.metadata.labels.as_ref() == Some(&self.labels)
            && base.metadata.owner_references.as_deref() == Some(std::slice::from_ref(&self.owner));
        let is_changed = !is_framed || endpoints != before;
        Draft {
            base,
            endpoints,
            is_changed,
        }
    }

    fn settle(
        &self,
        drafts: Vec<Draft>,
        mut keep_one: bool,
        ports: &[EndpointPort],
        plan: &mut Plan,
    ) {
        for draft in drafts {
            if draft.endpoints.is_empty() && !keep_one {
                plan.delete.push(draft.base);
                continue;
            }
            if draft.endpoints.is_empty() {
                keep_one = false;
            }
            if draft.is_changed {
                let slice = self.slice(ports.to_vec(), draft.endpoints);
                plan.update.push(in_place_of(slice, &draft.base));
            }
        }
        if keep_one {
            plan.create.push(self.slice(Vec::new(), Vec::new()));
        }
    }

    fn slice(&self, ports: Vec<EndpointPort>, endpoints: Vec<Endpoint>) -> EndpointSlice {
        EndpointSlice {
            metadata: ObjectMeta {
                namespace: Some(self.namespace.clone()),
                generate_name: Some(self.generate_name.clone()),
                labels: Some(self.labels.clone()),
                owner_references: Some(vec![self.owner.clone()]),
                ..ObjectMeta::default()
            },
            address_type: self.address_type.clone(),
            endpoints: Some(endpoints),
            ports: Some(ports),
        }
    }
}

impl Draft {
    fn append(&mut self, rest: &mut Vec<Endpoint>, most: usize) {
        let room = most.saturating_sub(self.endpoints.len()).min(rest.len());
        self.is_changed |= room > 0;
        self.endpoints.extend(rest.drain(..room));
    }
}

impl Plan {
    /// Gives what is written this annotation, or none of the name.
    pub fn annotate(&mut self, name: &str, value: Option<String>) {
        for slice in self.create.iter_mut().chain(&mut self.update) {
            let annotations = slice.metadata.annotations.get_or_insert_default();
            match &value {
                Some(value) => annotations.insert(name.to_owned(), value.clone()),
                None => annotations.remove(name),
            };
        }
    }

    /// A slice to be deleted becomes one to be created: one write, not two.
    fn recycle(&mut self) {
        let count = self.create.len().min(self.delete.len());
        let created = self.create.split_off(self.create.len() - count);
        let deleted = self.delete.split_off(self.delete.len() - count);
        for (create, delete) in created.into_iter().zip(deleted) {
            self.update.push(in_place_of(create, &delete));
        }
    }
}

/// Slices that are written anyway take new endpoints first.
fn fill_changed(drafts: &mut [Draft], rest: &mut Vec<Endpoint>) {
    for draft in drafts.iter_mut().filter(|draft| draft.is_changed) {
        draft.append(rest, MOST);
    }
}

fn fullest_with_room(drafts: &mut [Draft], count: usize) -> Option<&mut Draft> {
    let fits = drafts
        .iter_mut()
        .filter(|d| d.endpoints.len() + count <= MOST);
    fits.max_by_key(|draft| draft.endpoints.len())
}

fn in_place_of(mut slice: EndpointSlice, base: &EndpointSlice) -> EndpointSlice {
    let meta = ObjectMeta {
        labels: slice.metadata.labels.take(),
        owner_references: slice.metadata.owner_references.take(),
        ..base.metadata.clone()
    };
    slice.metadata = meta;
    slice
}

type PortKey = (String, String, i32, String);

fn port_keys(ports: &[EndpointPort]) -> Vec<PortKey> {
    let mut keys: Vec<PortKey> = ports.iter().map(port_key).collect();
    keys.sort();
    keys
}

fn port_key(port: &EndpointPort) -> PortKey {
    (
        port.name.clone().unwrap_or_default(),
        port.protocol.clone().unwrap_or_default(),
        port.port.unwrap_or(0),
        port.app_protocol.clone().unwrap_or_default(),
    )
}

/// What makes two endpoints the same: the pod and its addresses.
fn identity(endpoint: &Endpoint) -> String {
    let target = endpoint.target_ref.as_ref();
    let uid = target.and_then(|t| t.uid.as_deref()).unwrap_or_default();
    format!("{}/{uid}", endpoint.addresses.join(","))
}

#[cfg(test)]
mod tests;
