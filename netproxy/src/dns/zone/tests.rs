use super::*;
use crate::cluster::{
    Endpoint, ObjectName, Protocol, Readiness, Service, ServicePort, Slice, SlicePort, State,
    Target, TrafficPolicy,
};
use std::sync::Arc;

fn service(target: Target) -> Service {
    Service {
        target,
        ports: vec![ServicePort {
            name: "http".into(),
            protocol: Protocol::Tcp,
            port: 80,
            node_port: None,
        }],
        balanced_at: Vec::new(),
        affinity: None,
        publishes_not_ready: false,
        internal_policy: TrafficPolicy::Cluster,
        external_policy: TrafficPolicy::Cluster,
    }
}

fn endpoint(last: u8, hostname: Option<&str>, readiness: Readiness) -> Endpoint {
    let ip = [10, 244, 0, last].into();
    Endpoint {
        ip,
        readiness,
        node: None,
        hostname: hostname.map(Into::into),
    }
}

fn cluster() -> Arc<State> {
    let state = State::new();
    let name = |name: &str| ObjectName::new("default", name);
    let web = service(Target::ClusterIps(vec![[10, 96, 0, 7].into()]));
    state.put_service(name("web"), web);
    state.put_service(name("db"), service(Target::Headless));
    state.put_service(
        name("out"),
        service(Target::ExternalName("example.com".to_owned())),
    );
    let endpoints = vec![
        endpoint(2, Some("db-0"), Readiness::Ready),
        endpoint(3, None, Readiness::Ready),
        endpoint(4, Some("db-2"), Readiness::NotReady),
    ];
    let ports = vec![SlicePort {
        name: "http".into(),
        protocol: Protocol::Tcp,
        port: 8080,
    }];
    state.put_slice(
        name("db-x"),
        Slice {
            service: "db".into(),
            ports,
            endpoints,
        },
    );
    state
}

fn ask(name: &str, kind: RecordType) -> Answer {
    let zone = Zone::new("cluster.local").unwrap();
    let name = Name::from_ascii(name).unwrap();
    zone.answer(&cluster().read(), &name, kind)
}

/// The answers' data, as a zone file writes them.
fn data(name: &str, kind: RecordType) -> Vec<String> {
    match ask(name, kind) {
        Answer::Records { answers, .. } => answers.iter().map(|r| r.data.to_string()).collect(),
        other => panic!("{name}: {other:?}"),
    }
}

#[test]
fn service_has_its_address_and_no_other_record() {
    assert_eq!(
        data("web.default.svc.cluster.local.", RecordType::A),
        ["10.96.0.7"]
    );
    assert_eq!(
        data("WEB.Default.svc.Cluster.local.", RecordType::A),
        ["10.96.0.7"]
    );
    let other = ask("web.default.svc.cluster.local.", RecordType::AAAA);
    assert!(matches!(other, Answer::NoData), "{other:?}");
}

#[test]
fn headless_service_has_its_ready_endpoints() {
    let found = data("db.default.svc.cluster.local.", RecordType::A);
    assert_eq!(found, ["10.244.0.2", "10.244.0.3"]);
    assert_eq!(
        data("db-0.db.default.svc.cluster.local.", RecordType::A),
        ["10.244.0.2"]
    );
    assert_eq!(
        data("10-244-0-3.db.default.svc.cluster.local.", RecordType::A),
        ["10.244.0.3"]
    );
    let not_ready = ask("db-2.db.default.svc.cluster.local.", RecordType::A);
    assert!(matches!(not_ready, Answer::NoSuchName), "{not_ready:?}");
}

#[test]
fn named_port_has_its_number_and_the_name_to_reach_it() {
    let web = data("_http._tcp.web.default.svc.cluster.local.", RecordType::SRV);
    assert_eq!(web, ["0 100 80 web.default.svc.cluster.local."]);
    let db = data("_http._tcp.db.default.svc.cluster.local.", RecordType::SRV);
    let hosts = ["10-244-0-3.db", "db-0.db"];
    for host in hosts {
        let wanted = format!("0 50 8080 {host}.default.svc.cluster.local.");
        assert!(db.contains(&wanted), "{db:?}");
    }
    for absent in ["_http._udp.web", "_smtp._tcp.web"] {
        let answer = ask(
            &format!("{absent}.default.svc.cluster.local."),
            RecordType::SRV,
        );
        assert!(matches!(answer, Answer::NoSuchName), "{absent}: {answer:?}");
    }
}

#[test]
fn service_records_bring_the_addresses_of_their_targets() {
    let answer = ask("_http._tcp.db.default.svc.cluster.local.", RecordType::SRV);
    let Answer::Records { additionals, .. } = answer else {
        panic!("{answer:?}");
    };
    let mut ips: Vec<String> = additionals.iter().map(|r| r.data.to_string()).collect();
    ips.sort_unstable();
    assert_eq!(ips, ["10.244.0.2", "10.244.0.3"]);
}

#[test]
fn pod_name_carries_its_address() {
    assert_eq!(
        data("10-244-0-9.default.pod.cluster.local.", RecordType::A),
        ["10.244.0.9"]
    );
    for absent in ["10-244-0.default.pod", "10-244-0-9.nowhere.pod"] {
        let answer = ask(&format!("{absent}.cluster.local."), RecordType::A);
        assert!(matches!(answer, Answer::NoSuchName), "{absent}: {answer:?}");
    }
}

#[test]
fn addresses_lead_back_to_names() {
    let service = data("7.0.96.10.in-addr.arpa.", RecordType::PTR);
    assert_eq!(service, ["web.default.svc.cluster.local."]);
    let endpoint = data("2.0.244.10.in-addr.arpa.", RecordType::PTR);
    assert_eq!(endpoint, ["db-0.db.default.svc.cluster.local."]);
    let outside = ask("8.8.8.8.in-addr.arpa.", RecordType::PTR);
    assert!(matches!(outside, Answer::NotOurs), "{outside:?}");
}

#[test]
fn external_name_is_an_alias() {
    let answer = ask("out.default.svc.cluster.local.", RecordType::A);
    let Answer::Alias(target) = answer else {
        panic!("{answer:?}");
    };
    assert_eq!(target.to_ascii(), "example.com.");
}

#[test]
fn names_above_services_exist_and_have_nothing() {
    for name in [
        "cluster.local.",
        "svc.cluster.local.",
        "default.svc.cluster.local.",
    ] {
        let answer = ask(name, RecordType::A);
        assert!(matches!(answer, Answer::NoData), "{name}: {answer:?}");
    }
    let names = [
        "nowhere.svc.cluster.local.",
        "gone.default.svc.cluster.local.",
        // What a resolver tries first for `example.com` with its search list.
        "example.com.default.svc.cluster.local.",
        "example.com.svc.cluster.local.",
        "example.com.cluster.local.",
    ];
    for name in names {
        let answer = ask(name, RecordType::A);
        assert!(matches!(answer, Answer::NoSuchName), "{name}: {answer:?}");
    }
}

#[test]
fn names_outside_the_domain_are_not_ours() {
    for name in ["example.com.", "local.", "notcluster.local.", "."] {
        let answer = ask(name, RecordType::A);
        assert!(matches!(answer, Answer::NotOurs), "{name}: {answer:?}");
    }
}
