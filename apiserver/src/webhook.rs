//! Calls to webhooks: JSON out, JSON back, for admission, conversion of custom
//! resources and token review.
//!
//! A webhook is named by a `clientConfig`: a URL, or a Service, whose endpoints
//! are looked up here ([`resolve`]). Its certificate must be good for the URL's
//! host or for `<service>.<namespace>.svc`, by the bundle that is pinned or by
//! the machine's authorities. Connections are kept; an answer is bounded in time
//! and size.

pub mod dial;
mod error;
pub mod held;
pub mod kubeconfig;
pub mod metrics;
pub mod plain;
pub mod resolve;
pub mod trust;

use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use apimachinery::meta;
use base64::Engine as _;
use bytes::Bytes;
use http::{HeaderValue, Method, Request, Response, StatusCode, Uri, header};
use http_body_util::{BodyExt, Full, Limited};
use hyper::body::Incoming;
use hyper_rustls::{DefaultServerNameResolver, HttpsConnector};
use hyper_util::client::legacy::Client;
use hyper_util::rt::{TokioExecutor, TokioTimer};
use serde_json::Value;
use store::Store;

use crate::KeyPair;
use crate::body::{BoxError, RequestBody};
use dial::Dialer;
pub use error::{Error, cause};
use resolve::Service;
use trust::Roots;

/// The largest answer of a webhook about one object: twice the largest request,
/// with room for what JSON in base64 grows.
pub const ANSWER_MAX: usize = 16 * 1024 * 1024;
/// An idle connection is closed after this, as Go's clients do.
const IDLE: Duration = Duration::from_secs(90);
const IDLE_MAX: usize = 25;
/// Differently trusted clients held at once; past that all start anew.
const POOLS_MAX: usize = 256;
const AGENT: HeaderValue = HeaderValue::from_static("kube-apiserver-admission");

type Pool = Client<HttpsConnector<Dialer>, RequestBody>;

/// Where a webhook is and how its server is known.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Endpoint {
    /// Without the query that a call adds.
    url: String,
    /// The URL's host is a Service of this cluster.
    in_cluster: bool,
    roots: Roots,
}

impl Endpoint {
    /// Reads a `clientConfig` of a webhook configuration or of a conversion.
    ///
    /// # Errors
    /// [`Error::Config`]; admission of the configuration lets none of these in.
    pub fn read(config: &Value) -> Result<Self, Error> {
        let roots = bundle(meta::text(config, "caBundle"))?;
        if let Some(reference) = meta::get(config, "service").filter(|s| s.is_object()) {
            let path = meta::text(reference, "path");
            return Ok(Self::of_service(&Service::read(reference), path, roots));
        }
        match meta::text(config, "url") {
            "" => Err(Error::Config {
                why: "webhook configuration must have either service or URL".into(),
            }),
            url => Ok(Self::of_url(url, roots)),
        }
    }

    pub fn of_url(url: &str, roots: Roots) -> Self {
        Self {
            url: url.to_owned(),
            in_cluster: false,
            roots,
        }
    }

    pub fn of_service(service: &Service, path: &str, roots: Roots) -> Self {
        let slash = if path.starts_with('/') { "" } else { "/" };
        Self {
            url: format!("https://{}:{}{slash}{path}", service.host(), service.port),
            in_cluster: true,
            roots,
        }
    }
}

/// A `caBundle`, as the API has it: base64 of PEM.
///
/// # Errors
/// [`Error::Config`] when it is neither.
pub fn bundle(base64: &str) -> Result<Roots, Error> {
    if base64.is_empty() {
        return Ok(Roots::System);
    }
    let pem = base64::engine::general_purpose::STANDARD
        .decode(base64)
        .ok()
        .and_then(|bytes| String::from_utf8(bytes).ok());
    pem.map(Roots::Pinned).ok_or_else(|| Error::Config {
        why: "unable to load root certificates: unable to parse bytes as PEM block".into(),
    })
}

/// What a call may take.
#[derive(Debug, Clone, Copy)]
pub struct Limits {
    pub timeout: Duration,
    pub answer_max: usize,
}

/// Calls other servers; connections are shared by all calls with the same trust.
pub struct Caller {
    store: Arc<dyn Store>,
    pools: Mutex<HashMap<Key, Pool>>,
}

#[derive(PartialEq, Eq, Hash)]
struct Key {
    in_cluster: bool,
    roots: Roots,
    /// The client certificate, if one is shown.
    identity: Option<String>,
}

impl Caller {
    pub fn new(store: Arc<dyn Store>) -> Self {
        Self {
            store,
            pools: Mutex::default(),
        }
    }

    /// POSTs JSON and reads the JSON answer.
    pub async fn post(&self, to: &Endpoint, body: Bytes, limits: Limits) -> Result<Value, Error> {
        let url = format!("{}?timeout={}s", to.url, limits.timeout.as_secs());
        let mut request = Request::builder()
            .method(Method::POST)
            .uri(&url)
            .header(header::CONTENT_TYPE, "application/json")
            .header(header::ACCEPT, "application/json, */*")
            .header(header::USER_AGENT, AGENT)
            .body(full(body))
            .map_err(|error| Error::Config {
                why: format!(
                    "the URL {:?} of the webhook cannot be used: {error}",
                    to.url
                ),
            })?;
        traces::pass_on(request.headers_mut());
        let pool = self.pool(to.in_cluster, &to.roots, None)?;
        let exchange = exchange(pool, request, &url, limits.answer_max);
        match tokio::time::timeout(limits.timeout, exchange).await {
            Ok(answered) => answered,
            Err(_) => Err(Error::Timeout { url }),
        }
    }

    /// Sends any request to a Service, whose name its URI must carry, as
    /// `identity`; upgrades are the caller's to follow.
    pub async fn forward(
        &self,
        mut request: Request<RequestBody>,
        roots: &Roots,
        identity: Option<&KeyPair>,
    ) -> Result<Response<Incoming>, ForwardError> {
        traces::pass_on(request.headers_mut());
        let pool = self.pool(true, roots, identity)?;
        Ok(pool.request(request).await?)
    }

    fn pool(
        &self,
        in_cluster: bool,
        roots: &Roots,
        identity: Option<&KeyPair>,
    ) -> Result<Pool, Error> {
        let key = Key {
            in_cluster,
            roots: roots.clone(),
            identity: identity.map(|pair| pair.cert_pem.clone()),
        };
        let mut pools = self.pools.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(pool) = pools.get(&key) {
            return Ok(pool.clone());
        }
        let dialer = if in_cluster {
            Dialer::Cluster(self.store.clone())
        } else {
            Dialer::Host
        };
        let tls = trust::config(roots, identity)?;
        let names = Arc::new(DefaultServerNameResolver::default());
        let connector = HttpsConnector::new(dialer, tls, true, names);
        let pool = Client::builder(TokioExecutor::new())
            .pool_idle_timeout(IDLE)
            .pool_max_idle_per_host(IDLE_MAX)
            .pool_timer(TokioTimer::new())
            .build(connector);
        if pools.len() >= POOLS_MAX {
            pools.clear();
        }
        pools.insert(key, pool.clone());
        Ok(pool)
    }
}

/// Why a request could not be handed on.
#[derive(Debug, thiserror::Error)]
pub enum ForwardError {
    #[error(transparent)]
    Config(#[from] Error),
    #[error("{}", cause(.0))]
    Exchange(#[from] hyper_util::client::legacy::Error),
}

pub fn full(body: Bytes) -> RequestBody {
    Full::new(body)
        .map_err(|never| -> BoxError { match never {} })
        .boxed_unsync()
}

async fn exchange(
    pool: Pool,
    request: Request<RequestBody>,
    url: &str,
    answer_max: usize,
) -> Result<Value, Error> {
    let unreachable = |why: String| Error::Unreachable {
        url: url.to_owned(),
        why,
    };
    let response = pool.request(request).await;
    let response = response.map_err(|error| unreachable(cause(&error)))?;
    let code = response.status();
    let body = Limited::new(response.into_body(), answer_max);
    let body = body.collect().await.map_err(|error| {
        if error.is::<http_body_util::LengthLimitError>() {
            let why = format!("the answer of {url:?} is over the limit of {answer_max} bytes");
            return Error::Answer { why };
        }
        unreachable(cause(&*error))
    })?;
    read_answer(code, &body.to_bytes())
}

fn read_answer(code: StatusCode, body: &[u8]) -> Result<Value, Error> {
    if !code.is_success() {
        return Err(Error::refused(code, body));
    }
    serde_json::from_slice(body).map_err(|error| Error::Answer {
        why: format!("couldn't get version/kind; json parse error: {error}"),
    })
}

/// The URI of a request to a Service.
pub fn service_uri(service: &Service, path_and_query: &str) -> Result<Uri, http::Error> {
    Uri::builder()
        .scheme("https")
        .authority(format!("{}:{}", service.host(), service.port))
        .path_and_query(path_and_query)
        .build()
}
