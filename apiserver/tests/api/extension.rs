//! A small HTTPS server of a test's own, standing in for webhooks and extension
//! API servers.

use std::convert::Infallible;
use std::net::{Ipv4Addr, SocketAddr};
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};

use base64::Engine as _;
use bytes::Bytes;
use http::{Request, Response};
use http_body_util::{BodyExt, Full};
use hyper::body::Incoming;
use hyper_util::rt::TokioIo;
use rustls::pki_types::{CertificateDer, PrivateKeyDer, pem::PemObject};
use serde_json::{Value, json};
use store::{Expect, Store};
use tokio::net::TcpListener;
use tokio_rustls::TlsAcceptor;

use crate::cluster::Cluster;

/// What was asked, and whose certificate the asker showed (in DER).
#[derive(Clone, Debug)]
pub struct Asked {
    pub request: Request<Bytes>,
    pub certificate: Option<Vec<u8>>,
    /// For who answers 101.
    pub upgrade: Arc<Mutex<Option<hyper::upgrade::OnUpgrade>>>,
}

pub type Answer = Arc<dyn Fn(Asked) -> Response<Full<Bytes>> + Send + Sync>;

pub struct Extension {
    pub address: SocketAddr,
    serving: Arc<Serving>,
    task: tokio::task::JoinHandle<()>,
}

struct Serving {
    answer: Answer,
    asked: Mutex<Vec<Asked>>,
    is_silent: AtomicBool,
}

impl Drop for Extension {
    fn drop(&mut self) {
        self.task.abort();
    }
}

impl Extension {
    /// Serves as `<name>.<namespace>.svc`, with a certificate of the cluster's authority.
    pub async fn start(
        cluster: &Cluster,
        name: (&str, &str),
        answer: impl Fn(Asked) -> Response<Full<Bytes>> + Send + Sync + 'static,
    ) -> Self {
        Self::signed_by(&cluster.authority, name, answer).await
    }

    pub async fn signed_by(
        authority: &pki::Authority,
        (namespace, name): (&str, &str),
        answer: impl Fn(Asked) -> Response<Full<Bytes>> + Send + Sync + 'static,
    ) -> Self {
        let issued = authority.issue(&pki::Request {
            common_name: name.into(),
            dns_names: vec![format!("{name}.{namespace}.svc"), "localhost".into()],
            usages: vec![pki::Usage::Server],
            ..pki::Request::default()
        });
        let issued = issued.unwrap();
        let acceptor = TlsAcceptor::from(Arc::new(tls(&issued.cert_pem, &issued.key_pem)));
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await.unwrap();
        let address = listener.local_addr().unwrap();
        let serving = Arc::new(Serving {
            answer: Arc::new(answer),
            asked: Mutex::default(),
            is_silent: AtomicBool::new(false),
        });
        let shared = serving.clone();
        let task = tokio::spawn(async move {
            while let Ok((stream, _)) = listener.accept().await {
                let (acceptor, serving) = (acceptor.clone(), shared.clone());
                tokio::spawn(async move {
                    let Ok(stream) = acceptor.accept(stream).await else {
                        return;
                    };
                    let chain = stream.get_ref().1.peer_certificates();
                    let certificate = chain.and_then(|c| c.first()).map(|c| c.to_vec());
                    let service = hyper::service::service_fn(move |request| {
                        serve(request, certificate.clone(), serving.clone())
                    });
                    let _ = hyper::server::conn::http1::Builder::new()
                        .serve_connection(TokioIo::new(stream), service)
                        .with_upgrades()
                        .await;
                });
            }
        });
        Self {
            address,
            serving,
            task,
        }
    }

    /// The file by which flags name this server; its bearer token is `mine`.
    pub fn kubeconfig(&self, dir: &Path, authority: &pki::Authority) -> PathBuf {
        let ca = base64(authority.cert_pem().as_bytes());
        let server = format!("https://localhost:{}/review", self.address.port());
        let config = json!({
            "apiVersion": "v1", "kind": "Config", "current-context": "c",
            "clusters": [{ "name": "c", "cluster": { "server": server, "certificate-authority-data": ca } }],
            "users": [{ "name": "u", "user": { "token": "mine" } }],
            "contexts": [{ "name": "c", "context": { "cluster": "c", "user": "u" } }],
        });
        let path = dir.join("webhook.kubeconfig");
        std::fs::write(&path, config.to_string()).unwrap();
        path
    }

    pub fn asked(&self) -> Vec<Asked> {
        self.serving.asked.lock().unwrap().clone()
    }

    /// From now on it takes requests and never answers.
    pub fn fall_silent(&self) {
        self.serving.is_silent.store(true, Ordering::Relaxed);
    }

    /// Makes the Service that leads here. The API takes no loopback address for an
    /// endpoint, so the slice goes into the store as it is.
    pub async fn publish(&self, cluster: &Cluster, (namespace, name): (&str, &str)) {
        let service = json!({
            "apiVersion": "v1", "kind": "Service", "metadata": { "name": name },
            "spec": { "ports": [{ "name": "https", "port": 443, "targetPort": 8443 }] },
        });
        let path = format!("/api/v1/namespaces/{namespace}/services");
        let made = cluster.ask(http::Method::POST, &path, &service).await;
        assert_eq!(made["kind"], "Service", "{made}");
        let slice = json!({
            "apiVersion": "discovery.k8s.io/v1", "kind": "EndpointSlice",
            "metadata": {
                "name": format!("{name}-1"), "namespace": namespace,
                "labels": { "kubernetes.io/service-name": name },
            },
            "addressType": "IPv4",
            "endpoints": [
                { "addresses": ["127.0.0.2"], "conditions": { "ready": false } },
                { "addresses": ["127.0.0.1"], "conditions": { "ready": true } },
            ],
            "ports": [{ "name": "https", "port": self.address.port(), "protocol": "TCP" }],
        });
        let key = format!("/registry/endpointslices/{namespace}/{name}-1");
        let value = store::Value::plain(slice.to_string());
        cluster
            .store
            .put(key.as_bytes(), value, Expect::Absent)
            .await
            .unwrap();
    }
}

fn tls(cert_pem: &str, key_pem: &str) -> rustls::ServerConfig {
    let chain = CertificateDer::pem_slice_iter(cert_pem.as_bytes()).map(Result::unwrap);
    let key = PrivateKeyDer::from_pem_slice(key_pem.as_bytes()).unwrap();
    let provider = pki::tls::provider();
    rustls::ServerConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .unwrap()
        .with_client_cert_verifier(Arc::new(AnyClient))
        .with_single_cert(chain.collect(), key)
        .unwrap()
}

async fn serve(
    mut request: Request<Incoming>,
    certificate: Option<Vec<u8>>,
    serving: Arc<Serving>,
) -> Result<Response<Full<Bytes>>, Infallible> {
    let upgrade = hyper::upgrade::on(&mut request);
    let (parts, body) = request.into_parts();
    let body = body.collect().await.map(|all| all.to_bytes());
    let request = Request::from_parts(parts, body.unwrap_or_default());
    let asked = Asked {
        request,
        certificate,
        upgrade: Arc::new(Mutex::new(Some(upgrade))),
    };
    serving.asked.lock().unwrap().push(asked.clone());
    if serving.is_silent.load(Ordering::Relaxed) {
        std::future::pending::<()>().await;
    }
    Ok((serving.answer)(asked))
}

pub fn answer_json(value: &Value) -> Response<Full<Bytes>> {
    let body = Full::new(Bytes::from(value.to_string()));
    let mut response = Response::new(body);
    let json = http::HeaderValue::from_static("application/json");
    response.headers_mut().insert("content-type", json);
    response
}

pub fn base64(bytes: &[u8]) -> String {
    base64::engine::general_purpose::STANDARD.encode(bytes)
}

/// Takes any client certificate, or none: the tests look at it themselves.
#[derive(Debug)]
struct AnyClient;

impl rustls::server::danger::ClientCertVerifier for AnyClient {
    fn root_hint_subjects(&self) -> &[rustls::DistinguishedName] {
        &[]
    }

    fn client_auth_mandatory(&self) -> bool {
        false
    }

    fn verify_client_cert(
        &self,
        _: &CertificateDer<'_>,
        _: &[CertificateDer<'_>],
        _: rustls::pki_types::UnixTime,
    ) -> Result<rustls::server::danger::ClientCertVerified, rustls::Error> {
        Ok(rustls::server::danger::ClientCertVerified::assertion())
    }

    pki::verify_signatures!();
}
