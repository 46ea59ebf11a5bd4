use apiserver::Error;
use http::Request;
use kube::config::{KubeConfigOptions, Kubeconfig};
use kube::{Client, Config};
use serde_json::{Value, json};

use crate::cluster::{Cluster, TOKEN};

/// A client over TLS with these credentials.
pub async fn over_tls(cluster: &Cluster, user: Value) -> Client {
    use base64::Engine as _;
    let ca = base64::engine::general_purpose::STANDARD.encode(cluster.authority.cert_pem());
    let server = format!("https://127.0.0.1:{}", cluster.server.addr().port());
    let config: Kubeconfig = serde_json::from_value(json!({
        "apiVersion": "v1", "kind": "Config", "current-context": "c",
        "clusters": [{ "name": "c", "cluster": { "server": server, "certificate-authority-data": ca } }],
        "users": [{ "name": "u", "user": user }],
        "contexts": [{ "name": "c", "context": { "cluster": "c", "user": "u" } }],
    }))
    .unwrap();
    let mut config = Config::from_custom_kubeconfig(config, &KubeConfigOptions::default())
        .await
        .unwrap();
    // An answer is looked at, whatever it is.
    config.default_retry = false;
    Client::try_from(config).unwrap()
}

async fn code_of(client: &Client, path: &str) -> u16 {
    match client
        .request_text(Request::get(path).body(Vec::new()).unwrap())
        .await
    {
        Ok(_) => 200,
        Err(kube::Error::Api(status)) => status.code,
        Err(error) => panic!("{error}"),
    }
}

#[tokio::test]
async fn a_client_certificate_names_user_and_groups() {
    use base64::Engine as _;
    let cluster = Cluster::start().await;
    let issued = cluster
        .authority
        .issue(&pki::Request {
            common_name: "root".into(),
            organizations: vec!["system:masters".into()],
            usages: vec![pki::Usage::Client],
            ..pki::Request::default()
        })
        .unwrap();
    let encode = |pem: &str| base64::engine::general_purpose::STANDARD.encode(pem);
    let user = json!({ "client-certificate-data": encode(&issued.cert_pem), "client-key-data": encode(&issued.key_pem) });
    let client = over_tls(&cluster, user).await;
    assert_eq!(code_of(&client, "/api/v1/namespaces").await, 200);
}

#[tokio::test]
async fn a_known_token_is_let_in_and_a_wrong_one_is_not() {
    let cluster = Cluster::start().await;
    let good = over_tls(&cluster, json!({ "token": TOKEN })).await;
    assert_eq!(code_of(&good, "/api/v1/namespaces").await, 200);
    let bad = over_tls(&cluster, json!({ "token": "wrong" })).await;
    assert_eq!(code_of(&bad, "/api/v1/namespaces").await, 401);
}

#[tokio::test]
async fn without_credentials_only_the_public_is_shown() {
    let cluster = Cluster::start().await;
    let nobody = over_tls(&cluster, json!({})).await;
    assert_eq!(code_of(&nobody, "/readyz").await, 200);
    assert_eq!(code_of(&nobody, "/api/v1/namespaces").await, 403);
}

#[tokio::test]
async fn a_used_port_is_told_with_what_to_do() {
    let first = Cluster::start().await;
    let port = first.server.addr().port();
    let error = Cluster::start_in(tempfile::tempdir().unwrap(), port)
        .await
        .err()
        .unwrap();
    assert!(matches!(error, Error::PortInUse { address } if address.port() == port));
    assert!(error.to_string().contains("choose another port"), "{error}");
}

#[tokio::test]
async fn stop_ends_open_watches() {
    let cluster = Cluster::start().await;
    let client = over_tls(&cluster, json!({ "token": TOKEN })).await;
    let request = Request::get("/api/v1/namespaces?watch=1")
        .body(Vec::new())
        .unwrap();
    let watch = tokio::spawn(async move { client.request_text(request).await });
    tokio::time::sleep(std::time::Duration::from_millis(100)).await;
    let stopped =
        tokio::time::timeout(std::time::Duration::from_secs(4), cluster.server.stop()).await;
    assert!(stopped.is_ok(), "the server waits for the watch");
    assert!(watch.await.unwrap().is_ok());
}

#[tokio::test]
async fn a_body_that_does_not_come_ends_with_the_requests_time() {
    use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
    let cluster = Cluster::start().await;
    let mut stream = crate::proxying::connect(&cluster).await;
    let head = format!(
        "POST /api/v1/namespaces/default/configmaps?timeout=1s HTTP/1.1\r\nhost: x\r\n\
         authorization: Bearer {TOKEN}\r\ncontent-type: application/json\r\ncontent-length: 100\r\n\r\n{{"
    );
    stream.write_all(head.as_bytes()).await.unwrap();
    let mut answer = vec![0; 64];
    stream.read_exact(&mut answer).await.unwrap();
    let answer = String::from_utf8_lossy(&answer);
    assert!(answer.starts_with("HTTP/1.1 504"), "{answer}");
}
