//! Services and slices by name, and the slices of each Service.

use std::collections::{HashMap, HashSet};
use std::net::Ipv4Addr;
use std::sync::Arc;

use super::{Endpoint, ObjectName, Service, Slice, Target};

/// Every method that changes it returns the Services whose picture changed.
#[derive(Debug, Default)]
pub struct Index {
    services: HashMap<ObjectName, Arc<Service>>,
    slices: HashMap<ObjectName, Slice>,
    slices_of: HashMap<ObjectName, HashSet<ObjectName>>,
}

impl Index {
    pub fn service(&self, name: &ObjectName) -> Option<&Arc<Service>> {
        self.services.get(name)
    }

    /// The slices of a Service; in no order.
    pub fn slices(&self, service: &ObjectName) -> impl Iterator<Item = &Slice> {
        let names = self.slices_of.get(service).into_iter().flatten();
        names.filter_map(|name| self.slices.get(name))
    }

    pub fn has_namespace(&self, namespace: &str) -> bool {
        self.services
            .keys()
            .any(|name| &*name.namespace == namespace)
    }

    /// The Service that has the address.
    pub fn service_at(&self, ip: Ipv4Addr) -> Option<&ObjectName> {
        let holds_ip = |service: &Service| match &service.target {
            Target::ClusterIps(ips) => ips.contains(&ip),
            Target::Headless | Target::ExternalName(_) => false,
        };
        let mut services = self.services.iter();
        services.find_map(|(name, service)| holds_ip(service).then_some(name))
    }

    /// The headless Services' endpoints that have the address.
    pub fn headless_endpoints_at(
        &self,
        ip: Ipv4Addr,
    ) -> impl Iterator<Item = (ObjectName, &Endpoint)> {
        let slices = self.slices.iter().filter_map(move |(name, slice)| {
            let service = owner(name, slice);
            let target = &self.services.get(&service)?.target;
            (*target == Target::Headless).then_some((service, slice))
        });
        slices.flat_map(move |(service, slice)| {
            let at_ip = slice
                .endpoints
                .iter()
                .filter(move |endpoint| endpoint.ip == ip);
            at_ip.map(move |endpoint| (service.clone(), endpoint))
        })
    }

    pub(super) fn put_service(&mut self, name: ObjectName, service: Service) -> Vec<ObjectName> {
        if self
            .services
            .get(&name)
            .is_some_and(|known| **known == service)
        {
            return Vec::new();
        }
        self.services.insert(name.clone(), Arc::new(service));
        vec![name]
    }

    pub(super) fn delete_service(&mut self, name: &ObjectName) -> Vec<ObjectName> {
        match self.services.remove_entry(name) {
            Some((name, _)) => vec![name],
            None => Vec::new(),
        }
    }

    pub(super) fn replace_services(
        &mut self,
        services: Vec<(ObjectName, Service)>,
    ) -> Vec<ObjectName> {
        let kept: HashSet<&ObjectName> = services.iter().map(|(name, _)| name).collect();
        let gone: Vec<ObjectName> = self
            .services
            .keys()
            .filter(|name| !kept.contains(name))
            .cloned()
            .collect();
        let mut changed: Vec<ObjectName> = gone
            .iter()
            .flat_map(|name| self.delete_service(name))
            .collect();
        for (name, service) in services {
            changed.extend(self.put_service(name, service));
        }
        changed
    }

    pub(super) fn put_slice(&mut self, name: ObjectName, slice: Slice) -> Vec<ObjectName> {
        if self.slices.get(&name) == Some(&slice) {
            return Vec::new();
        }
        let mut changed = self.delete_slice(&name);
        let service = owner(&name, &slice);
        self.slices_of
            .entry(service.clone())
            .or_default()
            .insert(name.clone());
        self.slices.insert(name, slice);
        changed.push(service);
        changed
    }

    pub(super) fn delete_slice(&mut self, name: &ObjectName) -> Vec<ObjectName> {
        let Some(slice) = self.slices.remove(name) else {
            return Vec::new();
        };
        let service = owner(name, &slice);
        if let Some(names) = self.slices_of.get_mut(&service) {
            names.remove(name);
            if names.is_empty() {
                self.slices_of.remove(&service);
            }
        }
        vec![service]
    }

    pub(super) fn replace_slices(&mut self, slices: Vec<(ObjectName, Slice)>) -> Vec<ObjectName> {
        let kept: HashSet<&ObjectName> = slices.iter().map(|(name, _)| name).collect();
        let gone: Vec<ObjectName> = self
            .slices
            .keys()
            .filter(|name| !kept.contains(name))
            .cloned()
            .collect();
        let mut changed: Vec<ObjectName> = gone
            .iter()
            .flat_map(|name| self.delete_slice(name))
            .collect();
        for (name, slice) in slices {
            changed.extend(self.put_slice(name, slice));
        }
        changed
    }
}

fn owner(name: &ObjectName, slice: &Slice) -> ObjectName {
    ObjectName {
        namespace: name.namespace.clone(),
        name: slice.service.clone(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::cluster::{Readiness, TrafficPolicy};

    fn service() -> Service {
        Service {
            target: Target::Headless,
            ports: Vec::new(),
            balanced_at: Vec::new(),
            affinity: None,
            publishes_not_ready: false,
            internal_policy: TrafficPolicy::Cluster,
            external_policy: TrafficPolicy::Cluster,
        }
    }

    fn slice_of(service: &str, ip: [u8; 4]) -> Slice {
        let endpoint = Endpoint {
            ip: ip.into(),
            readiness: Readiness::Ready,
            node: None,
            hostname: None,
        };
        Slice {
            service: service.into(),
            ports: Vec::new(),
            endpoints: vec![endpoint],
        }
    }

    fn name(name: &str) -> ObjectName {
        ObjectName::new("default", name)
    }

    #[test]
    fn slice_that_moves_to_another_service_changes_both() {
        let mut index = Index::default();
        index.put_slice(name("s-1"), slice_of("a", [10, 0, 0, 1]));
        let changed = index.put_slice(name("s-1"), slice_of("b", [10, 0, 0, 1]));
        assert_eq!(changed, [name("a"), name("b")]);
        assert_eq!(index.slices(&name("a")).count(), 0);
        assert_eq!(index.slices(&name("b")).count(), 1);
    }

    #[test]
    fn unchanged_object_changes_nothing() {
        let mut index = Index::default();
        index.put_service(name("a"), service());
        index.put_slice(name("s-1"), slice_of("a", [10, 0, 0, 1]));
        assert!(index.put_service(name("a"), service()).is_empty());
        assert!(
            index
                .put_slice(name("s-1"), slice_of("a", [10, 0, 0, 1]))
                .is_empty()
        );
        assert!(
            index
                .replace_services(vec![(name("a"), service())])
                .is_empty()
        );
    }

    #[test]
    fn starting_over_forgets_what_is_gone() {
        let mut index = Index::default();
        index.put_service(name("a"), service());
        index.put_service(name("b"), service());
        assert_eq!(
            index.replace_services(vec![(name("b"), service())]),
            [name("a")]
        );
        assert!(index.service(&name("a")).is_none());
        index.put_slice(name("s-1"), slice_of("b", [10, 0, 0, 1]));
        assert_eq!(index.replace_slices(Vec::new()), [name("b")]);
        assert_eq!(index.slices(&name("b")).count(), 0);
    }

    #[test]
    fn endpoint_is_found_by_address_only_under_headless_services() {
        let mut index = Index::default();
        index.put_slice(name("s-1"), slice_of("a", [10, 0, 0, 1]));
        assert_eq!(index.headless_endpoints_at([10, 0, 0, 1].into()).count(), 0);
        index.put_service(name("a"), service());
        let found: Vec<_> = index.headless_endpoints_at([10, 0, 0, 1].into()).collect();
        assert_eq!(found[0].0, name("a"));
    }
}
