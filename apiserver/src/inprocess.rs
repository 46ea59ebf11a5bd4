//! `kube::Client`s of the server's own process: requests and answers as values,
//! with no socket, no TLS and no token between.

use std::convert::Infallible;
use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};

use http::header::{HeaderValue, USER_AGENT};
use http::{Request, Response};
use http_body_util::BodyExt;

use metrics::rest_client::{IN_PROCESS, Request as Counted};

use crate::api::Api;
use crate::body::{Body, BoxError};
use crate::user::User;

/// The API as one user sees it.
#[derive(Clone)]
pub struct InProcess {
    api: Arc<Api>,
    user: Arc<User>,
    /// What is written is written only while this holds.
    fence: Option<store::Fence>,
}

impl InProcess {
    pub fn new(api: Arc<Api>, user: User, fence: Option<store::Fence>) -> Self {
        Self {
            api,
            user: Arc::new(user),
            fence,
        }
    }

    pub fn client(self) -> kube::Client {
        kube::Client::new(self, "default")
    }
}

/// `kube-scheduler` for `system:kube-scheduler`: what owns the fields that it writes.
fn agent(user: &User) -> Option<HeaderValue> {
    let name = user.name.rsplit(':').next().unwrap_or_default();
    HeaderValue::from_str(name).ok()
}

impl tower::Service<Request<kube::client::Body>> for InProcess {
    type Response = Response<Body>;
    type Error = Infallible;
    type Future = Pin<Box<dyn Future<Output = Result<Self::Response, Infallible>> + Send>>;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), Infallible>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, request: Request<kube::client::Body>) -> Self::Future {
        let Self { api, user, fence } = self.clone();
        Box::pin(async move {
            let mut request = request.map(|body| body.map_err(BoxError::from).boxed_unsync());
            if let Some(agent) = agent(&user) {
                request.headers_mut().entry(USER_AGENT).or_insert(agent);
            }
            let method = request.method().clone();
            let counted = Counted::begin(IN_PROCESS, method.as_str());
            let answer = api.answer_as(request, Ok(user));
            let answer = match fence {
                None => answer.await,
                Some(fence) => store::fence::within(fence, answer).await,
            };
            counted.end(Some(answer.status().as_u16()));
            Ok(answer)
        })
    }
}
