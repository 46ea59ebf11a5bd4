use std::net::{Ipv4Addr, SocketAddr};
use std::sync::Arc;

use apiserver::User;
use http::Method;
use rustls::pki_types::{CertificateDer, PrivateKeyDer, ServerName, pem::PemObject};
use serde_json::json;
use tokio::io::{AsyncBufReadExt, AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt, BufReader};
use tokio::net::{TcpListener, TcpStream};
use tokio_rustls::{TlsAcceptor, TlsConnector};

use crate::cluster::{Cluster, TOKEN, ask_as};

/// A kubelet of one answer: logs as they are asked for, and an echo behind an upgrade.
async fn kubelet(cluster: &Cluster) -> SocketAddr {
    let issued = cluster
        .authority
        .issue(&pki::Request {
            common_name: "system:node:n1".into(),
            addresses: vec![Ipv4Addr::LOCALHOST.into()],
            usages: vec![pki::Usage::Server],
            ..pki::Request::default()
        })
        .unwrap();
    let chain: Vec<_> = CertificateDer::pem_slice_iter(issued.cert_pem.as_bytes())
        .map(Result::unwrap)
        .collect();
    let key = PrivateKeyDer::from_pem_slice(issued.key_pem.as_bytes()).unwrap();
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let tls = rustls::ServerConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .unwrap()
        .with_no_client_auth()
        .with_single_cert(chain, key)
        .unwrap();
    let acceptor = TlsAcceptor::from(Arc::new(tls));
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await.unwrap();
    let address = listener.local_addr().unwrap();
    tokio::spawn(async move {
        while let Ok((stream, _)) = listener.accept().await {
            let acceptor = acceptor.clone();
            tokio::spawn(async move { answer(acceptor.accept(stream).await.unwrap()).await });
        }
    });
    address
}

async fn answer(stream: impl AsyncRead + AsyncWrite + Unpin) {
    let mut stream = BufReader::new(stream);
    let head = read_head(&mut stream).await;
    let path = head.split(' ').nth(1).unwrap_or("").to_owned();
    if head.to_lowercase().contains("upgrade: echo") {
        stream
            .write_all(
                b"HTTP/1.1 101 Switching Protocols\r\nconnection: Upgrade\r\nupgrade: echo\r\n\r\n",
            )
            .await
            .unwrap();
        let mut byte = [0];
        while stream.read(&mut byte).await.unwrap_or(0) > 0 {
            stream.write_all(&byte).await.unwrap();
            stream.flush().await.unwrap();
        }
        return;
    }
    let (code, body) = if path.contains("previous=true") {
        (
            "400 Bad Request",
            "previous terminated container".to_owned(),
        )
    } else {
        ("200 OK", format!("asked for {path}\n"))
    };
    let reply = format!(
        "HTTP/1.1 {code}\r\ncontent-type: text/plain\r\ncontent-length: {}\r\n\r\n{body}",
        body.len()
    );
    stream.write_all(reply.as_bytes()).await.unwrap();
    stream.flush().await.unwrap();
}

async fn read_head(stream: &mut (impl AsyncBufReadExt + Unpin)) -> String {
    let mut head = String::new();
    while !head.ends_with("\r\n\r\n") {
        if stream.read_line(&mut head).await.unwrap() == 0 {
            break;
        }
    }
    head
}

/// A cluster with a pod on a node whose kubelet answers.
async fn with_pod() -> Cluster {
    let cluster = Cluster::start().await;
    let kubelet = kubelet(&cluster).await;
    with_pod_at(&cluster, kubelet.port()).await;
    cluster
}

/// The same, with the kubelet said to be at this port.
async fn with_pod_at(cluster: &Cluster, port: u16) {
    cluster.namespace("g").await;
    cluster.service_account("g").await;
    let node = json!({ "apiVersion": "v1", "kind": "Node", "metadata": { "name": "n1" } });
    cluster.ask(Method::POST, "/api/v1/nodes", &node).await;
    let status = json!({ "status": {
        "addresses": [{ "type": "InternalIP", "address": "127.0.0.1" }],
        "daemonEndpoints": { "kubeletEndpoint": { "Port": port } },
    } });
    cluster
        .ask(Method::PATCH, "/api/v1/nodes/n1/status", &status)
        .await;
    let pod = json!({ "apiVersion": "v1", "kind": "Pod", "metadata": { "name": "p" },
        "spec": { "nodeName": "n1", "containers": [{ "name": "c", "image": "i" }] } });
    let made = cluster
        .ask(Method::POST, "/api/v1/namespaces/g/pods", &pod)
        .await;
    assert_eq!(made["kind"], "Pod", "{made}");
}

#[tokio::test]
async fn logs_come_from_the_pods_kubelet() {
    let cluster = with_pod().await;
    let log = cluster
        .get("/api/v1/namespaces/g/pods/p/log?follow=true")
        .await;
    assert_eq!(log, "asked for /containerLogs/g/p/c?follow=true\n");
}

#[tokio::test]
async fn why_there_is_no_log_is_told_as_a_status() {
    let cluster = with_pod().await;
    let path = "/api/v1/namespaces/g/pods/p/log?previous=true";
    let status = cluster.get(path).await;
    assert_eq!(status["reason"], "BadRequest");
    assert_eq!(status["message"], "previous terminated container");
}

#[tokio::test]
async fn an_upgraded_exec_carries_bytes_both_ways() {
    let cluster = with_pod().await;
    let mut stream = BufReader::new(connect(&cluster).await);
    let request = format!(
        "GET /api/v1/namespaces/g/pods/p/exec?command=sh&stdout=1 HTTP/1.1\r\nhost: x\r\nauthorization: Bearer {TOKEN}\r\nconnection: Upgrade\r\nupgrade: echo\r\n\r\n"
    );
    stream.write_all(request.as_bytes()).await.unwrap();
    stream.flush().await.unwrap();
    let head = read_head(&mut stream).await;
    assert!(head.starts_with("HTTP/1.1 101"), "{head}");
    stream.write_all(b"ping").await.unwrap();
    stream.flush().await.unwrap();
    let mut echoed = [0; 4];
    stream.read_exact(&mut echoed).await.unwrap();
    assert_eq!(&echoed, b"ping");
}

pub async fn connect(cluster: &Cluster) -> tokio_rustls::client::TlsStream<TcpStream> {
    let mut roots = rustls::RootCertStore::empty();
    for certificate in CertificateDer::pem_slice_iter(cluster.authority.cert_pem().as_bytes()) {
        roots.add(certificate.unwrap()).unwrap();
    }
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let tls = rustls::ClientConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .unwrap()
        .with_root_certificates(roots)
        .with_no_client_auth();
    let stream = TcpStream::connect(cluster.server.addr()).await.unwrap();
    let name = ServerName::try_from("127.0.0.1").unwrap();
    TlsConnector::from(Arc::new(tls))
        .connect(name, stream)
        .await
        .unwrap()
}

#[tokio::test]
async fn a_pods_proxy_does_not_reach_this_machine() {
    let cluster = with_pod().await;
    let status = json!({ "status": { "podIP": "127.0.0.1", "podIPs": [{ "ip": "127.0.0.1" }] } });
    cluster
        .ask(Method::PATCH, "/api/v1/namespaces/g/pods/p/status", &status)
        .await;
    let refused = cluster.get("/api/v1/namespaces/g/pods/p/proxy/").await;
    assert_eq!(refused["message"], "address not allowed");
}

#[tokio::test]
async fn a_nodes_proxy_does_not_reach_this_machine() {
    let cluster = with_pod().await;
    let path = "/api/v1/nodes/n1";
    for address in ["127.0.0.1", "localhost", "::ffff:127.0.0.1", "169.254.1.1"] {
        let addresses = json!([{ "type": "Hostname", "address": address }]);
        let status = json!({ "status": { "addresses": &addresses } });
        let set = cluster
            .ask(Method::PATCH, &format!("{path}/status"), &status)
            .await;
        assert_eq!(set["status"]["addresses"], addresses, "{set}");
        let refused = cluster.get(&format!("{path}/proxy/pods")).await;
        assert_eq!(refused["message"], "address not allowed", "{address}");
    }
}

#[tokio::test]
async fn a_node_is_never_the_api_server_itself() {
    let cluster = Cluster::start().await;
    with_pod_at(&cluster, cluster.server.addr().port()).await;
    let refused = cluster.get("/api/v1/namespaces/g/pods/p/log").await;
    let message = refused["message"].as_str().unwrap();
    assert!(
        message.ends_with("this is the API server itself"),
        "{message}"
    );
}

/// What a request does that is led to an API server after all.
#[tokio::test]
async fn the_kubelets_client_may_do_no_more_than_kubelets_let_it() {
    let cluster = Cluster::start().await;
    let client = cluster.server.client_as(User::new(
        "kube-apiserver-kubelet-client",
        ["system:authenticated".to_owned()],
    ));
    let secrets = ask_as(&client, Method::GET, "/api/v1/secrets", &json!(null)).await;
    assert_eq!(secrets["code"], 403, "{secrets}");
    let reviews = "/apis/authorization.k8s.io/v1/selfsubjectaccessreviews";
    let review = json!({ "apiVersion": "authorization.k8s.io/v1", "kind": "SelfSubjectAccessReview",
        "spec": { "resourceAttributes": { "verb": "create", "resource": "nodes", "subresource": "proxy", "name": "n1" } } });
    let answer = ask_as(&client, Method::POST, reviews, &review).await;
    assert_eq!(answer["status"]["allowed"], true, "{answer}");
}

#[tokio::test]
async fn only_nodes_open_tunnels() {
    let cluster = Cluster::start().await;
    let mut stream = BufReader::new(connect(&cluster).await);
    let request = format!(
        "GET /skiff/v1/tunnel HTTP/1.1\r\nhost: x\r\nauthorization: Bearer {TOKEN}\r\nconnection: Upgrade\r\nupgrade: skiff-tunnel\r\n\r\n"
    );
    stream.write_all(request.as_bytes()).await.unwrap();
    stream.flush().await.unwrap();
    let head = read_head(&mut stream).await;
    assert!(head.starts_with("HTTP/1.1 403"), "{head}");
    let node = cluster.server.client_as(User::new(
        "system:node:n1",
        ["system:nodes".to_owned(), "system:authenticated".to_owned()],
    ));
    // As a node, but without the upgrade.
    let answer = ask_as(&node, Method::GET, "/skiff/v1/tunnel", &json!(null)).await;
    assert_eq!(answer["code"], 400, "{answer}");
    let other = cluster
        .server
        .client_as(User::new("ann", ["system:authenticated".to_owned()]));
    let answer = ask_as(&other, Method::GET, "/skiff/v1/tunnel", &json!(null)).await;
    assert_eq!(answer["code"], 403, "{answer}");
}
