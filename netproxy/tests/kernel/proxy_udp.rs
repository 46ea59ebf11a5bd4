use std::collections::BTreeSet;
use std::net::{Ipv4Addr, SocketAddr, UdpSocket};
use std::time::Duration;

use netproxy::cluster::Protocol::Udp;

use crate::world::{Netns, Node, eventually, name, on_a_node, pod, service, slice};

const PORT: u16 = 5353;

/// Answers every packet with its own name and the packet.
fn serve(netns: &Netns, own_name: &'static str) {
    let socket = netns.run(|| UdpSocket::bind((Ipv4Addr::UNSPECIFIED, PORT)).unwrap());
    std::thread::spawn(move || {
        let mut packet = [0; 2048];
        loop {
            let (length, from) = socket.recv_from(&mut packet).unwrap();
            let answer = [own_name.as_bytes(), &packet[..length]].concat();
            socket.send_to(&answer, from).unwrap();
        }
    });
}

/// Asks from a connected socket: an answer from another address than the one
/// asked would not be seen.
fn ask(socket: &UdpSocket) -> Option<String> {
    let mut answer = [0; 2048];
    socket
        .set_read_timeout(Some(Duration::from_millis(300)))
        .unwrap();
    socket.send(b"?").ok()?;
    let length = socket.recv(&mut answer).ok()?;
    Some(String::from_utf8(answer[..length].to_vec()).unwrap())
}

/// `None` while the address is not routed.
fn client(to: &str) -> Option<UdpSocket> {
    let to: SocketAddr = to.parse().unwrap();
    let socket = UdpSocket::bind((Ipv4Addr::UNSPECIFIED, 0)).unwrap();
    socket.connect(to).ok()?;
    Some(socket)
}

fn ask_once(to: &str) -> Option<String> {
    ask(&client(to)?)
}

#[test]
fn answers_come_from_the_address_that_was_asked() {
    on_a_node(|| async {
        let node = Node::start().await;
        let a = pod(&node.network, "a").await;
        serve(&a.netns, "a");
        node.state
            .put_service(name("dns"), service("10.96.0.9", 53, Udp, Some(30053)));
        node.state
            .put_slice(name("dns-1"), slice("dns", Udp, PORT, &[a.address.ip]));
        for to in ["10.96.0.9:53", "127.0.0.1:30053", "10.244.1.1:30053"] {
            eventually(to, || ask_once(to).as_deref() == Some("a?")).await;
        }
        let from_pod = || ask_once("10.96.0.9:53");
        assert_eq!(a.netns.run(from_pod).as_deref(), Some("a?"));
    });
}

#[test]
fn client_keeps_its_endpoint_until_that_is_gone() {
    on_a_node(|| async {
        let node = Node::start().await;
        let (a, b) = (pod(&node.network, "a").await, pod(&node.network, "b").await);
        serve(&a.netns, "a");
        serve(&b.netns, "b");
        node.state
            .put_service(name("dns"), service("10.96.0.9", 53, Udp, None));
        let both = [a.address.ip, b.address.ip];
        node.state
            .put_slice(name("dns-1"), slice("dns", Udp, PORT, &both));
        eventually("an answer", || ask_once("10.96.0.9:53").is_some()).await;
        let held = client("10.96.0.9:53").unwrap();
        let answers: BTreeSet<_> = (0..5).filter_map(|_| ask(&held)).collect();
        assert_eq!(answers.len(), 1);
        let fresh: BTreeSet<_> = (0..5).filter_map(|_| ask_once("10.96.0.9:53")).collect();
        assert_eq!(fresh.len(), 2);
        let had_a = answers.contains("a?");
        let rest = if had_a { b.address.ip } else { a.address.ip };
        node.state
            .put_slice(name("dns-1"), slice("dns", Udp, PORT, &[rest]));
        let other = if had_a { "b?" } else { "a?" };
        eventually("the other endpoint", || {
            ask(&held).as_deref() == Some(other)
        })
        .await;
    });
}

#[test]
fn client_moves_on_when_its_endpoint_refuses() {
    on_a_node(|| async {
        let node = Node::start().await;
        let (a, b) = (pod(&node.network, "a").await, pod(&node.network, "b").await);
        serve(&a.netns, "a");
        node.state
            .put_service(name("dns"), service("10.96.0.9", 53, Udp, None));
        let both = [a.address.ip, b.address.ip];
        node.state
            .put_slice(name("dns-1"), slice("dns", Udp, PORT, &both));
        eventually("a route", || client("10.96.0.9:53").is_some()).await;
        for _ in 0..4 {
            let held = client("10.96.0.9:53").unwrap();
            eventually("an answer", || ask(&held).as_deref() == Some("a?")).await;
        }
    });
}

#[test]
fn service_without_endpoints_is_unreachable_at_once() {
    on_a_node(|| async {
        let node = Node::start().await;
        node.state
            .put_service(name("dns"), service("10.96.0.9", 53, Udp, None));
        eventually("refusal", || {
            let Some(socket) = client("10.96.0.9:53") else {
                return false;
            };
            socket
                .set_read_timeout(Some(Duration::from_millis(300)))
                .unwrap();
            socket.send(b"?").is_ok()
                && socket
                    .recv(&mut [0])
                    .is_err_and(|e| e.kind() == std::io::ErrorKind::ConnectionRefused)
        })
        .await;
    });
}
