//! From a Service to the addresses behind it.
//!
//! The API server need not be on the pod network's DNS, nor where Services'
//! addresses are routed, so it looks into the Service's EndpointSlices itself,
//! and into its Endpoints where it has none.

use std::sync::Arc;

use apimachinery::meta;
use serde_json::Value;
use store::{Range, Store};

use super::dial::Error;
use crate::keys;

/// A Service and one of its ports, by number.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct Service {
    pub namespace: String,
    pub name: String,
    pub port: u16,
}

impl Service {
    /// Reads a `ServiceReference`; the port is 443 unless it says otherwise.
    pub fn read(reference: &Value) -> Self {
        let port = meta::int(reference, "port").and_then(|port| u16::try_from(port).ok());
        Self {
            namespace: meta::text(reference, "namespace").to_owned(),
            name: meta::text(reference, "name").to_owned(),
            port: port.unwrap_or(443),
        }
    }

    /// The name that its certificate must be for.
    pub fn host(&self) -> String {
        format!("{}.{}.svc", self.name, self.namespace)
    }

    /// The Service that `host` names, if it names one.
    pub fn of_host(host: &str, port: u16) -> Option<Self> {
        let (name, namespace) = host.strip_suffix(".svc")?.split_once('.')?;
        Some(Self {
            namespace: namespace.to_owned(),
            name: name.to_owned(),
            port,
        })
    }
}

/// Where a Service's port is served right now: host and port, ready ones only.
///
/// # Errors
/// Never with an empty list: a Service that is not there, does not have the port
/// or has nobody ready behind it is told in Kubernetes' words.
pub async fn addresses(
    store: &Arc<dyn Store>,
    wanted: &Service,
) -> Result<Vec<(String, u16)>, Error> {
    let namespace = Some(wanted.namespace.as_str());
    let key = keys::object("services", namespace, &wanted.name);
    let Some(service) = read(store, &key).await? else {
        return Err(Error::NoService {
            name: wanted.name.clone(),
        });
    };
    if meta::text(&service, "spec.type") == "ExternalName" {
        let host = meta::text(&service, "spec.externalName").to_owned();
        return Ok(vec![(host, wanted.port)]);
    }
    let port = port_name(&service, wanted.port).ok_or_else(|| Error::NoPort {
        name: wanted.name.clone(),
        port: wanted.port,
    })?;
    let mut found = of_slices(store, wanted, port).await?;
    if found.is_empty() {
        let key = keys::object("endpoints", namespace, &wanted.name);
        let endpoints = read(store, &key).await?.unwrap_or_default();
        found = of_endpoints(&endpoints, port);
    }
    if found.is_empty() {
        return Err(Error::NoEndpoints {
            name: wanted.name.clone(),
        });
    }
    Ok(found)
}

async fn read(store: &Arc<dyn Store>, key: &[u8]) -> Result<Option<Value>, Error> {
    let found = store
        .get(key)
        .await
        .map_err(|source| Error::Store { source })?;
    Ok(found.and_then(|entry| serde_json::from_slice(&entry.value).ok()))
}

/// The name of the Service's port of that number (empty where it has none).
fn port_name(service: &Value, port: u16) -> Option<&str> {
    let mut ports = meta::items(service, "spec.ports").iter();
    let found = ports.find(|p| p["port"].as_u64() == Some(port.into()))?;
    Some(meta::text(found, "name"))
}

async fn of_slices(
    store: &Arc<dyn Store>,
    wanted: &Service,
    port: &str,
) -> Result<Vec<(String, u16)>, Error> {
    let prefix = keys::collection("endpointslices", Some(&wanted.namespace));
    let page = store
        .range(Range::prefix(prefix))
        .await
        .map_err(|source| Error::Store { source })?;
    let named = memchr::memmem::Finder::new(wanted.name.as_bytes());
    let mut found = Vec::new();
    for entry in &page.entries {
        if named.find(&entry.value).is_none() {
            continue;
        }
        let Ok(slice) = serde_json::from_slice::<Value>(&entry.value) else {
            continue;
        };
        if meta::label(&slice, "kubernetes.io/service-name") == Some(&wanted.name) {
            add_slice(&slice, port, &mut found);
        }
    }
    Ok(found)
}

fn add_slice(slice: &Value, port: &str, found: &mut Vec<(String, u16)>) {
    let Some(port) = number_of(meta::items(slice, "ports"), port) else {
        return;
    };
    for endpoint in meta::items(slice, "endpoints") {
        // Unknown is to be read as ready.
        if endpoint["conditions"]["ready"] == false {
            continue;
        }
        let addresses = meta::items(endpoint, "addresses").iter();
        found.extend(addresses.filter_map(|a| Some((a.as_str()?.to_owned(), port))));
    }
}

fn of_endpoints(endpoints: &Value, port: &str) -> Vec<(String, u16)> {
    let mut found = Vec::new();
    for subset in meta::items(endpoints, "subsets") {
        let Some(port) = number_of(meta::items(subset, "ports"), port) else {
            continue;
        };
        let addresses = meta::items(subset, "addresses").iter();
        found.extend(addresses.map(|a| (meta::text(a, "ip").to_owned(), port)));
    }
    found
}

fn number_of(ports: &[Value], name: &str) -> Option<u16> {
    let found = ports.iter().find(|p| meta::text(p, "name") == name)?;
    u16::try_from(found["port"].as_u64()?).ok()
}
