use std::collections::VecDeque;
use std::convert::Infallible;
use std::sync::{Arc, Mutex};

use futures::StreamExt;
use http::{Response, StatusCode};
use k8s_openapi::api::core::v1::ConfigMap;
use serde_json::{Value, json};
use tokio::time::Instant;

use super::*;

/// What the server was asked, and what it answers, in turn; after that, never.
#[derive(Clone, Default)]
struct Server {
    asked: Arc<Mutex<Vec<String>>>,
    answers: Arc<Mutex<VecDeque<(StatusCode, String)>>>,
}

impl Server {
    fn answering(answers: &[String]) -> Self {
        let server = Self::default();
        let answers = answers.iter().map(|text| (StatusCode::OK, text.clone()));
        server.answers.lock().unwrap().extend(answers);
        server
    }

    fn client(&self) -> Client {
        let server = self.clone();
        let service = tower::service_fn(move |request: http::Request<Body>| {
            let server = server.clone();
            async move {
                let query = request.uri().query().unwrap_or_default().to_owned();
                server.asked.lock().unwrap().push(query);
                let answer = server.answers.lock().unwrap().pop_front();
                let Some((code, text)) = answer else {
                    return std::future::pending().await;
                };
                let mut response = Response::new(Body::from(text.into_bytes()));
                *response.status_mut() = code;
                Ok::<_, Infallible>(response)
            }
        });
        Client::new(service, "default")
    }

    /// The first `count` things that a follower is told, each in a word.
    async fn told(&self, count: usize) -> Vec<String> {
        let events = objects::<ConfigMap>(Api::all(self.client()), "a=b");
        events.take(count).map(word).collect().await
    }

    /// The value of a parameter in each request.
    fn asked(&self, parameter: &str) -> Vec<String> {
        let asked = self.asked.lock().unwrap();
        let of = |query: &String| {
            let mut pairs = query.split('&').filter_map(|pair| pair.split_once('='));
            let found = pairs.find(|(name, _)| *name == parameter);
            found.map(|(_, value)| value.to_owned()).unwrap_or_default()
        };
        asked.iter().map(of).collect()
    }
}

fn word(told: Result<Event<ConfigMap>, Error>) -> String {
    let name = |object: ConfigMap| object.metadata.name.unwrap_or_default();
    match told {
        Ok(Event::Init) => "init".into(),
        Ok(Event::InitApply(object)) => format!("has {}", name(object)),
        Ok(Event::InitDone { version }) => format!("done at {version}"),
        Ok(Event::Apply(object)) => format!("put {}", name(object)),
        Ok(Event::Delete(object)) => format!("gone {}", name(object)),
        Err(error) => format!("error: {error}"),
    }
}

fn object(name: &str, version: u64) -> Value {
    json!({ "metadata": { "name": name, "resourceVersion": version.to_string() } })
}

fn page(names: &[&str], metadata: Value) -> String {
    let items: Vec<Value> = names.iter().map(|name| object(name, 1)).collect();
    json!({ "kind": "ConfigMapList", "metadata": metadata, "items": items }).to_string()
}

fn list(names: &[&str], version: u64) -> String {
    page(names, json!({ "resourceVersion": version.to_string() }))
}

fn event(what: &str, object: &Value) -> String {
    format!("{{\"type\":\"{what}\",\"object\":{object}}}\n")
}

#[tokio::test(start_paused = true)]
async fn all_pages_are_told_and_then_the_changes_after_them() {
    let server = Server::answering(&[
        page(
            &["a"],
            json!({ "continue": "more", "resourceVersion": "5" }),
        ),
        list(&["b"], 5),
        event("ADDED", &object("c", 6))
            + &event("MODIFIED", &object("a", 7))
            + &event("DELETED", &object("b", 8)),
    ]);
    let told = server.told(7).await;
    assert_eq!(
        told,
        [
            "init",
            "has a",
            "has b",
            "done at 5",
            "put c",
            "put a",
            "gone b"
        ]
    );
    assert_eq!(server.asked("continue"), ["", "more", ""]);
    assert_eq!(server.asked("resourceVersion"), ["", "", "5"]);
    assert_eq!(server.asked("fieldSelector"), ["a%3Db"; 3]);
}

#[tokio::test(start_paused = true)]
async fn a_watch_that_ends_is_taken_up_where_it_ended() {
    let mut bookmark = object("", 9);
    bookmark["kind"] = "ConfigMap".into();
    bookmark["apiVersion"] = "v1".into();
    let server = Server::answering(&[
        list(&[], 5),
        event("ADDED", &object("a", 6)),
        event("BOOKMARK", &bookmark),
        event("ADDED", &object("b", 10)) + "{\"type\":\"ADDED\",\"object\":{\"meta",
        event("ADDED", &object("c", 11)),
    ]);
    let told = server.told(5).await;
    assert_eq!(told, ["init", "done at 5", "put a", "put b", "put c"]);
    assert_eq!(server.asked("resourceVersion"), ["", "5", "6", "9", "10"]);
}

#[tokio::test(start_paused = true)]
async fn what_is_too_old_to_go_on_with_is_listed_again() {
    let gone = json!({ "kind": "Status", "status": "Failure", "message": "old", "code": 410 });
    let server = Server::answering(&[
        list(&["a"], 5),
        event("ERROR", &gone),
        list(&["b"], 50),
        event("ADDED", &object("c", 51)),
    ]);
    let told = server.told(8).await;
    let error = "error: watch of /api/v1/configmaps ended by the server: old (410)";
    assert_eq!(
        told,
        [
            "init",
            "has a",
            "done at 5",
            error,
            "init",
            "has b",
            "done at 50",
            "put c"
        ]
    );
    assert_eq!(server.asked("resourceVersion"), ["", "5", "", "50"]);
}

#[tokio::test(start_paused = true)]
async fn another_failure_loses_nothing_of_what_was_told() {
    let busy = json!({ "kind": "Status", "status": "Failure", "message": "busy", "code": 500 });
    let server = Server::answering(&[
        list(&[], 5),
        event("ADDED", &object("a", 6)) + &event("ERROR", &busy),
        event("ADDED", &object("b", 7)),
    ]);
    let told = server.told(5).await;
    let error = "error: watch of /api/v1/configmaps ended by the server: busy (500)";
    assert_eq!(told, ["init", "done at 5", "put a", error, "put b"]);
    assert_eq!(server.asked("resourceVersion"), ["", "5", "6"]);
}

#[tokio::test(start_paused = true)]
async fn a_list_that_fails_is_begun_anew() {
    let server = Server::answering(&[
        page(
            &["a"],
            json!({ "continue": "more", "resourceVersion": "5" }),
        ),
        "no list".into(),
        list(&["a"], 6),
    ]);
    server.answers.lock().unwrap()[1].0 = StatusCode::GONE;
    let told = server.told(6).await;
    let error = "error: list /api/v1/configmaps";
    assert_eq!(told, ["init", "has a", error, "init", "has a", "done at 6"]);
}

#[tokio::test(start_paused = true)]
async fn a_watch_that_is_refused_as_too_old_begins_with_a_list() {
    let server = Server::answering(&[list(&[], 5), "too old".into(), list(&["a"], 6)]);
    server.answers.lock().unwrap()[1].0 = StatusCode::GONE;
    let told = server.told(6).await;
    let error = "error: watch /api/v1/configmaps";
    assert_eq!(
        told,
        ["init", "done at 5", error, "init", "has a", "done at 6"]
    );
}

#[tokio::test(start_paused = true)]
async fn an_event_that_cannot_be_read_does_not_hold_up_those_after_it() {
    let server = Server::answering(&[
        list(&[], 5),
        "{\"type\":\"ADDED\",\"object\":3}\n".to_owned() + &event("ADDED", &object("b", 7)),
    ]);
    let told = server.told(4).await;
    let error = "error: understand what the server tells of /api/v1/configmaps";
    assert_eq!(told, ["init", "done at 5", error, "put b"]);
}

#[tokio::test(start_paused = true)]
async fn a_long_list_lets_others_run() {
    let server = Server::answering(&[list(&["a"; 1000], 5)]);
    let other = tokio::spawn(async {});
    server.told(1002).await;
    assert!(other.is_finished());
}

#[tokio::test(start_paused = true)]
async fn a_list_of_nothing_as_go_writes_it_is_a_list() {
    let nothing = json!({ "metadata": { "resourceVersion": "5" }, "items": null });
    let server = Server::answering(&[nothing.to_string()]);
    assert_eq!(server.told(2).await, ["init", "done at 5"]);
}

#[tokio::test(start_paused = true)]
async fn watches_that_end_at_once_are_asked_for_less_and_less_often() {
    let answers: Vec<String> = [list(&["a"], 5)]
        .into_iter()
        .chain(["", "no line", "", "no line", "", ""].map(str::to_owned))
        .collect();
    let server = Server::answering(&answers);
    let begun = Instant::now();
    let told = server.told(9).await;
    let error = "error: watch of /api/v1/configmaps ended before it told anything";
    assert_eq!(told[3..], [error; 6]);
    // 0.8 s, doubled four times, each a little longer by chance.
    assert!(begun.elapsed() > Duration::from_secs(24), "{begun:?}");
}

#[tokio::test(start_paused = true)]
async fn lists_that_fail_are_asked_for_less_and_less_often() {
    let server =
        Server::answering(&["no list", "", "no list", "", "no list", ""].map(str::to_owned));
    let begun = Instant::now();
    let told = server.told(12).await;
    assert!(told[1].starts_with("error: understand"), "{told:?}");
    assert!(begun.elapsed() > Duration::from_secs(24), "{begun:?}");
}

#[tokio::test(start_paused = true)]
async fn pauses_are_short_again_when_a_change_was_told() {
    let busy = json!({ "kind": "Status", "status": "Failure", "message": "busy", "code": 500 });
    let answers: Vec<String> = [list(&[], 5)]
        .into_iter()
        .chain((6..20).map(|at| event("ADDED", &object("a", at)) + &event("ERROR", &busy)))
        .collect();
    let server = Server::answering(&answers);
    let begun = Instant::now();
    server.told(2 + 2 * 10).await;
    assert!(begun.elapsed() < Duration::from_secs(20), "{begun:?}");
}

#[tokio::test(start_paused = true)]
async fn a_server_that_does_not_answer_is_asked_again() {
    let server = Server::default();
    let told = server.told(4).await;
    let error = "error: no answer from the server about /api/v1/configmaps within 90s";
    assert_eq!(told, ["init", error, "init", error]);
}
