use std::convert::Infallible;

use http::{Request, Response};
use http_body_util::BodyExt as _;
use k8s_openapi::api::core::v1::{ObjectReference, Pod};
use kube::Client;
use kube::client::Body;
use serde_json::{Value, json};
use tokio::sync::mpsc;
use tokio_util::sync::CancellationToken;

use crate::{Events, Level, Recorder, Told};

type Asked = (String, String, Value);

/// Answers each body with itself, but PATCH with `patch_code`; tells what it was asked.
fn fake_api(patch_code: u16) -> (Client, mpsc::UnboundedReceiver<Asked>) {
    let (tell, asked) = mpsc::unbounded_channel();
    let service = tower::service_fn(move |request: Request<Body>| {
        let tell = tell.clone();
        async move {
            let (parts, body) = request.into_parts();
            let bytes = body.collect().await.unwrap().to_bytes();
            let body: Value = serde_json::from_slice(&bytes).unwrap();
            let (code, answer) = match parts.method.as_str() {
                "PATCH" if patch_code != 200 => (patch_code, refusal(patch_code)),
                "PATCH" => (200, json!({"metadata": {}, "involvedObject": {}})),
                _ => (200, body.clone()),
            };
            let path = parts.uri.path().to_owned();
            tell.send((parts.method.to_string(), path, body)).unwrap();
            let answer = Body::from(serde_json::to_vec(&answer).unwrap());
            Ok::<_, Infallible>(Response::builder().status(code).body(answer).unwrap())
        }
    });
    (Client::new(service, "default"), asked)
}

fn refusal(code: u16) -> Value {
    json!({"kind": "Status", "apiVersion": "v1", "status": "Failure", "message": "no", "code": code})
}

fn start(client: Client) -> Recorder {
    let events = Events::new();
    let recorder = events.recorder_on("kubelet", "n1");
    tokio::spawn(events.run(client, CancellationToken::new()));
    recorder
}

fn pod() -> Pod {
    let pod = json!({"metadata": {"name": "p", "namespace": "ns", "uid": "u"}});
    serde_json::from_value(pod).unwrap()
}

#[tokio::test]
async fn the_same_event_again_counts_up_on_the_first() {
    let (client, mut asked) = fake_api(200);
    let recorder = start(client);
    for message in ["a", "a", "b"] {
        recorder.warning(&pod(), "Unhealthy", message);
    }
    let (method, path, first) = asked.recv().await.unwrap();
    assert_eq!((&*method, &*path), ("POST", "/api/v1/namespaces/ns/events"));
    assert_eq!(
        (&first["type"], &first["count"]),
        (&json!("Warning"), &json!(1))
    );
    assert_eq!(
        first["source"],
        json!({"component": "kubelet", "host": "n1"})
    );
    let (method, path, again) = asked.recv().await.unwrap();
    assert!(
        path.ends_with(first["metadata"]["name"].as_str().unwrap()),
        "{path}"
    );
    assert_eq!((&*method, &again["count"]), ("PATCH", &json!(2)));
    let (method, _, other) = asked.recv().await.unwrap();
    assert_eq!((&*method, &other["message"]), ("POST", &json!("b")));
}

#[tokio::test]
async fn an_event_that_expired_is_created_again_with_its_count() {
    let (client, mut asked) = fake_api(404);
    let recorder = start(client);
    recorder.normal(&pod(), "Started", "a");
    recorder.normal(&pod(), "Started", "a");
    let mut methods = Vec::new();
    for _ in 0..3 {
        let (method, _, body) = asked.recv().await.unwrap();
        methods.push((method, body["count"].clone()));
    }
    let expected = [("POST", 1), ("PATCH", 2), ("POST", 2)];
    assert_eq!(methods, expected.map(|(m, n)| (m.to_owned(), json!(n))));
}

#[tokio::test]
async fn an_event_with_an_action_has_a_series_and_no_counts() {
    let (client, mut asked) = fake_api(200);
    let recorder = start(client);
    for _ in 0..2 {
        recorder.tell(Told {
            about: ObjectReference::default(),
            level: Level::Normal,
            reason: "Scheduled".into(),
            action: Some("Binding"),
            message: "m".into(),
        });
    }
    let (_, path, first) = asked.recv().await.unwrap();
    assert_eq!(path, "/api/v1/namespaces/default/events");
    assert_eq!(first["action"], "Binding");
    assert!(first["eventTime"].is_string());
    assert!(first.get("count").is_none() && first.get("source").is_none());
    let (_, _, again) = asked.recv().await.unwrap();
    assert_eq!(again["series"]["count"], 2);
}

#[tokio::test]
async fn telling_never_waits_for_the_writer() {
    let events = Events::new();
    let recorder = events.recorder("c");
    for _ in 0..crate::WAITING + 10 {
        recorder.normal(&pod(), "R", "m");
    }
    assert_eq!(events.queue.capacity(), 0);
}
