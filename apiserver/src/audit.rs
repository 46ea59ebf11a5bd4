//! The audit log: who asked for what, and what came of it, as lines of
//! `audit.k8s.io/v1` events.
//!
//! A policy says which requests are told and how much of them. Writing is
//! another thread's work behind a bounded queue: a slow disk loses events, which
//! is told and counted, and never holds up a request. Without a policy there is
//! no [`Auditor`], and a request pays for one look at an `Option`.

mod body;
mod error;
mod event;
mod policy;
mod rotate;
mod sink;
mod trail;

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::sync::Arc;

use http::{HeaderValue, Request, Response, StatusCode};

pub use error::Error;
pub use trail::Trail;

use crate::body::{Body, RequestBody};
use crate::peer::Peer;
use crate::route::Route;
use crate::user::User;
use policy::{Level, Policy, Stage};
use sink::Sink;

/// `--audit-*`.
#[derive(Debug, Clone)]
pub struct Config {
    pub policy: PathBuf,
    /// `-` is the standard output.
    pub log: PathBuf,
    /// Days that rotated files are kept; 0 for ever.
    pub max_age: u64,
    /// Rotated files that are kept; 0 all.
    pub max_backups: usize,
    /// Mebibytes at which the file is rotated; 0 takes 100.
    pub max_size: u64,
}

/// What is told, and where to.
pub struct Auditor {
    policy: Policy,
    sink: Arc<Sink>,
}

impl Auditor {
    /// # Errors
    /// A policy that cannot be read, or a log that cannot be written.
    pub fn open(config: &Config) -> Result<Self, Error> {
        Ok(Self {
            policy: Policy::read(&config.policy)?,
            sink: Arc::new(Sink::open(config)?),
        })
    }

    /// What this server tells of a request, if anything: the stage
    /// `RequestReceived` is told at once, and the request's body is kept as it
    /// is read where the policy wants it.
    pub fn begin(
        &self,
        request: &mut Request<RequestBody>,
        route: &Route,
        user: &User,
        peer: &Peer,
    ) -> Option<Trail> {
        let verdict = self.policy.verdict(route, Some(user));
        if verdict.level == Level::None {
            return None;
        }
        let trail = Trail::new(self.sink.clone(), verdict, request, route, Some(user), peer);
        trail.tell(Stage::RequestReceived);
        if trail.level() >= Level::Request {
            body::keep_request(request, &trail);
        }
        Some(trail)
    }

    /// A request whose credentials were refused.
    pub fn refused(
        &self,
        request: &Request<RequestBody>,
        route: &Route,
        peer: &Peer,
        response: &mut Response<Body>,
    ) {
        let verdict = self.policy.verdict(route, None);
        if verdict.level == Level::None {
            return;
        }
        let trail = Trail::new(self.sink.clone(), verdict, request, route, None, peer);
        trail.refuse_credentials(request.headers());
        trail.tell(Stage::ResponseStarted);
        trail.mark(response);
    }

    /// Waits until all that was told is written.
    pub fn flush(&self) {
        self.sink.flush();
    }

    /// Events that were lost since the start.
    pub fn lost(&self) -> u64 {
        self.sink.lost()
    }
}

impl Trail {
    /// Tells what came of the request: now, or when its stream ends.
    pub fn end(&self, response: Response<Body>) -> Response<Body> {
        let mut response = body::keep_response(response, self);
        self.mark(&mut response);
        response
    }

    /// What was noted on the way, by admission for one.
    pub fn annotate_all(&self, annotations: BTreeMap<String, String>) {
        for (key, value) in annotations {
            self.annotate(key, value);
        }
    }

    /// Why the request was let through or refused.
    pub fn decided(&self, decided: &Result<String, String>) {
        let (decision, reason) = match decided {
            Ok(reason) => ("allow", reason),
            Err(reason) => ("forbid", reason),
        };
        self.annotate("authorization.k8s.io/decision", decision);
        self.annotate("authorization.k8s.io/reason", reason.as_str());
    }

    pub fn panicked(&self) {
        self.note_status(StatusCode::INTERNAL_SERVER_ERROR, None);
        self.tell(Stage::Panic);
    }

    /// The client finds its request again by this.
    fn mark(&self, response: &mut Response<Body>) {
        if let Ok(id) = HeaderValue::from_str(self.id()) {
            response.headers_mut().insert("audit-id", id);
        }
    }
}
