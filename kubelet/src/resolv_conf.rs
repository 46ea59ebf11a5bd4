//! A pod's `/etc/resolv.conf`, from its DNS policy and configuration.

use std::net::IpAddr;

use k8s_openapi::api::core::v1::{PodDNSConfig, PodSpec};

/// The three kinds of lines of a resolver configuration.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct ResolvConf {
    pub searches: Vec<String>,
    pub nameservers: Vec<String>,
    pub options: Vec<String>,
}

/// The cluster's side of the matter.
pub struct Cluster<'a> {
    pub nameservers: &'a [IpAddr],
    pub domain: &'a str,
}

impl ResolvConf {
    /// Reads a `resolv.conf(5)`; lines it does not know are left out.
    pub fn parse(text: &str) -> Self {
        let mut parsed = Self::default();
        for line in text.lines() {
            let mut words = line.split_whitespace().map(str::to_owned);
            match words.next().as_deref() {
                Some("nameserver") => parsed.nameservers.extend(words.next()),
                Some("search" | "domain") => parsed.searches = words.filter(|w| w != ".").collect(),
                Some("options") => parsed.options = words.collect(),
                _ => {}
            }
        }
        parsed
    }

    pub fn render(&self) -> String {
        let mut text = String::new();
        if !self.searches.is_empty() {
            text.push_str(&format!("search {}\n", self.searches.join(" ")));
        }
        for nameserver in &self.nameservers {
            text.push_str(&format!("nameserver {nameserver}\n"));
        }
        if !self.options.is_empty() {
            text.push_str(&format!("options {}\n", self.options.join(" ")));
        }
        text
    }

    fn merge(&mut self, config: &PodDNSConfig) {
        append_new(&mut self.nameservers, config.nameservers.iter().flatten());
        append_new(&mut self.searches, config.searches.iter().flatten());
        for option in config.options.iter().flatten() {
            let name = option.name.as_deref().unwrap_or_default();
            let text = match option.value.as_deref() {
                Some(value) if !value.is_empty() => format!("{name}:{value}"),
                _ => name.to_owned(),
            };
            let same = |other: &String| other.split(':').next() == Some(name);
            match self.options.iter().position(same) {
                Some(at) => self.options[at] = text,
                None => self.options.push(text),
            }
        }
    }
}

fn append_new<'a>(list: &mut Vec<String>, more: impl Iterator<Item = &'a String>) {
    for item in more {
        if !list.contains(item) {
            list.push(item.clone());
        }
    }
}

/// What a pod of `namespace` resolves names with.
pub fn of_pod(
    spec: &PodSpec,
    namespace: &str,
    node: &ResolvConf,
    cluster: &Cluster<'_>,
) -> ResolvConf {
    let host_network = spec.host_network.unwrap_or_default();
    let mut conf = match spec.dns_policy.as_deref() {
        Some("None") => ResolvConf::default(),
        Some("ClusterFirstWithHostNet") => cluster_first(namespace, node, cluster),
        Some("Default") => node.clone(),
        _ if host_network => node.clone(),
        _ => cluster_first(namespace, node, cluster),
    };
    if let Some(config) = &spec.dns_config {
        conf.merge(config);
    }
    conf
}

fn cluster_first(namespace: &str, node: &ResolvConf, cluster: &Cluster<'_>) -> ResolvConf {
    let domain = cluster.domain;
    let mut searches = vec![
        format!("{namespace}.svc.{domain}"),
        format!("svc.{domain}"),
        domain.to_owned(),
    ];
    append_new(&mut searches, node.searches.iter());
    ResolvConf {
        searches,
        nameservers: cluster.nameservers.iter().map(IpAddr::to_string).collect(),
        options: vec!["ndots:5".to_owned()],
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn pod(spec: serde_json::Value) -> String {
        let mut spec = spec;
        spec["containers"] = json!([]);
        let spec: PodSpec = serde_json::from_value(spec).unwrap();
        let cluster = Cluster {
            nameservers: &[IpAddr::from([10, 96, 0, 10])],
            domain: "c.l",
        };
        of_pod(
            &spec,
            "ns",
            &ResolvConf::parse("nameserver 1.1.1.1\nsearch lan\n"),
            &cluster,
        )
        .render()
    }

    #[test]
    fn cluster_first_searches_the_cluster_then_the_node() {
        let text = "search ns.svc.c.l svc.c.l c.l lan\nnameserver 10.96.0.10\noptions ndots:5\n";
        assert_eq!(pod(json!({})), text);
    }

    #[test]
    fn policy_none_has_only_what_the_pod_says() {
        let config = json!({"nameservers": ["9.9.9.9"], "searches": ["x.y"],
            "options": [{"name": "ndots", "value": "2"}, {"name": "edns0"}]});
        assert_eq!(
            pod(json!({"dnsPolicy": "None", "dnsConfig": config})),
            "search x.y\nnameserver 9.9.9.9\noptions ndots:2 edns0\n"
        );
    }

    #[test]
    fn options_of_the_pod_replace_those_of_the_same_name() {
        let spec = json!({"dnsConfig": {"options": [{"name": "ndots", "value": "3"}]}});
        assert!(pod(spec).ends_with("options ndots:3\n"));
    }

    #[test]
    fn host_network_uses_the_nodes_resolver_unless_asked_otherwise() {
        assert_eq!(
            pod(json!({"hostNetwork": true})),
            "search lan\nnameserver 1.1.1.1\n"
        );
        let asked = json!({"hostNetwork": true, "dnsPolicy": "ClusterFirstWithHostNet"});
        assert!(pod(asked).contains("nameserver 10.96.0.10"));
    }
}
