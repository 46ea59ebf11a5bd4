//! A certificate and its key while they are in use: what is put in their place
//! is shown from the next handshake on, and nothing has to be started again.

use std::sync::{Arc, PoisonError, RwLock};

use rustls::SignatureScheme;
use rustls::client::ResolvesClientCert;
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use rustls::server::{ClientHello, ResolvesServerCert};
use rustls::sign::CertifiedKey;

use crate::{Error, Issued, Validity};

/// Who a part is to others, server or client. Given to rustls as the resolver
/// of either side.
pub struct Identity(RwLock<Held>);

struct Held {
    key: Arc<CertifiedKey>,
    issued: Issued,
    validity: Validity,
}

impl Identity {
    /// # Errors
    /// The texts are not a certificate and its key.
    pub fn new(issued: &Issued) -> Result<Arc<Self>, Error> {
        Ok(Arc::new(Self(RwLock::new(Held::of(issued)?))))
    }

    /// Shows `issued` from now on.
    ///
    /// # Errors
    /// The texts are not a certificate and its key; the old ones stay.
    pub fn replace(&self, issued: &Issued) -> Result<(), Error> {
        let held = Held::of(issued)?;
        *self.0.write().unwrap_or_else(PoisonError::into_inner) = held;
        Ok(())
    }

    pub fn validity(&self) -> Validity {
        self.0
            .read()
            .unwrap_or_else(PoisonError::into_inner)
            .validity
    }

    /// The latest, in PEM.
    pub fn issued(&self) -> Issued {
        let held = self.0.read().unwrap_or_else(PoisonError::into_inner);
        held.issued.clone()
    }

    fn key(&self) -> Arc<CertifiedKey> {
        let held = self.0.read().unwrap_or_else(PoisonError::into_inner);
        held.key.clone()
    }
}

impl Held {
    fn of(issued: &Issued) -> Result<Self, Error> {
        let unusable = |e: &dyn std::fmt::Display| Error::Certificate {
            reason: e.to_string(),
        };
        let chain: Result<Vec<_>, _> =
            CertificateDer::pem_slice_iter(issued.cert_pem.as_bytes()).collect();
        let chain = chain.map_err(|e| unusable(&e))?;
        let own = chain
            .first()
            .ok_or_else(|| unusable(&"there is no certificate in it"))?;
        let validity = Validity::of_der(own)?;
        let key =
            PrivateKeyDer::from_pem_slice(issued.key_pem.as_bytes()).map_err(|e| unusable(&e))?;
        let key = CertifiedKey::from_der(chain, key, &crate::tls::provider())
            .map_err(|e| unusable(&e))?;
        Ok(Self {
            key: Arc::new(key),
            issued: issued.clone(),
            validity,
        })
    }
}

impl std::fmt::Debug for Identity {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let validity = self.validity();
        f.debug_tuple("Identity").field(&validity).finish()
    }
}

impl ResolvesServerCert for Identity {
    fn resolve(&self, _: ClientHello<'_>) -> Option<Arc<CertifiedKey>> {
        Some(self.key())
    }
}

impl ResolvesClientCert for Identity {
    fn resolve(&self, _: &[&[u8]], _: &[SignatureScheme]) -> Option<Arc<CertifiedKey>> {
        Some(self.key())
    }

    fn has_certs(&self) -> bool {
        true
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{Authority, Request};

    #[test]
    fn what_was_replaced_is_shown_and_what_cannot_be_used_is_not() {
        let dir = tempfile::tempdir().unwrap();
        let authority = Authority::load_or_create(dir.path(), "ca", "ca").unwrap();
        let issue = || authority.issue(&Request::default()).unwrap();
        let (first, second) = (issue(), issue());
        let identity = Identity::new(&first).unwrap();
        let before = identity.key();
        identity.replace(&second).unwrap();
        assert_ne!(identity.key().cert, before.cert);
        let mixed = Issued {
            cert_pem: first.cert_pem,
            key_pem: second.key_pem.clone(),
        };
        assert!(identity.replace(&mixed).is_err());
        assert_eq!(identity.issued().key_pem, second.key_pem);
    }
}
