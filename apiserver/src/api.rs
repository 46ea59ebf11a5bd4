//! The server without its sockets: state, and the way of a request through it.
//!
//! authenticate -> impersonate -> authorize -> answer. What fails on the way is
//! a `Status`, in JSON, like every other answer.

use std::sync::Arc;
use std::time::Instant;

use apimachinery::Status;
use http::{HeaderMap, Request, Response};
use store::Store;
use tokio_util::sync::CancellationToken;

use crate::admission::Admission;
use crate::authn::{Authenticator, impersonation};
use crate::authz::{Attributes, Authorizer};
use crate::body::{Body, RequestBody};
use crate::discovery::Discovery;
use crate::metrics::Metrics;
use crate::openapi::OpenApi;
use crate::peer::Peer;
use crate::proxy::Kubelets;
use crate::query::Query;
use crate::resources::Resources;
use crate::route::Route;
use crate::service_range::Services;
use crate::user::User;
use crate::{dispatch, respond};

/// Everything the handlers share.
pub struct Api {
    pub store: Arc<dyn Store>,
    pub resources: Resources,
    pub authn: Authenticator,
    pub authz: Authorizer,
    pub admission: Admission,
    pub services: Services,
    pub discovery: Discovery,
    pub openapi: OpenApi,
    pub kubelets: Kubelets,
    pub metrics: Metrics,
    /// Ends watches and other open streams.
    pub stop: CancellationToken,
}

/// One request past authorization.
pub struct Call {
    pub route: Route,
    pub query: Query,
    pub headers: HeaderMap,
    pub user: Arc<User>,
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
        request: Request<RequestBody>,
        peer: &Peer,
    ) -> Response<Body> {
        let user = self.authn.authenticate(request.headers(), peer).await;
        self.answer_as(request, user).await
    }

    /// Answers one request of a user who is known already (in process).
    pub async fn answer_as(
        self: &Arc<Self>,
        request: Request<RequestBody>,
        user: Result<Arc<User>, Status>,
    ) -> Response<Body> {
        let start = Instant::now();
        let uri = request.uri();
        let route = Route::parse(request.method(), uri.path(), uri.query().unwrap_or(""));
        let span = self.metrics.begin(&route);
        let response = match self.admit(request, route, user) {
            Ok((call, request)) => {
                let answered = dispatch::dispatch(self, &call, request).await;
                let response = answered.unwrap_or_else(|status| respond::status(&status));
                respond::compress(&call.headers, response)
            }
            Err(status) => respond::status(&status),
        };
        span.end(response.status(), start.elapsed());
        response
    }

    fn admit(
        &self,
        request: Request<RequestBody>,
        route: Route,
        user: Result<Arc<User>, Status>,
    ) -> Result<(Call, Request<RequestBody>), Status> {
        let user = impersonation::resolve(&self.authz, user?, request.headers())?;
        self.authz.check(&user, &Attributes::of(&route))?;
        let call = Call {
            query: Query::parse(request.uri().query().unwrap_or("")),
            headers: request.headers().clone(),
            route,
            user,
        };
        Ok((call, request))
    }
}
