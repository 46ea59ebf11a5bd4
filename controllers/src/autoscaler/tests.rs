//! Autoscalers against pretended metrics servers.

use std::sync::Arc;

use http::{Method, Request, Response, StatusCode};
use k8s_openapi::api::autoscaling::v2::HorizontalPodAutoscalerStatus;
use kube::Client;
use kube::api::{ApiResource, GroupVersionKind};
use kube::client::Body;
use serde_json::{Value, json};

use super::*;

/// Answers to the paths that begin so; what is written to the scale.
#[derive(Default)]
struct Answers {
    by_path: Vec<(&'static str, Value)>,
    written: Mutex<Vec<Value>>,
}

impl Answers {
    fn to(&self, path: &str) -> (StatusCode, Value) {
        match self
            .by_path
            .iter()
            .find(|(start, _)| path.starts_with(start))
        {
            Some((_, answer)) => (StatusCode::OK, answer.clone()),
            None => {
                let status = json!({ "kind": "Status", "apiVersion": "v1", "status": "Failure",
                    "message": "the server could not find the requested resource", "reason": "NotFound", "code": 404 });
                (StatusCode::NOT_FOUND, status)
            }
        }
    }
}

fn client(answers: &Arc<Answers>) -> Client {
    let answers = answers.clone();
    let service = tower::service_fn(move |request: Request<Body>| {
        let answers = answers.clone();
        async move {
            let (method, path) = (request.method().clone(), request.uri().to_string());
            if method == Method::PATCH {
                let body = request.into_body().collect_bytes().await.unwrap();
                let body = serde_json::from_slice(&body).unwrap();
                answers.written.lock().unwrap().push(body);
            }
            let (code, answer) = answers.to(&path);
            let body = Body::from(answer.to_string().into_bytes());
            Response::builder().status(code).body(body)
        }
    });
    Client::new(service, "default")
}

fn pod(name: &str) -> Value {
    let long_ago = "2020-01-01T00:00:00Z";
    json!({ "metadata": { "name": name }, "spec": {
            "containers": [{ "name": "c", "resources": { "requests": { "cpu": "100m" } } }] },
        "status": { "phase": "Running", "startTime": long_ago, "conditions": [
            { "type": "Ready", "status": "True", "lastTransitionTime": long_ago }] } })
}

fn measured(name: &str, cpu: &str) -> Value {
    json!({ "metadata": { "name": name }, "timestamp": "2026-01-01T00:00:00Z", "window": "30s",
        "containers": [{ "name": "c", "usage": { "cpu": cpu } }] })
}

/// A Deployment of two pods, and what else is served.
fn answers(more: Vec<(&'static str, Value)>) -> Arc<Answers> {
    let scale = json!({ "apiVersion": "autoscaling/v1", "kind": "Scale",
        "metadata": { "name": "web", "namespace": "t", "resourceVersion": "7" },
        "spec": { "replicas": 2 }, "status": { "replicas": 2, "selector": "app=a" } });
    let mut by_path = vec![
        ("/apis/apps/v1/namespaces/t/deployments/web/scale", scale),
        (
            "/api/v1/namespaces/t/pods",
            json!({ "metadata": {}, "items": [pod("a"), pod("b")] }),
        ),
    ];
    by_path.extend(more);
    Arc::new(Answers {
        by_path,
        ..Answers::default()
    })
}

const RESOURCES: &str = "/apis/metrics.k8s.io/v1beta1/namespaces/t/pods?labelSelector=app%3Da";
const QUEUE: &str = "/apis/external.metrics.k8s.io/v1beta1/namespaces/t/queue?";
const REQUESTS: &str =
    "/apis/custom.metrics.k8s.io/v1beta1/namespaces/t/pods/*/requests?labelSelector=app%3Da";

fn cpu(percent: i32) -> Value {
    let target = json!({ "type": "Utilization", "averageUtilization": percent });
    json!({ "type": "Resource", "resource": { "name": "cpu", "target": target } })
}

fn queue(each: &str) -> Value {
    let target = json!({ "type": "AverageValue", "averageValue": each });
    json!({ "type": "External", "external": { "metric": { "name": "queue" }, "target": target } })
}

fn requests(each: &str) -> Value {
    let target = json!({ "type": "AverageValue", "averageValue": each });
    json!({ "type": "Pods", "pods": { "metric": { "name": "requests" }, "target": target } })
}

/// The status after one look.
async fn look(answers: &Arc<Answers>, metrics: Value) -> HorizontalPodAutoscalerStatus {
    let scaler = json!({ "metadata": { "name": "web", "namespace": "t" }, "spec": {
        "minReplicas": 1, "maxReplicas": 10, "metrics": metrics,
        "scaleTargetRef": { "apiVersion": "apps/v1", "kind": "Deployment", "name": "web" } } });
    let scaler: HorizontalPodAutoscaler = serde_json::from_value(scaler).unwrap();
    let deployment = GroupVersionKind::gvk("apps", "v1", "Deployment");
    let resource = Resource::new(
        ApiResource::from_gvk_with_plural(&deployment, "deployments"),
        true,
    );
    let cluster = Cluster::new(client(answers));
    let autoscalers = Autoscalers {
        recorder: cluster.events.recorder("horizontal-pod-autoscaler"),
        cluster,
        period: Duration::from_secs(15),
        resources: Resources::knowing(&scaler.spec.scale_target_ref, resource),
        memories: Mutex::default(),
    };
    let now = "2026-01-01T00:00:10Z".parse().unwrap();
    let mut status = Status::new(HorizontalPodAutoscalerStatus::default(), now);
    autoscalers
        .scale(&Key::of(&scaler), &scaler, &mut status)
        .await;
    status.done()
}

fn message<'a>(status: &'a HorizontalPodAutoscalerStatus, type_: &str) -> &'a str {
    let conditions = status.conditions.as_deref().unwrap();
    let found = conditions.iter().find(|c| c.type_ == type_).unwrap();
    found.message.as_deref().unwrap()
}

fn written(answers: &Answers) -> Vec<Value> {
    answers.written.lock().unwrap().clone()
}

#[tokio::test]
async fn busy_pods_become_more() {
    let metrics = json!({ "items": [measured("a", "90m"), measured("b", "90m")] });
    let answers = answers(vec![(RESOURCES, metrics)]);
    let status = look(&answers, json!([cpu(50)])).await;
    let replicas = json!({ "metadata": { "resourceVersion": "7" }, "spec": { "replicas": 4 } });
    assert_eq!(written(&answers), [replicas]);
    assert_eq!(
        (status.current_replicas, status.desired_replicas),
        (Some(2), 4)
    );
    assert!(status.last_scale_time.is_some());
    let found = "the HPA was able to successfully calculate a replica count from cpu resource utilization (percentage of request)";
    assert_eq!(message(&status, ACTIVE), found);
    let current = json!(
        status.current_metrics.unwrap()[0]
            .resource
            .as_ref()
            .unwrap()
            .current
    );
    assert_eq!(
        current,
        json!({ "averageUtilization": 90, "averageValue": "90m" })
    );
}

#[tokio::test]
async fn the_metric_that_calls_for_the_most_pods_counts() {
    let value = |name: &str| json!({ "describedObject": { "kind": "Pod", "name": name }, "value": "30", "timestamp": "2026-01-01T00:00:00Z" });
    let answers = answers(vec![
        (
            RESOURCES,
            json!({ "items": [measured("a", "50m"), measured("b", "50m")] }),
        ),
        (
            QUEUE,
            json!({ "items": [{ "value": "20" }, { "value": "10" }] }),
        ),
        (REQUESTS, json!({ "items": [value("a"), value("b")] })),
    ]);
    let status = look(&answers, json!([cpu(50), queue("10"), requests("10")])).await;
    assert_eq!(status.desired_replicas, 4);
    assert!(message(&status, ACTIVE).ends_with("from pods metric requests"));
    assert_eq!(
        message(&status, LIMITED),
        "the desired replica count is increasing faster than the maximum scale rate"
    );
    let values = json!(status.current_metrics);
    assert_eq!(values[1]["external"]["current"]["averageValue"], "15");
    assert_eq!(values[2]["pods"]["current"]["averageValue"], "30");
}

#[tokio::test]
async fn metric_that_says_nothing_keeps_pods_and_lets_others_add_some() {
    let idle = answers(vec![(QUEUE, json!({ "items": [{ "value": "1" }] }))]);
    let status = look(&idle, json!([cpu(50), queue("10")])).await;
    assert!(written(&idle).is_empty());
    assert!(
        message(&status, ACTIVE).starts_with("the HPA was unable to compute the replica count")
    );
    let busy = answers(vec![(QUEUE, json!({ "items": [{ "value": "30" }] }))]);
    let status = look(&busy, json!([cpu(50), queue("10")])).await;
    assert_eq!(status.desired_replicas, 3);
    assert!(message(&status, ACTIVE).ends_with("from external metric queue(nil)"));
}

fn container_cpu(container: &str, percent: i32) -> Value {
    let target = json!({ "type": "Utilization", "averageUtilization": percent });
    json!({ "type": "ContainerResource",
        "containerResource": { "name": "cpu", "container": container, "target": target } })
}

#[tokio::test]
async fn one_busy_container_calls_for_more_pods_and_those_beside_it_for_none() {
    let beside = |name: &str, cpu: &str, side: &str| {
        let mut pod = measured(name, cpu);
        let side = json!({ "name": "side", "usage": { "cpu": side } });
        pod["containers"].as_array_mut().unwrap().push(side);
        pod
    };
    let metrics = json!({ "items": [beside("a", "90m", "5"), beside("b", "90m", "5")] });
    let busy = answers(vec![(RESOURCES, metrics)]);
    let status = look(&busy, json!([container_cpu("c", 50)])).await;
    let replicas = json!({ "metadata": { "resourceVersion": "7" }, "spec": { "replicas": 4 } });
    assert_eq!(written(&busy), [replicas]);
    let measured = json!(status.current_metrics);
    assert_eq!(measured[0]["type"], "ContainerResource");
    assert_eq!(
        measured[0]["containerResource"],
        json!({ "name": "cpu", "container": "c",
            "current": { "averageUtilization": 90, "averageValue": "90m" } })
    );
}

#[tokio::test]
async fn container_that_no_pod_has_is_told_and_changes_nothing() {
    let metrics = json!({ "items": [measured("a", "90m"), measured("b", "90m")] });
    let answers = answers(vec![(RESOURCES, metrics)]);
    let status = look(&answers, json!([container_cpu("gone", 50)])).await;
    assert!(written(&answers).is_empty());
    let conditions = status.conditions.as_deref().unwrap();
    let active = conditions.iter().find(|c| c.type_ == ACTIVE).unwrap();
    let reason = active.reason.as_deref();
    assert_eq!(reason, Some("FailedGetContainerResourceMetric"));
    let why = message(&status, ACTIVE);
    assert!(
        why.contains("container gone not present in metrics for pods"),
        "{why}"
    );
}

const HITS: &str = "/apis/custom.metrics.k8s.io/v1beta1/namespaces/t/deployments.apps/web/hits?metricLabelSelector=verb%3DGET";

/// The hits of the Deployment itself.
fn hits(target: &Value) -> Value {
    let object = json!({ "apiVersion": "apps/v1", "kind": "Deployment", "name": "web" });
    let metric = json!({ "name": "hits", "selector": { "matchLabels": { "verb": "GET" } } });
    json!({ "type": "Object", "object": { "describedObject": object, "metric": metric, "target": target } })
}

fn hit(value: &str) -> Value {
    let object = json!({ "kind": "Deployment", "name": "web" });
    json!({ "items": [{ "describedObject": object, "value": value, "timestamp": "2026-01-01T00:00:00Z" }] })
}

#[tokio::test]
async fn metric_of_an_object_is_weighed_as_a_whole_or_shared_out_among_the_pods() {
    // Half as much again as two pods should have; four times what each should.
    let whole = json!({ "type": "Value", "value": "10" });
    let each = json!({ "type": "AverageValue", "averageValue": "10" });
    for (value, target, replicas, current) in [
        ("15", whole, 3, json!({ "value": "15" })),
        ("40", each, 4, json!({ "averageValue": "20" })),
    ] {
        let answers = answers(vec![(HITS, hit(value))]);
        let status = look(&answers, json!([hits(&target)])).await;
        assert_eq!(status.desired_replicas, replicas);
        assert_eq!(written(&answers)[0]["spec"]["replicas"], replicas);
        assert!(message(&status, ACTIVE).ends_with("from Deployment metric hits"));
        let measured = json!(status.current_metrics);
        assert_eq!(measured[0]["type"], "Object");
        assert_eq!(measured[0]["object"]["describedObject"]["name"], "web");
        assert_eq!(measured[0]["object"]["current"], current);
    }
}

#[tokio::test]
async fn metric_of_an_object_that_nobody_serves_is_told() {
    let answers = answers(Vec::new());
    let status = look(
        &answers,
        json!([hits(&json!({ "type": "Value", "value": "10" }))]),
    )
    .await;
    assert!(written(&answers).is_empty());
    let why = message(&status, ACTIVE);
    assert!(
        why.contains("unable to get metric hits: Deployment on t web/"),
        "{why}"
    );
    assert!(
        why.contains("unable to fetch metrics from custom metrics API"),
        "{why}"
    );
}
