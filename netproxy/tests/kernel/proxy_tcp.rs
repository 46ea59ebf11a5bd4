use std::collections::BTreeSet;
use std::io::{ErrorKind, Read, Write};
use std::net::{Ipv4Addr, Shutdown, SocketAddr, TcpListener, TcpStream};
use std::time::Duration;

use netproxy::cluster::Protocol::Tcp;

use crate::world::{Netns, Node, eventually, name, on_a_node, pod, service, slice};

const VIP: &str = "10.96.0.7";
const PORT: u16 = 8080;

/// Tells every client its own name, then echoes until the client's end.
fn serve(netns: &Netns, own_name: &'static str) {
    let listener = netns.run(|| TcpListener::bind((Ipv4Addr::UNSPECIFIED, PORT)).unwrap());
    std::thread::spawn(move || {
        for client in listener.incoming() {
            let mut client = client.unwrap();
            std::thread::spawn(move || {
                client.write_all(own_name.as_bytes()).unwrap();
                let mut sent = client.try_clone().unwrap();
                let _ = std::io::copy(&mut client, &mut sent);
                let _ = sent.shutdown(Shutdown::Write);
            });
        }
    });
}

fn connect(to: &str) -> std::io::Result<TcpStream> {
    let to: SocketAddr = to.parse().unwrap();
    let stream = TcpStream::connect_timeout(&to, Duration::from_secs(5))?;
    stream.set_read_timeout(Some(Duration::from_secs(10)))?;
    Ok(stream)
}

/// Which server answers: one letter.
fn who(to: &str) -> Option<char> {
    let mut answer = [0];
    connect(to).ok()?.read_exact(&mut answer).ok()?;
    Some(char::from(answer[0]))
}

async fn answers_at(to: &'static str) {
    eventually("the Service answers", || who(to).is_some()).await;
}

#[test]
fn service_reaches_all_its_endpoints_from_pods_and_from_the_node() {
    on_a_node(|| async {
        let node = Node::start().await;
        let (a, b) = (pod(&node.network, "a").await, pod(&node.network, "b").await);
        serve(&a.netns, "a");
        serve(&b.netns, "b");
        node.state
            .put_service(name("web"), service(VIP, 80, Tcp, Some(30080)));
        let endpoints = [a.address.ip, b.address.ip];
        node.state
            .put_slice(name("web-1"), slice("web", Tcp, PORT, &endpoints));
        answers_at("10.96.0.7:80").await;
        let ask =
            |to: &'static str| move || (0..4).filter_map(|_| who(to)).collect::<BTreeSet<char>>();
        let both = BTreeSet::from(['a', 'b']);
        assert_eq!(ask("10.96.0.7:80")(), both);
        assert_eq!(ask("127.0.0.1:30080")(), both);
        assert_eq!(ask("10.244.1.1:30080")(), both);
        // From a pod, which thus also reaches itself: no hairpin is lost.
        assert_eq!(a.netns.run(ask("10.96.0.7:80")), both);
        assert_eq!(b.netns.run(ask("10.244.1.1:30080")), both);
    });
}

#[test]
fn node_port_and_service_port_may_have_one_number() {
    on_a_node(|| async {
        let node = Node::start().await;
        let a = pod(&node.network, "a").await;
        serve(&a.netns, "a");
        node.state
            .put_service(name("web"), service(VIP, 30080, Tcp, Some(30080)));
        node.state
            .put_slice(name("web-1"), slice("web", Tcp, PORT, &[a.address.ip]));
        answers_at("10.96.0.7:30080").await;
        answers_at("127.0.0.1:30080").await;
    });
}

#[test]
fn service_without_endpoints_refuses_and_comes_and_goes_with_them() {
    on_a_node(|| async {
        let node = Node::start().await;
        let a = pod(&node.network, "a").await;
        serve(&a.netns, "a");
        let refuses =
            || connect("10.96.0.7:80").is_err_and(|e| e.kind() == ErrorKind::ConnectionRefused);
        node.state
            .put_service(name("web"), service(VIP, 80, Tcp, None));
        eventually("the range is routed here", refuses).await;
        node.state
            .put_slice(name("web-1"), slice("web", Tcp, PORT, &[a.address.ip]));
        answers_at("10.96.0.7:80").await;
        let mut held = connect("10.96.0.7:80").unwrap();
        let mut first = [0];
        held.read_exact(&mut first).unwrap();
        node.state
            .put_slice(name("web-1"), slice("web", Tcp, PORT, &[]));
        eventually("refusal without endpoints", refuses).await;
        // Who was connected stays so.
        let mut answer = [0; 4];
        held.write_all(b"more").unwrap();
        held.read_exact(&mut answer).unwrap();
        assert_eq!((&first, &answer), (b"a", b"more"));
    });
}

#[test]
fn endpoint_that_does_not_answer_is_passed_over() {
    on_a_node(|| async {
        let node = Node::start().await;
        let (a, b) = (pod(&node.network, "a").await, pod(&node.network, "b").await);
        serve(&a.netns, "a");
        node.state
            .put_service(name("web"), service(VIP, 80, Tcp, None));
        let endpoints = [a.address.ip, b.address.ip];
        node.state
            .put_slice(name("web-1"), slice("web", Tcp, PORT, &endpoints));
        answers_at("10.96.0.7:80").await;
        assert!((0..6).all(|_| who("10.96.0.7:80") == Some('a')));
    });
}

#[test]
fn client_is_reset_where_every_endpoint_refuses() {
    on_a_node(|| async {
        let node = Node::start().await;
        let a = pod(&node.network, "a").await;
        node.state
            .put_service(name("web"), service(VIP, 80, Tcp, None));
        node.state
            .put_slice(name("web-1"), slice("web", Tcp, PORT, &[a.address.ip]));
        let mut outcome = None;
        eventually("a connection", || {
            outcome = connect("10.96.0.7:80")
                .ok()
                .map(|mut stream| stream.read(&mut [0]));
            outcome.is_some()
        })
        .await;
        let error = outcome.unwrap().unwrap_err();
        assert_eq!(error.kind(), ErrorKind::ConnectionReset);
    });
}

#[test]
fn client_with_affinity_always_gets_the_same_endpoint() {
    on_a_node(|| async {
        let node = Node::start().await;
        let (a, b) = (pod(&node.network, "a").await, pod(&node.network, "b").await);
        serve(&a.netns, "a");
        serve(&b.netns, "b");
        let mut sticky = service(VIP, 80, Tcp, None);
        sticky.affinity = Some(Duration::from_secs(60));
        node.state.put_service(name("web"), sticky);
        let endpoints = [a.address.ip, b.address.ip];
        node.state
            .put_slice(name("web-1"), slice("web", Tcp, PORT, &endpoints));
        answers_at("10.96.0.7:80").await;
        let ask = || {
            (0..6)
                .filter_map(|_| who("10.96.0.7:80"))
                .collect::<BTreeSet<_>>()
        };
        assert_eq!(a.netns.run(ask).len(), 1);
        assert_eq!(b.netns.run(ask).len(), 1);
    });
}

#[test]
fn each_direction_ends_by_itself_and_megabytes_arrive_unchanged() {
    on_a_node(|| async {
        let node = Node::start().await;
        let a = pod(&node.network, "a").await;
        serve(&a.netns, "a");
        node.state
            .put_service(name("web"), service(VIP, 80, Tcp, None));
        node.state
            .put_slice(name("web-1"), slice("web", Tcp, PORT, &[a.address.ip]));
        answers_at("10.96.0.7:80").await;
        let data: Vec<u8> = (0..32_000_000_u32)
            .map(|n| (n.wrapping_mul(2_654_435_761) >> 13) as u8)
            .collect();
        let mut reader = connect("10.96.0.7:80").unwrap();
        let mut writer = reader.try_clone().unwrap();
        let sent = data.clone();
        let writing = std::thread::spawn(move || {
            writer.write_all(&sent).unwrap();
            writer.shutdown(Shutdown::Write).unwrap();
        });
        let mut received = Vec::new();
        tokio::task::block_in_place(|| reader.read_to_end(&mut received)).unwrap();
        writing.join().unwrap();
        assert_eq!(received[0], b'a');
        assert!(
            received[1..] == data[..],
            "{} of {} bytes",
            received.len() - 1,
            data.len()
        );
    });
}

#[test]
fn address_held_by_another_program_is_taken_once_it_is_free() {
    on_a_node(|| async {
        let node = Node::start().await;
        let a = pod(&node.network, "a").await;
        serve(&a.netns, "a");
        let other = TcpListener::bind((Ipv4Addr::UNSPECIFIED, 30080)).unwrap();
        node.state
            .put_service(name("web"), service(VIP, 80, Tcp, Some(30080)));
        node.state
            .put_slice(name("web-1"), slice("web", Tcp, PORT, &[a.address.ip]));
        answers_at("10.96.0.7:80").await;
        drop(other);
        assert_eq!(who("127.0.0.1:30080"), None);
        node.state
            .put_service(name("unrelated"), service("10.96.0.8", 80, Tcp, None));
        answers_at("127.0.0.1:30080").await;
    });
}

#[test]
fn stopped_proxy_leaves_no_thread_and_cuts_its_connections() {
    on_a_node(|| async {
        let node = Node::start().await;
        let a = pod(&node.network, "a").await;
        serve(&a.netns, "a");
        node.state
            .put_service(name("web"), service(VIP, 80, Tcp, None));
        node.state
            .put_slice(name("web-1"), slice("web", Tcp, PORT, &[a.address.ip]));
        answers_at("10.96.0.7:80").await;
        let mut held = connect("10.96.0.7:80").unwrap();
        node.stop.cancel();
        node.proxy.await.unwrap().unwrap();
        let mut rest = Vec::new();
        // By an end or by a reset, but at once.
        let _ = held.read_to_end(&mut rest);
        assert!(connect("10.96.0.7:80").is_err());
        let threads = std::fs::read_dir("/proc/self/task").unwrap();
        let names = threads.map(|t| std::fs::read_to_string(t.unwrap().path().join("comm")));
        assert!(!names.flatten().any(|name| name.starts_with("skiff-proxy")));
    });
}
