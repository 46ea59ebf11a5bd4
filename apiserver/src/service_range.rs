//! Cluster addresses and node ports: who has which, kept in memory and rebuilt
//! from the stored Services at start.

use std::collections::HashSet;
use std::net::{IpAddr, Ipv4Addr};
use std::ops::RangeInclusive;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use apimachinery::meta;
use ipnet::{IpNet, Ipv4Net};
use rand::RngExt;
use serde_json::Value;

use crate::Error;

/// Random draws before the range is searched from end to end.
const DRAWS: usize = 64;

/// Why an address or port could not be had.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Refusal {
    Taken,
    /// With the range there is.
    Outside(String),
    Exhausted,
}

#[derive(Default)]
struct Taken {
    addresses: HashSet<Ipv4Addr>,
    ports: HashSet<u16>,
}

#[derive(Clone)]
pub struct Services {
    range: Ipv4Net,
    ports: RangeInclusive<u16>,
    taken: Arc<Mutex<Taken>>,
}

/// Addresses and ports taken for a write that is not done yet; given back when
/// dropped before `commit`.
pub struct Held {
    services: Services,
    addresses: Vec<Ipv4Addr>,
    ports: Vec<u16>,
}

impl Services {
    /// # Errors
    /// A range of less than two addresses, or not of IPv4.
    pub fn new(range: IpNet, ports: RangeInclusive<u16>) -> Result<Self, Error> {
        match range {
            IpNet::V4(net) if net.prefix_len() <= 30 => Ok(Self {
                range: net.trunc(),
                ports,
                taken: Arc::default(),
            }),
            _ => Err(Error::ServiceRange { range }),
        }
    }

    /// The address of the Service `kubernetes`: the first of the range.
    pub fn first(&self) -> IpAddr {
        IpAddr::V4(Ipv4Addr::from(u32::from(self.range.network()) + 1))
    }

    /// Notes what a stored Service has.
    pub fn adopt(&self, service: &Value) {
        let mut taken = self.lock();
        taken.addresses.extend(addresses_of(service));
        taken.ports.extend(ports_of(service));
    }

    /// Gives back what a Service had that is gone (or what `kept` does not keep).
    pub fn release(&self, service: &Value, kept: &Value) {
        let (addresses, ports) = (addresses_of(kept), ports_of(kept));
        let mut taken = self.lock();
        for address in addresses_of(service)
            .iter()
            .filter(|a| !addresses.contains(a))
        {
            taken.addresses.remove(address);
        }
        for port in ports_of(service).iter().filter(|p| !ports.contains(p)) {
            taken.ports.remove(port);
        }
    }

    pub fn hold(&self) -> Held {
        Held {
            services: self.clone(),
            addresses: Vec::new(),
            ports: Vec::new(),
        }
    }

    fn lock(&self) -> MutexGuard<'_, Taken> {
        self.taken.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn is_usable(&self, address: Ipv4Addr) -> bool {
        self.range.contains(&address)
            && address != self.range.network()
            && address != self.range.broadcast()
    }

    /// Addresses below this are left to those who name their address.
    fn static_band(&self) -> u32 {
        let size = u32::try_from(1_u64 << (32 - self.range.prefix_len())).unwrap_or(u32::MAX);
        (size / 16).clamp(16, 256).min(size / 2)
    }
}

impl Held {
    /// Takes one particular address.
    pub fn take_address(&mut self, wanted: IpAddr) -> Result<(), Refusal> {
        let outside = || Refusal::Outside(self.services.range.to_string());
        let IpAddr::V4(wanted) = wanted else {
            return Err(outside());
        };
        if !self.services.is_usable(wanted) {
            return Err(outside());
        }
        if !self.services.lock().addresses.insert(wanted) {
            return Err(Refusal::Taken);
        }
        self.addresses.push(wanted);
        Ok(())
    }

    /// Takes any free address.
    pub fn any_address(&mut self) -> Result<IpAddr, Refusal> {
        let services = self.services.clone();
        let mut taken = services.lock();
        let first = u32::from(services.range.network());
        let last = u32::from(services.range.broadcast());
        let band = first.saturating_add(services.static_band());
        let mut rng = rand::rng();
        let drawn = (0..DRAWS).map(|_| Ipv4Addr::from(rng.random_range(band..last)));
        let searched = (band..last).chain(first + 1..band).map(Ipv4Addr::from);
        let free = drawn
            .chain(searched)
            .find(|a| !taken.addresses.contains(a))
            .ok_or(Refusal::Exhausted)?;
        taken.addresses.insert(free);
        self.addresses.push(free);
        Ok(IpAddr::V4(free))
    }

    pub fn take_port(&mut self, wanted: u16) -> Result<(), Refusal> {
        let range = &self.services.ports;
        if !range.contains(&wanted) {
            return Err(Refusal::Outside(format!(
                "{}-{}",
                range.start(),
                range.end()
            )));
        }
        if !self.services.lock().ports.insert(wanted) {
            return Err(Refusal::Taken);
        }
        self.ports.push(wanted);
        Ok(())
    }

    pub fn any_port(&mut self) -> Result<u16, Refusal> {
        let services = self.services.clone();
        let mut taken = services.lock();
        let mut rng = rand::rng();
        let range = services.ports.clone();
        let drawn = (0..DRAWS).map(|_| rng.random_range(range.clone()));
        let free = drawn
            .chain(range.clone())
            .find(|p| !taken.ports.contains(p))
            .ok_or(Refusal::Exhausted)?;
        taken.ports.insert(free);
        self.ports.push(free);
        Ok(free)
    }

    /// The write is done: what was taken stays taken.
    pub fn commit(mut self) {
        self.addresses.clear();
        self.ports.clear();
    }
}

impl Drop for Held {
    fn drop(&mut self) {
        let mut taken = self.services.lock();
        for address in &self.addresses {
            taken.addresses.remove(address);
        }
        for port in &self.ports {
            taken.ports.remove(port);
        }
    }
}

/// The cluster addresses a Service holds.
pub fn addresses_of(service: &Value) -> Vec<Ipv4Addr> {
    let mut found: Vec<Ipv4Addr> = meta::items(service, "spec.clusterIPs")
        .iter()
        .filter_map(|ip| ip.as_str()?.parse().ok())
        .collect();
    let single = meta::text(service, "spec.clusterIP").parse().ok();
    found.extend(
        single
            .filter(|ip| !found.contains(ip))
            .into_iter()
            .collect::<Vec<Ipv4Addr>>(),
    );
    found
}

/// The node ports a Service holds.
pub fn ports_of(service: &Value) -> Vec<u16> {
    let as_port = |value: &Value| {
        value
            .as_u64()
            .and_then(|n| u16::try_from(n).ok())
            .filter(|p| *p > 0)
    };
    let ports = meta::items(service, "spec.ports").iter();
    let mut found: Vec<u16> = ports
        .filter_map(|port| as_port(&port["nodePort"]))
        .collect();
    found.extend(as_port(&service["spec"]["healthCheckNodePort"]));
    found.dedup();
    found
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn small() -> Services {
        Services::new("10.0.0.0/29".parse().unwrap(), 30000..=30001).unwrap()
    }

    #[test]
    fn every_address_but_the_ends_is_given_once() {
        let services = small();
        let mut held = services.hold();
        let mut given: Vec<_> = (0..6).map(|_| held.any_address().unwrap()).collect();
        given.sort();
        given.dedup();
        assert_eq!(given.len(), 6);
        assert_eq!(held.any_address(), Err(Refusal::Exhausted));
    }

    #[test]
    fn what_is_not_committed_is_free_again() {
        let services = small();
        let mut held = services.hold();
        held.take_port(30000).unwrap();
        drop(held);
        let mut held = services.hold();
        held.take_port(30000).unwrap();
        held.commit();
        assert_eq!(services.hold().take_port(30000), Err(Refusal::Taken));
    }

    #[test]
    fn a_changed_service_gives_back_only_what_it_gave_up() {
        let services = small();
        let old = json!({"spec": {"clusterIP": "10.0.0.3", "ports": [{"nodePort": 30000}, {"nodePort": 30001}]}});
        let new = json!({"spec": {"clusterIP": "10.0.0.3", "ports": [{"nodePort": 30001}]}});
        services.adopt(&old);
        services.release(&old, &new);
        assert_eq!(
            services.hold().take_address("10.0.0.3".parse().unwrap()),
            Err(Refusal::Taken)
        );
        assert_eq!(services.hold().take_port(30001), Err(Refusal::Taken));
        assert_eq!(services.hold().take_port(30000), Ok(()));
    }
}
