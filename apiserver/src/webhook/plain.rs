//! Calls to servers that the administrator names, not the cluster's objects: a
//! URL, whom to believe, and what to show.

use std::time::Duration;

use bytes::Bytes;
use http::{HeaderValue, Method, Request, header};
use serde_json::Value;

use super::trust::Roots;
use super::{AGENT, Caller, Error, Limits, exchange, full};
use crate::KeyPair;

/// How this server says who it is.
#[derive(Clone, Default)]
pub struct Credentials {
    pub identity: Option<KeyPair>,
    pub authorization: Option<HeaderValue>,
}

/// A server, as a kubeconfig or a flag names it.
#[derive(Clone)]
pub struct Server {
    pub url: String,
    pub roots: Roots,
    pub credentials: Credentials,
}

/// What a review may take.
const REVIEW: Limits = Limits {
    timeout: Duration::from_secs(10),
    answer_max: 1024 * 1024,
};
/// A review that was not answered is asked for once more after this.
const PAUSE: Duration = Duration::from_millis(200);

impl Caller {
    /// Asks a server for the `status` of a review.
    pub async fn review(&self, server: &Server, review: &Value) -> Result<Value, Error> {
        let body = Bytes::from(review.to_string());
        let mut answer = self.call(server, Some(body.clone()), REVIEW).await;
        if answer.is_err() {
            tokio::time::sleep(PAUSE).await;
            answer = self.call(server, Some(body), REVIEW).await;
        }
        answer.map(|mut review| review["status"].take())
    }

    /// POSTs JSON, if there is any, or GETs; and reads the JSON answer.
    pub async fn call(
        &self,
        to: &Server,
        body: Option<Bytes>,
        limits: Limits,
    ) -> Result<Value, Error> {
        let method = match body {
            Some(_) => Method::POST,
            None => Method::GET,
        };
        let mut request = Request::builder()
            .method(method)
            .uri(&to.url)
            .header(header::CONTENT_TYPE, "application/json")
            .header(header::ACCEPT, "application/json, */*")
            .header(header::USER_AGENT, AGENT);
        if let Some(authorization) = &to.credentials.authorization {
            request = request.header(header::AUTHORIZATION, authorization);
        }
        let request = request
            .body(full(body.unwrap_or_default()))
            .map_err(|error| Error::Config {
                why: format!("the URL {:?} cannot be used: {error}", to.url),
            })?;
        let pool = self.pool(false, &to.roots, to.credentials.identity.as_ref())?;
        let exchange = exchange(pool, request, &to.url, limits.answer_max);
        match tokio::time::timeout(limits.timeout, exchange).await {
            Ok(answered) => answered,
            Err(_) => Err(Error::Timeout {
                url: to.url.clone(),
            }),
        }
    }
}
