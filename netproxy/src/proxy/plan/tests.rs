use super::*;
use crate::cluster::{SlicePort, State};

const VIP: Ipv4Addr = Ipv4Addr::new(10, 96, 0, 7);

fn config() -> Config {
    Config::new("here", [192, 168, 0, 1].into())
}

fn name() -> ObjectName {
    ObjectName::new("default", "web")
}

fn service() -> Service {
    Service {
        target: Target::ClusterIps(vec![VIP]),
        ports: vec![ServicePort {
            name: "http".into(),
            protocol: Protocol::Tcp,
            port: 80,
            node_port: Some(30080),
        }],
        balanced_at: Vec::new(),
        affinity: None,
        publishes_not_ready: false,
        internal_policy: TrafficPolicy::Cluster,
        external_policy: TrafficPolicy::Cluster,
    }
}

fn endpoint(last: u8, readiness: Readiness, node: &str) -> Endpoint {
    Endpoint {
        ip: [10, 244, 0, last].into(),
        readiness,
        node: Some(node.into()),
        hostname: None,
    }
}

fn bind(service: Service, endpoints: Vec<Endpoint>) -> Vec<(String, Vec<String>)> {
    let state = State::new();
    state.put_service(name(), service);
    let ports = vec![SlicePort {
        name: "http".into(),
        protocol: Protocol::Tcp,
        port: 8080,
    }];
    let slice = Slice {
        service: "web".into(),
        ports,
        endpoints,
    };
    state.put_slice(ObjectName::new("default", "web-1"), slice);
    let bindings = bindings(&config(), &state.read(), &name());
    let written = bindings.iter().map(|binding| {
        let endpoints = binding.endpoints.iter().map(ToString::to_string).collect();
        (binding.frontend.to_string(), endpoints)
    });
    written.collect()
}

fn lead_to(endpoints: &[&str]) -> Vec<(String, Vec<String>)> {
    let endpoints: Vec<String> = endpoints.iter().map(ToString::to_string).collect();
    vec![
        ("tcp 10.96.0.7:80".to_owned(), endpoints.clone()),
        ("tcp 0.0.0.0:30080".to_owned(), endpoints),
    ]
}

#[test]
fn balanced_service_is_bound_at_this_nodes_own_address_only() {
    let here = "192.168.0.1".parse().unwrap();
    let elsewhere = "192.168.0.2".parse().unwrap();
    let bound_at = |addresses: &[Ipv4Addr]| {
        let service = Service {
            balanced_at: addresses.to_vec(),
            ..service()
        };
        let bound = bind(service, vec![endpoint(2, Readiness::Ready, "there")]);
        let outside = bound.into_iter().map(|(frontend, _)| frontend);
        outside
            .filter(|f| f.starts_with("tcp 192"))
            .collect::<Vec<_>>()
    };
    assert_eq!(bound_at(&[elsewhere, here]), ["tcp 192.168.0.1:80"]);
    assert_eq!(bound_at(&[elsewhere]), Vec::<String>::new());
}

#[test]
fn ready_endpoints_are_bound_at_the_number_their_slice_gives_the_port() {
    let endpoints = vec![
        endpoint(2, Readiness::Ready, "here"),
        endpoint(3, Readiness::NotReady, "here"),
        endpoint(4, Readiness::ServingWhileTerminating, "here"),
        endpoint(5, Readiness::Ready, "there"),
    ];
    assert_eq!(
        bind(service(), endpoints),
        lead_to(&["10.244.0.2:8080", "10.244.0.5:8080"])
    );
}

#[test]
fn terminating_endpoints_serve_when_no_other_is_left() {
    let endpoints = vec![
        endpoint(3, Readiness::NotReady, "here"),
        endpoint(4, Readiness::ServingWhileTerminating, "here"),
    ];
    assert_eq!(bind(service(), endpoints), lead_to(&["10.244.0.4:8080"]));
}

#[test]
fn service_without_a_usable_endpoint_is_not_bound() {
    assert!(bind(service(), vec![endpoint(3, Readiness::NotReady, "here")]).is_empty());
    assert!(bind(service(), Vec::new()).is_empty());
}

#[test]
fn not_ready_endpoints_are_used_where_the_service_publishes_them() {
    let publishing = Service {
        publishes_not_ready: true,
        ..service()
    };
    let endpoints = vec![endpoint(3, Readiness::NotReady, "here")];
    assert_eq!(bind(publishing, endpoints), lead_to(&["10.244.0.3:8080"]));
}

#[test]
fn local_policy_keeps_each_kind_of_traffic_on_the_node() {
    let endpoints = || {
        vec![
            endpoint(2, Readiness::Ready, "here"),
            endpoint(5, Readiness::Ready, "there"),
        ]
    };
    let both = lead_to(&["10.244.0.2:8080", "10.244.0.5:8080"]);
    let near = lead_to(&["10.244.0.2:8080"]);
    let internal = Service {
        internal_policy: TrafficPolicy::Local,
        ..service()
    };
    assert_eq!(
        bind(internal, endpoints()),
        [near[0].clone(), both[1].clone()]
    );
    let external = Service {
        external_policy: TrafficPolicy::Local,
        ..service()
    };
    assert_eq!(
        bind(external, endpoints()),
        [both[0].clone(), near[1].clone()]
    );
    let external = Service {
        external_policy: TrafficPolicy::Local,
        ..service()
    };
    let far = vec![endpoint(5, Readiness::Ready, "there")];
    assert_eq!(
        bind(external, far),
        [lead_to(&["10.244.0.5:8080"])[0].clone()]
    );
}

#[test]
fn headless_and_external_services_are_not_bound() {
    let ready = || vec![endpoint(2, Readiness::Ready, "here")];
    let headless = Service {
        target: Target::Headless,
        ..service()
    };
    assert!(bind(headless, ready()).is_empty());
    let external = Target::ExternalName("example.com".to_owned());
    assert!(
        bind(
            Service {
                target: external,
                ..service()
            },
            ready()
        )
        .is_empty()
    );
}

#[test]
fn endpoint_on_the_nodes_loopback_or_among_services_is_never_used() {
    let mut forbidden = Vec::new();
    for ip in [
        [127, 0, 0, 1],
        [169, 254, 169, 254],
        [10, 96, 0, 7],
        [0, 0, 0, 0],
    ] {
        let mut endpoint = endpoint(2, Readiness::Ready, "here");
        endpoint.ip = ip.into();
        forbidden.push(endpoint);
    }
    assert!(bind(service(), forbidden).is_empty());
}

#[test]
fn address_of_dns_is_left_to_dns() {
    let mut service = service();
    service.target = Target::ClusterIps(vec![[10, 96, 0, 10].into()]);
    service.ports[0].port = 53;
    let bound = bind(service, vec![endpoint(2, Readiness::Ready, "here")]);
    assert_eq!(bound, [lead_to(&["10.244.0.2:8080"])[1].clone()]);
}
