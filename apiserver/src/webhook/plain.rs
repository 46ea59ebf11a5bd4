//! Calls to servers that the administrator names, not the cluster's objects: a
//! URL, whom to believe, and what to show.

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

impl Caller {
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
