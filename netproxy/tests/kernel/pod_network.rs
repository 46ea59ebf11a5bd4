use std::fs;
use std::io::{Read, Write};
use std::net::{Ipv4Addr, TcpListener, TcpStream};
use std::os::fd::AsFd;
use std::time::Duration;

use netproxy::PodNetwork;

use crate::world::{BRIDGE, Netns, config, eventually, ip, on_a_node, pod};

/// Accepts one connection in a namespace and tells who came.
fn greet_one(netns: &Netns, address: Ipv4Addr) -> (std::thread::JoinHandle<Ipv4Addr>, u16) {
    let listener = netns.run(move || TcpListener::bind((address, 0)).unwrap());
    let port = listener.local_addr().unwrap().port();
    let greeter = netns.start(move || {
        let (mut client, from) = listener.accept().unwrap();
        client.write_all(b"hello").unwrap();
        match from.ip() {
            std::net::IpAddr::V4(ip) => ip,
            std::net::IpAddr::V6(ip) => panic!("greeted {ip}"),
        }
    });
    (greeter, port)
}

fn read_greeting(to: (Ipv4Addr, u16)) -> String {
    let mut stream = TcpStream::connect_timeout(&to.into(), Duration::from_secs(5)).unwrap();
    let mut greeting = String::new();
    stream.read_to_string(&mut greeting).unwrap();
    greeting
}

#[test]
fn pods_reach_each_other_and_the_node_with_their_own_addresses() {
    on_a_node(|| async {
        let dir = tempfile::tempdir().unwrap();
        let network = PodNetwork::open(config(dir.path())).await.unwrap();
        let (a, b) = (pod(&network, "a").await, pod(&network, "b").await);
        let (greeter, port) = greet_one(&a.netns, a.address.ip);
        let to = (a.address.ip, port);
        assert_eq!(b.netns.run(move || read_greeting(to)), "hello");
        assert_eq!(greeter.join().unwrap(), b.address.ip);
        let (greeter, port) = greet_one(&a.netns, a.address.ip);
        assert_eq!(read_greeting((a.address.ip, port)), "hello");
        assert_eq!(greeter.join().unwrap(), b.address.gateway);
    });
}

#[test]
fn attach_again_gives_the_same_address_and_leaves_connections_alone() {
    on_a_node(|| async {
        let dir = tempfile::tempdir().unwrap();
        let network = PodNetwork::open(config(dir.path())).await.unwrap();
        let a = pod(&network, "a").await;
        let before = ip("-o link");
        let again = network.attach("a", a.netns.0.as_fd()).await.unwrap();
        assert_eq!(again, a.address);
        assert_eq!(network.address_of("a"), Some(a.address));
        assert_eq!(ip("-o link"), before);
        drop(network);
        let reopened = PodNetwork::open(config(dir.path())).await.unwrap();
        assert_eq!(
            reopened.attach("a", a.netns.0.as_fd()).await.unwrap(),
            a.address
        );
        assert_eq!(ip("-o link"), before);
    });
}

#[test]
fn attach_that_was_cut_short_is_completed() {
    on_a_node(|| async {
        let dir = tempfile::tempdir().unwrap();
        let network = PodNetwork::open(config(dir.path())).await.unwrap();
        let a = pod(&network, "a").await;
        let whole = a.netns.run(|| ip("route show"));
        a.netns.run(|| ip("route del default"));
        assert_ne!(a.netns.run(|| ip("route show")), whole);
        network.attach("a", a.netns.0.as_fd()).await.unwrap();
        assert_eq!(a.netns.run(|| ip("route show")), whole);
    });
}

#[test]
fn forwarding_firewall_is_no_reason_to_fail() {
    on_a_node(|| async {
        let nft = |rules: &str| std::process::Command::new("nft").arg(rules).status();
        let drop = "add table ip other; add chain ip other f { type filter hook forward priority 0; policy drop; }";
        if !nft(drop).is_ok_and(|status| status.success()) {
            println!("skipped: the firewall is made with nft, which is not installed");
            return;
        }
        let dir = tempfile::tempdir().unwrap();
        let network = PodNetwork::open(config(dir.path())).await.unwrap();
        pod(&network, "a").await;
        network.remove_everything().await.unwrap();
        assert!(
            tables().unwrap().contains("other"),
            "another's table is gone"
        );
    });
}

#[test]
fn pod_with_a_new_namespace_is_wired_anew_with_its_old_address() {
    on_a_node(|| async {
        let dir = tempfile::tempdir().unwrap();
        let network = PodNetwork::open(config(dir.path())).await.unwrap();
        let old = pod(&network, "a").await;
        let new = pod(&network, "a").await;
        assert_eq!(old.address, new.address);
        let (greeter, port) = greet_one(&new.netns, new.address.ip);
        assert_eq!(read_greeting((new.address.ip, port)), "hello");
        greeter.join().unwrap();
    });
}

#[test]
fn detach_frees_link_and_address_and_can_be_repeated() {
    on_a_node(|| async {
        let dir = tempfile::tempdir().unwrap();
        let network = PodNetwork::open(config(dir.path())).await.unwrap();
        let before = ip("-o link");
        let a = pod(&network, "a").await;
        assert_ne!(ip("-o link"), before);
        network.detach("a").await.unwrap();
        network.detach("a").await.unwrap();
        let names = |links: String| links.lines().count();
        assert_eq!(names(ip("-o link")), names(before));
        assert!(network.pods().is_empty());
        assert!(a.netns.run(|| !ip("-o link").contains("eth0")));
    });
}

#[test]
fn remove_everything_leaves_the_node_as_it_was() {
    on_a_node(|| async {
        let dir = tempfile::tempdir().unwrap();
        let state = dir.path().join("network");
        fs::write("/proc/sys/net/ipv4/ip_forward", "0").unwrap();
        ip("link add up0 type veth peer name up1");
        ip("link set up1 up");
        ip("addr add 192.168.77.1/24 dev up0");
        ip("link set up0 up");
        let is_up = |end: &str| ip(&format!("-o link show {end}")).contains("state UP");
        eventually("both ends have carrier", || is_up("up0") && is_up("up1")).await;
        let picture = || (ip("-o link"), ip("route show table all"), tables());
        let before = picture();
        let network = PodNetwork::open(config(&state)).await.unwrap();
        let _pod = pod(&network, "a").await;
        let peer = (
            "10.244.2.0/24".parse().unwrap(),
            "192.168.77.2".parse().unwrap(),
        );
        network.set_routes(vec![peer]).await.unwrap();
        assert_ne!(picture(), before);
        // As after a crash: by another process that knows only the names.
        drop(network);
        netproxy::remove_everything(BRIDGE, &state).await.unwrap();
        assert_eq!(picture(), before);
        assert_eq!(
            fs::read_to_string("/proc/sys/net/ipv4/ip_forward")
                .unwrap()
                .trim(),
            "0"
        );
        assert!(!state.exists());
        netproxy::remove_everything(BRIDGE, &state).await.unwrap();
    });
}

/// Tables as `nft` sees them, where it is installed.
fn tables() -> Option<String> {
    let output = std::process::Command::new("nft")
        .args(["list", "tables"])
        .output()
        .ok()?;
    Some(String::from_utf8(output.stdout).unwrap())
}

#[test]
fn routes_to_other_nodes_become_exactly_those_wanted() {
    on_a_node(|| async {
        let dir = tempfile::tempdir().unwrap();
        ip("link add up0 type veth peer name up1");
        ip("link set up1 up");
        ip("addr add 192.168.77.1/24 dev up0");
        ip("link set up0 up");
        ip("route add 10.250.0.0/16 via 192.168.77.9");
        let network = PodNetwork::open(config(dir.path())).await.unwrap();
        let peer = |range: &str, via: &str| (range.parse().unwrap(), via.parse().unwrap());
        let second = peer("10.244.2.0/24", "192.168.77.2");
        network
            .set_routes(vec![second, peer("10.244.3.0/24", "192.168.77.3")])
            .await
            .unwrap();
        network
            .set_routes(vec![second, peer("10.244.4.0/24", "192.168.77.4")])
            .await
            .unwrap();
        let routes = ip("route show");
        assert!(
            routes.contains("10.244.2.0/24 via 192.168.77.2"),
            "{routes}"
        );
        assert!(
            routes.contains("10.244.4.0/24 via 192.168.77.4"),
            "{routes}"
        );
        assert!(!routes.contains("10.244.3.0/24"), "{routes}");
        assert!(
            routes.contains("10.250.0.0/16"),
            "another's route is gone: {routes}"
        );
        let unreachable = peer("10.244.5.0/24", "172.30.0.1");
        let error = network
            .set_routes(vec![unreachable, second])
            .await
            .unwrap_err();
        assert!(error.to_string().contains("10.244.5.0/24"), "{error}");
        assert!(ip("route show").contains("10.244.2.0/24"));
    });
}

#[test]
fn outside_sees_the_node_and_never_a_pod() {
    on_a_node(|| async {
        let dir = tempfile::tempdir().unwrap();
        let outside = Netns::new();
        ip("link add up0 type veth peer name up1");
        ip("addr add 192.168.77.1/24 dev up0");
        ip("link set up0 up");
        hand_over("up1", &outside);
        outside.run(|| {
            ip("addr add 192.168.77.9/24 dev up1");
            ip("link set up1 up");
        });
        let network = PodNetwork::open(config(dir.path())).await.unwrap();
        let a = pod(&network, "a").await;
        let there = Ipv4Addr::new(192, 168, 77, 9);
        let (greeter, port) = greet_one(&outside, there);
        assert_eq!(a.netns.run(move || read_greeting((there, port))), "hello");
        assert_eq!(greeter.join().unwrap(), Ipv4Addr::new(192, 168, 77, 1));
    });
}

/// Moves an interface of this namespace into another.
fn hand_over(interface: &str, netns: &Netns) {
    let (send, thread_id) = std::sync::mpsc::channel();
    let (done, wait) = std::sync::mpsc::channel::<()>();
    let holder = netns.start(move || {
        send.send(nix::unistd::gettid()).unwrap();
        wait.recv().unwrap();
    });
    ip(&format!(
        "link set {interface} netns {}",
        thread_id.recv().unwrap()
    ));
    done.send(()).unwrap();
    holder.join().unwrap();
}

#[test]
fn bridge_name_taken_by_another_kind_of_interface_is_refused() {
    on_a_node(|| async {
        let dir = tempfile::tempdir().unwrap();
        ip(&format!("link add {BRIDGE} type veth peer name up1"));
        let error = PodNetwork::open(config(dir.path())).await.err().unwrap();
        assert!(error.to_string().contains(BRIDGE), "{error}");
    });
}
