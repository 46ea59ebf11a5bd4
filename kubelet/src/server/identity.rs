//! Who is asking: TLS with client certificates, and who may do what.

use std::sync::Arc;

use rustls::pki_types::CertificateDer;
use rustls::pki_types::pem::PemObject as _;
use rustls::server::WebPkiClientVerifier;
use rustls::{RootCertStore, ServerConfig, ServerConnection};
use tokio_rustls::TlsAcceptor;
use x509_parser::prelude::{FromDer as _, X509Certificate};

use super::delegated::User;
use crate::config::Tls;
use crate::error::{Error, Result};

/// The name in the API server's client certificate.
const API_SERVER: &str = "kube-apiserver-kubelet-client";
const MASTERS: &str = "system:masters";
const AUTHENTICATED: &str = "system:authenticated";

/// The subject of a verified client certificate.
#[derive(Debug, Default)]
pub struct Identity {
    name: Option<String>,
    groups: Vec<String>,
}

impl Identity {
    pub fn of(connection: &ServerConnection) -> Self {
        let certificate = connection
            .peer_certificates()
            .and_then(|chain| chain.first());
        certificate
            .and_then(|der| Self::parse(der))
            .unwrap_or_default()
    }

    fn parse(der: &[u8]) -> Option<Self> {
        let (_, certificate) = X509Certificate::from_der(der).ok()?;
        let subject = certificate.subject();
        let name = subject
            .iter_common_name()
            .next()
            .and_then(|name| name.as_str().ok())
            .map(str::to_owned);
        let groups = subject
            .iter_organization()
            .filter_map(|group| group.as_str().ok())
            .map(str::to_owned);
        Some(Self {
            name,
            groups: groups.collect(),
        })
    }

    /// The API server, and those who may do everything in the cluster.
    pub fn may_do_all(&self) -> bool {
        self.name.as_deref() == Some(API_SERVER) || self.groups.iter().any(|group| group == MASTERS)
    }

    /// Whose certificate it is, if one was shown.
    pub fn user(&self) -> Option<User> {
        self.name.as_ref().map(|name| User {
            name: name.clone(),
            groups: self
                .groups
                .iter()
                .cloned()
                .chain([AUTHENTICATED.to_owned()])
                .collect(),
            ..User::default()
        })
    }
}

/// A TLS server that asks for a certificate, and verifies the one it is given.
pub fn acceptor(tls: &Tls) -> Result<TlsAcceptor> {
    let failed = |what: &'static str| move |detail: String| Error::Tls { what, detail };
    let certificates = |pem: &str| {
        CertificateDer::pem_slice_iter(pem.as_bytes()).collect::<std::result::Result<Vec<_>, _>>()
    };
    let mut roots = RootCertStore::empty();
    for certificate in
        certificates(&tls.client_ca_pem).map_err(|e| failed("client CA")(e.to_string()))?
    {
        roots
            .add(certificate)
            .map_err(|e| failed("client CA")(e.to_string()))?;
    }
    let provider = pki::tls::provider();
    let verifier = WebPkiClientVerifier::builder_with_provider(Arc::new(roots), provider.clone())
        .allow_unauthenticated()
        .build()
        .map_err(|e| failed("client CA")(e.to_string()))?;
    let mut config = ServerConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .map_err(|e| failed("TLS versions")(e.to_string()))?
        .with_client_cert_verifier(verifier)
        .with_cert_resolver(tls.identity.clone());
    // Streams upgrade the connection, which HTTP/2 has no way for.
    config.alpn_protocols = vec![b"http/1.1".to_vec()];
    Ok(TlsAcceptor::from(Arc::new(config)))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn may(name: Option<&str>, groups: &[&str]) -> bool {
        let identity = Identity {
            name: name.map(str::to_owned),
            groups: groups.iter().map(|g| (*g).to_owned()).collect(),
        };
        identity.may_do_all()
    }

    #[test]
    fn only_the_api_server_and_masters_are_let_in_unasked() {
        assert!(!may(None, &[]));
        assert!(!may(Some("system:node:n"), &["system:nodes"]));
        assert!(may(Some(API_SERVER), &[]));
        assert!(may(Some("admin"), &[MASTERS]));
    }
}
