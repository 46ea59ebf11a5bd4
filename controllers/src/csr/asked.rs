//! What a signing request asks for.

use std::net::IpAddr;

use x509_parser::certification_request::X509CertificationRequest;
use x509_parser::extensions::{GeneralName, ParsedExtension};
use x509_parser::pem::parse_x509_pem;
use x509_parser::prelude::FromDer;

use super::rules::Refusal;

pub const NODE_PREFIX: &str = "system:node:";
/// Far more than a request of any key needs.
const LONGEST: usize = 64 * 1024;

#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Asked {
    pub pem: String,
    pub common_name: String,
    pub organizations: Vec<String>,
    pub dns_names: Vec<String>,
    pub addresses: Vec<IpAddr>,
    /// Names of other kinds: of mail, of URIs and the like.
    pub has_other_names: bool,
    /// The key that is to be signed, in PEM.
    pub public_key: String,
}

impl Asked {
    /// Reads a PEM request; whether its signature is right is seen when it is signed.
    pub fn read(pem: &[u8]) -> Result<Self, Refusal> {
        if pem.len() > LONGEST {
            return Err(Refusal::Unusable("it is longer than 64 KiB".into()));
        }
        let unusable = |e: &dyn std::fmt::Display| Refusal::Unusable(e.to_string());
        let (_, block) = parse_x509_pem(pem).map_err(|e| unusable(&e))?;
        let (_, request) =
            X509CertificationRequest::from_der(&block.contents).map_err(|e| unusable(&e))?;
        let mut asked = Self {
            pem: String::from_utf8_lossy(pem).into_owned(),
            public_key: pki::node_key::public_pem(
                request.certification_request_info.subject_pki.raw,
            ),
            ..Self::default()
        };
        let subject = &request.certification_request_info.subject;
        let text = |value: Result<&str, _>| value.map(str::to_owned);
        let mut names = subject.iter_common_name();
        if let Some(name) = names.next() {
            asked.common_name = text(name.as_str()).map_err(|e| unusable(&e))?;
        }
        for organization in subject.iter_organization() {
            let organization = text(organization.as_str()).map_err(|e| unusable(&e))?;
            asked.organizations.push(organization);
        }
        for extension in request.requested_extensions().into_iter().flatten() {
            if let ParsedExtension::SubjectAlternativeName(names) = extension {
                names
                    .general_names
                    .iter()
                    .for_each(|name| asked.add_name(name));
            }
        }
        Ok(asked)
    }

    fn add_name(&mut self, name: &GeneralName<'_>) {
        match name {
            GeneralName::DNSName(name) => self.dns_names.push((*name).to_owned()),
            GeneralName::IPAddress(bytes) => match address(bytes) {
                Some(ip) => self.addresses.push(ip),
                None => self.has_other_names = true,
            },
            _ => self.has_other_names = true,
        }
    }

    /// The node that the certificate would be of.
    pub fn node_name(&self) -> Option<&str> {
        self.common_name
            .strip_prefix(NODE_PREFIX)
            .filter(|name| !name.is_empty())
    }
}

fn address(bytes: &[u8]) -> Option<IpAddr> {
    let v4 = <[u8; 4]>::try_from(bytes).map(IpAddr::from);
    v4.or_else(|_| <[u8; 16]>::try_from(bytes).map(IpAddr::from))
        .ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn subject_and_names_are_read() {
        let request = pki::Request {
            common_name: "system:node:n1".into(),
            organizations: vec!["system:nodes".into()],
            dns_names: vec!["n1".into()],
            addresses: vec!["192.0.2.1".parse().unwrap()],
            ..pki::Request::default()
        };
        let (pem, _) = pki::make_csr(&request).unwrap();
        let asked = Asked::read(pem.as_bytes()).unwrap();
        assert_eq!(asked.node_name(), Some("n1"));
        assert_eq!(asked.organizations, ["system:nodes"]);
        assert_eq!(asked.dns_names, ["n1"]);
        assert_eq!(asked.addresses, request.addresses);
        assert!(!asked.has_other_names);
    }

    #[test]
    fn every_group_is_read() {
        let request = pki::Request {
            common_name: "jbeda".into(),
            organizations: vec!["app1".into(), "app2".into()],
            ..pki::Request::default()
        };
        let (pem, _) = pki::make_csr(&request).unwrap();
        let asked = Asked::read(pem.as_bytes()).unwrap();
        assert_eq!(asked.common_name, "jbeda");
        assert_eq!(asked.organizations, request.organizations);
    }

    #[test]
    fn rubbish_is_refused() {
        assert!(
            Asked::read(
                b"-----BEGIN CERTIFICATE REQUEST-----\nAAAA\n-----END CERTIFICATE REQUEST-----\n"
            )
            .is_err()
        );
        assert!(Asked::read(&vec![b'x'; LONGEST + 1]).is_err());
    }
}
