//! The server's side of TLS, and its own as a client of kubelets.

pub mod clients;

use std::sync::Arc;

use rustls::RootCertStore;
use rustls::pki_types::{CertificateDer, pem::PemObject};
use rustls::server::danger::ClientCertVerifier;
use rustls::server::{NoServerSessionStorage, WebPkiClientVerifier};

use self::clients::Clients;
use crate::Error;

/// TLS for the listener. A client may bring a certificate of `client_ca` or of
/// the front proxies' authority; one of another is refused in the handshake.
pub fn server(
    identity: Arc<pki::Identity>,
    client_ca: &str,
    proxy_ca: Option<&str>,
) -> Result<(Arc<rustls::ServerConfig>, Clients), Error> {
    let provider = pki::tls::provider();
    let verifier = |pem: &str, what| -> Result<Arc<dyn ClientCertVerifier>, Error> {
        let roots = Arc::new(read_roots(pem, what)?);
        WebPkiClientVerifier::builder_with_provider(roots, provider.clone())
            .allow_unauthenticated()
            .build()
            .map_err(|source| Error::ClientAuthority { source })
    };
    let users = verifier(client_ca, "client authority")?;
    let proxies = proxy_ca
        .map(|pem| verifier(pem, "front proxy authority"))
        .transpose()?;
    let clients = Clients::new(users, proxies);
    let mut config = rustls::ServerConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .map_err(|source| Error::Tls { source })?
        .with_client_cert_verifier(clients.verifier())
        .with_cert_resolver(identity);
    // A session that goes on would bring the certificate of when it began.
    config.session_storage = Arc::new(NoServerSessionStorage {});
    config.send_tls13_tickets = 0;
    config.alpn_protocols = vec![b"h2".to_vec(), b"http/1.1".to_vec()];
    Ok((Arc::new(config), clients))
}

/// TLS towards kubelets: trust `ca`, show `identity`.
pub fn client(identity: Arc<pki::Identity>, ca: &str) -> Result<Arc<rustls::ClientConfig>, Error> {
    let mut config = rustls::ClientConfig::builder_with_provider(pki::tls::provider())
        .with_safe_default_protocol_versions()
        .map_err(|source| Error::Tls { source })?
        .with_root_certificates(read_roots(ca, "kubelet authority")?)
        .with_client_cert_resolver(identity);
    config.resumption = rustls::client::Resumption::disabled();
    Ok(Arc::new(config))
}

fn read_roots(pem: &str, what: &'static str) -> Result<RootCertStore, Error> {
    let mut roots = RootCertStore::empty();
    for certificate in read_certificates(pem, what)? {
        roots
            .add(certificate)
            .map_err(|source| Error::Tls { source })?;
    }
    Ok(roots)
}

fn read_certificates(pem: &str, what: &'static str) -> Result<Vec<CertificateDer<'static>>, Error> {
    let found = CertificateDer::pem_slice_iter(pem.as_bytes())
        .collect::<Result<Vec<_>, _>>()
        .map_err(|source| Error::Pem { what, source })?;
    if found.is_empty() {
        return Err(Error::NoCertificate { what });
    }
    Ok(found)
}
