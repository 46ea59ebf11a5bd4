//! A node and its pods, each a network namespace of its own.

use std::future::Future;
use std::net::Ipv4Addr;
use std::os::fd::{AsFd, OwnedFd};
use std::path::Path;
use std::process::Command;
use std::sync::Arc;
use std::thread;
use std::time::Duration;

use netproxy::cluster::{
    Endpoint, ObjectName, Protocol, Readiness, Service, ServicePort, Slice, SlicePort, State,
    Target, TrafficPolicy,
};
use netproxy::{NetworkConfig, PodAddress, PodNetwork};
use nix::sched::{CloneFlags, setns, unshare};
use nix::unistd::Uid;
use tokio_util::sync::CancellationToken;

pub const BRIDGE: &str = "skt0";

/// Runs `test` as the node: in a fresh network namespace with `lo` up. Every
/// thread of its runtime is in there.
pub fn on_a_node<F: Future<Output = ()>>(test: impl FnOnce() -> F + Send + 'static) {
    if !Uid::effective().is_root() {
        println!("skipped: making network namespaces needs root");
        return;
    }
    let node = thread::spawn(move || {
        unshare(CloneFlags::CLONE_NEWNET).unwrap();
        ip("link set lo up");
        let runtime = tokio::runtime::Runtime::new().unwrap();
        runtime.block_on(test());
    });
    node.join().unwrap();
}

/// Runs `ip` in the calling thread's namespace.
pub fn ip(arguments: &str) -> String {
    let output = Command::new("ip")
        .args(arguments.split(' '))
        .output()
        .unwrap();
    let errors = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "ip {arguments}: {errors}");
    String::from_utf8(output.stdout).unwrap()
}

/// A network namespace with nothing in it, kept by its descriptor.
pub struct Netns(pub OwnedFd);

impl Netns {
    pub fn new() -> Self {
        let made = thread::spawn(|| {
            unshare(CloneFlags::CLONE_NEWNET).unwrap();
            std::fs::File::open("/proc/thread-self/ns/net")
                .unwrap()
                .into()
        });
        Self(made.join().unwrap())
    }

    /// Runs blocking code inside, on a thread of its own.
    pub fn run<T: Send + 'static>(&self, work: impl FnOnce() -> T + Send + 'static) -> T {
        self.start(work).join().unwrap()
    }

    /// Starts blocking code inside.
    pub fn start<T: Send + 'static>(
        &self,
        work: impl FnOnce() -> T + Send + 'static,
    ) -> thread::JoinHandle<T> {
        let netns = self.0.try_clone().unwrap();
        thread::spawn(move || {
            setns(netns.as_fd(), CloneFlags::CLONE_NEWNET).unwrap();
            work()
        })
    }
}

/// A pod of the node's network.
pub struct Pod {
    pub netns: Netns,
    pub address: PodAddress,
}

pub async fn pod(network: &PodNetwork, uid: &str) -> Pod {
    let netns = Netns::new();
    let address = network.attach(uid, netns.0.as_fd()).await.unwrap();
    Pod { netns, address }
}

pub fn config(state_dir: &Path) -> NetworkConfig {
    NetworkConfig {
        bridge: BRIDGE.to_owned(),
        pod_cidr: "10.244.1.0/24".parse().unwrap(),
        cluster_cidr: "10.244.0.0/16".parse().unwrap(),
        node_ip: "192.168.77.1".parse().unwrap(),
        mtu: None,
        state_dir: state_dir.to_owned(),
    }
}

/// A Service with one port, at an address of its own.
pub fn service(ip: &str, port: u16, protocol: Protocol, node_port: Option<u16>) -> Service {
    Service {
        target: Target::ClusterIps(vec![ip.parse().unwrap()]),
        ports: vec![ServicePort {
            name: "main".into(),
            protocol,
            port,
            node_port,
        }],
        balanced_at: Vec::new(),
        affinity: None,
        publishes_not_ready: false,
        internal_policy: TrafficPolicy::Cluster,
        external_policy: TrafficPolicy::Cluster,
    }
}

/// Ready endpoints of the Service `service`.
pub fn slice(service: &str, protocol: Protocol, port: u16, ips: &[Ipv4Addr]) -> Slice {
    let endpoint = |ip: &Ipv4Addr| Endpoint {
        ip: *ip,
        readiness: Readiness::Ready,
        node: Some("here".into()),
        hostname: None,
    };
    Slice {
        service: service.into(),
        ports: vec![SlicePort {
            name: "main".into(),
            protocol,
            port,
        }],
        endpoints: ips.iter().map(endpoint).collect(),
    }
}

pub fn name(name: &str) -> ObjectName {
    ObjectName::new("default", name)
}

/// The node's network and its proxy, fed by hand.
pub struct Node {
    pub network: PodNetwork,
    pub state: Arc<State>,
    pub stop: CancellationToken,
    pub proxy: tokio::task::JoinHandle<netproxy::Result<()>>,
    _dir: tempfile::TempDir,
}

impl Node {
    pub async fn start() -> Self {
        let dir = tempfile::tempdir().unwrap();
        let network = PodNetwork::open(config(dir.path())).await.unwrap();
        let state = State::new();
        let stop = CancellationToken::new();
        let mut proxy = netproxy::Config::new("here", "192.168.77.1".parse().unwrap());
        proxy.workers = Some(2);
        netproxy::route_services(&proxy).await.unwrap();
        let (its_state, its_stop) = (state.clone(), stop.clone());
        let proxy =
            tokio::spawn(async move { netproxy::proxy::run(&proxy, its_state, its_stop).await });
        Self {
            network,
            state,
            stop,
            proxy,
            _dir: dir,
        }
    }
}

/// Waits for something that comes about by itself, for at most five seconds.
pub async fn eventually(what: &str, mut is_so: impl FnMut() -> bool) {
    let deadline = std::time::Instant::now() + Duration::from_secs(5);
    while std::time::Instant::now() < deadline {
        if tokio::task::block_in_place(&mut is_so) {
            return;
        }
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
    panic!("not within five seconds: {what}");
}
