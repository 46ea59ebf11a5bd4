//! Who is at the other end of a connection, as far as TLS can tell.

use std::net::SocketAddr;

use jiff::Timestamp;
use rustls::pki_types::CertificateDer;
use sha2::{Digest, Sha256};
use x509_parser::prelude::FromDer;

use crate::user::{AUTHENTICATED, CREDENTIAL_ID, User};

/// One connection's other end. Made once a connection, not once a request.
#[derive(Debug, Clone, Default)]
pub struct Peer {
    /// From a client certificate that the cluster's authority signed.
    pub certificate: Option<CertificateName>,
    /// The common name, from a certificate of the front proxies' authority.
    pub front_proxy: Option<String>,
    /// When the certificate that was brought ends, and with it what may be done
    /// on this connection.
    pub until: Option<Timestamp>,
    /// None: in process.
    pub address: Option<SocketAddr>,
}

/// The name in a client certificate: user and groups.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct CertificateName {
    pub common_name: String,
    pub organizations: Vec<String>,
    /// `X509SHA256=<hex>`: which of the user's certificates it is.
    pub credential_id: String,
}

impl CertificateName {
    pub fn user(&self) -> User {
        let groups = self.organizations.iter().cloned();
        let groups = groups.chain([AUTHENTICATED.to_owned()]);
        let mut user = User::new(self.common_name.clone(), groups);
        let id = vec![self.credential_id.clone()];
        user.extra.insert(CREDENTIAL_ID.to_owned(), id);
        user
    }

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
        let digest = Sha256::digest(der);
        let digest: String = digest.iter().map(|byte| format!("{byte:02x}")).collect();
        Some(Self {
            common_name,
            organizations,
            credential_id: format!("X509SHA256={digest}"),
        })
    }
}
