//! A part's own certificate, kept on disk and renewed before it ends.

use std::path::Path;
use std::time::Duration;

use crate::{Authority, Error, Issued, Request, private_file};

/// A certificate with less than this left is replaced at the next start.
const RENEW_BEFORE: Duration = Duration::from_secs(30 * 24 * 3600);

/// Loads `<dir>/<name>.crt` and `.key`, or issues them anew when they are
/// missing, about to end, of another authority, or do not cover `request`.
pub fn load_or_issue(
    authority: &Authority,
    dir: &Path,
    name: &str,
    request: &Request,
) -> Result<Issued, Error> {
    private_file::make_dir(dir)?;
    let cert_path = dir.join(format!("{name}.crt"));
    let key_path = dir.join(format!("{name}.key"));
    if let (Some(cert_pem), Some(key_pem)) = (
        private_file::read(&cert_path)?,
        private_file::read(&key_path)?,
    ) && still_good(&cert_pem, authority, request)
    {
        return Ok(Issued { cert_pem, key_pem });
    }
    let issued = authority.issue(request)?;
    private_file::write(&key_path, issued.key_pem.as_bytes())?;
    private_file::write_public(&cert_path, issued.cert_pem.as_bytes())?;
    Ok(issued)
}

fn still_good(cert_pem: &str, authority: &Authority, request: &Request) -> bool {
    covers(cert_pem, authority, request).unwrap_or(false)
}

fn covers(cert_pem: &str, authority: &Authority, request: &Request) -> Option<bool> {
    let (_, ca_pem) = x509_parser::pem::parse_x509_pem(authority.cert_pem().as_bytes()).ok()?;
    let ca = ca_pem.parse_x509().ok()?;
    let (_, pem) = x509_parser::pem::parse_x509_pem(cert_pem.as_bytes()).ok()?;
    let cert = pem.parse_x509().ok()?;
    if cert.verify_signature(Some(ca.public_key())).is_err() {
        return Some(false);
    }
    let left = cert.validity().not_after.timestamp() - i64::try_from(crate::token::now()).ok()?;
    if left < i64::try_from(RENEW_BEFORE.as_secs()).ok()? {
        return Some(false);
    }
    let names = cert.subject_alternative_name().ok()?;
    let has = |wanted: &x509_parser::extensions::GeneralName<'_>| {
        names
            .as_ref()
            .is_some_and(|n| n.value.general_names.contains(wanted))
    };
    let dns = request
        .dns_names
        .iter()
        .all(|n| has(&x509_parser::extensions::GeneralName::DNSName(n)));
    let addresses = request.addresses.iter().all(|ip| {
        let octets = match ip {
            std::net::IpAddr::V4(v4) => v4.octets().to_vec(),
            std::net::IpAddr::V6(v6) => v6.octets().to_vec(),
        };
        has(&x509_parser::extensions::GeneralName::IPAddress(&octets))
    });
    Some(dns && addresses)
}
