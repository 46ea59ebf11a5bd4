//! An API server for tests: it answers as told, and notes what it was asked.

use std::collections::VecDeque;
use std::sync::{Arc, Mutex};

use http::{Request, Response};
use http_body_util::BodyExt as _;
use kube::Client;
use kube::client::Body;
use serde_json::{Value, json};

/// One request that was made.
#[derive(Clone, Debug, PartialEq)]
pub struct Asked {
    pub method: String,
    pub path: String,
    pub body: Value,
}

/// What was asked so far, and what to answer next.
#[derive(Clone, Default)]
pub struct FakeApi {
    asked: Arc<Mutex<Vec<Asked>>>,
    answers: Arc<Mutex<VecDeque<(u16, Value)>>>,
}

impl FakeApi {
    /// Answers `answers` one after the other, then each body with itself.
    pub fn new(answers: &[(u16, Value)]) -> Self {
        let answers = Arc::new(Mutex::new(answers.iter().cloned().collect()));
        Self {
            answers,
            ..Self::default()
        }
    }

    pub fn client(&self) -> Client {
        let fake = self.clone();
        let service = tower::service_fn(move |request: Request<Body>| {
            let fake = fake.clone();
            async move { Ok::<_, std::convert::Infallible>(fake.answer(request).await) }
        });
        Client::new(service, "default")
    }

    async fn answer(&self, request: Request<Body>) -> Response<Body> {
        let (parts, body) = request.into_parts();
        let bytes = body.collect().await.unwrap().to_bytes();
        let body: Value = serde_json::from_slice(&bytes).unwrap_or_default();
        let path = parts.uri.path().to_owned();
        let asked = Asked {
            method: parts.method.to_string(),
            path,
            body: body.clone(),
        };
        self.asked.lock().unwrap().push(asked);
        let (status, answer) = self
            .answers
            .lock()
            .unwrap()
            .pop_front()
            .unwrap_or((200, body));
        let bytes = serde_json::to_vec(&answer).unwrap();
        Response::builder()
            .status(status)
            .body(Body::from(bytes))
            .unwrap()
    }

    pub fn asked(&self) -> Vec<Asked> {
        self.asked.lock().unwrap().clone()
    }

    /// `METHOD path` of every request.
    pub fn lines(&self) -> Vec<String> {
        self.asked()
            .iter()
            .map(|asked| format!("{} {}", asked.method, asked.path))
            .collect()
    }
}

/// The body of a refusal.
pub fn refusal(code: u16) -> (u16, Value) {
    let reason = if code == 404 {
        "NotFound"
    } else {
        "InternalError"
    };
    let status = json!({"kind": "Status", "apiVersion": "v1", "status": "Failure", "message": "no",
        "reason": reason, "code": code});
    (code, status)
}
