//! Service and EndpointSlice as they come from the API, without what is not
//! used here: annotations, managed fields and the rest are not even kept
//! while parsing.

use std::borrow::Cow;
use std::net::Ipv4Addr;
use std::time::Duration;

use jiff::Timestamp;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::ObjectMeta;
use kube::core::NamespaceResourceScope;
use serde::{Deserialize, Deserializer};

use super::{
    Endpoint, ObjectName, Protocol, Readiness, Service, ServicePort, Slice, SlicePort, Target,
    TrafficPolicy,
};

const SERVICE_NAME_LABEL: &str = "kubernetes.io/service-name";
/// When that happened which made the endpoints change.
const TRIGGER_TIME: &str = "endpoints.kubernetes.io/last-change-trigger-time";
const DEFAULT_AFFINITY: Duration = Duration::from_secs(10_800);

/// `v1` Service.
#[derive(Clone, Debug, Deserialize)]
pub struct ServiceObject {
    #[serde(deserialize_with = "trimmed")]
    metadata: ObjectMeta,
    #[serde(default)]
    spec: ServiceSpec,
    #[serde(default)]
    status: ServiceStatus,
}

#[derive(Clone, Debug, Default, Deserialize)]
#[serde(rename_all = "camelCase", default)]
struct ServiceStatus {
    load_balancer: Balancer,
}

#[derive(Clone, Debug, Default, Deserialize)]
#[serde(default)]
struct Balancer {
    ingress: Vec<Ingress>,
}

#[derive(Clone, Debug, Default, Deserialize)]
#[serde(rename_all = "camelCase", default)]
struct Ingress {
    ip: Option<String>,
    ip_mode: Option<String>,
}

#[derive(Clone, Debug, Default, Deserialize)]
#[serde(rename_all = "camelCase", default)]
struct ServiceSpec {
    r#type: Option<String>,
    load_balancer_class: Option<String>,
    #[serde(rename = "clusterIP")]
    cluster_ip: Option<String>,
    #[serde(rename = "clusterIPs")]
    cluster_ips: Vec<String>,
    external_name: Option<String>,
    ports: Vec<PortSpec>,
    session_affinity: Option<String>,
    session_affinity_config: Option<AffinityConfig>,
    publish_not_ready_addresses: bool,
    internal_traffic_policy: Option<String>,
    external_traffic_policy: Option<String>,
}

#[derive(Clone, Debug, Default, Deserialize)]
#[serde(rename_all = "camelCase", default)]
struct PortSpec {
    name: Option<String>,
    protocol: Option<String>,
    port: Option<i32>,
    node_port: Option<i32>,
}

#[derive(Clone, Debug, Default, Deserialize)]
#[serde(default)]
struct AffinityConfig {
    #[serde(rename = "clientIP")]
    client_ip: Option<ClientIpConfig>,
}

#[derive(Clone, Debug, Default, Deserialize)]
#[serde(rename_all = "camelCase", default)]
struct ClientIpConfig {
    timeout_seconds: Option<u32>,
}

/// `discovery.k8s.io/v1` EndpointSlice.
#[derive(Clone, Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct SliceObject {
    #[serde(deserialize_with = "trimmed")]
    metadata: ObjectMeta,
    #[serde(default)]
    address_type: String,
    #[serde(default)]
    endpoints: Option<Vec<EndpointSpec>>,
    #[serde(default)]
    ports: Option<Vec<PortSpec>>,
}

#[derive(Clone, Debug, Default, Deserialize)]
#[serde(rename_all = "camelCase", default)]
struct EndpointSpec {
    addresses: Vec<String>,
    conditions: Conditions,
    hostname: Option<String>,
    node_name: Option<String>,
}

#[derive(Clone, Debug, Default, Deserialize)]
#[serde(default)]
struct Conditions {
    ready: Option<bool>,
    serving: Option<bool>,
    terminating: Option<bool>,
}

/// Of the metadata, only what a watch and the index need.
fn trimmed<'de, D: Deserializer<'de>>(deserializer: D) -> Result<ObjectMeta, D::Error> {
    #[derive(Deserialize)]
    #[serde(rename_all = "camelCase")]
    struct Trimmed {
        name: Option<String>,
        namespace: Option<String>,
        resource_version: Option<String>,
        #[serde(default)]
        labels: Option<Labels>,
        #[serde(default)]
        annotations: Option<Annotations>,
    }
    #[derive(Deserialize)]
    struct Annotations {
        #[serde(rename = "endpoints.kubernetes.io/last-change-trigger-time")]
        trigger_time: Option<String>,
    }
    #[derive(Deserialize)]
    struct Labels {
        #[serde(rename = "kubernetes.io/service-name")]
        service_name: Option<String>,
    }
    let metadata = Trimmed::deserialize(deserializer)?;
    let service_name = metadata.labels.and_then(|labels| labels.service_name);
    let trigger_time = metadata.annotations.and_then(|a| a.trigger_time);
    Ok(ObjectMeta {
        name: metadata.name,
        namespace: metadata.namespace,
        resource_version: metadata.resource_version,
        labels: service_name.map(|name| [(SERVICE_NAME_LABEL.to_owned(), name)].into()),
        annotations: trigger_time.map(|time| [(TRIGGER_TIME.to_owned(), time)].into()),
        ..ObjectMeta::default()
    })
}

impl SliceObject {
    /// When that happened which this state of it comes from.
    pub fn triggered(&self) -> Option<Timestamp> {
        let annotations = self.metadata.annotations.as_ref()?;
        annotations.get(TRIGGER_TIME)?.parse().ok()
    }
}

impl ServiceObject {
    pub fn name(&self) -> Option<ObjectName> {
        name_of(&self.metadata)
    }

    pub fn into_service(self) -> Service {
        let spec = self.spec;
        let balanced_at = balanced_at(&spec, &self.status);
        let affinity = (spec.session_affinity.as_deref() == Some("ClientIP")).then(|| {
            let config = spec.session_affinity_config.as_ref();
            let seconds = config.and_then(|config| config.client_ip.as_ref()?.timeout_seconds);
            seconds.map_or(DEFAULT_AFFINITY, |seconds| {
                Duration::from_secs(seconds.into())
            })
        });
        Service {
            ports: spec.ports.iter().filter_map(service_port).collect(),
            balanced_at,
            affinity,
            publishes_not_ready: spec.publish_not_ready_addresses,
            internal_policy: policy(spec.internal_traffic_policy.as_deref()),
            external_policy: policy(spec.external_traffic_policy.as_deref()),
            target: target(spec),
        }
    }
}

/// Addresses that lead to this cluster's nodes themselves: those of somebody's
/// load balancer, or behind which a proxy stands, are not ours to listen at.
fn balanced_at(spec: &ServiceSpec, status: &ServiceStatus) -> Vec<Ipv4Addr> {
    if spec.r#type.as_deref() != Some("LoadBalancer") || spec.load_balancer_class.is_some() {
        return Vec::new();
    }
    let ingress = status.load_balancer.ingress.iter();
    let vips = ingress.filter(|ingress| ingress.ip_mode.as_deref() != Some("Proxy"));
    vips.filter_map(|ingress| ingress.ip.as_deref()?.parse().ok())
        .collect()
}

fn target(spec: ServiceSpec) -> Target {
    if spec.r#type.as_deref() == Some("ExternalName") {
        return Target::ExternalName(spec.external_name.unwrap_or_default());
    }
    let all = spec.cluster_ips.iter().chain(spec.cluster_ip.iter());
    let mut ips: Vec<Ipv4Addr> = all.filter_map(|ip| ip.parse().ok()).collect();
    ips.sort_unstable();
    ips.dedup();
    match spec.cluster_ip.as_deref() {
        Some("None") => Target::Headless,
        _ => Target::ClusterIps(ips),
    }
}

fn policy(policy: Option<&str>) -> TrafficPolicy {
    match policy {
        Some("Local") => TrafficPolicy::Local,
        _ => TrafficPolicy::Cluster,
    }
}

fn service_port(spec: &PortSpec) -> Option<ServicePort> {
    Some(ServicePort {
        name: spec.name.as_deref().unwrap_or_default().into(),
        protocol: protocol(spec.protocol.as_deref())?,
        port: port_number(spec.port)?,
        node_port: port_number(spec.node_port),
    })
}

/// SCTP is not forwarded.
fn protocol(name: Option<&str>) -> Option<Protocol> {
    match name {
        None | Some("" | "TCP") => Some(Protocol::Tcp),
        Some("UDP") => Some(Protocol::Udp),
        Some(_) => None,
    }
}

fn port_number(number: Option<i32>) -> Option<u16> {
    u16::try_from(number?).ok().filter(|port| *port != 0)
}

impl SliceObject {
    pub fn name(&self) -> Option<ObjectName> {
        name_of(&self.metadata)
    }

    /// `None` for a slice of no Service or of another address family.
    pub fn into_slice(self) -> Option<Slice> {
        let service = self.metadata.labels?.remove(SERVICE_NAME_LABEL)?;
        if self.address_type != "IPv4" {
            return None;
        }
        Some(Slice {
            service: service.into(),
            ports: self.ports.iter().flatten().filter_map(slice_port).collect(),
            endpoints: self
                .endpoints
                .into_iter()
                .flatten()
                .filter_map(endpoint)
                .collect(),
        })
    }
}

fn slice_port(spec: &PortSpec) -> Option<SlicePort> {
    Some(SlicePort {
        name: spec.name.as_deref().unwrap_or_default().into(),
        protocol: protocol(spec.protocol.as_deref())?,
        port: port_number(spec.port)?,
    })
}

fn endpoint(spec: EndpointSpec) -> Option<Endpoint> {
    let ip = spec.addresses.first()?.parse().ok()?;
    let Conditions {
        ready,
        serving,
        terminating,
    } = spec.conditions;
    // Unknown counts as ready, as the API defines it.
    let ready = ready.unwrap_or(true);
    let readiness = match (
        ready,
        serving.unwrap_or(ready),
        terminating.unwrap_or(false),
    ) {
        (true, _, _) => Readiness::Ready,
        (false, true, true) => Readiness::ServingWhileTerminating,
        (false, _, _) => Readiness::NotReady,
    };
    Some(Endpoint {
        ip,
        readiness,
        node: spec.node_name.map(Into::into),
        hostname: spec
            .hostname
            .filter(|name| !name.is_empty())
            .map(Into::into),
    })
}

fn name_of(metadata: &ObjectMeta) -> Option<ObjectName> {
    let namespace = metadata.namespace.as_deref()?;
    Some(ObjectName::new(namespace, metadata.name.as_deref()?))
}

impl kube::Resource for ServiceObject {
    type DynamicType = ();
    type Scope = NamespaceResourceScope;

    fn kind((): &()) -> Cow<'_, str> {
        "Service".into()
    }
    fn group((): &()) -> Cow<'_, str> {
        "".into()
    }
    fn version((): &()) -> Cow<'_, str> {
        "v1".into()
    }
    fn plural((): &()) -> Cow<'_, str> {
        "services".into()
    }
    fn meta(&self) -> &ObjectMeta {
        &self.metadata
    }
    fn meta_mut(&mut self) -> &mut ObjectMeta {
        &mut self.metadata
    }
}

impl kube::Resource for SliceObject {
    type DynamicType = ();
    type Scope = NamespaceResourceScope;

    fn kind((): &()) -> Cow<'_, str> {
        "EndpointSlice".into()
    }
    fn group((): &()) -> Cow<'_, str> {
        "discovery.k8s.io".into()
    }
    fn version((): &()) -> Cow<'_, str> {
        "v1".into()
    }
    fn plural((): &()) -> Cow<'_, str> {
        "endpointslices".into()
    }
    fn meta(&self) -> &ObjectMeta {
        &self.metadata
    }
    fn meta_mut(&mut self) -> &mut ObjectMeta {
        &mut self.metadata
    }
}

#[cfg(test)]
mod tests;
