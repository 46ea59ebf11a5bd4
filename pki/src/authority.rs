//! The cluster's certificate authority.

use std::net::IpAddr;
use std::path::Path;
use std::time::Duration;

use rcgen::{
    BasicConstraints, CertificateParams, DistinguishedName, DnType, ExtendedKeyUsagePurpose, IsCa,
    Issuer, KeyPair, KeyUsagePurpose, PublicKeyData, SanType, SerialNumber, SubjectPublicKeyInfo,
};
use sha2::{Digest, Sha256};
use x509_parser::certification_request::X509CertificationRequest;
use x509_parser::oid_registry::{OID_PKCS1_SHA1WITHRSA, OID_SHA1_WITH_RSA};
use x509_parser::prelude::FromDer;

use crate::{Error, private_file, subject};

const TEN_YEARS: Duration = Duration::from_secs(3650 * 24 * 3600);
/// Clocks of joining machines may run behind ours.
pub(crate) const CLOCK_SKEW: Duration = Duration::from_secs(3600);

/// Signs certificates; its key never leaves `dir`.
pub struct Authority {
    issuer: Issuer<'static, KeyPair>,
    cert_pem: String,
}

/// What a certificate is to say.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Request {
    /// The user name Kubernetes sees.
    pub common_name: String,
    /// The groups Kubernetes sees.
    pub organizations: Vec<String>,
    pub dns_names: Vec<String>,
    pub addresses: Vec<IpAddr>,
    pub usages: Vec<Usage>,
    pub lifetime: Option<Duration>,
}

/// What a certificate may be used for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Usage {
    Server,
    Client,
    Any,
    CodeSigning,
    EmailProtection,
    TimeStamping,
    OcspSigning,
    DigitalSignature,
    ContentCommitment,
    KeyEncipherment,
    KeyAgreement,
    DataEncipherment,
}

impl Usage {
    /// By its name in a CertificateSigningRequest; None for what no certificate
    /// of ours is given out for.
    pub fn of(name: &str) -> Option<Self> {
        Some(match name {
            "server auth" => Self::Server,
            "client auth" => Self::Client,
            "any" => Self::Any,
            "code signing" => Self::CodeSigning,
            "email protection" | "s/mime" => Self::EmailProtection,
            "timestamping" => Self::TimeStamping,
            "ocsp signing" => Self::OcspSigning,
            "signing" | "digital signature" => Self::DigitalSignature,
            "content commitment" => Self::ContentCommitment,
            "key encipherment" => Self::KeyEncipherment,
            "key agreement" => Self::KeyAgreement,
            "data encipherment" => Self::DataEncipherment,
            _ => return None,
        })
    }
}

/// A certificate and the private key that goes with it.
#[derive(Debug, Clone)]
pub struct Issued {
    pub cert_pem: String,
    pub key_pem: String,
}

impl Authority {
    /// Loads `<dir>/<name>.crt` and `.key`, or makes them when neither is there.
    pub fn load_or_create(dir: &Path, name: &str, common_name: &str) -> Result<Self, Error> {
        private_file::make_dir(dir)?;
        let cert_path = dir.join(format!("{name}.crt"));
        let key_path = dir.join(format!("{name}.key"));
        if let (Some(cert), Some(key)) = (
            private_file::read(&cert_path)?,
            private_file::read(&key_path)?,
        ) {
            return Self::from_pem(cert, &key).map_err(|source| Error::Damaged {
                path: cert_path,
                what: "certificate authority",
                source,
            });
        }
        let (cert, key) = self_signed(common_name).map_err(|source| Error::Issue {
            subject: common_name.into(),
            source,
        })?;
        // The key goes first: a certificate without its key would be trusted
        // by clients and useless to us.
        private_file::write(&key_path, key.as_bytes())?;
        private_file::write_public(&cert_path, cert.as_bytes())?;
        Self::from_pem(cert, &key).map_err(|source| Error::Issue {
            subject: common_name.into(),
            source,
        })
    }

    /// An authority of the given PEM texts.
    pub fn from_pem(cert_pem: String, key_pem: &str) -> Result<Self, rcgen::Error> {
        let key = KeyPair::from_pem(key_pem)?;
        let issuer = Issuer::from_ca_cert_pem(&cert_pem, key)?;
        Ok(Self { issuer, cert_pem })
    }

    pub fn cert_pem(&self) -> &str {
        &self.cert_pem
    }

    /// `sha256:<hex>` of the certificate's public key, as `kubeadm` prints it.
    pub fn fingerprint(&self) -> Result<String, Error> {
        fingerprint(&self.cert_pem)
    }

    /// Issues a certificate with a fresh key.
    pub fn issue(&self, request: &Request) -> Result<Issued, Error> {
        let failed = |source| Error::Issue {
            subject: request.common_name.clone(),
            source,
        };
        let key = KeyPair::generate().map_err(failed)?;
        let params = leaf_params(request).map_err(failed)?;
        let cert_pem = self.certificate(&params, &key, request).map_err(failed)?;
        Ok(Issued {
            cert_pem,
            key_pem: key.serialize_pem(),
        })
    }

    /// Signs somebody else's key. Subject, names and usages come from
    /// `request`, never from the CSR, so the caller decides what is granted.
    pub fn sign_csr(&self, csr_pem: &str, request: &Request) -> Result<String, Error> {
        let failed = |source| Error::Request { source };
        let key = requested_key(csr_pem).map_err(failed)?;
        let params = leaf_params(request).map_err(failed)?;
        self.certificate(&params, &key, request).map_err(failed)
    }

    fn certificate(
        &self,
        params: &CertificateParams,
        key: &impl PublicKeyData,
        request: &Request,
    ) -> Result<String, rcgen::Error> {
        let made = params.signed_by(key, &self.issuer)?;
        subject::certificate(&made, request, self.issuer.key())
    }
}

/// The key that a request asks to sign, of which it proves that it has the
/// private half.
fn requested_key(csr_pem: &str) -> Result<SubjectPublicKeyInfo, rcgen::Error> {
    let unreadable = |_| rcgen::Error::CouldNotParseCertificationRequest;
    let (_, block) = x509_parser::pem::parse_x509_pem(csr_pem.as_bytes()).map_err(unreadable)?;
    let (_, csr) = X509CertificationRequest::from_der(&block.contents)
        .map_err(|_| rcgen::Error::CouldNotParseCertificationRequest)?;
    if is_sha1(&csr) {
        return Err(rcgen::Error::UnsupportedSignatureAlgorithm);
    }
    csr.verify_signature()
        .map_err(|_| rcgen::Error::InvalidCertificationRequestSignature)?;
    SubjectPublicKeyInfo::from_der(csr.certification_request_info.subject_pki.raw)
}

/// Who has found a collision could prove to have a key that they have not.
fn is_sha1(csr: &X509CertificationRequest<'_>) -> bool {
    let algorithm = &csr.signature_algorithm.algorithm;
    *algorithm == OID_PKCS1_SHA1WITHRSA || *algorithm == OID_SHA1_WITH_RSA
}

/// A key and a request to sign it, for a node that joins.
pub fn make_csr(request: &Request) -> Result<(String, String), Error> {
    let failed = |source| Error::Issue {
        subject: request.common_name.clone(),
        source,
    };
    let key = KeyPair::generate().map_err(failed)?;
    let params = csr_params(request).map_err(failed)?;
    let csr = params.serialize_request(&key).map_err(failed)?;
    let csr_pem = subject::signing_request(&csr, request, &key).map_err(failed)?;
    Ok((csr_pem, key.serialize_pem()))
}

pub(crate) fn csr_params(request: &Request) -> Result<CertificateParams, rcgen::Error> {
    // A DNS name that reads like an address stays a DNS name: whoever grants names
    // looks at addresses otherwise.
    let names = request.dns_names.iter();
    let names = names.map(|name| Ok(SanType::DnsName(name.as_str().try_into()?)));
    let addresses = request.addresses.iter().copied();
    let addresses = addresses.map(|ip| Ok(SanType::IpAddress(ip)));
    let mut params = CertificateParams::default();
    params.distinguished_name = subject::of(request);
    params.subject_alt_names = names
        .chain(addresses)
        .collect::<Result<_, rcgen::Error>>()?;
    Ok(params)
}

/// `sha256:<hex>` of the SubjectPublicKeyInfo of a PEM certificate.
pub fn fingerprint(cert_pem: &str) -> Result<String, Error> {
    let unreadable = |e: &dyn std::fmt::Display| Error::Certificate {
        reason: e.to_string(),
    };
    let (_, pem) =
        x509_parser::pem::parse_x509_pem(cert_pem.as_bytes()).map_err(|e| unreadable(&e))?;
    let cert = pem.parse_x509().map_err(|e| unreadable(&e))?;
    let digest = Sha256::digest(cert.public_key().raw);
    Ok(format!("sha256:{}", hex(&digest)))
}

pub(crate) fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|b| format!("{b:02x}")).collect()
}

fn self_signed(common_name: &str) -> Result<(String, String), rcgen::Error> {
    let key = KeyPair::generate()?;
    let mut params = CertificateParams::default();
    params.distinguished_name = DistinguishedName::new();
    params
        .distinguished_name
        .push(DnType::CommonName, common_name);
    params.is_ca = IsCa::Ca(BasicConstraints::Constrained(0));
    params.key_usages = vec![
        KeyUsagePurpose::DigitalSignature,
        KeyUsagePurpose::KeyCertSign,
        KeyUsagePurpose::CrlSign,
    ];
    set_validity(&mut params, TEN_YEARS);
    Ok((params.self_signed(&key)?.pem(), key.serialize_pem()))
}

fn leaf_params(request: &Request) -> Result<CertificateParams, rcgen::Error> {
    let mut params = csr_params(request)?;
    params.is_ca = IsCa::ExplicitNoCa;
    params.key_usages = request.usages.iter().filter_map(key_usage).collect();
    if params.key_usages.is_empty() {
        params.key_usages = vec![
            KeyUsagePurpose::DigitalSignature,
            KeyUsagePurpose::KeyEncipherment,
        ];
    }
    params.extended_key_usages = request.usages.iter().filter_map(purpose).collect();
    params.use_authority_key_identifier_extension = true;
    params.serial_number = Some(SerialNumber::from_slice(&rand::random::<[u8; 16]>()));
    set_validity(&mut params, request.lifetime.unwrap_or(TEN_YEARS / 10));
    Ok(params)
}

fn purpose(usage: &Usage) -> Option<ExtendedKeyUsagePurpose> {
    Some(match usage {
        Usage::Server => ExtendedKeyUsagePurpose::ServerAuth,
        Usage::Client => ExtendedKeyUsagePurpose::ClientAuth,
        Usage::Any => ExtendedKeyUsagePurpose::Any,
        Usage::CodeSigning => ExtendedKeyUsagePurpose::CodeSigning,
        Usage::EmailProtection => ExtendedKeyUsagePurpose::EmailProtection,
        Usage::TimeStamping => ExtendedKeyUsagePurpose::TimeStamping,
        Usage::OcspSigning => ExtendedKeyUsagePurpose::OcspSigning,
        _ => return None,
    })
}

fn key_usage(usage: &Usage) -> Option<KeyUsagePurpose> {
    Some(match usage {
        Usage::DigitalSignature => KeyUsagePurpose::DigitalSignature,
        Usage::ContentCommitment => KeyUsagePurpose::ContentCommitment,
        Usage::KeyEncipherment => KeyUsagePurpose::KeyEncipherment,
        Usage::KeyAgreement => KeyUsagePurpose::KeyAgreement,
        Usage::DataEncipherment => KeyUsagePurpose::DataEncipherment,
        _ => return None,
    })
}

fn set_validity(params: &mut CertificateParams, lifetime: Duration) {
    let now = std::time::UNIX_EPOCH + crate::token::since_epoch();
    params.not_before = (now - CLOCK_SKEW).into();
    params.not_after = (now + lifetime).into();
}
