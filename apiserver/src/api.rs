//! The server without its sockets: state, and the way of a request through it.
//!
//! authenticate -> impersonate -> authorize -> answer. What fails on the way is
//! a `Status`, in JSON, like every other answer.

use std::panic::AssertUnwindSafe;
use std::sync::Arc;
use std::time::{Duration, Instant};

use apimachinery::Status;
use futures::FutureExt;
use http::{HeaderMap, Request, Response};
use store::Store;
use tokio_util::sync::CancellationToken;

use crate::admission::Admission;
use crate::aggregation::Aggregation;
use crate::audit::{Auditor, Trail};
use crate::authn::{Authenticator, impersonation};
use crate::authz::{Attributes, Authorizer};
use crate::body::{Body, RequestBody};
use crate::bounds::{self, Bounds, Place};
use crate::discovery::Discovery;
use crate::metrics::Metrics;
use crate::notes::Notes;
use crate::openapi::OpenApi;
use crate::peer::Peer;
use crate::proxy::Kubelets;
use crate::query::Query;
use crate::resources::Resources;
use crate::route::Route;
use crate::service_range::Services;
use crate::user::User;
use crate::watch::pace::Pace;
use crate::{dispatch, respond, traced, webhook};

/// Everything the handlers share.
pub struct Api {
    pub store: Arc<dyn Store>,
    pub resources: Resources,
    pub authn: Authenticator,
    /// None: nothing is audited.
    pub auditor: Option<Arc<Auditor>>,
    pub authz: Arc<Authorizer>,
    pub admission: Admission,
    pub services: Services,
    pub discovery: Discovery,
    pub openapi: OpenApi,
    pub kubelets: Kubelets,
    /// Calls webhooks.
    pub webhooks: webhook::Caller,
    /// APIs that other servers serve.
    pub aggregation: Arc<Aggregation>,
    pub metrics: Metrics,
    pub bounds: Bounds,
    pub watch_pace: Arc<Pace>,
    /// Ends watches and other open streams.
    pub stop: CancellationToken,
}

/// One request past authorization.
pub struct Call {
    pub route: Route,
    pub query: Query,
    pub headers: HeaderMap,
    pub user: Arc<User>,
    pub notes: Notes,
}

/// One request as it comes: read, and nothing decided.
struct Asked {
    route: Route,
    query: Query,
    request: Request<RequestBody>,
    /// Who asks, or why that is not known.
    user: Result<Arc<User>, Status>,
    peer: Arc<Peer>,
}

impl Asked {
    fn read(
        request: Request<RequestBody>,
        user: Result<Arc<User>, Status>,
        peer: Arc<Peer>,
    ) -> Self {
        let uri = request.uri();
        let query = Query::parse(uri.query().unwrap_or(""));
        let route = Route::parse(request.method(), uri.path(), &query);
        Self {
            route,
            query,
            request,
            user,
            peer,
        }
    }
}

impl Call {
    pub fn user_agent(&self) -> &str {
        let agent = self.headers.get(http::header::USER_AGENT);
        agent.and_then(|v| v.to_str().ok()).unwrap_or("")
    }
}

impl Api {
    /// Answers one request of a connection.
    pub async fn answer(
        self: &Arc<Self>,
        mut request: Request<RequestBody>,
        peer: Arc<Peer>,
    ) -> Response<Body> {
        let user = self.authn.authenticate(request.headers_mut(), &peer).await;
        self.bounded(Asked::read(request, user, peer)).await
    }

    /// In its turn, and in its time.
    async fn bounded(self: &Arc<Self>, asked: Asked) -> Response<Body> {
        let (Ok(user), Some(time)) = (&asked.user, bounds::time_of(&asked.route, &asked.query))
        else {
            return self.counted(asked, None).await;
        };
        let place = match self.bounds.place(user).await {
            Ok(place) => place,
            Err(refusal) => return self.refused(&asked.route, &refusal),
        };
        if asked.route.verb.is_write() {
            return self.carried_out(asked, place, time).await;
        }
        let response = self.counted(asked, Some(time)).await;
        drop(place);
        response
    }

    /// What was begun is brought to its end, and told to the audit log, though the
    /// client has gone or its time is over: a write that is cut would leave behind what
    /// it reserved.
    async fn carried_out(
        self: &Arc<Self>,
        asked: Asked,
        place: Place,
        time: Duration,
    ) -> Response<Body> {
        let api = self.clone();
        let work = tokio::spawn(async move {
            let response = api.counted(asked, Some(time + bounds::GRACE)).await;
            drop(place);
            response
        });
        in_time(time, async { work.await.unwrap_or_else(|_| panicked()) }).await
    }

    fn refused(&self, route: &Route, why: &Status) -> Response<Body> {
        let span = self.metrics.begin(route);
        let response = respond::status(why);
        span.end(response.status(), Duration::ZERO);
        response
    }

    /// Answers one request of a user who is known already (in process).
    pub async fn answer_as(
        self: &Arc<Self>,
        request: Request<RequestBody>,
        user: Result<Arc<User>, Status>,
    ) -> Response<Body> {
        let peer = Arc::default();
        self.counted(Asked::read(request, user, peer), None).await
    }

    async fn counted(self: &Arc<Self>, asked: Asked, time: Option<Duration>) -> Response<Body> {
        let start = Instant::now();
        let span = self.metrics.begin(&asked.route);
        let answering = async {
            // What is seldom on is boxed: the future of every request is smaller.
            if traces::is_on() {
                Box::pin(self.traced(asked)).await
            } else {
                self.noted(asked).await
            }
        };
        let response = match time {
            Some(time) => in_time(time, answering).await,
            None => answering.await,
        };
        span.end(response.status(), start.elapsed());
        response
    }

    async fn traced(self: &Arc<Self>, asked: Asked) -> Response<Body> {
        let request = &asked.request;
        let span = traced::request(
            request.method(),
            request.headers(),
            &asked.route,
            &asked.user,
        );
        let response = self.noted(asked);
        let response = traces::within(span.as_ref(), response).await;
        if let Some(span) = &span {
            traced::answered(span, &response);
        }
        response
    }

    async fn noted(self: &Arc<Self>, asked: Asked) -> Response<Body> {
        match &self.auditor {
            None => self.unaudited(asked).await,
            Some(auditor) => Box::pin(self.audited(auditor, asked)).await,
        }
    }

    async fn unaudited(self: &Arc<Self>, asked: Asked) -> Response<Body> {
        let work = AssertUnwindSafe(self.respond(asked, None));
        let answered = work.catch_unwind().await;
        answered.unwrap_or_else(|_| panicked())
    }

    /// The same, and the audit log told of it.
    async fn audited(self: &Arc<Self>, auditor: &Auditor, mut asked: Asked) -> Response<Body> {
        let (route, peer) = (&asked.route, &asked.peer);
        let user = match &asked.user {
            Ok(user) => user,
            Err(status) => {
                let mut response = respond::status(status);
                auditor.refused(&asked.request, route, peer, &mut response);
                return response;
            }
        };
        let Some(trail) = auditor.begin(&mut asked.request, route, user, peer) else {
            return self.unaudited(asked).await;
        };
        let work = self.respond(asked, Some(&trail));
        match AssertUnwindSafe(work).catch_unwind().await {
            Ok(response) => response,
            Err(_) => {
                trail.panicked();
                panicked()
            }
        }
    }

    async fn respond(self: &Arc<Self>, asked: Asked, trail: Option<&Trail>) -> Response<Body> {
        match self.admit(asked, trail).await {
            Ok((call, request)) => {
                let answered = dispatch::dispatch(self, &call, request).await;
                let mut response = answered
                    .unwrap_or_else(|status| respond::refusal(&call.headers, &call.query, &status));
                call.notes.show(&mut response);
                if let Some(trail) = trail {
                    trail.annotate_all(call.notes.annotations());
                    response = trail.end(response);
                }
                respond::compress(&call.headers, response)
            }
            Err(status) => {
                let response = respond::status(&status);
                match trail {
                    Some(trail) => trail.end(response),
                    None => response,
                }
            }
        }
    }

    async fn admit(
        &self,
        asked: Asked,
        trail: Option<&Trail>,
    ) -> Result<(Call, Request<RequestBody>), Status> {
        let own = asked.user?;
        let headers = asked.request.headers();
        let user = impersonation::resolve(&self.authz, own.clone(), headers).await?;
        let wanted = Attributes::of(&asked.route);
        if let Some(trail) = trail {
            if !Arc::ptr_eq(&own, &user) {
                trail.impersonates(&user);
            }
            let decided = self.authz.decide(&user, &wanted).await;
            trail.decided(&decided);
            decided.map_err(|why| wanted.refusal(&user, &why))?;
        } else {
            self.authz.check(&user, &wanted).await?;
        }
        let call = Call {
            headers: headers.clone(),
            route: asked.route,
            query: asked.query,
            user,
            notes: Notes::default(),
        };
        Ok((call, asked.request))
    }
}

async fn in_time(
    time: Duration,
    answering: impl Future<Output = Response<Body>>,
) -> Response<Body> {
    let answered = tokio::time::timeout(time, answering).await;
    answered.unwrap_or_else(|_| {
        let why = "request did not complete within the allotted timeout";
        respond::status(&Status::timeout(why))
    })
}

/// A panic must not end the connection, on which others may wait.
fn panicked() -> Response<Body> {
    respond::status(&Status::internal("the server panicked at this request"))
}
