//! Whom the API server believes when it calls another server: a bundle that the
//! configuration pins, the machine's authorities, or anybody.

use std::sync::{Arc, LazyLock};

use rustls::client::WebPkiServerVerifier;
use rustls::client::danger::{ServerCertVerified, ServerCertVerifier};
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer, ServerName, UnixTime};
use rustls::server::ParsedCertificate;
use rustls::{ClientConfig, RootCertStore};

use super::Error;
use crate::KeyPair;

/// Whose signature on a server's certificate counts.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub enum Roots {
    /// What the machine trusts.
    System,
    /// These, in PEM, and no others.
    Pinned(String),
    /// Whoever answers (`insecureSkipTLSVerify`).
    Anybody,
}

/// Read once: the machine's authorities change with its packages.
static SYSTEM: LazyLock<Arc<RootCertStore>> = LazyLock::new(|| {
    let mut roots = RootCertStore::empty();
    let found = rustls_native_certs::load_native_certs();
    for error in &found.errors {
        tracing::debug!(%error, "a certificate authority of this machine is passed over");
    }
    roots.add_parsable_certificates(found.certs);
    Arc::new(roots)
});

/// TLS of one client: HTTP/1.1, since a pool spreads calls over a Service's
/// endpoints and one HTTP/2 connection does not.
///
/// # Errors
/// When the bundle holds no certificate, or the identity cannot be used.
pub fn config(roots: &Roots, identity: Option<&KeyPair>) -> Result<ClientConfig, Error> {
    let verifier = verifier(roots)?;
    let builder = ClientConfig::builder_with_provider(pki::tls::provider())
        .with_safe_default_protocol_versions()
        .map_err(|error| unusable(&error))?
        .dangerous()
        .with_custom_certificate_verifier(verifier);
    let mut config = match identity {
        None => builder.with_no_client_auth(),
        Some(pair) => {
            let chain = certificates(&pair.cert_pem)?;
            let key = PrivateKeyDer::from_pem_slice(pair.key_pem.as_bytes())
                .map_err(|error| unusable(&error))?;
            let with = builder.with_client_auth_cert(chain, key);
            with.map_err(|error| unusable(&error))?
        }
    };
    config.alpn_protocols = vec![b"http/1.1".to_vec()];
    Ok(config)
}

fn unusable(error: &dyn std::fmt::Display) -> Error {
    Error::Config {
        why: format!("unable to set up TLS: {error}"),
    }
}

fn verifier(roots: &Roots) -> Result<Arc<dyn ServerCertVerifier>, Error> {
    let (store, pinned) = match roots {
        Roots::Anybody => return Ok(Arc::new(pki::tls::AnyServer)),
        Roots::System => (SYSTEM.clone(), Vec::new()),
        Roots::Pinned(pem) => {
            let pinned = certificates(pem)?;
            let mut store = RootCertStore::empty();
            // One that is only good as the server's own certificate stays in `pinned`.
            store.add_parsable_certificates(pinned.clone());
            (Arc::new(store), pinned)
        }
    };
    let chain = WebPkiServerVerifier::builder_with_provider(store, pki::tls::provider())
        .build()
        .map_err(|error| unusable(&error))?;
    Ok(Arc::new(Pinned { chain, pinned }))
}

fn certificates(pem: &str) -> Result<Vec<CertificateDer<'static>>, Error> {
    let found: Result<Vec<_>, _> = CertificateDer::pem_slice_iter(pem.as_bytes()).collect();
    match found {
        Ok(found) if !found.is_empty() => Ok(found),
        _ => Err(Error::Config {
            why: "unable to load root certificates: unable to parse bytes as PEM block".into(),
        }),
    }
}

/// A chain to a trusted authority; or the very certificate that was pinned,
/// which may be its own authority, as `openssl req -x509` makes them.
#[derive(Debug)]
struct Pinned {
    chain: Arc<WebPkiServerVerifier>,
    pinned: Vec<CertificateDer<'static>>,
}

impl Pinned {
    fn is_pinned_itself(
        &self,
        certificate: &CertificateDer<'_>,
        name: &ServerName<'_>,
        now: UnixTime,
    ) -> Result<bool, rustls::Error> {
        if !self
            .pinned
            .iter()
            .any(|p| p.as_ref() == certificate.as_ref())
        {
            return Ok(false);
        }
        let Ok((_, parsed)) = x509_parser::parse_x509_certificate(certificate) else {
            return Ok(false);
        };
        let now = i64::try_from(now.as_secs()).unwrap_or(i64::MAX);
        let validity = parsed.validity();
        if now > validity.not_after.timestamp() || now < validity.not_before.timestamp() {
            return Err(rustls::CertificateError::Expired.into());
        }
        rustls::client::verify_server_name(&ParsedCertificate::try_from(certificate)?, name)?;
        Ok(true)
    }
}

impl ServerCertVerifier for Pinned {
    fn verify_server_cert(
        &self,
        certificate: &CertificateDer<'_>,
        intermediates: &[CertificateDer<'_>],
        name: &ServerName<'_>,
        ocsp: &[u8],
        now: UnixTime,
    ) -> Result<ServerCertVerified, rustls::Error> {
        let by_chain = self
            .chain
            .verify_server_cert(certificate, intermediates, name, ocsp, now);
        match by_chain {
            Err(why) => match self.is_pinned_itself(certificate, name, now)? {
                true => Ok(ServerCertVerified::assertion()),
                false => Err(why),
            },
            good => good,
        }
    }

    pki::verify_signatures!();
}

#[cfg(test)]
mod tests;
