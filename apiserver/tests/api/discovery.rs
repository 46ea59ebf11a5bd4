use http::Request;
use serde_json::Value;

use crate::cluster::Cluster;

#[tokio::test]
async fn every_kind_is_found_where_its_group_says() {
    let cluster = Cluster::start().await;
    for kind in kinds::all() {
        let path = if kind.group.is_empty() {
            format!("/api/{}", kind.version)
        } else {
            format!("/apis/{}/{}", kind.group, kind.version)
        };
        let list = cluster.get(&path).await;
        let resources = list["resources"].as_array().unwrap();
        assert!(
            resources
                .iter()
                .any(|r| r["name"] == kind.plural && r["kind"] == kind.kind),
            "{path} {}",
            kind.plural
        );
    }
}

#[tokio::test]
async fn aggregated_discovery_answers_who_asks_for_it() {
    let cluster = Cluster::start().await;
    let request = Request::get("/apis")
        .header(
            "accept",
            "application/json;g=apidiscovery.k8s.io;v=v2;as=APIGroupDiscoveryList,application/json",
        )
        .body(Vec::new())
        .unwrap();
    let list: Value =
        serde_json::from_str(&cluster.client().request_text(request).await.unwrap()).unwrap();
    assert_eq!(list["kind"], "APIGroupDiscoveryList");
    let groups: Vec<_> = list["items"]
        .as_array()
        .unwrap()
        .iter()
        .map(|g| g["metadata"]["name"].clone())
        .collect();
    assert!(groups.contains(&"apps".into()), "{groups:?}");
}

#[tokio::test]
async fn kubectl_gets_its_columns() {
    let cluster = Cluster::start().await;
    let request = Request::get("/api/v1/namespaces")
        .header(
            "accept",
            "application/json;as=Table;v=v1;g=meta.k8s.io,application/json",
        )
        .body(Vec::new())
        .unwrap();
    let table: Value =
        serde_json::from_str(&cluster.client().request_text(request).await.unwrap()).unwrap();
    assert_eq!(table["kind"], "Table");
    assert_eq!(table["rows"][0]["cells"][0], "default");
    assert_eq!(table["rows"][0]["object"]["kind"], "PartialObjectMetadata");
}

#[tokio::test]
async fn openapi_in_protobuf_is_named_without_an_at_sign_whoever_asks() {
    let cluster = Cluster::start().await;
    let named = "application/com.github.proto-openapi.spec.v2.v1.0+protobuf";
    for asked in [
        named,
        "application/com.github.proto-openapi.spec.v2@v1.0+protobuf",
    ] {
        let request = Request::get("/openapi/v2")
            .header("accept", asked)
            .body(Vec::new().into())
            .unwrap();
        let answer = cluster.client().send(request).await.unwrap();
        assert_eq!(answer.headers()["content-type"], named);
    }
}
