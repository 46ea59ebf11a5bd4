//! All of a node's part, against an API server that is played.

use std::convert::Infallible;
use std::io::{Read, Write};
use std::net::{Ipv4Addr, TcpListener, TcpStream, UdpSocket};
use std::time::Duration;

use bytes::Bytes;
use futures::StreamExt;
use hickory_proto::op::{Message, Query};
use hickory_proto::rr::{Name, RecordType};
use http::{Request, Response};
use http_body_util::StreamBody;
use kube::client::Body;
use netproxy::PodNetwork;
use serde_json::{Value, json};
use tokio_util::sync::CancellationToken;

use crate::world::{BRIDGE, config, eventually, ip, on_a_node, pod};

/// Answers lists with these, and watches with silence.
fn api(services: Value, slices: Value) -> kube::Client {
    let service = tower::service_fn(move |request: Request<Body>| {
        let uri = request.uri().to_string();
        let is_watch = uri.contains("watch=");
        let (kind, version, items) = if uri.contains("endpointslices") {
            ("EndpointSliceList", "discovery.k8s.io/v1", &slices)
        } else {
            ("ServiceList", "v1", &services)
        };
        let list = json!({
            "kind": kind, "apiVersion": version,
            "metadata": { "resourceVersion": "1" }, "items": items,
        });
        let first = (!is_watch).then(|| Bytes::from(list.to_string()));
        let frame = |bytes| Ok::<_, Infallible>(http_body::Frame::data(bytes));
        let body = futures::stream::iter(first.map(frame));
        let body = if is_watch {
            body.chain(futures::stream::pending()).left_stream()
        } else {
            body.right_stream()
        };
        std::future::ready(Ok::<_, Infallible>(Response::new(StreamBody::new(body))))
    });
    kube::Client::new(service, "default")
}

fn question(name: &str) -> Vec<u8> {
    let mut question = Message::query();
    question.add_query(Query::query(Name::from_ascii(name).unwrap(), RecordType::A));
    question.to_vec().unwrap()
}

fn addresses(answer: &[u8]) -> Vec<String> {
    let answer = Message::from_vec(answer).unwrap();
    answer
        .answers
        .iter()
        .map(|record| record.data.to_string())
        .collect()
}

fn resolve_by_udp(name: &str) -> Option<Vec<String>> {
    let socket = UdpSocket::bind((Ipv4Addr::UNSPECIFIED, 0)).unwrap();
    socket
        .set_read_timeout(Some(Duration::from_millis(500)))
        .unwrap();
    socket.connect("10.96.0.10:53").ok()?;
    socket.send(&question(name)).ok()?;
    let mut answer = [0; 2048];
    let length = socket.recv(&mut answer).ok()?;
    Some(addresses(&answer[..length]))
}

fn resolve_by_tcp(name: &str) -> Vec<String> {
    let mut stream = TcpStream::connect("10.96.0.10:53").unwrap();
    let question = question(name);
    let length = u16::try_from(question.len()).unwrap().to_be_bytes();
    stream
        .write_all(&[&length[..], &question].concat())
        .unwrap();
    let mut length = [0; 2];
    stream.read_exact(&mut length).unwrap();
    let mut answer = vec![0; usize::from(u16::from_be_bytes(length))];
    stream.read_exact(&mut answer).unwrap();
    addresses(&answer)
}

fn service(name: &str, ip: &str, port: u16) -> Value {
    json!({
        "metadata": { "name": name, "namespace": "default", "managedFields": [{ "manager": "x" }] },
        "spec": { "clusterIP": ip, "clusterIPs": [ip], "ports": [{ "port": port, "targetPort": 8080 }] },
    })
}

fn slice(service: &str, ip: Ipv4Addr) -> Value {
    json!({
        "metadata": {
            "name": format!("{service}-1"), "namespace": "default",
            "labels": { "kubernetes.io/service-name": service },
        },
        "addressType": "IPv4",
        "endpoints": [{ "addresses": [ip], "conditions": { "ready": true } }],
        "ports": [{ "name": "", "protocol": "TCP", "port": 8080 }],
    })
}

#[test]
fn pod_finds_a_service_by_name_and_reaches_it() {
    on_a_node(|| async {
        let dir = tempfile::tempdir().unwrap();
        let network = PodNetwork::open(config(dir.path())).await.unwrap();
        let (a, b) = (pod(&network, "a").await, pod(&network, "b").await);
        let listener = a
            .netns
            .run(|| TcpListener::bind((Ipv4Addr::UNSPECIFIED, 8080)).unwrap());
        std::thread::spawn(move || {
            for client in listener.incoming() {
                client.unwrap().write_all(b"hello").unwrap();
            }
        });
        // As in a real cluster, with a Service at the address of DNS itself.
        let services = json!([
            service("web", "10.96.0.7", 80),
            service("dns", "10.96.0.10", 53)
        ]);
        let slices = json!([slice("web", a.address.ip), slice("dns", a.address.ip)]);
        let node = netproxy::Config::new("here", "192.168.77.1".parse().unwrap());
        let stop = CancellationToken::new();
        let running = tokio::spawn(netproxy::run(node, api(services, slices), stop.clone()));

        let name = "web.default.svc.cluster.local.";
        let by_udp = || b.netns.run(move || resolve_by_udp(name));
        eventually("DNS answers", || {
            by_udp() == Some(vec!["10.96.0.7".to_owned()])
        })
        .await;
        assert_eq!(b.netns.run(move || resolve_by_tcp(name)), ["10.96.0.7"]);
        let greeting = || {
            let mut greeting = String::new();
            let mut stream = TcpStream::connect("10.96.0.7:80").ok()?;
            stream.read_to_string(&mut greeting).ok()?;
            Some(greeting)
        };
        eventually("the Service answers", || {
            b.netns.run(greeting).as_deref() == Some("hello")
        })
        .await;

        stop.cancel();
        running.await.unwrap().unwrap();
        drop(network);
        netproxy::remove_everything(BRIDGE, dir.path())
            .await
            .unwrap();
        let routes = ip("route show table all");
        assert!(!routes.contains("10.96."), "{routes}");
    });
}

#[test]
fn run_ends_while_it_still_waits_for_the_api_server() {
    on_a_node(|| async {
        let silent = tower::service_fn(|_: Request<Body>| {
            futures::future::pending::<Result<Response<Body>, Infallible>>()
        });
        let node = netproxy::Config::new("here", "192.168.77.1".parse().unwrap());
        let stop = CancellationToken::new();
        let client = kube::Client::new(silent, "default");
        let running = tokio::spawn(netproxy::run(node, client, stop.clone()));
        tokio::time::sleep(Duration::from_millis(50)).await;
        stop.cancel();
        let ended = tokio::time::timeout(Duration::from_secs(5), running).await;
        ended.unwrap().unwrap().unwrap();
    });
}
