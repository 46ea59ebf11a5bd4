//! Whom a certificate is of: a user, and the groups that are its organizations.
//!
//! rcgen writes one attribute of a kind. For several organizations, what it made
//! gets its whole subject here and is signed again.

use rcgen::{
    Certificate, CertificateSigningRequest, DistinguishedName, DnType, KeyPair, SigningKey,
};
use x509_cert::attr::AttributeTypeAndValue;
use x509_cert::der::asn1::{BitString, ObjectIdentifier, SetOfVec, Utf8StringRef};
use x509_cert::der::oid::db::rfc4519::{COMMON_NAME, ORGANIZATION_NAME};
use x509_cert::der::pem::LineEnding;
use x509_cert::der::{Any, Decode, Encode, EncodePem};
use x509_cert::name::{Name, RdnSequence, RelativeDistinguishedName};
use x509_cert::request::CertReq;

use crate::authority::Request;

/// As much of the subject as rcgen can write.
pub fn of(request: &Request) -> DistinguishedName {
    let mut name = DistinguishedName::new();
    if let Some(organization) = request.organizations.first() {
        name.push(DnType::OrganizationName, organization.as_str());
    }
    name.push(DnType::CommonName, request.common_name.as_str());
    name
}

/// The certificate in PEM, of all that `request` names.
pub fn certificate(
    made: &Certificate,
    request: &Request,
    signer: &KeyPair,
) -> Result<String, rcgen::Error> {
    if request.organizations.len() < 2 {
        return Ok(made.pem());
    }
    let mut whole = x509_cert::Certificate::from_der(made.der()).map_err(unwritten)?;
    whole.tbs_certificate.subject = name(request).map_err(unwritten)?;
    whole.signature = signature(&whole.tbs_certificate, signer)?;
    whole.to_pem(LineEnding::LF).map_err(unwritten)
}

/// The signing request in PEM, of all that `request` names.
pub fn signing_request(
    made: &CertificateSigningRequest,
    request: &Request,
    signer: &KeyPair,
) -> Result<String, rcgen::Error> {
    if request.organizations.len() < 2 {
        return made.pem();
    }
    let mut whole = CertReq::from_der(made.der()).map_err(unwritten)?;
    whole.info.subject = name(request).map_err(unwritten)?;
    whole.signature = signature(&whole.info, signer)?;
    whole.to_pem(LineEnding::LF).map_err(unwritten)
}

fn signature(of: &impl Encode, signer: &KeyPair) -> Result<BitString, rcgen::Error> {
    let signed = signer.sign(&of.to_der().map_err(unwritten)?)?;
    BitString::from_bytes(&signed).map_err(unwritten)
}

/// Each organization stands for itself, in the order given.
fn name(request: &Request) -> x509_cert::der::Result<Name> {
    let groups = request.organizations.iter();
    let groups = groups.map(|group| part(ORGANIZATION_NAME, group));
    let user = part(COMMON_NAME, &request.common_name);
    let parts = groups.chain([user]).collect::<Result<Vec<_>, _>>()?;
    Ok(RdnSequence(parts))
}

fn part(oid: ObjectIdentifier, text: &str) -> x509_cert::der::Result<RelativeDistinguishedName> {
    let value = Any::from(Utf8StringRef::new(text)?);
    let attribute = AttributeTypeAndValue { oid, value };
    Ok(RelativeDistinguishedName(SetOfVec::try_from(vec![
        attribute,
    ])?))
}

fn unwritten(error: x509_cert::der::Error) -> rcgen::Error {
    rcgen::Error::X509(error.to_string())
}
