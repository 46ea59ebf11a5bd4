//! From when until when a certificate is good.

use jiff::{SignedDuration, Timestamp};

use crate::Error;
use crate::authority::CLOCK_SKEW;

/// The two ends of a certificate's life.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Validity {
    pub from: Timestamp,
    pub until: Timestamp,
}

impl Validity {
    /// # Errors
    /// The text is no PEM certificate.
    pub fn of(cert_pem: &str) -> Result<Self, Error> {
        let unreadable = |e: &dyn std::fmt::Display| Error::Certificate {
            reason: e.to_string(),
        };
        let (_, pem) =
            x509_parser::pem::parse_x509_pem(cert_pem.as_bytes()).map_err(|e| unreadable(&e))?;
        Self::of_der(&pem.contents)
    }

    /// # Errors
    /// The bytes are no certificate.
    pub fn of_der(der: &[u8]) -> Result<Self, Error> {
        let unreadable = |e: &dyn std::fmt::Display| Error::Certificate {
            reason: e.to_string(),
        };
        let (_, cert) = x509_parser::parse_x509_certificate(der).map_err(|e| unreadable(&e))?;
        let time = |at: x509_parser::time::ASN1Time| {
            Timestamp::from_second(at.timestamp()).map_err(|e| unreadable(&e))
        };
        Ok(Self {
            from: time(cert.validity().not_before)?,
            until: time(cert.validity().not_after)?,
        })
    }

    pub fn is_over(&self, now: Timestamp) -> bool {
        now >= self.until
    }

    /// When two thirds of its life are over. Ours begin an hour before they were
    /// made, which is not counted.
    pub fn renew_at(&self) -> Timestamp {
        let skew = SignedDuration::try_from(CLOCK_SKEW).unwrap_or_default();
        let whole = self.until.duration_since(self.from);
        let life = if whole > skew { whole - skew } else { whole };
        self.until - life / 3
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_certificate_of_a_day_is_renewed_after_sixteen_hours() {
        let made: Timestamp = "2026-01-01T00:00:00Z".parse().unwrap();
        let validity = Validity {
            from: made - SignedDuration::from_hours(1),
            until: made + SignedDuration::from_hours(24),
        };
        assert_eq!(validity.renew_at(), made + SignedDuration::from_hours(16));
        assert!(!validity.is_over(validity.renew_at()));
        assert!(validity.is_over(validity.until));
    }
}
