//! Talking to one repository of one registry: addresses, authorization, redirects.

use std::sync::Arc;

use bytes::Bytes;
use http::{HeaderMap, HeaderValue, Method, Response, StatusCode, Uri, header};
use hyper::body::Incoming;
use tokio::sync::Mutex;

use super::{
    Error, auth,
    registries::Endpoint,
    transport::{self, Transport},
};
use crate::{Credentials, Reference, manifest};

const MAX_REDIRECTS: usize = 10;

/// One pull's connection to a repository.
pub struct Session {
    transport: Arc<Transport>,
    base: String,
    repository: String,
    is_plain: bool,
    credentials: Option<Credentials>,
    /// What met the last challenge; all requests of the pull share it.
    authorization: Mutex<Option<HeaderValue>>,
}

impl Session {
    pub fn new(transport: Arc<Transport>, endpoint: Endpoint, reference: &Reference) -> Self {
        Self {
            base: format!("{}/{}", endpoint.base, reference.repository()),
            repository: reference.repository().to_owned(),
            is_plain: endpoint.is_plain,
            credentials: endpoint.credentials,
            authorization: Mutex::new(None),
            transport,
        }
    }

    pub async fn manifest(
        &self,
        method: Method,
        wanted: &str,
    ) -> Result<(Uri, Response<Incoming>), Error> {
        self.request(method, &format!("manifests/{wanted}"), None)
            .await
    }

    /// A blob's bytes, from `from` on if the registry can do that (then the status is 206).
    pub async fn blob(
        &self,
        digest: &crate::Digest,
        from: u64,
    ) -> Result<(Uri, Response<Incoming>), Error> {
        self.request(
            Method::GET,
            &format!("blobs/{digest}"),
            (from > 0).then_some(from),
        )
        .await
    }

    /// The answer, once authorized and at the end of all redirects; its status is a success.
    async fn request(
        &self,
        method: Method,
        path: &str,
        from: Option<u64>,
    ) -> Result<(Uri, Response<Incoming>), Error> {
        let uri = format!("{}/{path}", self.base);
        let bad = |_| Error::Answer {
            host: self.base.clone(),
            problem: "its address makes no URL".to_owned(),
        };
        let uri: Uri = uri.parse().map_err(bad)?;
        let mut headers = HeaderMap::new();
        headers.insert(
            header::USER_AGENT,
            HeaderValue::from_static(concat!("skiff/", env!("CARGO_PKG_VERSION"))),
        );
        headers.insert(header::ACCEPT, HeaderValue::from_static(manifest::ACCEPT));
        headers.extend(from.map(|from| (header::RANGE, range(from))));
        let (at, response) = self.follow(&method, &uri, &headers).await?;
        if response.status() != StatusCode::UNAUTHORIZED {
            return check(&method, at, response, path).await;
        }
        self.authorize(&response).await?;
        let (at, response) = self.follow(&method, &uri, &headers).await?;
        check(&method, at, response, path).await
    }

    async fn authorize(&self, response: &Response<Incoming>) -> Result<(), Error> {
        let no_challenge = || Error::Denied {
            message: "authorization failed: 401 Unauthorized".to_owned(),
        };
        let challenge = auth::challenge(response.headers()).ok_or_else(no_challenge)?;
        let credentials = self.credentials.as_ref();
        let value = auth::answer(
            &self.transport,
            &challenge,
            credentials,
            &self.repository,
            self.is_plain,
        )
        .await?;
        *self.authorization.lock().await = Some(value);
        Ok(())
    }

    async fn follow(
        &self,
        method: &Method,
        start: &Uri,
        headers: &HeaderMap,
    ) -> Result<(Uri, Response<Incoming>), Error> {
        let mut uri = start.clone();
        for _ in 0..MAX_REDIRECTS {
            let mut headers = headers.clone();
            // The storage a registry redirects to is somebody else: it sees no token.
            if uri.authority() == start.authority() {
                headers.extend(
                    self.authorization
                        .lock()
                        .await
                        .clone()
                        .map(|value| (header::AUTHORIZATION, value)),
                );
            }
            let response = self
                .transport
                .send(method.clone(), &uri, &headers, Bytes::new())
                .await?;
            if !response.status().is_redirection() {
                return Ok((uri, response));
            }
            uri = self.redirect(&uri, response.headers())?;
        }
        let problem = format!("more than {MAX_REDIRECTS} redirects");
        Err(Error::Answer {
            host: start.host().unwrap_or_default().to_owned(),
            problem,
        })
    }

    fn redirect(&self, from: &Uri, headers: &HeaderMap) -> Result<Uri, Error> {
        let host = from.host().unwrap_or_default().to_owned();
        let bad = |problem: &str| Error::Answer {
            host: host.clone(),
            problem: problem.to_owned(),
        };
        let location = headers
            .get(header::LOCATION)
            .and_then(|value| value.to_str().ok());
        let location = location.ok_or_else(|| bad("a redirect to nowhere"))?;
        let absolute = match location.strip_prefix('/') {
            Some(path) => {
                let authority = from.authority().map(|a| a.as_str()).unwrap_or_default();
                format!(
                    "{}://{authority}/{path}",
                    from.scheme_str().unwrap_or("https")
                )
            }
            None => location.to_owned(),
        };
        let uri: Uri = absolute
            .parse()
            .map_err(|_| bad("a redirect to what is no URL"))?;
        match uri.scheme_str() {
            Some("https") => Ok(uri),
            Some("http") if self.is_plain => Ok(uri),
            _ => Err(bad("a redirect to a URL that is not https")),
        }
    }
}

fn range(from: u64) -> HeaderValue {
    HeaderValue::try_from(format!("bytes={from}-")).expect("digits are a header value")
}

async fn check(
    method: &Method,
    uri: Uri,
    response: Response<Incoming>,
    path: &str,
) -> Result<(Uri, Response<Incoming>), Error> {
    let status = response.status();
    match status {
        _ if status.is_success() => Ok((uri, response)),
        StatusCode::NOT_FOUND => Err(Error::NotFound {
            what: path.to_owned(),
        }),
        StatusCode::UNAUTHORIZED | StatusCode::FORBIDDEN => {
            let body = transport::read(&uri, response, transport::ANSWER)
                .await
                .unwrap_or_default();
            Err(Error::Denied {
                message: server_message(&body, status),
            })
        }
        _ => Err(Error::Status {
            method: method.clone(),
            url: uri.to_string(),
            status,
        }),
    }
}

/// What the registry says about it, cut to what fits an event.
fn server_message(body: &[u8], status: StatusCode) -> String {
    let body: serde_json::Value = serde_json::from_slice(body).unwrap_or_default();
    match body["errors"][0]["message"].as_str() {
        Some(message) => format!(
            "server message: {}",
            message.chars().take(300).collect::<String>()
        ),
        None => format!("authorization failed: {status}"),
    }
}
