//! Cluster addresses and node ports: who has which.
//!
//! Each is claimed by a key of its own before the Service that has it is
//! written, and given back after the Service is gone. The store makes a key
//! once, so servers that share one never give the same twice. What is in memory
//! only says where not to look. What nobody gave back, because a server died in
//! between, is found by [`repair`].

mod claim;
pub mod repair;

use std::collections::HashSet;
use std::net::{IpAddr, Ipv4Addr};
use std::ops::RangeInclusive;
use std::sync::{Arc, PoisonError, RwLock};

use apimachinery::{Status, meta};
use ipnet::{IpNet, Ipv4Net};
use rand::RngExt;
use serde_json::Value;
use store::{Expect, Range, Revision, Store};

use crate::mirror::{Follower, Source};
use crate::registry::store_failure;
use crate::{Error, keys};

pub use claim::{Claim, Owner, claims_of};

/// Random draws before the range is searched from end to end.
const DRAWS: usize = 64;

/// Why an address or port could not be had.
#[derive(Debug)]
pub enum Refusal {
    Taken,
    /// With the range there is.
    Outside(String),
    Exhausted,
    /// The store could not say.
    Failed(Status),
}

/// Names of what is claimed, followed from the store.
#[derive(Default)]
struct Claimed(RwLock<HashSet<String>>);

#[derive(Clone)]
pub struct Services {
    range: Ipv4Net,
    ports: RangeInclusive<u16>,
    store: Arc<dyn Store>,
    addresses: Arc<Claimed>,
    node_ports: Arc<Claimed>,
}

/// Addresses and ports claimed for a write that is not done yet. Whoever holds
/// them says what came of the write; a Held that is dropped keeps them claimed.
pub struct Held {
    services: Services,
    owner: Owner,
    /// None: only tried, nothing is claimed (dry run).
    claims: Vec<(Claim, Option<Revision>)>,
    is_dry: bool,
}

impl Services {
    /// # Errors
    /// A range of less than two addresses, or not of IPv4; a store that fails.
    pub async fn load(
        range: IpNet,
        ports: RangeInclusive<u16>,
        source: &Source,
    ) -> Result<Self, Error> {
        let range = match range {
            IpNet::V4(net) if net.prefix_len() <= 30 => net.trunc(),
            _ => return Err(Error::ServiceRange { range }),
        };
        let claimed = async |prefix| {
            let names = Arc::new(Claimed::default());
            let followed = source.follow(prefix, names.clone()).await;
            followed.map_err(|source| Error::Load { source })?;
            Ok::<_, Error>(names)
        };
        let services = Self {
            range,
            ports,
            store: source.store.clone(),
            addresses: claimed(claim::ADDRESSES).await?,
            node_ports: claimed(claim::PORTS).await?,
        };
        let load = |source| Error::Load { source };
        let mut suspects = repair::Suspects::default();
        services.repair(&mut suspects).await.map_err(load)?;
        if !services.store.is_shared() {
            // Nobody else can be about to write a Service.
            services.repair(&mut suspects).await.map_err(load)?;
        }
        Ok(services)
    }

    /// The address of the Service `kubernetes`: the first of the range.
    pub fn first(&self) -> IpAddr {
        IpAddr::V4(Ipv4Addr::from(u32::from(self.range.network()) + 1))
    }

    pub fn hold(&self, service: &Value, is_dry: bool) -> Held {
        Held {
            services: self.clone(),
            owner: Owner::of(service),
            claims: Vec::new(),
            is_dry,
        }
    }

    /// Gives back what a Service had that is gone (or what `kept` does not keep).
    pub async fn release(&self, service: &Value, kept: &Value) {
        let kept = claims_of(kept);
        for claim in claims_of(service) {
            if !kept.contains(&claim) {
                self.give_back(claim, meta::uid(service)).await;
            }
        }
    }

    /// That it fails is no harm: `repair` comes by.
    async fn give_back(&self, claim: Claim, owner: &str) {
        let given_back = async {
            let key = claim.key();
            let Some(entry) = self.store.get(&key).await? else {
                return Ok(());
            };
            if claim::owner_of(claim, &entry.value).as_deref() != Some(owner) {
                return Ok(());
            }
            self.remove(claim, entry.modified).await
        };
        if let Err(error) = given_back.await {
            tracing::debug!(%error, %claim, "give back what a Service had");
        }
    }

    async fn remove(&self, claim: Claim, revision: Revision) -> Result<(), store::Error> {
        let removed = self.store.delete(&claim.key(), Expect::At(revision)).await;
        match removed {
            Ok(_) | Err(store::Error::NotFound | store::Error::Conflict { .. }) => Ok(()),
            Err(error) => Err(error),
        }
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

    /// Some at random, then all.
    fn addresses(&self) -> impl Iterator<Item = Claim> + Send + use<> {
        let first = u32::from(self.range.network());
        let last = u32::from(self.range.broadcast());
        let band = first.saturating_add(self.static_band());
        let drawn = draw(band..last);
        let searched = (band..last).chain(first + 1..band);
        let all = drawn.into_iter().chain(searched);
        all.map(|address| Claim::Address(Ipv4Addr::from(address)))
    }

    fn node_ports(&self) -> impl Iterator<Item = Claim> + Send + use<> {
        let drawn = draw(*self.ports.start()..*self.ports.end());
        drawn.into_iter().chain(self.ports.clone()).map(Claim::Port)
    }

    fn is_known(&self, claim: &Claim) -> bool {
        let claimed = match claim {
            Claim::Address(_) => &self.addresses,
            Claim::Port(_) => &self.node_ports,
        };
        claimed.read().contains(&claim.to_string())
    }

    /// What is claimed now, by the store's own word.
    async fn claimed(&self, prefix: &str) -> Result<HashSet<String>, store::Error> {
        let prefix = keys::kind(prefix);
        let page = self.store.range(Range::prefix(&prefix)).await?;
        let names = page.entries.iter().map(|entry| &entry.key[prefix.len()..]);
        Ok(names
            .map(|name| String::from_utf8_lossy(name).into_owned())
            .collect())
    }
}

fn draw<T: rand::distr::uniform::SampleUniform + PartialOrd + Copy>(
    range: std::ops::Range<T>,
) -> Vec<T> {
    if range.is_empty() {
        return Vec::new();
    }
    let mut rng = rand::rng();
    (0..DRAWS)
        .map(|_| rng.random_range(range.clone()))
        .collect()
}

impl Held {
    /// Claims one particular address.
    pub async fn take_address(&mut self, wanted: IpAddr) -> Result<(), Refusal> {
        match wanted {
            IpAddr::V4(wanted) if self.services.is_usable(wanted) => {
                self.claim(Claim::Address(wanted)).await
            }
            _ => Err(Refusal::Outside(self.services.range.to_string())),
        }
    }

    /// Claims any free address.
    pub async fn any_address(&mut self) -> Result<IpAddr, Refusal> {
        match self.any(claim::ADDRESSES, Services::addresses).await? {
            Claim::Address(address) => Ok(IpAddr::V4(address)),
            Claim::Port(_) => unreachable!("addresses were searched"),
        }
    }

    pub async fn take_port(&mut self, wanted: u16) -> Result<(), Refusal> {
        let range = &self.services.ports;
        if !range.contains(&wanted) {
            let range = format!("{}-{}", range.start(), range.end());
            return Err(Refusal::Outside(range));
        }
        self.claim(Claim::Port(wanted)).await
    }

    pub async fn any_port(&mut self) -> Result<u16, Refusal> {
        match self.any(claim::PORTS, Services::node_ports).await? {
            Claim::Port(port) => Ok(port),
            Claim::Address(_) => unreachable!("ports were searched"),
        }
    }

    /// What became free a moment ago is found at the second look.
    async fn any<I: Iterator<Item = Claim> + Send>(
        &mut self,
        prefix: &str,
        candidates: impl Fn(&Services) -> I,
    ) -> Result<Claim, Refusal> {
        let services = self.services.clone();
        let unknown = candidates(&services).filter(|claim| !services.is_known(claim));
        match self.first_of(unknown).await {
            Err(Refusal::Exhausted) => {}
            decided => return decided,
        }
        let claimed = services.claimed(prefix).await;
        let claimed = claimed.map_err(|error| Refusal::Failed(store_failure(error)))?;
        let free = candidates(&services).filter(|claim| !claimed.contains(&claim.to_string()));
        self.first_of(free).await
    }

    async fn first_of(
        &mut self,
        candidates: impl Iterator<Item = Claim> + Send,
    ) -> Result<Claim, Refusal> {
        for claim in candidates {
            match self.claim(claim).await {
                Ok(()) => return Ok(claim),
                Err(Refusal::Taken) => {}
                Err(refusal) => return Err(refusal),
            }
        }
        Err(Refusal::Exhausted)
    }

    async fn claim(&mut self, claim: Claim) -> Result<(), Refusal> {
        if self.claims.iter().any(|(had, _)| *had == claim) {
            return Err(Refusal::Taken);
        }
        let revision = self.write(claim).await?;
        self.claims.push((claim, revision));
        Ok(())
    }

    async fn write(&self, claim: Claim) -> Result<Option<Revision>, Refusal> {
        let failed = |error| Refusal::Failed(store_failure(error));
        let (store, key) = (&self.services.store, claim.key());
        if self.is_dry {
            return match store.get(&key).await.map_err(failed)? {
                None => Ok(None),
                Some(_) => Err(Refusal::Taken),
            };
        }
        let value = claim::value(claim, &self.owner);
        match store.put(&key, value, Expect::Absent).await {
            Ok(entry) => Ok(Some(entry.modified)),
            Err(store::Error::Conflict { .. }) => Err(Refusal::Taken),
            Err(error) => Err(failed(error)),
        }
    }

    /// The write was refused: what was claimed for it is free again.
    pub async fn give_back(self) {
        for (claim, revision) in self.claims {
            let Some(revision) = revision else { continue };
            if let Err(error) = self.services.remove(claim, revision).await {
                tracing::debug!(%error, %claim, "give back what a Service was to have");
            }
        }
    }
}

impl Claimed {
    fn read(&self) -> std::sync::RwLockReadGuard<'_, HashSet<String>> {
        self.0.read().unwrap_or_else(PoisonError::into_inner)
    }

    fn write(&self) -> std::sync::RwLockWriteGuard<'_, HashSet<String>> {
        self.0.write().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Follower for Claimed {
    fn put(&self, key: &str, _object: &[u8]) {
        self.write().insert(key.to_owned());
    }

    fn delete(&self, key: &str) {
        self.write().remove(key);
    }

    fn clear(&self) {
        self.write().clear();
    }
}

#[cfg(test)]
mod tests;
