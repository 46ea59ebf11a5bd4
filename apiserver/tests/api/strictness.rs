//! Fields that are unknown or come twice, and what clients are warned of.

use http::Method;
use serde_json::{Value, json};

use crate::cluster::Cluster;
use crate::extension::{Extension, answer_json, base64};

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
async fn a_patch_makes_nothing_another_kind() {
    let cluster = cluster().await;
    let map = json!({ "apiVersion": "v1", "kind": "ConfigMap", "metadata": { "name": "c" } });
    cluster.ask(Method::POST, MAPS, &map).await;
    let unknown = "no kind \"Foo\" is registered for version \"v1\" in scheme \"pkg/api/legacyscheme/scheme.go:30\"";
    let (merge, json_patch) = (
        "application/merge-patch+json",
        "application/json-patch+json",
    );
    for (of, patch, why) in [
        (merge, r#"{"kind":"Foo"}"#, unknown),
        (
            merge,
            r#"{"kind":"Secret"}"#,
            "converting (v1.Secret) to (core.ConfigMap): unknown conversion",
        ),
        (
            merge,
            r#"{"kind":"ConfigMapList"}"#,
            "converting (v1.ConfigMapList) to (core.ConfigMap): unknown conversion",
        ),
        (
            json_patch,
            r#"[{"op":"replace","path":"/apiVersion","value":"v2"}]"#,
            "no kind \"ConfigMap\" is registered for version \"v2\" in scheme \"pkg/api/legacyscheme/scheme.go:30\"",
        ),
    ] {
        let answer = send(&cluster, Method::PATCH, MAP, of, patch).await;
        assert_eq!(answer.code, 422, "{}", answer.message);
        assert!(answer.message.ends_with(why), "{}", answer.message);
    }
    let strategic = "application/strategic-merge-patch+json";
    for (of, patch) in [
        (strategic, r#"{"kind":"Foo","apiVersion":"v2"}"#),
        (merge, r#"{"kind":null,"apiVersion":null}"#),
    ] {
        let answer = send(&cluster, Method::PATCH, MAP, of, patch).await;
        assert_eq!(answer.code, 200, "{}", answer.message);
    }
    let stored = cluster.get(MAP).await;
    let said = (&stored["kind"], &stored["apiVersion"]);
    assert_eq!(said, (&json!("ConfigMap"), &json!("v1")));
}

/// What became of a ConfigMap that a webhook patched with one operation.
async fn created_with(operation: &Value) -> Value {
    let service = ("s", "hook");
    let cluster = cluster().await;
    let patch = base64(json!([operation]).to_string().as_bytes());
    let hook = Extension::start(&cluster, service, move |asked| {
        let review: Value = serde_json::from_slice(asked.request.body()).unwrap();
        let response = json!({ "uid": review["request"]["uid"], "allowed": true,
            "patchType": "JSONPatch", "patch": patch });
        answer_json(
            &json!({ "kind": "AdmissionReview", "apiVersion": "admission.k8s.io/v1",
            "response": response }),
        )
    })
    .await;
    hook.publish(&cluster, service).await;
    let configuration = json!({
        "metadata": { "name": "m" },
        "webhooks": [{
            "name": "m.hook.io", "sideEffects": "None", "admissionReviewVersions": ["v1"],
            "clientConfig": {
                "service": { "namespace": service.0, "name": service.1 },
                "caBundle": base64(cluster.authority.cert_pem().as_bytes()),
            },
            "rules": [{ "operations": ["CREATE"], "apiGroups": [""], "apiVersions": ["v1"],
                "resources": ["configmaps"] }],
        }],
    });
    let path = "/apis/admissionregistration.k8s.io/v1/mutatingwebhookconfigurations";
    cluster.ask(Method::POST, path, &configuration).await;
    // The server follows its store: a moment passes.
    tokio::time::sleep(std::time::Duration::from_millis(50)).await;
    let map = json!({ "metadata": { "name": "c" } });
    let made = cluster.ask(Method::POST, MAPS, &map).await;
    assert_eq!(hook.asked().len(), 1, "{made}");
    made
}

#[tokio::test]
async fn a_webhook_makes_nothing_another_kind() {
    let made = created_with(&json!({ "op": "replace", "path": "/kind", "value": "Foo" })).await;
    assert_eq!(made["code"], 500, "{made}");
    assert_eq!(
        made["message"],
        "Internal error occurred: no kind \"Foo\" is registered for version \"v1\" in scheme \"pkg/api/legacyscheme/scheme.go:30\""
    );
}

#[tokio::test]
async fn a_webhook_moves_nothing_to_another_namespace() {
    let moved = json!({ "op": "replace", "path": "/metadata/namespace", "value": "kube-system" });
    let made = created_with(&moved).await;
    assert_eq!(made["code"], 400, "{made}");
    assert_eq!(
        made["message"],
        "the namespace of the provided object does not match the namespace sent on the request"
    );
    let left_out = json!({ "op": "remove", "path": "/metadata/namespace" });
    let made = created_with(&left_out).await;
    assert_eq!(made["metadata"]["namespace"], "s", "{made}");
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
