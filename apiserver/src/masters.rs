//! The endpoints of Service `kubernetes`: the servers that are alive.
//!
//! A server that has its store alone says once where it is. Servers that share
//! one each keep a key there and renew it; a key that another server has seen
//! unchanged for too long is of a dead one: it is removed, and so is the
//! address. Clocks are not compared between machines.

use std::collections::{BTreeSet, HashMap};
use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;
use std::time::Duration;

use serde_json::{Value, json};
use store::{Entry, Expect, Range, Revision};
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;

use crate::api::Api;
use crate::{Error, bootstrap, keys};

const PREFIX: &str = "masterleases";
const RENEW_EVERY: Duration = Duration::from_secs(10);
/// Three renewals that did not come.
const DEAD_AFTER: Duration = Duration::from_secs(30);

pub struct Masters {
    api: Arc<Api>,
    own: SocketAddr,
    others: Renewals,
}

/// Others' keys: their last renewal, and when this server learnt of it.
#[derive(Default)]
struct Renewals(HashMap<Vec<u8>, (Revision, Instant)>);

impl Renewals {
    /// Whether the key has not been renewed for too long.
    fn is_dead(&mut self, key: &[u8], renewed: Revision, now: Instant) -> bool {
        let latest = (renewed, now);
        let seen = self.0.entry(key.to_vec()).or_insert(latest);
        if seen.0 != renewed {
            *seen = latest;
        }
        now - seen.1 >= DEAD_AFTER
    }

    fn keep(&mut self, entries: &[Entry]) {
        let is_there = |key: &[u8]| entries.iter().any(|entry| entry.key == key);
        self.0.retain(|key, _| is_there(key));
    }
}

impl Masters {
    /// Tells where this server is. The rest is for [`Masters::keep`], if there
    /// is any.
    pub async fn announce(api: &Arc<Api>, own: SocketAddr) -> Result<Option<Self>, Error> {
        if own.ip().is_loopback() || own.ip().is_unspecified() {
            // No pod could reach it there, and the API takes no such endpoint.
            tracing::info!(%own, "the Service kubernetes gets no endpoint: no other machine could use the address");
            return Ok(None);
        }
        let mut masters = Self {
            api: api.clone(),
            own,
            others: Renewals::default(),
        };
        if !api.store.is_shared() {
            masters.publish(&BTreeSet::from([own.ip()])).await?;
            return Ok(None);
        }
        masters.renew().await?;
        Ok(Some(masters))
    }

    /// Renews until `stop`, then takes this server's address away.
    pub async fn keep(mut self, stop: CancellationToken) {
        loop {
            tokio::select! {
                () = stop.cancelled() => break,
                () = tokio::time::sleep(RENEW_EVERY) => {}
            }
            if let Err(error) = self.renew().await {
                tracing::warn!(%error, "renew this server's place among the endpoints of the Service kubernetes");
            }
        }
        if let Err(error) = self.withdraw().await {
            tracing::debug!(%error, "leave the endpoints of the Service kubernetes");
        }
    }

    async fn renew(&mut self) -> Result<(), Error> {
        let load = |source| Error::Load { source };
        let words = json!({ "port": self.own.port() }).to_string();
        let value = store::Value::plain(words);
        let renewed = self.api.store.put(&self.key(), value, Expect::Any).await;
        renewed.map_err(load)?;
        let alive = self.alive(Instant::now()).await.map_err(load)?;
        self.publish(&alive).await
    }

    async fn withdraw(&mut self) -> Result<(), Error> {
        let load = |source| Error::Load { source };
        let removed = self.api.store.delete(&self.key(), Expect::Any).await;
        removed.map_err(load)?;
        let alive = self.alive(Instant::now()).await.map_err(load)?;
        if alive.is_empty() {
            return Ok(());
        }
        self.publish(&alive).await
    }

    fn key(&self) -> Vec<u8> {
        keys::object(PREFIX, None, &self.own.ip().to_string())
    }

    /// The addresses of all servers that renew; keys of dead ones are removed.
    async fn alive(&mut self, now: Instant) -> Result<BTreeSet<IpAddr>, store::Error> {
        let under = keys::kind(PREFIX);
        let store = self.api.store.clone();
        let page = store.range(Range::prefix(&under)).await?;
        let mut alive = BTreeSet::new();
        for entry in &page.entries {
            let is_other = entry.key != self.key();
            if is_other && self.others.is_dead(&entry.key, entry.modified, now) {
                tracing::info!(server = %String::from_utf8_lossy(&entry.key), "a server is gone");
                match store.delete(&entry.key, Expect::At(entry.modified)).await {
                    Ok(_) | Err(store::Error::NotFound) => {}
                    // It renewed after all.
                    Err(store::Error::Conflict { .. }) => {}
                    Err(error) => return Err(error),
                }
                continue;
            }
            alive.extend(self.address(&entry.key[under.len()..], &entry.value));
        }
        self.others.keep(&page.entries);
        Ok(alive)
    }

    /// None for one that serves on another port: all endpoints have one port.
    fn address(&self, name: &[u8], words: &[u8]) -> Option<IpAddr> {
        let address = std::str::from_utf8(name).ok()?.parse().ok()?;
        let port = serde_json::from_slice::<Value>(words).ok()?["port"].clone();
        if port != self.own.port() {
            tracing::warn!(%address, %port, "a server on another port cannot be an endpoint of the Service kubernetes: give all the same --secure-port");
            return None;
        }
        Some(address)
    }

    async fn publish(&mut self, addresses: &BTreeSet<IpAddr>) -> Result<(), Error> {
        let path = "/api/v1/namespaces/default/endpoints/kubernetes";
        bootstrap::put(&self.api, path, &self.endpoints(addresses)).await?;
        let path = "/apis/discovery.k8s.io/v1/namespaces/default/endpointslices/kubernetes";
        bootstrap::put(&self.api, path, &self.slice(addresses)).await
    }

    fn endpoints(&self, addresses: &BTreeSet<IpAddr>) -> Value {
        let addresses: Vec<Value> = addresses
            .iter()
            .map(|ip| json!({ "ip": ip.to_string() }))
            .collect();
        json!({
            "apiVersion": "v1", "kind": "Endpoints",
            "metadata": {
                "name": "kubernetes", "namespace": "default",
                "labels": { "endpointslice.kubernetes.io/skip-mirror": "true" },
            },
            "subsets": [{
                "addresses": addresses,
                "ports": [{ "name": "https", "port": self.own.port(), "protocol": "TCP" }],
            }],
        })
    }

    fn slice(&self, addresses: &BTreeSet<IpAddr>) -> Value {
        let is_same = |ip: &&IpAddr| ip.is_ipv4() == self.own.is_ipv4();
        let endpoints: Vec<Value> = addresses
            .iter()
            .filter(is_same)
            .map(|ip| json!({ "addresses": [ip.to_string()], "conditions": { "ready": true } }))
            .collect();
        json!({
            "apiVersion": "discovery.k8s.io/v1", "kind": "EndpointSlice",
            "metadata": {
                "name": "kubernetes", "namespace": "default",
                "labels": { "kubernetes.io/service-name": "kubernetes" },
            },
            "addressType": if self.own.is_ipv4() { "IPv4" } else { "IPv6" },
            "endpoints": endpoints,
            "ports": [{ "name": "https", "port": self.own.port(), "protocol": "TCP" }],
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_server_is_dead_when_its_key_is_not_renewed_for_so_long_as_seen_from_here() {
        let mut others = Renewals::default();
        let start = Instant::now();
        let after = |seconds| start + Duration::from_secs(seconds);
        assert!(!others.is_dead(b"a", Revision(1), start));
        assert!(!others.is_dead(b"a", Revision(1), after(29)));
        assert!(!others.is_dead(b"a", Revision(2), after(30)), "renewed");
        assert!(!others.is_dead(b"a", Revision(2), after(59)));
        assert!(others.is_dead(b"a", Revision(2), after(60)));
        others.keep(&[]);
        assert!(!others.is_dead(b"a", Revision(3), after(90)), "back again");
    }
}
