//! Who is at the other end of a connection, as far as TLS can tell.

use rustls::pki_types::CertificateDer;
use x509_parser::prelude::FromDer;

/// One connection's other end. Made once a connection, not once a request.
#[derive(Debug, Clone, Default)]
pub struct Peer {
    /// From a client certificate that the cluster's authority signed.
    pub certificate: Option<CertificateName>,
}

/// The name in a client certificate: user and groups.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct CertificateName {
    pub common_name: String,
    pub organizations: Vec<String>,
}

impl CertificateName {
    /// Reads the subject of a certificate that the TLS layer has verified.
    /// None when it does not parse or has no common name.
    pub fn read(der: &CertificateDer<'_>) -> Option<Self> {
        let (_, certificate) = x509_parser::certificate::X509Certificate::from_der(der).ok()?;
        let subject = certificate.subject();
        let common_name = subject.iter_common_name().next()?.as_str().ok()?.to_owned();
        let organizations = subject
            .iter_organization()
            .filter_map(|o| o.as_str().ok().map(str::to_owned))
            .collect();
        Some(Self {
            common_name,
            organizations,
        })
    }
}
