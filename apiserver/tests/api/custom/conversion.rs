use bytes::Bytes;
use http::{Method, Request, Response};
use http_body_util::Full;
use serde_json::{Value, json};

use super::{DEFINITIONS, WIDGETS, definition, establish, until, version, widget};
use crate::cluster::Cluster;
use crate::extension::{Asked, Extension, answer_json, base64};

const NEWER: &str = "/apis/ex.io/v2/namespaces/g/widgets";
const SERVICE: (&str, &str) = ("g", "converter");

fn size() -> Value {
    json!({ "type": "object", "properties": {
        "size": { "type": "integer" }, "shape": { "type": "string", "default": "round" } } })
}

fn amount() -> Value {
    json!({ "type": "object", "properties": {
        "amount": { "type": "integer" }, "unit": { "type": "string", "default": "cm" } } })
}

async fn watched(cluster: &Cluster, path: &str) -> Vec<Value> {
    let path = format!("{path}?watch=1&timeoutSeconds=1");
    let request = Request::get(path).body(Vec::new()).unwrap();
    let text = cluster.client().request_text(request).await.unwrap();
    text.lines()
        .map(|line| serde_json::from_str(line).unwrap())
        .collect()
}

#[tokio::test]
async fn without_a_webhook_versions_differ_in_their_name_alone() {
    let cluster = Cluster::start().await;
    cluster.namespace("g").await;
    let versions = json!([version("v1", true, &size()), version("v2", false, &size())]);
    establish(&cluster, &definition(&versions)).await;
    cluster
        .ask(Method::POST, WIDGETS, &widget("a", &json!({ "size": 1 })))
        .await;
    let newer = cluster.get(&format!("{NEWER}/a")).await;
    assert_eq!(
        (&newer["apiVersion"], &newer["spec"]["size"]),
        (&json!("ex.io/v2"), &json!(1))
    );
    let list = cluster.get(NEWER).await;
    assert_eq!(list["items"][0]["apiVersion"], "ex.io/v2", "{list}");
    let events = watched(&cluster, NEWER).await;
    assert_eq!(events[0]["object"]["apiVersion"], "ex.io/v2", "{events:?}");
    let versions = json!([version("v1", false, &size()), version("v2", true, &size())]);
    let change = json!({ "spec": { "versions": versions } });
    let changed = cluster
        .ask(
            Method::PATCH,
            &format!("{DEFINITIONS}/widgets.ex.io"),
            &change,
        )
        .await;
    assert_eq!(
        changed["status"]["storedVersions"],
        json!(["v1", "v2"]),
        "{changed}"
    );
    let patched = cluster
        .ask(
            Method::PATCH,
            &format!("{WIDGETS}/a"),
            &json!({ "spec": { "size": 2 } }),
        )
        .await;
    assert_eq!(
        (&patched["apiVersion"], &patched["spec"]["size"]),
        (&json!("ex.io/v1"), &json!(2))
    );
    let kept = &json!(["v2"]);
    let status = json!({ "status": { "storedVersions": kept } });
    let status = cluster
        .ask(
            Method::PATCH,
            &format!("{DEFINITIONS}/widgets.ex.io/status"),
            &status,
        )
        .await;
    assert_eq!(&status["status"]["storedVersions"], kept, "{status}");
}

/// v1 has `size`, v2 `amount`, and neither knows `note`. Reviews of admission are let pass.
fn convert(asked: &Asked) -> Response<Full<Bytes>> {
    let review: Value = serde_json::from_slice(asked.request.body()).unwrap();
    let request = &review["request"];
    if review["kind"] == "AdmissionReview" {
        let response = json!({ "uid": request["uid"], "allowed": true });
        return answer_json(&json!({ "kind": "AdmissionReview",
            "apiVersion": "admission.k8s.io/v1", "response": response }));
    }
    let wanted = request["desiredAPIVersion"].as_str().unwrap();
    let converted: Vec<Value> = request["objects"]
        .as_array()
        .unwrap()
        .iter()
        .map(|object| {
            let mut object = object.clone();
            object["apiVersion"] = wanted.into();
            object["spec"] = match wanted {
                "ex.io/v2" => json!({ "amount": object["spec"]["size"], "note": 1 }),
                _ => json!({ "size": object["spec"]["amount"], "note": 1 }),
            };
            object
        })
        .collect();
    answer_json(
        &json!({ "kind": "ConversionReview", "apiVersion": "apiextensions.k8s.io/v1",
        "response": { "uid": request["uid"], "result": { "status": "Success" }, "convertedObjects": converted } }),
    )
}

async fn with_converter() -> (Cluster, Extension) {
    let cluster = Cluster::start().await;
    cluster.namespace("g").await;
    let hook = Extension::start(&cluster, SERVICE, |asked| convert(&asked)).await;
    hook.publish(&cluster, SERVICE).await;
    let versions = json!([
        version("v1", true, &size()),
        version("v2", false, &amount())
    ]);
    let mut definition = definition(&versions);
    definition["spec"]["conversion"] = json!({ "strategy": "Webhook", "webhook": {
        "conversionReviewVersions": ["v1"],
        "clientConfig": {
            "service": { "namespace": SERVICE.0, "name": SERVICE.1, "path": "/convert" },
            "caBundle": base64(cluster.authority.cert_pem().as_bytes()) } } });
    establish(&cluster, &definition).await;
    (cluster, hook)
}

#[tokio::test]
async fn a_webhook_converts_what_is_read_and_what_is_written() {
    let (cluster, hook) = with_converter().await;
    cluster
        .ask(Method::POST, WIDGETS, &widget("a", &json!({ "size": 1 })))
        .await;
    assert!(
        hook.asked().is_empty(),
        "the stored version needs no conversion"
    );
    let newer = cluster.get(&format!("{NEWER}/a")).await;
    assert_eq!(
        newer["spec"],
        json!({ "amount": 1, "unit": "cm" }),
        "{newer}"
    );
    let mut other = widget("b", &json!({ "amount": 2 }));
    other["apiVersion"] = "ex.io/v2".into();
    let made = cluster.ask(Method::POST, NEWER, &other).await;
    assert_eq!(made["spec"]["amount"], 2, "{made}");
    let older = cluster.get(&format!("{WIDGETS}/b")).await;
    let round = json!({ "size": 2, "shape": "round" });
    assert_eq!(older["spec"], round, "stored as the schema has it: {older}");
    let before = hook.asked().len();
    let list = cluster.get(NEWER).await;
    let amounts: Vec<_> = list["items"]
        .as_array()
        .unwrap()
        .iter()
        .map(|w| &w["spec"]["amount"])
        .collect();
    assert_eq!(amounts, [1, 2]);
    assert_eq!(hook.asked().len(), before + 1, "a list is one review");
    let patch = json!({ "spec": { "amount": 5 } });
    let patched = cluster
        .ask(Method::PATCH, &format!("{NEWER}/a"), &patch)
        .await;
    assert_eq!(patched["spec"]["amount"], 5, "{patched}");
    assert_eq!(
        cluster.get(&format!("{WIDGETS}/a")).await["spec"]["size"],
        5
    );
}

#[tokio::test]
async fn a_webhook_of_admission_sees_the_version_that_it_names() {
    let (cluster, hook) = with_converter().await;
    let configuration = json!({
        "apiVersion": "admissionregistration.k8s.io/v1", "kind": "ValidatingWebhookConfiguration",
        "metadata": { "name": "v" },
        "webhooks": [{
            "name": "look.ex.io", "sideEffects": "None", "admissionReviewVersions": ["v1"],
            "clientConfig": {
                "service": { "namespace": SERVICE.0, "name": SERVICE.1, "path": "/look" },
                "caBundle": base64(cluster.authority.cert_pem().as_bytes()),
            },
            "rules": [{ "operations": ["CREATE"], "apiGroups": ["ex.io"], "apiVersions": ["v1"],
                "resources": ["widgets"] }],
        }],
    });
    let path = "/apis/admissionregistration.k8s.io/v1/validatingwebhookconfigurations";
    cluster.ask(Method::POST, path, &configuration).await;
    tokio::time::sleep(std::time::Duration::from_millis(50)).await;
    let mut newer = widget("a", &json!({ "amount": 2 }));
    newer["apiVersion"] = "ex.io/v2".into();
    let made = cluster.ask(Method::POST, NEWER, &newer).await;
    assert_eq!(made["spec"]["amount"], 2, "{made}");
    let asked = hook.asked();
    let look = asked
        .iter()
        .find(|asked| asked.request.uri().path() == "/look")
        .unwrap();
    let review: Value = serde_json::from_slice(look.request.body()).unwrap();
    let seen = &review["request"]["object"]["spec"];
    assert_eq!(seen, &json!({ "size": 2, "shape": "round" }));
}

#[tokio::test]
async fn a_watcher_of_another_version_sees_converted_changes() {
    let (cluster, _hook) = with_converter().await;
    let start = cluster.get(WIDGETS).await["metadata"]["resourceVersion"]
        .as_str()
        .unwrap()
        .to_owned();
    cluster
        .ask(Method::POST, WIDGETS, &widget("a", &json!({ "size": 1 })))
        .await;
    cluster
        .ask(
            Method::PATCH,
            &format!("{WIDGETS}/a"),
            &json!({ "spec": { "size": 2 } }),
        )
        .await;
    cluster
        .ask(Method::DELETE, &format!("{WIDGETS}/a"), &Value::Null)
        .await;
    let path = format!("{NEWER}?watch=1&timeoutSeconds=1&resourceVersion={start}");
    let request = Request::get(path).body(Vec::new()).unwrap();
    let text = cluster.client().request_text(request).await.unwrap();
    let events: Vec<Value> = text
        .lines()
        .map(|line| serde_json::from_str(line).unwrap())
        .collect();
    let seen: Vec<_> = events
        .iter()
        .map(|e| (&e["type"], &e["object"]["spec"]["amount"]))
        .collect();
    let (added, modified, deleted) = (json!("ADDED"), json!("MODIFIED"), json!("DELETED"));
    let (one, two) = (json!(1), json!(2));
    assert_eq!(seen, [(&added, &one), (&modified, &two), (&deleted, &two)]);
}

#[tokio::test]
async fn a_webhook_that_is_not_there_is_told() {
    let (cluster, hook) = with_converter().await;
    cluster
        .ask(Method::POST, WIDGETS, &widget("a", &json!({ "size": 1 })))
        .await;
    drop(hook);
    let path = format!("{NEWER}/a");
    let failed = until(&cluster, &path, |w| w["code"] == 500).await;
    let message = failed["message"].as_str().unwrap();
    assert!(message.starts_with("conversion webhook for ex.io/v1, Kind=Widget failed: Post \"https://converter.g.svc:443/convert?timeout=30s\""), "{message}");
}
