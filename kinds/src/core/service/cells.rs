//! What `kubectl get services` shows.

use apimachinery::meta;
use jiff::Timestamp;
use serde_json::Value;

use crate::columns;
use crate::text_cells::{NONE, labels, or_none};

pub fn row(service: &Value, now: Timestamp) -> Vec<Value> {
    let spec = &service["spec"];
    vec![
        columns::name(service),
        meta::text(spec, "type").into(),
        cluster_ip(spec).into(),
        external_ip(service, spec).into(),
        ports(spec).into(),
        columns::age(service, now),
        labels(meta::map(spec, "selector")).into(),
    ]
}

fn cluster_ip(spec: &Value) -> &str {
    let first = meta::items(spec, "clusterIPs")
        .first()
        .and_then(Value::as_str);
    or_none(first.unwrap_or_else(|| meta::text(spec, "clusterIP")))
}

fn external_ip(service: &Value, spec: &Value) -> String {
    let external = texts(
        meta::items(spec, "externalIPs")
            .iter()
            .filter_map(Value::as_str),
    );
    match meta::text(spec, "type") {
        "ExternalName" => meta::text(spec, "externalName").to_owned(),
        "LoadBalancer" => {
            let ingress = meta::items(service, "status.loadBalancer.ingress").iter();
            let balancers = texts(ingress.map(|one| match meta::text(one, "ip") {
                "" => meta::text(one, "hostname"),
                ip => ip,
            }));
            match (balancers.is_empty(), external.is_empty()) {
                (true, true) => "<pending>".to_owned(),
                (true, false) => external,
                (false, true) => balancers,
                (false, false) => format!("{balancers},{external}"),
            }
        }
        "ClusterIP" | "NodePort" => or_none(&external).to_owned(),
        _ => "<unknown>".to_owned(),
    }
}

fn texts<'a>(texts: impl Iterator<Item = &'a str>) -> String {
    texts.collect::<Vec<_>>().join(",")
}

fn ports(spec: &Value) -> String {
    let ports: Vec<String> = meta::items(spec, "ports")
        .iter()
        .map(|port| {
            let number = meta::int(port, "port").unwrap_or(0);
            let protocol = meta::text(port, "protocol");
            match meta::int(port, "nodePort").unwrap_or(0) {
                0 => format!("{number}/{protocol}"),
                node_port => format!("{number}:{node_port}/{protocol}"),
            }
        })
        .collect();
    if ports.is_empty() {
        return NONE.to_owned();
    }
    ports.join(",")
}
