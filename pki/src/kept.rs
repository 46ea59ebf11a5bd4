//! A part's own certificate, kept on disk and renewed before it ends.

use std::path::Path;

use jiff::Timestamp;
use x509_parser::certificate::X509Certificate;

use crate::{Authority, Error, Identity, Issued, Request, Validity, private_file};

/// Loads `<dir>/<name>.crt` and `.key`, or issues them anew when they are
/// missing, two thirds through their life, of another authority, for another
/// subject, do not belong together, or do not cover `request`.
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
        let kept = Issued { cert_pem, key_pem };
        // A crash between the two files leaves a key of no certificate.
        if Identity::new(&kept).is_ok() {
            return Ok(kept);
        }
    }
    issue(authority, dir, name, request)
}

/// Issues `<dir>/<name>.crt` and `.key` anew.
pub fn issue(
    authority: &Authority,
    dir: &Path,
    name: &str,
    request: &Request,
) -> Result<Issued, Error> {
    let issued = authority.issue(request)?;
    keep(dir, name, &issued)?;
    Ok(issued)
}

/// Writes `<dir>/<name>.crt` and `.key`.
pub fn keep(dir: &Path, name: &str, issued: &Issued) -> Result<(), Error> {
    // The key goes first: a certificate of another key is seen by nobody as such
    // before it is used.
    private_file::write(&dir.join(format!("{name}.key")), issued.key_pem.as_bytes())?;
    private_file::write_public(&dir.join(format!("{name}.crt")), issued.cert_pem.as_bytes())
}

/// Whether a certificate bears all names and addresses of `request`.
pub fn covers(cert_pem: &str, request: &Request) -> bool {
    let bears = || {
        let (_, pem) = x509_parser::pem::parse_x509_pem(cert_pem.as_bytes()).ok()?;
        Some(bears_names(&pem.parse_x509().ok()?, request))
    };
    bears().unwrap_or(false)
}

/// The common name of a certificate.
pub fn common_name(cert_pem: &str) -> Option<String> {
    let (_, pem) = x509_parser::pem::parse_x509_pem(cert_pem.as_bytes()).ok()?;
    let cert = pem.parse_x509().ok()?;
    let name = cert.subject().iter_common_name().next()?;
    name.as_str().ok().map(str::to_owned)
}

fn still_good(cert_pem: &str, authority: &Authority, request: &Request) -> bool {
    is_of(cert_pem, authority, request).unwrap_or(false)
}

fn is_of(cert_pem: &str, authority: &Authority, request: &Request) -> Option<bool> {
    let (_, ca_pem) = x509_parser::pem::parse_x509_pem(authority.cert_pem().as_bytes()).ok()?;
    let ca = ca_pem.parse_x509().ok()?;
    let (_, pem) = x509_parser::pem::parse_x509_pem(cert_pem.as_bytes()).ok()?;
    let cert = pem.parse_x509().ok()?;
    if cert.verify_signature(Some(ca.public_key())).is_err() {
        return Some(false);
    }
    if Validity::of(cert_pem).ok()?.renew_at() <= Timestamp::now() {
        return Some(false);
    }
    Some(is_for_subject(&cert, request) && bears_names(&cert, request))
}

/// Whether it says the same user and groups: one with more would go on with them.
fn is_for_subject(cert: &X509Certificate<'_>, request: &Request) -> bool {
    let subject = cert.subject();
    let names = subject.iter_common_name().map(|name| name.as_str().ok());
    let groups = subject.iter_organization().map(|group| group.as_str().ok());
    names.eq([Some(request.common_name.as_str())])
        && groups.eq(request
            .organizations
            .iter()
            .map(|group| Some(group.as_str())))
}

fn bears_names(cert: &X509Certificate<'_>, request: &Request) -> bool {
    let names = cert.subject_alternative_name().ok().flatten();
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
    dns && addresses
}
