//! Fields that are unknown or come twice, and what clients are warned of.

use http::Method;
use serde_json::{Value, json};

use crate::cluster::Cluster;

const MAPS: &str = "/api/v1/namespaces/s/configmaps";
const MAP: &str = "/api/v1/namespaces/s/configmaps/c";
const YAML: &str = "application/yaml";
const APPLY: &str = "application/apply-patch+yaml";

struct Answer {
    code: u16,
    /// The message of a refusal.
    message: String,
    warnings: Vec<String>,
}

async fn cluster() -> Cluster {
    let cluster = Cluster::start().await;
    cluster.namespace("s").await;
    cluster
}

async fn send(
    cluster: &Cluster,
    method: Method,
    path: &str,
    content_type: &str,
    body: impl Into<Vec<u8>>,
) -> Answer {
    let request = http::Request::builder()
        .method(method)
        .uri(path)
        .header("content-type", content_type)
        .body(kube::client::Body::from(body.into()))
        .unwrap();
    let answer = cluster.client().send(request).await.unwrap();
    let warnings = answer.headers().get_all("warning").iter();
    let warnings = warnings.map(|w| w.to_str().unwrap().to_owned()).collect();
    let code = answer.status().as_u16();
    let bytes = answer.into_body().collect_bytes().await.unwrap();
    let body: Value = serde_json::from_slice(&bytes).unwrap();
    Answer {
        code,
        message: body["message"].as_str().unwrap_or_default().to_owned(),
        warnings,
    }
}

/// A manifest that gives a key twice, on line 7, and one that nobody knows.
const TWICE: &str = "apiVersion: v1
kind: ConfigMap
metadata:
  name: c
data:
  a: x
  a: y
bogus: 1
";

#[tokio::test]
async fn a_key_twice_in_yaml_is_refused_with_its_line_if_asked_and_else_told() {
    let cluster = cluster().await;
    let strict = format!("{MAPS}?fieldValidation=Strict");
    let answer = send(&cluster, Method::POST, &strict, YAML, TWICE).await;
    assert_eq!(answer.code, 400);
    assert_eq!(
        answer.message,
        "ConfigMap in version \"v1\" cannot be handled as a ConfigMap: strict decoding error: yaml: unmarshal errors:\n  line 7: key \"a\" already set in map, unknown field \"bogus\""
    );
    let answer = send(&cluster, Method::POST, MAPS, YAML, TWICE).await;
    assert_eq!(answer.code, 201);
    assert_eq!(
        answer.warnings,
        [
            "299 - \"line 7: key \\\"a\\\" already set in map\"",
            "299 - \"unknown field \\\"bogus\\\"\""
        ]
    );
    assert_eq!(cluster.get(MAP).await["data"]["a"], "y");
    let ignoring = format!("{MAPS}?fieldValidation=Ignore&dryRun=All");
    let again = TWICE.replace("name: c", "name: d");
    let answer = send(&cluster, Method::POST, &ignoring, YAML, again).await;
    assert_eq!((answer.code, answer.warnings.len()), (201, 0));
}

#[tokio::test]
async fn a_key_twice_in_what_is_applied_is_refused_if_asked_and_else_told() {
    let cluster = cluster().await;
    let applied = TWICE.replace("bogus: 1\n", "");
    let strict = format!("{MAP}?fieldManager=m&fieldValidation=Strict");
    let answer = send(&cluster, Method::PATCH, &strict, APPLY, applied.as_str()).await;
    assert_eq!(answer.code, 400);
    assert_eq!(
        answer.message,
        "error strict decoding YAML: error converting YAML to JSON: yaml: unmarshal errors:\n  line 7: key \"a\" already set in map"
    );
    let path = format!("{MAP}?fieldManager=m");
    let answer = send(&cluster, Method::PATCH, &path, APPLY, applied).await;
    assert_eq!((answer.code, answer.warnings.len()), (201, 1));
}

#[tokio::test]
async fn yaml_that_is_none_is_refused_in_the_words_of_go() {
    let cluster = cluster().await;
    let path = format!("{MAP}?fieldManager=m");
    let answer = send(&cluster, Method::PATCH, &path, APPLY, "x: 1\na: b: c").await;
    assert_eq!(
        answer.message,
        "error decoding YAML: error converting YAML to JSON: yaml: line 2: mapping values are not allowed in this context"
    );
    let answer = send(&cluster, Method::POST, MAPS, YAML, "a: b: c").await;
    assert_eq!(
        answer.message,
        "the object provided is unrecognized (must be of type ConfigMap): yaml: mapping values are not allowed in this context (613a20623a2063)"
    );
}

#[tokio::test]
async fn a_strict_patch_with_unknown_fields_or_keys_twice_is_unprocessable() {
    let cluster = cluster().await;
    let map = json!({ "apiVersion": "v1", "kind": "ConfigMap", "metadata": { "name": "c" } });
    cluster.ask(Method::POST, MAPS, &map).await;
    let strict = format!("{MAP}?fieldValidation=Strict");
    let patch = r#"{"data":{"a":"1","a":"2"},"bogus":1}"#;
    for (of, shown) in [
        (
            "application/strategic-merge-patch+json",
            "map[bogus:1 data:map[a:2]]",
        ),
        ("application/merge-patch+json", "bogus"),
    ] {
        let answer = send(&cluster, Method::PATCH, &strict, of, patch).await;
        assert_eq!(answer.code, 422, "{}", answer.message);
        assert!(answer.message.contains(shown), "{}", answer.message);
        assert!(
            answer.message.ends_with(
                "strict decoding error: duplicate field \"data.a\", unknown field \"bogus\""
            ),
            "{}",
            answer.message
        );
        let answer = send(&cluster, Method::PATCH, MAP, of, patch).await;
        assert_eq!((answer.code, answer.warnings.len()), (200, 2));
    }
    let patch = r#"[{"op":"add","op":"add","path":"/bogus","value":1}]"#;
    let answer = send(
        &cluster,
        Method::PATCH,
        MAP,
        "application/json-patch+json",
        patch,
    )
    .await;
    assert_eq!(
        answer.warnings,
        [
            "299 - \"json patch duplicate field \\\"[0].op\\\"\"",
            "299 - \"unknown field \\\"bogus\\\"\""
        ]
    );
}

#[tokio::test]
async fn a_patch_to_a_value_of_a_wrong_type_is_unprocessable() {
    let cluster = cluster().await;
    let map = json!({ "apiVersion": "v1", "kind": "ConfigMap", "metadata": { "name": "c" } });
    cluster.ask(Method::POST, MAPS, &map).await;
    let answer = cluster.ask(Method::PATCH, MAP, &json!({ "data": 3 })).await;
    assert_eq!(answer["code"], 422);
    assert_eq!(answer["details"]["causes"][0]["field"], "patch");
}

#[tokio::test]
async fn what_is_allowed_but_hardly_meant_is_told_and_old_kinds_are_told_always() {
    let cluster = cluster().await;
    let ingress = json!({
        "metadata": { "name": "i", "annotations": { "kubernetes.io/ingress.class": "n" } },
        "spec": { "defaultBackend": { "service": { "name": "s", "port": { "number": 80 } } } },
    });
    let path = "/apis/networking.k8s.io/v1/namespaces/s/ingresses";
    let json = "application/json";
    let answer = send(&cluster, Method::POST, path, json, ingress.to_string()).await;
    assert_eq!(
        answer.warnings,
        [
            "299 - \"annotation \\\"kubernetes.io/ingress.class\\\" is deprecated, please use 'spec.ingressClassName' instead\""
        ]
    );
    let path = "/api/v1/namespaces/s/endpoints";
    let answer = send(&cluster, Method::GET, path, json, "").await;
    assert_eq!(
        answer.warnings,
        ["299 - \"v1 Endpoints is deprecated in v1.33+; use discovery.k8s.io/v1 EndpointSlice\""]
    );
}

#[tokio::test]
async fn an_applied_scale_makes_its_manager_the_owner_of_the_count() {
    let cluster = cluster().await;
    let container = json!([{ "name": "c", "image": "i" }]);
    let set = json!({
        "metadata": { "name": "r" },
        "spec": {
            "replicas": 1,
            "selector": { "matchLabels": { "a": "b" } },
            "template": { "metadata": { "labels": { "a": "b" } }, "spec": { "containers": container } },
        },
    });
    let sets = "/apis/apps/v1/namespaces/s/replicasets";
    let made = cluster
        .ask(Method::POST, &format!("{sets}?fieldManager=maker"), &set)
        .await;
    assert_eq!(made["spec"]["replicas"], 1);
    let scale = r#"{"apiVersion":"autoscaling/v1","kind":"Scale","spec":{"replicas":2}}"#;
    let path = format!("{sets}/r/scale?fieldManager=scaler");
    let answer = send(&cluster, Method::PATCH, &path, APPLY, scale).await;
    assert_eq!(answer.code, 409);
    assert_eq!(
        answer.message,
        "Apply failed with 1 conflict: conflict with \"maker\" using apps/v1: .spec.replicas"
    );
    let forced = format!("{path}&force=true");
    let answer = send(&cluster, Method::PATCH, &forced, APPLY, scale).await;
    assert_eq!(answer.code, 200);
    let set = cluster.get(&format!("{sets}/r")).await;
    assert_eq!(set["spec"]["replicas"], 2);
    let owners = set["metadata"]["managedFields"].as_array().unwrap();
    let owner = owners.iter().find(|o| o["manager"] == "scaler").unwrap();
    assert_eq!(
        (
            &owner["subresource"],
            &owner["operation"],
            &owner["fieldsV1"]
        ),
        (
            &json!("scale"),
            &json!("Apply"),
            &json!({ "f:spec": { "f:replicas": {} } })
        )
    );
    let unnamed = format!("{sets}/r/scale");
    let answer = send(&cluster, Method::PATCH, &unnamed, APPLY, scale).await;
    assert_eq!(answer.code, 422);
}
