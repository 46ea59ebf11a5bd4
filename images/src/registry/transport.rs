//! One HTTP request and its answer, with time limits and errors that tell the cause.

use std::{collections::HashMap, error::Error as _, io, path::Path, sync::Arc, time::Duration};

use bytes::Bytes;
use http::{HeaderMap, Method, Request, Response, Uri};
use http_body_util::{BodyExt, Full, Limited};
use hyper::body::Incoming;
use hyper_rustls::{HttpsConnector, HttpsConnectorBuilder};
use hyper_util::{
    client::legacy::{self, Client, connect::HttpConnector},
    rt::TokioExecutor,
};
use rustls::{ClientConfig, RootCertStore};
use rustls_pki_types::{CertificateDer, PrivateKeyDer, pem::PemObject};
use tokio::{sync::Mutex, time::timeout};

use super::{Cause, Error, Registries, registries::Tls};
use crate::limits;

const CONNECT: Duration = Duration::from_secs(30);
/// From the request to the answer's head, and from one piece of its body to the next.
pub const SILENCE: Duration = Duration::from_secs(60);

type Https = Client<HttpsConnector<HttpConnector>, Full<Bytes>>;

/// The HTTP clients of all pulls: one, and one for each host that has authorities or a certificate of its own.
/// Made when they are needed, for they read files.
pub struct Transport {
    pub registries: Registries,
    clients: Mutex<HashMap<Option<String>, Https>>,
}

impl Transport {
    pub fn new(registries: Registries) -> Self {
        Self {
            registries,
            clients: Mutex::default(),
        }
    }

    pub async fn send(
        &self,
        method: Method,
        uri: &Uri,
        headers: &HeaderMap,
        body: Bytes,
    ) -> Result<Response<Incoming>, Error> {
        let client = self.client(uri).await?;
        let mut request = Request::new(Full::new(body));
        *request.method_mut() = method.clone();
        *request.uri_mut() = uri.clone();
        *request.headers_mut() = headers.clone();
        let fail = |source| Error::Request {
            method,
            url: uri.to_string(),
            source,
        };
        match timeout(SILENCE, client.request(request)).await {
            Ok(Ok(response)) => Ok(response),
            Ok(Err(error)) => Err(fail(cause(uri, &error))),
            Err(_) => Err(fail(Cause::Timeout {
                address: address(uri),
            })),
        }
    }
}

impl Transport {
    async fn client(&self, uri: &Uri) -> Result<Https, Error> {
        let host = uri.authority().map(|authority| authority.as_str());
        let special = host.and_then(|host| Some((host, self.registries.tls(host)?)));
        let key = special.map(|(host, _)| host.to_owned());
        let mut clients = self.clients.lock().await;
        if let Some(client) = clients.get(&key) {
            return Ok(client.clone());
        }
        let client = connect_with(special.map(|(_, tls)| tls))?;
        clients.insert(key, client.clone());
        Ok(client)
    }
}

/// All of a small body.
pub async fn read(uri: &Uri, response: Response<Incoming>, limit: u64) -> Result<Bytes, Error> {
    let limit = usize::try_from(limit).unwrap_or(usize::MAX);
    let fail = |source| Error::Request {
        method: Method::GET,
        url: uri.to_string(),
        source,
    };
    match timeout(SILENCE, Limited::new(response.into_body(), limit).collect()).await {
        Ok(Ok(body)) => Ok(body.to_bytes()),
        Ok(Err(error)) => Err(fail(Cause::Http(error.to_string()))),
        Err(_) => Err(fail(Cause::Timeout {
            address: address(uri),
        })),
    }
}

fn connect_with(special: Option<&Tls>) -> Result<Https, Error> {
    let mut http = HttpConnector::new();
    http.enforce_http(false);
    http.set_connect_timeout(Some(CONNECT));
    http.set_nodelay(true);
    let connector = HttpsConnectorBuilder::new()
        .with_tls_config(tls(special)?)
        .https_or_http()
        .enable_all_versions()
        .wrap_connector(http);
    Ok(Client::builder(TokioExecutor::new())
        .pool_idle_timeout(Duration::from_secs(30))
        .build(connector))
}

fn tls(special: Option<&Tls>) -> Result<ClientConfig, Error> {
    let mut roots = RootCertStore::empty();
    // A machine without certificates can still use plain registries, and those that have an authority of their own.
    roots.add_parsable_certificates(rustls_native_certs::load_native_certs().certs);
    if let Some(path) = special.and_then(|tls| tls.ca_file.as_ref()) {
        roots.add_parsable_certificates(certificates(path)?);
    }
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let builder = ClientConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .expect("ring has TLS 1.2 and 1.3");
    let builder = builder.with_root_certificates(roots);
    let identity = special.and_then(|tls| tls.cert_file.as_ref().zip(tls.key_file.as_ref()));
    let Some((certificate, key)) = identity else {
        return Ok(builder.with_no_client_auth());
    };
    let private = PrivateKeyDer::from_pem_file(key).map_err(unreadable(key))?;
    let config = builder.with_client_auth_cert(certificates(certificate)?, private);
    config.map_err(|source| Error::Identity {
        path: certificate.display().to_string(),
        source,
    })
}

fn certificates(path: &Path) -> Result<Vec<CertificateDer<'static>>, Error> {
    let certificates = CertificateDer::pem_file_iter(path).map_err(unreadable(path))?;
    let certificates: Result<Vec<_>, _> = certificates.collect();
    certificates.map_err(unreadable(path))
}

fn unreadable(path: &Path) -> impl Fn(rustls_pki_types::pem::Error) -> Error {
    let path = path.display().to_string();
    move |source| Error::Pem {
        path: path.clone(),
        source,
    }
}

fn address(uri: &Uri) -> String {
    let port = uri
        .port_u16()
        .unwrap_or(if uri.scheme_str() == Some("http") {
            80
        } else {
            443
        });
    format!("{}:{port}", uri.host().unwrap_or_default())
}

fn cause(uri: &Uri, error: &legacy::Error) -> Cause {
    let mut next = error.source();
    while let Some(source) = next {
        if let Some(found) = source
            .downcast_ref::<io::Error>()
            .and_then(|error| io_cause(uri, error))
        {
            return found;
        }
        if source.to_string() == "dns error" {
            return Cause::Lookup {
                host: uri.host().unwrap_or_default().to_owned(),
            };
        }
        next = source.source();
    }
    Cause::Http(crate::error::chain(error))
}

fn io_cause(uri: &Uri, error: &io::Error) -> Option<Cause> {
    if let Some(tls) = error
        .get_ref()
        .and_then(|inner| inner.downcast_ref::<rustls::Error>())
    {
        return Some(match tls {
            rustls::Error::InvalidMessage(_) => Cause::PlainServer,
            other => Cause::Tls(other.to_string()),
        });
    }
    if error.kind() == io::ErrorKind::TimedOut {
        return Some(Cause::Timeout {
            address: address(uri),
        });
    }
    let code = error.raw_os_error()?;
    let text = io::Error::from_raw_os_error(code).to_string();
    let problem = text
        .split(" (os error")
        .next()
        .unwrap_or(&text)
        .to_lowercase();
    Some(Cause::Dial {
        address: address(uri),
        problem,
    })
}

/// Reading a body that ends early; told apart from what can be told of a connection.
pub fn body_error(uri: &Uri, error: &hyper::Error) -> Error {
    let source = Cause::Http(crate::error::chain(error));
    Error::Request {
        method: Method::GET,
        url: uri.to_string(),
        source,
    }
}

/// Nothing came for too long.
pub fn body_timeout(uri: &Uri) -> Error {
    Error::Request {
        method: Method::GET,
        url: uri.to_string(),
        source: Cause::Timeout {
            address: address(uri),
        },
    }
}

/// The bytes of the next piece of a body; none at its end.
pub async fn next_chunk(uri: &Uri, body: &mut Incoming) -> Result<Option<Bytes>, Error> {
    loop {
        match timeout(SILENCE, body.frame()).await {
            Err(_) => return Err(body_timeout(uri)),
            Ok(None) => return Ok(None),
            Ok(Some(Err(error))) => return Err(body_error(uri, &error)),
            Ok(Some(Ok(frame))) => {
                if let Ok(data) = frame.into_data() {
                    return Ok(Some(data));
                }
            }
        }
    }
}

/// The limit of small answers.
pub const ANSWER: u64 = limits::ANSWER;
