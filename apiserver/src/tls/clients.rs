//! Whose certificate a client brought: a user's or a front proxy's.

use std::net::SocketAddr;
use std::sync::Arc;

use rustls::pki_types::{CertificateDer, UnixTime};
use rustls::server::danger::{ClientCertVerified, ClientCertVerifier};
use rustls::{DistinguishedName, Error};

use crate::peer::{CertificateName, Peer};

/// The authorities that clients' certificates are held against.
#[derive(Debug, Clone)]
pub struct Clients {
    users: Arc<dyn ClientCertVerifier>,
    proxies: Option<Arc<dyn ClientCertVerifier>>,
}

impl Clients {
    pub fn new(
        users: Arc<dyn ClientCertVerifier>,
        proxies: Option<Arc<dyn ClientCertVerifier>>,
    ) -> Self {
        Self { users, proxies }
    }

    pub fn verifier(&self) -> Arc<dyn ClientCertVerifier> {
        match &self.proxies {
            None => self.users.clone(),
            Some(proxies) => Arc::new(Either {
                hints: [
                    self.users.root_hint_subjects(),
                    proxies.root_hint_subjects(),
                ]
                .concat(),
                users: self.users.clone(),
                proxies: proxies.clone(),
            }),
        }
    }

    /// Who is at the other end of a connection that passed the handshake with
    /// `chain`.
    pub fn peer(&self, chain: &[CertificateDer<'_>], address: SocketAddr) -> Peer {
        let mut peer = Peer {
            address: Some(address),
            ..Peer::default()
        };
        let Some((own, between)) = chain.split_first() else {
            return peer;
        };
        peer.until = pki::Validity::of_der(own).ok().map(|v| v.until);
        let Some(proxies) = &self.proxies else {
            peer.certificate = CertificateName::read(own);
            return peer;
        };
        // The handshake says that one of the two signed it, not which.
        let signed = |by: &Arc<dyn ClientCertVerifier>| {
            by.verify_client_cert(own, between, UnixTime::now()).is_ok()
        };
        let name = CertificateName::read(own);
        if signed(proxies) {
            peer.front_proxy = name.as_ref().map(|name| name.common_name.clone());
        }
        peer.certificate = name.filter(|_| signed(&self.users));
        peer
    }
}

/// Takes what one of two authorities signed.
#[derive(Debug)]
struct Either {
    users: Arc<dyn ClientCertVerifier>,
    proxies: Arc<dyn ClientCertVerifier>,
    hints: Vec<DistinguishedName>,
}

impl ClientCertVerifier for Either {
    fn root_hint_subjects(&self) -> &[DistinguishedName] {
        &self.hints
    }

    fn client_auth_mandatory(&self) -> bool {
        false
    }

    fn verify_client_cert(
        &self,
        own: &CertificateDer<'_>,
        between: &[CertificateDer<'_>],
        now: UnixTime,
    ) -> Result<ClientCertVerified, Error> {
        let verified = self.users.verify_client_cert(own, between, now);
        verified.or_else(|_| self.proxies.verify_client_cert(own, between, now))
    }

    pki::verify_signatures!();
}
