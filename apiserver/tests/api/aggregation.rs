use std::time::Duration;

use apiserver::User;
use bytes::Bytes;
use http::{Method, Request, Response, StatusCode};
use http_body_util::Full;
use hyper_util::rt::TokioIo;
use serde_json::{Value, json};
use tokio::io::{AsyncReadExt, AsyncWriteExt};

use crate::cluster::{Cluster, ask_as};
use crate::extension::{Asked, Extension, answer_json, base64};

const SERVICE: (&str, &str) = ("ext", "fishes");
const API_SERVICE: &str = "/apis/apiregistration.k8s.io/v1/apiservices/v1.fish.io";

/// An extension API server of one resource.
fn fishes(asked: &Asked) -> Response<Full<Bytes>> {
    match asked.request.uri().path() {
        "/apis/fish.io/v1" => answer_json(&json!({
            "kind": "APIResourceList", "apiVersion": "v1", "groupVersion": "fish.io/v1",
            "resources": [
                { "name": "trouts", "singularName": "trout", "namespaced": true, "kind": "Trout", "verbs": ["get", "list"], "shortNames": ["tr"] },
                { "name": "trouts/status", "singularName": "", "namespaced": true, "kind": "Trout", "verbs": ["get"] },
            ],
        })),
        "/apis/fish.io/v1/namespaces/g/trouts/upgrade" => switch(asked),
        path => answer_json(
            &json!({ "kind": "Trout", "path": path, "query": asked.request.uri().query() }),
        ),
    }
}

fn switch(asked: &Asked) -> Response<Full<Bytes>> {
    let upgrade = asked.upgrade.lock().unwrap().take().unwrap();
    tokio::spawn(async move {
        let mut stream = TokioIo::new(upgrade.await.unwrap());
        let mut word = [0; 4];
        stream.read_exact(&mut word).await.unwrap();
        word.reverse();
        stream.write_all(&word).await.unwrap();
        stream.shutdown().await.unwrap();
    });
    let mut response = Response::new(Full::default());
    *response.status_mut() = StatusCode::SWITCHING_PROTOCOLS;
    for (name, value) in [("connection", "Upgrade"), ("upgrade", "echo")] {
        let value = http::HeaderValue::from_static(value);
        response.headers_mut().insert(name, value);
    }
    response
}

async fn with_extension() -> (Cluster, Extension) {
    let cluster = Cluster::start().await;
    cluster.namespace(SERVICE.0).await;
    let extension = Extension::start(&cluster, SERVICE, |asked| fishes(&asked)).await;
    extension.publish(&cluster, SERVICE).await;
    register(&cluster, cluster.authority.cert_pem()).await;
    wait_for(&cluster, "True").await;
    (cluster, extension)
}

async fn register(cluster: &Cluster, ca_pem: &str) {
    let service = json!({
        "apiVersion": "apiregistration.k8s.io/v1", "kind": "APIService", "metadata": { "name": "v1.fish.io" },
        "spec": {
            "group": "fish.io", "version": "v1", "groupPriorityMinimum": 2000, "versionPriority": 10,
            "service": { "namespace": SERVICE.0, "name": SERVICE.1 }, "caBundle": base64(ca_pem.as_bytes()),
        },
    });
    let path = "/apis/apiregistration.k8s.io/v1/apiservices";
    let made = cluster.ask(Method::POST, path, &service).await;
    assert_eq!(made["kind"], "APIService", "{made}");
}

/// Waits until the condition `Available` has that status, and gives it.
async fn wait_for(cluster: &Cluster, status: &str) -> Value {
    let mut last = Value::Null;
    for _ in 0..200 {
        last = cluster.get(API_SERVICE).await["status"]["conditions"][0].clone();
        if last["status"] == status {
            // The server follows its store: a moment passes.
            tokio::time::sleep(Duration::from_millis(50)).await;
            return last;
        }
        tokio::time::sleep(Duration::from_millis(25)).await;
    }
    panic!("the condition is {last}");
}

#[tokio::test]
async fn a_request_reaches_the_other_server_with_its_user() {
    let (cluster, extension) = with_extension().await;
    let mut jane = User::admin("jane");
    jane.extra.insert("scope".into(), vec!["a".into()]);
    let client = cluster.server.client_as(jane);
    let path = "/apis/fish.io/v1/namespaces/g/trouts/t?watch=0";
    let answer = ask_as(&client, Method::GET, path, &Value::Null).await;
    assert_eq!(answer["path"], "/apis/fish.io/v1/namespaces/g/trouts/t");
    assert_eq!(answer["query"], "watch=0");
    let asked = extension.asked();
    let last = asked.last().unwrap();
    let headers = last.request.headers();
    assert_eq!(headers["x-remote-user"], "jane");
    let groups: Vec<_> = headers.get_all("x-remote-group").iter().collect();
    assert_eq!(groups, ["system:masters", "system:authenticated"]);
    assert_eq!(headers["x-remote-extra-scope"], "a");
    assert_eq!(headers["host"], "fishes.ext.svc");
    let certificate = last.certificate.as_ref().expect("a client certificate");
    let (_, certificate) = x509_parser::parse_x509_certificate(certificate).unwrap();
    assert!(
        certificate
            .subject()
            .to_string()
            .contains("front-proxy-client")
    );
}

#[tokio::test]
async fn who_may_not_is_refused_before_the_other_server_is_asked() {
    let (cluster, extension) = with_extension().await;
    let before = extension.asked().len();
    let nobody = User::new("joe", ["system:authenticated".to_owned()]);
    let client = cluster.server.client_as(nobody);
    let path = "/apis/fish.io/v1/namespaces/g/trouts";
    let refused = ask_as(&client, Method::GET, path, &Value::Null).await;
    assert_eq!(refused["code"], 403);
    assert_eq!(extension.asked().len(), before);
}

#[tokio::test]
async fn its_group_is_among_our_own_in_discovery() {
    let (cluster, _extension) = with_extension().await;
    let groups = cluster.get("/apis").await;
    let groups = groups["groups"].as_array().unwrap();
    let found = groups.iter().find(|g| g["name"] == "fish.io").unwrap();
    assert_eq!(found["preferredVersion"]["groupVersion"], "fish.io/v1");
    let resources = cluster.get("/apis/fish.io/v1").await;
    assert_eq!(resources["resources"][0]["name"], "trouts");
    let request = Request::get("/apis")
        .header(
            "accept",
            "application/json;g=apidiscovery.k8s.io;v=v2;as=APIGroupDiscoveryList",
        )
        .body(Vec::new())
        .unwrap();
    let list = cluster.client().request_text(request).await.unwrap();
    let list: Value = serde_json::from_str(&list).unwrap();
    let items = list["items"].as_array().unwrap();
    let item = items.iter().find(|g| g["metadata"]["name"] == "fish.io");
    let version = &item.unwrap()["versions"][0];
    assert_eq!(version["freshness"], "Current");
    let resource = &version["resources"][0];
    assert_eq!(resource["responseKind"]["kind"], "Trout");
    assert_eq!(resource["shortNames"], json!(["tr"]));
    assert_eq!(resource["subresources"][0]["subresource"], "status");
    let index = cluster.get("/openapi/v3").await;
    assert!(index["paths"]["apis/fish.io/v1"].is_object(), "{index}");
}

#[tokio::test]
async fn an_upgrade_goes_through() {
    use tokio::io::{AsyncBufReadExt, BufReader};
    let (cluster, _extension) = with_extension().await;
    let stream = crate::proxying::connect(&cluster).await;
    let mut stream = BufReader::new(stream);
    let request = format!(
        "GET /apis/fish.io/v1/namespaces/g/trouts/upgrade HTTP/1.1\r\nhost: x\r\nauthorization: Bearer {}\r\nconnection: Upgrade\r\nupgrade: echo\r\n\r\n",
        crate::cluster::TOKEN
    );
    stream.write_all(request.as_bytes()).await.unwrap();
    stream.flush().await.unwrap();
    let mut head = String::new();
    while !head.ends_with("\r\n\r\n") && stream.read_line(&mut head).await.unwrap() > 0 {}
    assert!(head.starts_with("HTTP/1.1 101"), "{head}");
    stream.write_all(b"ping").await.unwrap();
    stream.flush().await.unwrap();
    let mut back = [0; 4];
    stream.read_exact(&mut back).await.unwrap();
    assert_eq!(&back, b"gnip");
}

#[tokio::test]
async fn a_server_that_is_not_believed_is_unavailable() {
    let cluster = Cluster::start().await;
    cluster.namespace(SERVICE.0).await;
    let extension = Extension::start(&cluster, SERVICE, |asked| fishes(&asked)).await;
    extension.publish(&cluster, SERVICE).await;
    let dir = tempfile::tempdir().unwrap();
    let other = pki::Authority::load_or_create(dir.path(), "other", "other").unwrap();
    register(&cluster, other.cert_pem()).await;
    let condition = wait_for(&cluster, "False").await;
    assert_eq!(condition["reason"], "FailedDiscoveryCheck");
    let message = condition["message"].as_str().unwrap();
    assert!(
        message.ends_with("x509: certificate signed by unknown authority"),
        "{message}"
    );
    let request = Request::get("/apis/fish.io/v1/trouts").body(Vec::new().into());
    let answer = cluster.client().send(request.unwrap()).await.unwrap();
    assert_eq!(answer.status(), 503);
    let lax = json!({ "spec": { "caBundle": null, "insecureSkipTLSVerify": true } });
    cluster.ask(Method::PATCH, API_SERVICE, &lax).await;
    wait_for(&cluster, "True").await;
    let answer = cluster.get("/apis/fish.io/v1/trouts").await;
    assert_eq!(answer["kind"], "Trout", "{answer}");
}

#[tokio::test]
async fn a_service_that_is_not_there_is_named() {
    let cluster = Cluster::start().await;
    register(&cluster, cluster.authority.cert_pem()).await;
    let condition = wait_for(&cluster, "False").await;
    assert_eq!(condition["reason"], "ServiceNotFound");
    assert_eq!(
        condition["message"],
        "service/fishes in \"ext\" is not present"
    );
}

#[tokio::test]
async fn what_is_served_here_has_its_api_services_too() {
    let cluster = Cluster::start().await;
    let path = "/apis/apiregistration.k8s.io/v1/apiservices/v1.apps";
    let mut found = Value::Null;
    for _ in 0..100 {
        found = cluster.get(path).await;
        if found["kind"] == "APIService" {
            break;
        }
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    assert_eq!(found["spec"]["groupPriorityMinimum"], 17800, "{found}");
    assert_eq!(found["status"]["conditions"][0]["reason"], "Local");
    let core = cluster
        .get("/apis/apiregistration.k8s.io/v1/apiservices/v1.")
        .await;
    assert_eq!(core["spec"]["version"], "v1", "{core}");
}

#[tokio::test]
async fn extension_servers_find_whom_to_believe() {
    let cluster = Cluster::start().await;
    let path = "/api/v1/namespaces/kube-system/configmaps/extension-apiserver-authentication";
    let data = cluster.get(path).await["data"].clone();
    assert_eq!(
        data["requestheader-allowed-names"],
        "[\"front-proxy-client\"]"
    );
    let ca = data["requestheader-client-ca-file"].as_str().unwrap();
    assert!(ca.starts_with("-----BEGIN CERTIFICATE-----"));
    assert_eq!(data["client-ca-file"], cluster.authority.cert_pem());
}

#[tokio::test]
async fn an_api_service_comes_and_goes_with_its_definition() {
    let cluster = Cluster::start().await;
    let definitions = "/apis/apiextensions.k8s.io/v1/customresourcedefinitions";
    let definition = json!({
        "apiVersion": "apiextensions.k8s.io/v1", "kind": "CustomResourceDefinition",
        "metadata": { "name": "crows.bird.io" },
        "spec": {
            "group": "bird.io", "scope": "Namespaced", "names": { "plural": "crows", "kind": "Crow" },
            "versions": [{ "name": "v1", "served": true, "storage": true,
                "schema": { "openAPIV3Schema": { "type": "object" } } }],
        },
    });
    cluster.ask(Method::POST, definitions, &definition).await;
    let path = "/apis/apiregistration.k8s.io/v1/apiservices/v1.bird.io";
    let found = until(&cluster, path, |found| found["kind"] == "APIService").await;
    assert_eq!(found["spec"]["versionPriority"], 100);
    let label = "kube-aggregator.kubernetes.io/automanaged";
    assert_eq!(found["metadata"]["labels"][label], "true");
    let path_of_definition = format!("{definitions}/crows.bird.io");
    cluster
        .ask(Method::DELETE, &path_of_definition, &Value::Null)
        .await;
    until(&cluster, path, |found| found["code"] == 404).await;
}

async fn until(cluster: &Cluster, path: &str, is_there: impl Fn(&Value) -> bool) -> Value {
    let mut last = Value::Null;
    for _ in 0..200 {
        last = cluster.get(path).await;
        if is_there(&last) {
            return last;
        }
        tokio::time::sleep(Duration::from_millis(25)).await;
    }
    panic!("{path} is {last}");
}
