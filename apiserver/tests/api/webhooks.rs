use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use http::{Method, Request, Response};
use http_body_util::BodyExt;
use serde_json::{Value, json};

use crate::cluster::Cluster;
use crate::extension::{Asked, Extension, answer_json, base64};

const SERVICE: (&str, &str) = ("hooks", "hook");
pub const MUTATING: &str = "mutatingwebhookconfigurations";
pub const VALIDATING: &str = "validatingwebhookconfigurations";

/// A cluster with namespaces `hooks` and `g`, and a webhook server of one answer.
pub async fn with_hook(
    answer: impl Fn(&Value) -> Value + Send + Sync + 'static,
) -> (Cluster, Extension) {
    let cluster = Cluster::start().await;
    cluster.namespace("hooks").await;
    cluster.namespace("g").await;
    let hook = Extension::start(&cluster, SERVICE, move |asked| respond(&asked, &answer)).await;
    hook.publish(&cluster, SERVICE).await;
    (cluster, hook)
}

fn respond(
    asked: &Asked,
    answer: &impl Fn(&Value) -> Value,
) -> Response<http_body_util::Full<bytes::Bytes>> {
    let review: Value = serde_json::from_slice(asked.request.body()).unwrap();
    let request = &review["request"];
    let mut response = answer(request);
    response["uid"] = request["uid"].clone();
    answer_json(&json!({
        "kind": "AdmissionReview", "apiVersion": "admission.k8s.io/v1", "response": response,
    }))
}

pub fn reviews(hook: &Extension) -> Vec<Value> {
    let asked = hook.asked();
    let body = |a: &Asked| serde_json::from_slice::<Value>(a.request.body()).unwrap();
    asked.iter().map(|a| body(a)["request"].clone()).collect()
}

/// One webhook on ConfigMaps in the namespaces whose name says so.
pub fn webhook(cluster: &Cluster, name: &str, path: &str) -> Value {
    json!({
        "name": name,
        "clientConfig": {
            "service": { "namespace": SERVICE.0, "name": SERVICE.1, "path": path },
            "caBundle": base64(cluster.authority.cert_pem().as_bytes()),
        },
        "rules": [{
            "operations": ["*"], "apiGroups": [""], "apiVersions": ["v1"],
            "resources": ["configmaps", "pods/*"],
        }],
        "namespaceSelector": { "matchLabels": { "kubernetes.io/metadata.name": "g" } },
        "sideEffects": "None", "admissionReviewVersions": ["v1"], "timeoutSeconds": 3,
    })
}

pub async fn configure(cluster: &Cluster, plural: &str, name: &str, webhooks: Value) {
    let kind = if plural == MUTATING {
        "MutatingWebhookConfiguration"
    } else {
        "ValidatingWebhookConfiguration"
    };
    let configuration = json!({
        "apiVersion": "admissionregistration.k8s.io/v1", "kind": kind,
        "metadata": { "name": name }, "webhooks": webhooks,
    });
    let path = format!("/apis/admissionregistration.k8s.io/v1/{plural}");
    let made = cluster.ask(Method::POST, &path, &configuration).await;
    assert_eq!(made["kind"], kind, "{made}");
    // The server follows its store: a moment passes.
    tokio::time::sleep(Duration::from_millis(50)).await;
}

fn config_map(name: &str) -> Value {
    json!({ "apiVersion": "v1", "kind": "ConfigMap", "metadata": { "name": name }, "data": { "a": "1" } })
}

async fn create(cluster: &Cluster, name: &str) -> Value {
    let path = "/api/v1/namespaces/g/configmaps";
    cluster.ask(Method::POST, path, &config_map(name)).await
}

fn patch(operations: &Value) -> Value {
    json!({
        "allowed": true, "patchType": "JSONPatch",
        "patch": base64(operations.to_string().as_bytes()),
    })
}

#[tokio::test]
async fn a_mutating_webhook_changes_what_is_stored() {
    let add = json!([{ "op": "add", "path": "/data/b", "value": "2" }]);
    let (cluster, hook) = with_hook(move |_| patch(&add)).await;
    let hooks = json!([webhook(&cluster, "add.hook.io", "/add")]);
    configure(&cluster, MUTATING, "m", hooks).await;
    let made = create(&cluster, "c").await;
    assert_eq!(made["data"], json!({ "a": "1", "b": "2" }), "{made}");
    let stored = cluster.get("/api/v1/namespaces/g/configmaps/c").await;
    assert_eq!(stored["data"]["b"], "2");
    let review = &reviews(&hook)[0];
    assert_eq!(review["operation"], "CREATE");
    assert_eq!(review["name"], "c");
    assert_eq!(review["namespace"], "g");
    assert_eq!(
        review["kind"],
        json!({ "group": "", "version": "v1", "kind": "ConfigMap" })
    );
    assert_eq!(review["oldObject"], Value::Null);
    assert_eq!(review["object"]["metadata"].get("uid"), None);
    assert_eq!(hook.asked()[0].request.uri().to_string(), "/add?timeout=3s");
}

#[tokio::test]
async fn a_validating_webhook_says_no_in_its_own_words() {
    let (cluster, _hook) = with_hook(|request| {
        let allowed = request["object"]["data"]["a"] != "1";
        json!({ "allowed": allowed, "status": { "code": 403, "reason": "Forbidden", "message": "no ones" } })
    })
    .await;
    let hooks = json!([webhook(&cluster, "deny.hook.io", "/")]);
    configure(&cluster, VALIDATING, "v", hooks).await;
    let refused = create(&cluster, "c").await;
    let message = "admission webhook \"deny.hook.io\" denied the request: no ones";
    assert_eq!(refused["message"], message);
    assert_eq!(
        (&refused["code"], &refused["reason"]),
        (&403.into(), &"Forbidden".into())
    );
    let elsewhere = "/api/v1/namespaces/hooks/configmaps";
    let made = cluster.ask(Method::POST, elsewhere, &config_map("c")).await;
    assert_eq!(made["kind"], "ConfigMap", "another namespace: {made}");
}

#[tokio::test]
async fn updates_and_deletes_show_the_old_object() {
    let (cluster, hook) = with_hook(|_| json!({ "allowed": true })).await;
    let hooks = json!([webhook(&cluster, "see.hook.io", "/")]);
    configure(&cluster, VALIDATING, "v", hooks).await;
    create(&cluster, "c").await;
    let path = "/api/v1/namespaces/g/configmaps/c";
    cluster
        .ask(Method::PATCH, path, &json!({ "data": { "a": "3" } }))
        .await;
    cluster.ask(Method::DELETE, path, &json!({ "kind": "DeleteOptions", "apiVersion": "v1", "propagationPolicy": "Background" })).await;
    let seen = reviews(&hook);
    let operations: Vec<_> = seen
        .iter()
        .map(|r| r["operation"].as_str().unwrap())
        .collect();
    assert_eq!(operations, ["CREATE", "UPDATE", "DELETE"]);
    assert_eq!(seen[1]["oldObject"]["data"]["a"], "1");
    assert_eq!(seen[1]["object"]["data"]["a"], "3");
    assert_eq!(seen[1]["options"]["kind"], "UpdateOptions");
    assert_eq!(seen[2]["object"], Value::Null);
    assert_eq!(seen[2]["oldObject"]["data"]["a"], "3");
    assert_eq!(seen[2]["options"]["propagationPolicy"], "Background");
}

#[tokio::test]
async fn an_earlier_webhook_is_asked_again_when_a_later_one_changed_something() {
    let first = Arc::new(AtomicUsize::new(0));
    let calls = first.clone();
    let (cluster, _hook) = with_hook(move |request| {
        let data = &request["object"]["data"];
        if data["second"].is_null() && data["first"].is_string() {
            return patch(&json!([{ "op": "add", "path": "/data/second", "value": "x" }]));
        }
        calls.fetch_add(1, Ordering::SeqCst);
        let seen = if data["second"].is_string() {
            "again"
        } else {
            "once"
        };
        patch(&json!([{ "op": "add", "path": "/data/first", "value": seen }]))
    })
    .await;
    let mut one = webhook(&cluster, "one.hook.io", "/one");
    one["reinvocationPolicy"] = "IfNeeded".into();
    let two = webhook(&cluster, "two.hook.io", "/two");
    configure(&cluster, MUTATING, "m", json!([one, two])).await;
    let made = create(&cluster, "c").await;
    assert_eq!(made["data"]["second"], "x", "{made}");
    assert_eq!(made["data"]["first"], "again", "{made}");
    assert_eq!(first.load(Ordering::SeqCst), 2);
}

#[tokio::test]
async fn a_webhook_that_is_not_there_fails_writes_or_is_passed_over() {
    let (cluster, hook) = with_hook(|_| json!({ "allowed": true })).await;
    let mut lost = webhook(&cluster, "lost.hook.io", "/x");
    lost["clientConfig"]["service"]["name"] = "nobody".into();
    configure(&cluster, VALIDATING, "v", json!([lost.clone()])).await;
    let refused = create(&cluster, "c").await;
    assert_eq!(
        refused["message"],
        "Internal error occurred: failed calling webhook \"lost.hook.io\": failed to call webhook: Post \"https://nobody.hooks.svc:443/x?timeout=3s\": service \"nobody\" not found"
    );
    assert_eq!(refused["code"], 500);
    lost["failurePolicy"] = "Ignore".into();
    configure(&cluster, VALIDATING, "w", json!([lost])).await;
    let path = "/apis/admissionregistration.k8s.io/v1/validatingwebhookconfigurations/v";
    cluster.ask(Method::DELETE, path, &Value::Null).await;
    tokio::time::sleep(Duration::from_millis(50)).await;
    assert_eq!(create(&cluster, "c").await["kind"], "ConfigMap");
    assert!(hook.asked().is_empty());
}

#[tokio::test]
async fn a_slow_webhook_is_a_timeout() {
    let (cluster, _hook) = with_hook(|_| {
        std::thread::sleep(Duration::from_millis(1500));
        json!({ "allowed": true })
    })
    .await;
    let mut slow = webhook(&cluster, "slow.hook.io", "/slow");
    slow["timeoutSeconds"] = 1.into();
    configure(&cluster, VALIDATING, "v", json!([slow])).await;
    let refused = create(&cluster, "c").await;
    let message = refused["message"].as_str().unwrap();
    assert!(
        message.ends_with("/slow?timeout=1s\": context deadline exceeded"),
        "{message}"
    );
}

#[tokio::test]
async fn a_webhook_whose_certificate_is_another_authoritys_is_not_believed() {
    let (cluster, _hook) = with_hook(|_| json!({ "allowed": true })).await;
    let dir = tempfile::tempdir().unwrap();
    let other = pki::Authority::load_or_create(dir.path(), "other", "other").unwrap();
    let mut hook = webhook(&cluster, "tls.hook.io", "/");
    hook["clientConfig"]["caBundle"] = base64(other.cert_pem().as_bytes()).into();
    configure(&cluster, VALIDATING, "v", json!([hook])).await;
    let refused = create(&cluster, "c").await;
    let message = refused["message"].as_str().unwrap();
    assert!(
        message.ends_with("x509: certificate signed by unknown authority"),
        "{message}"
    );
}

#[tokio::test]
async fn a_webhook_is_shown_reviews() {
    let (cluster, hook) =
        with_hook(|request| json!({ "allowed": request["object"]["spec"]["user"] != "eve" })).await;
    let mut watching = webhook(&cluster, "review.hook.io", "/");
    watching["rules"] = json!([{
        "operations": ["CREATE"], "apiGroups": ["authorization.k8s.io"], "apiVersions": ["v1"],
        "resources": ["subjectaccessreviews"],
    }]);
    watching["namespaceSelector"] = json!({});
    configure(&cluster, VALIDATING, "v", json!([watching])).await;
    let ask = async |user: &str| {
        let review = json!({ "apiVersion": "authorization.k8s.io/v1", "kind": "SubjectAccessReview",
            "spec": { "user": user, "nonResourceAttributes": { "path": "/healthz", "verb": "get" } } });
        let path = "/apis/authorization.k8s.io/v1/subjectaccessreviews";
        cluster.ask(Method::POST, path, &review).await
    };
    assert_eq!(ask("eve").await["code"], 400);
    assert!(ask("ann").await["status"]["allowed"].is_boolean());
    let shown = &reviews(&hook)[0];
    assert_eq!(shown["kind"]["kind"], "SubjectAccessReview");
    assert_eq!(shown["operation"], "CREATE");
}

#[tokio::test]
async fn a_dry_run_says_so_and_stores_nothing() {
    let (cluster, hook) =
        with_hook(|_| json!({ "allowed": true, "warnings": ["mind the gap"] })).await;
    let hooks = json!([webhook(&cluster, "dry.hook.io", "/")]);
    configure(&cluster, VALIDATING, "v", hooks).await;
    let request = Request::post("/api/v1/namespaces/g/configmaps?dryRun=All&fieldManager=me")
        .header("content-type", "application/json")
        .body(config_map("c").to_string().into_bytes().into())
        .unwrap();
    let answer = cluster.client().send(request).await.unwrap();
    assert_eq!(answer.headers()["warning"], "299 - \"mind the gap\"");
    drop(answer.into_body().collect().await);
    let review = &reviews(&hook)[0];
    assert_eq!(review["dryRun"], true);
    assert_eq!(review["options"]["dryRun"], json!(["All"]));
    assert_eq!(review["options"]["fieldManager"], "me");
    assert_eq!(
        cluster.get("/api/v1/namespaces/g/configmaps/c").await["code"],
        404
    );
}

#[tokio::test]
async fn an_attach_is_admitted_as_its_options() {
    let (cluster, hook) =
        with_hook(|request| json!({ "allowed": request["operation"] != "CONNECT" })).await;
    cluster.service_account("g").await;
    let pod = json!({ "apiVersion": "v1", "kind": "Pod", "metadata": { "name": "p" },
        "spec": { "containers": [{ "name": "c", "image": "i" }] } });
    cluster
        .ask(Method::POST, "/api/v1/namespaces/g/pods", &pod)
        .await;
    let hooks = json!([webhook(&cluster, "attach.hook.io", "/")]);
    configure(&cluster, VALIDATING, "v", hooks).await;
    let refused = cluster
        .get("/api/v1/namespaces/g/pods/p/attach?stdin=true&container=c")
        .await;
    let message = "admission webhook \"attach.hook.io\" denied the request without explanation";
    assert_eq!(refused["message"], message);
    let review = &reviews(&hook)[0];
    assert_eq!(review["kind"]["kind"], "PodAttachOptions");
    assert_eq!(review["subResource"], "attach");
    assert_eq!(review["object"]["stdin"], true);
    assert_eq!(review["object"]["container"], "c");
}

#[tokio::test]
async fn a_scale_is_shown_as_a_scale() {
    let (cluster, hook) = with_hook(|_| json!({ "allowed": true })).await;
    let mut scale = webhook(&cluster, "scale.hook.io", "/");
    scale["rules"] = json!([{
        "operations": ["UPDATE"], "apiGroups": ["apps"], "apiVersions": ["v1"], "resources": ["*/scale"],
    }]);
    configure(&cluster, VALIDATING, "v", json!([scale])).await;
    let set = json!({
        "apiVersion": "apps/v1", "kind": "ReplicaSet", "metadata": { "name": "r" },
        "spec": { "replicas": 1, "selector": { "matchLabels": { "a": "b" } }, "template": {
            "metadata": { "labels": { "a": "b" } }, "spec": { "containers": [{ "name": "c", "image": "i" }] } } },
    });
    let path = "/apis/apps/v1/namespaces/g/replicasets";
    let made = cluster.ask(Method::POST, path, &set).await;
    assert_eq!(made["kind"], "ReplicaSet", "{made}");
    let path = format!("{path}/r/scale");
    cluster
        .ask(Method::PATCH, &path, &json!({ "spec": { "replicas": 4 } }))
        .await;
    let review = &reviews(&hook)[0];
    assert_eq!(
        review["kind"],
        json!({ "group": "autoscaling", "version": "v1", "kind": "Scale" })
    );
    assert_eq!(review["resource"]["resource"], "replicasets");
    assert_eq!(review["subResource"], "scale");
    assert_eq!(review["object"]["spec"]["replicas"], 4);
    assert_eq!(review["oldObject"]["spec"]["replicas"], 1);
}

#[tokio::test]
async fn another_version_of_a_kind_is_shown_as_the_version_the_rule_names() {
    let (cluster, hook) = with_hook(|_| json!({ "allowed": true })).await;
    let mut old = webhook(&cluster, "old.hook.io", "/");
    old["rules"] = json!([{
        "operations": ["CREATE"], "apiGroups": ["autoscaling"], "apiVersions": ["v1"],
        "resources": ["horizontalpodautoscalers"],
    }]);
    configure(&cluster, VALIDATING, "v", json!([old])).await;
    let autoscaler = json!({
        "apiVersion": "autoscaling/v2", "kind": "HorizontalPodAutoscaler", "metadata": { "name": "h" },
        "spec": { "maxReplicas": 3, "scaleTargetRef": { "kind": "Deployment", "name": "d", "apiVersion": "apps/v1" },
            "metrics": [{ "type": "Resource", "resource": { "name": "cpu", "target": { "type": "Utilization", "averageUtilization": 7 } } }] },
    });
    let path = "/apis/autoscaling/v2/namespaces/g/horizontalpodautoscalers";
    let made = cluster.ask(Method::POST, path, &autoscaler).await;
    assert_eq!(made["kind"], "HorizontalPodAutoscaler", "{made}");
    let review = &reviews(&hook)[0];
    assert_eq!(review["resource"]["version"], "v1");
    assert_eq!(review["requestResource"]["version"], "v2");
    assert_eq!(review["object"]["apiVersion"], "autoscaling/v1");
    assert_eq!(
        review["object"]["spec"]["targetCPUUtilizationPercentage"],
        7
    );
}

#[tokio::test]
async fn configurations_of_webhooks_are_not_admitted_by_webhooks() {
    let (cluster, hook) = with_hook(|_| json!({ "allowed": false })).await;
    let mut all = webhook(&cluster, "all.hook.io", "/");
    all["rules"] = json!([{
        "operations": ["*"], "apiGroups": ["admissionregistration.k8s.io"], "apiVersions": ["*"], "resources": ["*"],
    }]);
    all["namespaceSelector"] = json!({});
    configure(&cluster, VALIDATING, "v", json!([all])).await;
    let path = "/apis/admissionregistration.k8s.io/v1/validatingwebhookconfigurations/v";
    cluster.ask(Method::DELETE, path, &Value::Null).await;
    assert_eq!(cluster.get(path).await["code"], 404);
    assert!(hook.asked().is_empty());
}

#[tokio::test]
async fn a_webhook_changes_custom_resources_within_their_schema() {
    let (cluster, hook) = with_hook(|_| {
        patch(&json!([
            { "op": "add", "path": "/spec/color", "value": "red" },
            { "op": "add", "path": "/spec/weight", "value": 3 },
        ]))
    })
    .await;
    let definition = json!({
        "apiVersion": "apiextensions.k8s.io/v1", "kind": "CustomResourceDefinition",
        "metadata": { "name": "crows.bird.io" },
        "spec": {
            "group": "bird.io", "scope": "Namespaced", "names": { "plural": "crows", "kind": "Crow" },
            "versions": [{ "name": "v1", "served": true, "storage": true, "schema": { "openAPIV3Schema": {
                "type": "object", "properties": { "spec": { "type": "object", "properties": {
                    "color": { "type": "string" }, "size": { "type": "integer", "default": 7 } } } } } } }],
        },
    });
    let path = "/apis/apiextensions.k8s.io/v1/customresourcedefinitions";
    cluster.ask(Method::POST, path, &definition).await;
    let mut birds = webhook(&cluster, "birds.hook.io", "/");
    birds["rules"] = json!([{
        "operations": ["CREATE"], "apiGroups": ["bird.io"], "apiVersions": ["*"], "resources": ["crows"],
    }]);
    configure(&cluster, MUTATING, "m", json!([birds])).await;
    let crow = json!({ "apiVersion": "bird.io/v1", "kind": "Crow", "metadata": { "name": "c" }, "spec": {} });
    let mut made = Value::Null;
    for _ in 0..100 {
        let path = "/apis/bird.io/v1/namespaces/g/crows";
        made = cluster.ask(Method::POST, path, &crow).await;
        if made["kind"] == "Crow" {
            break;
        }
        tokio::time::sleep(Duration::from_millis(25)).await;
    }
    assert_eq!(made["spec"], json!({ "color": "red", "size": 7 }), "{made}");
    assert_eq!(reviews(&hook)[0]["object"]["spec"], json!({ "size": 7 }));
}
