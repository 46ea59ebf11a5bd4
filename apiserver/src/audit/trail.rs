//! One request on its way through the server, as the audit log will tell it.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use apimachinery::time;
use http::{HeaderMap, Request, StatusCode, header};
use jiff::Timestamp;
use serde_json::Value;
use serde_json::value::{RawValue, to_raw_value};

use super::event::{self, Event, ObjectRef, ResponseStatus, UserInfo};
use super::policy::{Level, Stage, Verdict};
use super::sink::Sink;
use crate::body::RequestBody;
use crate::peer::Peer;
use crate::route::Route;
use crate::user::User;

const AGENT_MAX: usize = 1024;
const TRUNCATED: &str = "...TRUNCATED";
/// Longer audit ids of clients are not taken over.
const ID_MAX: usize = 64;
/// Addresses of a client's own telling that are noted.
const SOURCES_MAX: usize = 16;

/// A handle for whoever has something to note of a request. Cheap to clone.
#[derive(Clone)]
pub struct Trail(Arc<Inner>);

struct Inner {
    sink: Arc<Sink>,
    verdict: Verdict,
    id: String,
    uri: String,
    verb: &'static str,
    is_long_running: bool,
    user: Option<User>,
    sources: Vec<String>,
    agent: String,
    received: String,
    notes: Mutex<Notes>,
}

/// What becomes known on the way.
#[derive(Default)]
struct Notes {
    object: Option<ObjectRef>,
    impersonated: Option<Arc<User>>,
    annotations: BTreeMap<String, String>,
    status: Option<Box<RawValue>>,
    request: Option<Box<RawValue>>,
    response: Option<Box<RawValue>>,
    is_over: bool,
}

impl Trail {
    pub(super) fn new(
        sink: Arc<Sink>,
        verdict: Verdict,
        request: &Request<RequestBody>,
        route: &Route,
        user: Option<&User>,
        peer: &Peer,
    ) -> Self {
        let headers = request.headers();
        let uri = request.uri();
        let uri = uri
            .path_and_query()
            .map_or(uri.path(), |both| both.as_str());
        Self(Arc::new(Inner {
            sink,
            verdict,
            id: id_of(headers),
            uri: uri.to_owned(),
            verb: event::verb(route),
            is_long_running: event::is_long_running(route),
            user: user.cloned(),
            sources: sources(headers, peer),
            agent: agent(headers),
            received: time::micro(Timestamp::now()),
            notes: Mutex::new(Notes {
                object: ObjectRef::of(route),
                ..Notes::default()
            }),
        }))
    }

    pub fn id(&self) -> &str {
        &self.0.id
    }

    pub(super) fn level(&self) -> Level {
        self.0.verdict.level
    }

    pub(super) fn is_long_running(&self) -> bool {
        self.0.is_long_running
    }

    /// Adds an annotation; the first of a key stays.
    pub fn annotate(&self, key: impl Into<String>, value: impl Into<String>) {
        let mut notes = self.notes();
        notes
            .annotations
            .entry(key.into())
            .or_insert_with(|| value.into());
    }

    /// The request acts as somebody else.
    pub fn impersonates(&self, user: &Arc<User>) {
        self.notes().impersonated = Some(user.clone());
    }

    /// Notes the request's object: what the client sent, as JSON.
    pub(super) fn note_request(&self, object: Value) {
        let mut notes = self.notes();
        notes.note_name(&object);
        notes.request = self.raw(object);
    }

    pub(super) fn note_response(&self, object: Value) {
        let raw = self.raw(object);
        self.notes().response = raw;
    }

    /// A response's code, and its `Status` where it is one.
    pub(super) fn note_status(&self, code: StatusCode, body: Option<Value>) {
        let of = body.filter(|body| body["kind"] == "Status");
        let of = of.and_then(|body| serde_json::from_value(body).ok());
        self.set_status(ResponseStatus {
            code: code.as_u16(),
            ..of.unwrap_or_default()
        });
    }

    fn set_status(&self, status: ResponseStatus) {
        self.notes().status = to_raw_value(&status).ok();
    }

    pub(super) fn refuse_credentials(&self, headers: &HeaderMap) {
        let mut tried = Vec::new();
        let scheme = headers.get(header::AUTHORIZATION);
        let scheme = scheme.and_then(|value| value.to_str().ok()).unwrap_or("");
        match scheme.split(' ').next().unwrap_or("") {
            "" => {}
            word if word.eq_ignore_ascii_case("bearer") => tried.push("bearer"),
            word if word.eq_ignore_ascii_case("basic") => tried.push("basic"),
            _ => tried.push("unknown"),
        }
        let message = if tried.is_empty() {
            "Authentication failed, no credentials provided".to_owned()
        } else {
            format!("Authentication failed, attempted: {}", tried.join(", "))
        };
        self.set_status(ResponseStatus {
            message,
            code: 401,
            ..ResponseStatus::default()
        });
    }

    /// Writes the line of a stage, unless the policy leaves it out.
    pub(super) fn tell(&self, stage: Stage) {
        let inner = &self.0;
        let mut notes = self.notes();
        if matches!(stage, Stage::ResponseComplete | Stage::Panic)
            && std::mem::replace(&mut notes.is_over, true)
        {
            return;
        }
        if inner.verdict.omit_stages.contains(&stage) {
            return;
        }
        let now = match stage {
            Stage::RequestReceived => inner.received.clone(),
            _ => time::micro(Timestamp::now()),
        };
        let is_received = stage == Stage::RequestReceived;
        let later = |raw: &'_ Option<Box<RawValue>>| -> Option<Box<RawValue>> {
            raw.clone().filter(|_| !is_received)
        };
        let (status, request) = (later(&notes.status), later(&notes.request));
        let response = later(&notes.response).filter(|_| stage != Stage::ResponseStarted);
        let event = Event {
            kind: "Event",
            api_version: "audit.k8s.io/v1",
            level: inner.verdict.level,
            audit_id: &inner.id,
            stage,
            request_uri: &inner.uri,
            verb: inner.verb,
            user: inner.user.as_ref().map(UserInfo::of).unwrap_or_default(),
            impersonated_user: notes.impersonated.as_deref().map(UserInfo::of),
            source_ips: &inner.sources,
            user_agent: &inner.agent,
            object_ref: notes.object.as_ref(),
            response_status: status.as_deref(),
            request_object: request.as_deref(),
            response_object: response.as_deref(),
            request_received_timestamp: &inner.received,
            stage_timestamp: &now,
            annotations: &notes.annotations,
        };
        match serde_json::to_vec(&event) {
            Ok(line) => inner.sink.write(line),
            Err(error) => tracing::error!(%error, "encode an audit event"),
        }
    }

    fn raw(&self, mut object: Value) -> Option<Box<RawValue>> {
        if self.0.verdict.omit_managed_fields {
            drop_managed_fields(&mut object);
        }
        to_raw_value(&object).ok()
    }

    fn notes(&self) -> MutexGuard<'_, Notes> {
        self.0.notes.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Notes {
    /// What a request to a collection is about stands in its body.
    fn note_name(&mut self, object: &Value) {
        let Some(reference) = &mut self.object else {
            return;
        };
        let metadata = &object["metadata"];
        for (field, name) in [
            (&mut reference.name, "name"),
            (&mut reference.namespace, "namespace"),
            (&mut reference.uid, "uid"),
            (&mut reference.resource_version, "resourceVersion"),
        ] {
            if let Some(text) = metadata[name].as_str().filter(|_| field.is_empty()) {
                text.clone_into(field);
            }
        }
    }
}

fn drop_managed_fields(object: &mut Value) {
    let drop = |object: &mut Value| {
        if let Some(metadata) = object.get_mut("metadata").and_then(Value::as_object_mut) {
            metadata.remove("managedFields");
        }
    };
    drop(object);
    let items = object.get_mut("items").and_then(Value::as_array_mut);
    items.into_iter().flatten().for_each(drop);
}

fn text<'a>(headers: &'a HeaderMap, name: &str) -> &'a str {
    let value = headers.get(name).and_then(|value| value.to_str().ok());
    value.unwrap_or("")
}

fn id_of(headers: &HeaderMap) -> String {
    match text(headers, "audit-id") {
        "" => apimachinery::random::uid(),
        given => given.chars().take(ID_MAX).collect(),
    }
}

fn agent(headers: &HeaderMap) -> String {
    let agent = text(headers, "user-agent");
    if agent.len() <= AGENT_MAX {
        return agent.to_owned();
    }
    let mut cut: String = agent.chars().take(AGENT_MAX).collect();
    cut.push_str(TRUNCATED);
    cut
}

/// What proxies say of the client, then who is at the other end.
fn sources(headers: &HeaderMap, peer: &Peer) -> Vec<String> {
    let forwarded = text(headers, "x-forwarded-for").split(',').map(str::trim);
    let is_address = |text: &&str| text.parse::<std::net::IpAddr>().is_ok();
    let mut found: Vec<String> = forwarded
        .filter(is_address)
        .take(SOURCES_MAX)
        .map(str::to_owned)
        .collect();
    let real = Some(text(headers, "x-real-ip")).filter(is_address);
    let real = real.map(str::to_owned);
    let own = peer
        .address
        .map(|address| address.ip().to_canonical().to_string());
    for next in [real, own].into_iter().flatten() {
        if found.last() != Some(&next) {
            found.push(next);
        }
    }
    found
}
