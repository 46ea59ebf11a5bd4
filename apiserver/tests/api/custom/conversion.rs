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
    events_of(cluster, &format!("{path}?watch=1&timeoutSeconds=1")).await
}

async fn events_of(cluster: &Cluster, path: &str) -> Vec<Value> {
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

/// v1 has `size`, v2 `amount`, and neither knows `note`. Reviews of admission are let pass,
/// with 4 replicas if they come by `/four`.
fn convert(asked: &Asked) -> Response<Full<Bytes>> {
    let review: Value = serde_json::from_slice(asked.request.body()).unwrap();
    let request = &review["request"];
    if review["kind"] == "AdmissionReview" {
        let mut response = json!({ "uid": request["uid"], "allowed": true });
        if asked.request.uri().path() == "/four" {
            let four = json!([{ "op": "replace", "path": "/spec/replicas", "value": 4 }]);
            response["patchType"] = "JSONPatch".into();
            response["patch"] = base64(four.to_string().as_bytes()).into();
        }
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
    let scale = |replicas: &str| json!({ "specReplicasPath": replicas, "statusReplicasPath": ".status.replicas" });
    let mut versions = json!([
        version("v1", true, &size()),
        version("v2", false, &amount())
    ]);
    versions[0]["subresources"]["scale"] = scale(".spec.size");
    versions[1]["subresources"]["scale"] = scale(".spec.amount");
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

const ADMISSION: &str = "/apis/admissionregistration.k8s.io/v1";

/// A webhook that is asked at `path` about version v1 of `resource`.
async fn ask_at(cluster: &Cluster, kind: &str, path: &str, resource: &str) {
    let configuration = json!({
        "apiVersion": "admissionregistration.k8s.io/v1", "kind": kind, "metadata": { "name": "v" },
        "webhooks": [{
            "name": "look.ex.io", "sideEffects": "None", "admissionReviewVersions": ["v1"],
            "clientConfig": {
                "service": { "namespace": SERVICE.0, "name": SERVICE.1, "path": path },
                "caBundle": base64(cluster.authority.cert_pem().as_bytes()),
            },
            "rules": [older_of(resource)],
        }],
    });
    let configurations = format!("{ADMISSION}/{}s", kind.to_lowercase());
    let made = cluster
        .ask(Method::POST, &configurations, &configuration)
        .await;
    assert_eq!(made["kind"], kind, "{made}");
    tokio::time::sleep(std::time::Duration::from_millis(50)).await;
}

fn older_of(resource: &str) -> Value {
    json!({ "operations": ["CREATE", "UPDATE"], "apiGroups": ["ex.io"], "apiVersions": ["v1"],
        "resources": [resource] })
}

/// What the webhook was asked at `path`.
fn reviewed(hook: &Extension, path: &str) -> Value {
    let asked = hook.asked();
    let mut at = asked.iter().filter(|a| a.request.uri().path() == path);
    let review: Value = serde_json::from_slice(at.next().unwrap().request.body()).unwrap();
    review["request"].clone()
}

#[tokio::test]
async fn a_webhook_of_admission_sees_the_version_that_it_names() {
    let (cluster, hook) = with_converter().await;
    ask_at(
        &cluster,
        "ValidatingWebhookConfiguration",
        "/look",
        "widgets",
    )
    .await;
    let mut newer = widget("a", &json!({ "amount": 2 }));
    newer["apiVersion"] = "ex.io/v2".into();
    let made = cluster.ask(Method::POST, NEWER, &newer).await;
    assert_eq!(made["spec"]["amount"], 2, "{made}");
    let seen = &reviewed(&hook, "/look")["object"]["spec"];
    assert_eq!(seen, &json!({ "size": 2, "shape": "round" }));
}

/// Asks for 3 replicas of a widget that has one, as version v2.
async fn scale_newer(cluster: &Cluster) -> Value {
    cluster
        .ask(Method::POST, WIDGETS, &widget("a", &json!({ "size": 1 })))
        .await;
    scale_to(cluster, 3).await
}

async fn scale_to(cluster: &Cluster, replicas: u32) -> Value {
    let scale = json!({ "spec": { "replicas": replicas } });
    let path = format!("{NEWER}/a/scale");
    cluster.ask(Method::PATCH, &path, &scale).await
}

#[tokio::test]
async fn a_scale_in_another_version_is_shown_as_it_is() {
    let (cluster, hook) = with_converter().await;
    let kind = "ValidatingWebhookConfiguration";
    ask_at(&cluster, kind, "/look", "widgets/scale").await;
    let scaled = scale_newer(&cluster).await;
    assert_eq!(scaled["spec"]["replicas"], 3, "{scaled}");
    let review = reviewed(&hook, "/look");
    assert_eq!(review["resource"]["version"], "v1");
    assert_eq!(review["kind"]["kind"], "Scale");
    for (object, replicas) in [("object", 3), ("oldObject", 1)] {
        let scale = &review[object];
        assert_eq!(scale["apiVersion"], "autoscaling/v1", "{scale}");
        assert_eq!(scale["spec"]["replicas"], replicas, "{scale}");
    }
}

#[tokio::test]
async fn a_webhook_changes_a_scale_in_another_version_as_it_is() {
    let (cluster, _hook) = with_converter().await;
    let kind = "MutatingWebhookConfiguration";
    ask_at(&cluster, kind, "/four", "widgets/scale").await;
    let scaled = scale_newer(&cluster).await;
    assert_eq!(scaled["spec"]["replicas"], 4, "{scaled}");
}

/// Puts a policy of the kind in force for version v1 of scales.
async fn enforce(cluster: &Cluster, kind: &str, rule: (&str, Value), binding: Value) {
    let mut policy = json!({ "apiVersion": "admissionregistration.k8s.io/v1", "kind": kind,
        "metadata": { "name": "p" },
        "spec": { "matchConstraints": { "resourceRules": [older_of("widgets/scale")] } } });
    policy["spec"][rule.0] = rule.1;
    if kind == "MutatingAdmissionPolicy" {
        policy["spec"]["reinvocationPolicy"] = "Never".into();
    }
    let plural = format!("{}ies", kind.to_lowercase().trim_end_matches('y'));
    let made = cluster
        .ask(Method::POST, &format!("{ADMISSION}/{plural}"), &policy)
        .await;
    assert_eq!(made["kind"], kind, "{made}");
    let binding = json!({ "apiVersion": "admissionregistration.k8s.io/v1", "kind": format!("{kind}Binding"),
        "metadata": { "name": "b" }, "spec": binding });
    let path = format!("{ADMISSION}/{}bindings", kind.to_lowercase());
    let made = cluster.ask(Method::POST, &path, &binding).await;
    assert_eq!(made["metadata"]["name"], "b", "{made}");
    tokio::time::sleep(std::time::Duration::from_millis(50)).await;
}

#[tokio::test]
async fn a_policy_sees_a_scale_in_another_version_as_it_is() {
    let (cluster, _hook) = with_converter().await;
    let expression = "object.spec.replicas == 3 && oldObject.spec.replicas == 1 \
        && request.kind.kind == 'Scale' && request.resource.version == 'v1'";
    let rule = ("validations", json!([{ "expression": expression }]));
    let binding = json!({ "policyName": "p", "validationActions": ["Deny"] });
    enforce(&cluster, "ValidatingAdmissionPolicy", rule, binding).await;
    let scaled = scale_newer(&cluster).await;
    assert_eq!(scaled["spec"]["replicas"], 3, "{scaled}");
    let refused = scale_to(&cluster, 5).await;
    assert_eq!(refused["code"], 422, "the policy is asked: {refused}");
}

#[tokio::test]
async fn a_policy_changes_a_scale_in_another_version_as_it_is() {
    let (cluster, _hook) = with_converter().await;
    let four = "[JSONPatch{op: 'replace', path: '/spec/replicas', value: 4}]";
    let rule = (
        "mutations",
        json!([{ "patchType": "JSONPatch", "jsonPatch": { "expression": four } }]),
    );
    let binding = json!({ "policyName": "p" });
    enforce(&cluster, "MutatingAdmissionPolicy", rule, binding).await;
    let scaled = scale_newer(&cluster).await;
    assert_eq!(scaled["spec"]["replicas"], 4, "{scaled}");
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
    let events = events_of(&cluster, &path).await;
    let seen: Vec<_> = events
        .iter()
        .map(|e| (&e["type"], &e["object"]["spec"]["amount"]))
        .collect();
    let (added, modified, deleted) = (json!("ADDED"), json!("MODIFIED"), json!("DELETED"));
    let (one, two) = (json!(1), json!(2));
    assert_eq!(seen, [(&added, &one), (&modified, &two), (&deleted, &two)]);
}

#[tokio::test]
async fn the_bookmark_at_the_end_of_a_watch_is_before_a_change_that_is_being_converted() {
    let (cluster, hook) = with_converter().await;
    let start = cluster.get(WIDGETS).await["metadata"]["resourceVersion"].clone();
    let path = format!(
        "{NEWER}?watch=1&timeoutSeconds=1&allowWatchBookmarks=true&resourceVersion={}",
        start.as_str().unwrap()
    );
    cluster
        .ask(Method::POST, WIDGETS, &widget("a", &json!({ "size": 1 })))
        .await;
    hook.fall_silent();
    let events = events_of(&cluster, &path).await;
    assert_eq!(events.len(), 1, "{events:?}");
    assert_eq!(events[0]["type"], "BOOKMARK", "{events:?}");
    assert_eq!(events[0]["object"]["metadata"]["resourceVersion"], start);
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
