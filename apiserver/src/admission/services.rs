//! Cluster addresses and node ports of Services.

use std::net::IpAddr;

use apimachinery::field::{Error as FieldError, Path};
use apimachinery::{Status, meta};
use serde_json::{Value, json};

use crate::service_range::{Claim, Held, Refusal, Services, claims_of};

/// An update that leaves out what the server gave keeps it.
pub fn keep_given(new: &mut Value, old: &Value) {
    let had_address = needs_address(old);
    if had_address && needs_address(new) && meta::text(new, "spec.clusterIP").is_empty() {
        for field in ["spec.clusterIP", "spec.clusterIPs"] {
            if let Some(value) = meta::get(old, field) {
                meta::set(new, field, value.clone());
            }
        }
    }
    for field in ["spec.ipFamilies", "spec.ipFamilyPolicy"] {
        if let (None, Some(value)) = (meta::get(new, field), meta::get(old, field))
            && kind_of(new) != "ExternalName"
        {
            meta::set(new, field, value.clone());
        }
    }
    if needs_ports(old) && needs_ports(new) {
        keep_ports(new, old);
    }
}

fn keep_ports(new: &mut Value, old: &Value) {
    let known: Vec<Value> = meta::items(old, "spec.ports").to_vec();
    let taken = ports_of(new);
    let ports = new.pointer_mut("/spec/ports").and_then(Value::as_array_mut);
    for port in ports.into_iter().flatten() {
        if port["nodePort"].as_u64().unwrap_or(0) != 0 {
            continue;
        }
        let same =
            |other: &&Value| other["port"] == port["port"] && other["protocol"] == port["protocol"];
        let given = known
            .iter()
            .find(same)
            .and_then(|other| other["nodePort"].as_u64());
        let given = given
            .and_then(|n| u16::try_from(n).ok())
            .filter(|n| *n != 0 && !taken.contains(n));
        if let Some(given) = given {
            port["nodePort"] = given.into();
        }
    }
}

/// Takes what a new Service needs, or what a changed one needs on top of what
/// it has.
pub async fn allocate(
    services: &Services,
    new: &mut Value,
    old: &Value,
    is_dry: bool,
) -> Result<Held, Status> {
    let mut held = services.hold(new, is_dry);
    let taken = async {
        take_addresses(&mut held, new, old).await?;
        take_ports(&mut held, new, old).await
    };
    match taken.await {
        Ok(()) => Ok(held),
        Err(status) => {
            held.give_back().await;
            Err(status)
        }
    }
}

/// The node ports a Service has.
fn ports_of(service: &Value) -> Vec<u16> {
    let port = |claim| match claim {
        Claim::Port(port) => Some(port),
        Claim::Address(_) => None,
    };
    claims_of(service).into_iter().filter_map(port).collect()
}

fn kind_of(service: &Value) -> &str {
    match meta::text(service, "spec.type") {
        "" => "ClusterIP",
        kind => kind,
    }
}

fn needs_address(service: &Value) -> bool {
    kind_of(service) != "ExternalName" && meta::text(service, "spec.clusterIP") != "None"
}

fn needs_ports(service: &Value) -> bool {
    match kind_of(service) {
        "NodePort" => true,
        "LoadBalancer" => service["spec"]["allocateLoadBalancerNodePorts"] != false,
        _ => false,
    }
}

async fn take_addresses(held: &mut Held, service: &mut Value, old: &Value) -> Result<(), Status> {
    if kind_of(service) == "ExternalName" {
        return Ok(());
    }
    if meta::get(service, "spec.ipFamilies").is_none() {
        meta::set(service, "spec.ipFamilies", json!(["IPv4"]));
    }
    if meta::get(service, "spec.ipFamilyPolicy").is_none() {
        meta::set(service, "spec.ipFamilyPolicy", "SingleStack");
    }
    if !needs_address(service) {
        meta::set(service, "spec.clusterIPs", json!(["None"]));
        return Ok(());
    }
    let given = meta::text(service, "spec.clusterIP").to_owned();
    if given.is_empty() {
        let address = held.any_address().await.map_err(exhausted("serviceIP"))?;
        meta::set(service, "spec.clusterIP", address.to_string());
        meta::set(service, "spec.clusterIPs", json!([address.to_string()]));
        return Ok(());
    }
    if let Ok(address) = given.parse::<IpAddr>()
        && !has_address(old, address)
    {
        let taken = held.take_address(address).await;
        taken.map_err(|why| address_refused(service, &given, why))?;
    }
    meta::set(service, "spec.clusterIPs", json!([given]));
    Ok(())
}

fn has_address(service: &Value, address: IpAddr) -> bool {
    let IpAddr::V4(address) = address else {
        return false;
    };
    claims_of(service).contains(&Claim::Address(address))
}

fn exhausted(what: &'static str) -> impl Fn(Refusal) -> Status {
    move |why| match why {
        Refusal::Failed(status) => status,
        _ => Status::internal(format!("failed to allocate a {what}: range is full")),
    }
}

fn address_refused(service: &Value, given: &str, why: Refusal) -> Status {
    let detail = match why {
        Refusal::Failed(status) => return status,
        Refusal::Outside(range) => format!(
            "failed to allocate IP {given}: the provided IP ({given}) is not in the valid range. The range of valid IPs is {range}"
        ),
        Refusal::Taken | Refusal::Exhausted => {
            format!("failed to allocate IP {given}: provided IP is already allocated")
        }
    };
    let path = Path::new("spec.clusterIPs");
    invalid(service, FieldError::invalid(&path, json!([given]), detail))
}

async fn take_ports(held: &mut Held, service: &mut Value, old: &Value) -> Result<(), Status> {
    if !needs_ports(service) {
        return Ok(());
    }
    let had = ports_of(old);
    let count = meta::items(service, "spec.ports").len();
    let mut seen: Vec<u16> = Vec::new();
    for at in 0..count {
        let given = service["spec"]["ports"][at]["nodePort"]
            .as_u64()
            .unwrap_or(0);
        let given = u16::try_from(given).unwrap_or(0);
        if given == 0 {
            let port = held.any_port().await.map_err(exhausted("nodePort"))?;
            service["spec"]["ports"][at]["nodePort"] = port.into();
        } else if !had.contains(&given) && !seen.contains(&given) {
            let taken = held.take_port(given).await;
            taken.map_err(|why| port_refused(service, at, given, why))?;
        }
        seen.push(given);
    }
    take_health_port(held, service, &had).await
}

async fn take_health_port(held: &mut Held, service: &mut Value, had: &[u16]) -> Result<(), Status> {
    let is_local = meta::text(service, "spec.externalTrafficPolicy") == "Local";
    if kind_of(service) != "LoadBalancer" || !is_local {
        return Ok(());
    }
    let given = meta::int(service, "spec.healthCheckNodePort").unwrap_or(0);
    let given = u16::try_from(given).unwrap_or(0);
    if given == 0 {
        let port = held.any_port().await.map_err(exhausted("nodePort"))?;
        meta::set(service, "spec.healthCheckNodePort", port);
    } else if !had.contains(&given) {
        let path = Path::new("spec.healthCheckNodePort");
        let taken = held.take_port(given).await;
        taken.map_err(|why| port_refused_at(service, &path, given, why))?;
    }
    Ok(())
}

fn port_refused(service: &Value, at: usize, given: u16, why: Refusal) -> Status {
    let ports = Path::new("spec.ports");
    let item = ports.index(at);
    port_refused_at(service, &item.child("nodePort"), given, why)
}

fn port_refused_at(service: &Value, path: &Path<'_>, given: u16, why: Refusal) -> Status {
    let detail = match why {
        Refusal::Failed(status) => return status,
        Refusal::Outside(range) => {
            format!("provided port is not in the valid range. The range of valid ports is {range}")
        }
        Refusal::Taken | Refusal::Exhausted => "provided port is already allocated".to_owned(),
    };
    invalid(service, FieldError::invalid(path, given, detail))
}

fn invalid(service: &Value, error: FieldError) -> Status {
    Status::invalid("", "Service", meta::name(service), &[error])
}
