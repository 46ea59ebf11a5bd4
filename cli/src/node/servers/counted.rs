//! Counts what an agent asks of its servers (`rest_client_*`).

use std::future::Future;
use std::pin::Pin;
use std::task::{Context, Poll};

use http::{Request, Response};
use tower::Service;

#[derive(Clone)]
pub struct Counted<S>(pub S);

impl<S, B, A> Service<Request<B>> for Counted<S>
where
    S: Service<Request<B>, Response = Response<A>>,
    S::Future: Send + 'static,
{
    type Response = S::Response;
    type Error = S::Error;
    type Future = Pin<Box<dyn Future<Output = Result<S::Response, S::Error>> + Send>>;

    fn poll_ready(&mut self, context: &mut Context<'_>) -> Poll<Result<(), S::Error>> {
        self.0.poll_ready(context)
    }

    fn call(&mut self, request: Request<B>) -> Self::Future {
        let method = request.method().clone();
        let host = request.uri().host().unwrap_or_default().to_owned();
        let answer = self.0.call(request);
        Box::pin(async move {
            let counted = metrics::rest_client::Request::begin(&host, method.as_str());
            let answer = answer.await;
            counted.end(answer.as_ref().ok().map(|answer| answer.status().as_u16()));
            answer
        })
    }
}
