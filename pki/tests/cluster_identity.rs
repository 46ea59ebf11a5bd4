//! Authority, certificates and tokens on a real directory.

#![expect(clippy::unwrap_used, reason = "helpers of tests fail as tests do")]

use std::os::unix::fs::PermissionsExt;

use base64::Engine as _;
use pki::{Authority, BoundObject, Claims, KubernetesClaims, Request, TokenKey, Usage};
use x509_parser::certification_request::X509CertificationRequest;
use x509_parser::extensions::GeneralName;
use x509_parser::prelude::FromDer;

fn claims(now: u64, lifetime: u64) -> Claims {
    Claims {
        iss: "https://kubernetes.default.svc.cluster.local".into(),
        sub: "system:serviceaccount:default:default".into(),
        aud: vec!["api".into()],
        exp: now + lifetime,
        iat: now,
        nbf: now,
        jti: String::new(),
        kubernetes: KubernetesClaims {
            namespace: "default".into(),
            serviceaccount: BoundObject {
                name: "default".into(),
                uid: "u".into(),
            },
            pod: None,
            secret: None,
            node: None,
            warnafter: None,
        },
    }
}

fn now() -> u64 {
    jiff::Timestamp::now().as_second().unsigned_abs()
}

#[test]
fn authority_is_the_same_after_a_restart_and_its_key_is_private() {
    let dir = tempfile::tempdir().unwrap();
    let first = Authority::load_or_create(dir.path(), "ca", "skiff-ca").unwrap();
    let again = Authority::load_or_create(dir.path(), "ca", "skiff-ca").unwrap();
    assert_eq!(first.cert_pem(), again.cert_pem());
    let mode = std::fs::metadata(dir.path().join("ca.key"))
        .unwrap()
        .permissions()
        .mode();
    assert_eq!(mode & 0o777, 0o600);
}

#[test]
fn damaged_authority_is_refused_and_left_in_place() {
    let dir = tempfile::tempdir().unwrap();
    Authority::load_or_create(dir.path(), "ca", "skiff-ca").unwrap();
    std::fs::write(dir.path().join("ca.crt"), "not a certificate").unwrap();
    let refused = Authority::load_or_create(dir.path(), "ca", "skiff-ca");
    assert!(matches!(refused.err(), Some(pki::Error::Damaged { .. })));
    assert_eq!(
        std::fs::read(dir.path().join("ca.crt")).unwrap(),
        b"not a certificate"
    );
}

#[test]
fn identity_is_kept_until_the_request_asks_for_another_address() {
    let dir = tempfile::tempdir().unwrap();
    let ca = Authority::load_or_create(dir.path(), "ca", "skiff-ca").unwrap();
    let mut request = Request {
        common_name: "kube-apiserver".into(),
        dns_names: vec!["kubernetes".into()],
        addresses: vec!["127.0.0.1".parse().unwrap()],
        usages: vec![Usage::Server],
        ..Request::default()
    };
    let first = pki::load_or_issue(&ca, dir.path(), "api", &request).unwrap();
    let same = pki::load_or_issue(&ca, dir.path(), "api", &request).unwrap();
    assert_eq!(first.cert_pem, same.cert_pem);
    request.addresses.push("10.96.0.1".parse().unwrap());
    let wider = pki::load_or_issue(&ca, dir.path(), "api", &request).unwrap();
    assert_ne!(first.cert_pem, wider.cert_pem);
}

#[test]
fn identity_of_another_authority_is_replaced() {
    let dir = tempfile::tempdir().unwrap();
    let other = tempfile::tempdir().unwrap();
    let request = Request {
        common_name: "x".into(),
        usages: vec![Usage::Client],
        ..Request::default()
    };
    let ca = Authority::load_or_create(dir.path(), "ca", "skiff-ca").unwrap();
    let stranger = Authority::load_or_create(other.path(), "ca", "skiff-ca").unwrap();
    let first = pki::load_or_issue(&stranger, dir.path(), "x", &request).unwrap();
    let ours = pki::load_or_issue(&ca, dir.path(), "x", &request).unwrap();
    assert_ne!(first.cert_pem, ours.cert_pem);
}

#[test]
fn certificate_for_other_groups_is_replaced() {
    let dir = tempfile::tempdir().unwrap();
    let ca = Authority::load_or_create(dir.path(), "ca", "skiff-ca").unwrap();
    let request = |groups: &[&str]| Request {
        common_name: "x".into(),
        organizations: groups.iter().map(|g| (*g).to_owned()).collect(),
        usages: vec![Usage::Client],
        ..Request::default()
    };
    let load = |groups| pki::load_or_issue(&ca, dir.path(), "x", &request(groups)).unwrap();
    let master = load(&["system:masters"]);
    assert_eq!(master.cert_pem, load(&["system:masters"]).cert_pem);
    let lesser = load(&[]);
    assert_ne!(master.cert_pem, lesser.cert_pem);
    assert_eq!(lesser.cert_pem, load(&[]).cert_pem);
}

#[test]
fn signed_request_says_what_the_signer_grants_not_what_was_asked() {
    let dir = tempfile::tempdir().unwrap();
    let ca = Authority::load_or_create(dir.path(), "ca", "skiff-ca").unwrap();
    let asked = Request {
        common_name: "system:node:n1".into(),
        organizations: vec!["system:masters".into()],
        ..Request::default()
    };
    let (csr, _key) = pki::make_csr(&asked).unwrap();
    let granted = Request {
        organizations: vec!["system:nodes".into()],
        usages: vec![Usage::Client],
        ..asked
    };
    let cert = ca.sign_csr(&csr, &granted).unwrap();
    let (_, pem) = x509_parser::pem::parse_x509_pem(cert.as_bytes()).unwrap();
    let cert = pem.parse_x509().unwrap();
    assert_eq!(
        cert.subject().to_string(),
        "O=system:nodes, CN=system:node:n1"
    );
}

fn subject_of(cert_pem: &str) -> String {
    let (_, pem) = x509_parser::pem::parse_x509_pem(cert_pem.as_bytes()).unwrap();
    pem.parse_x509().unwrap().subject().to_string()
}

fn is_signed_by(ca: &Authority, cert_pem: &str) -> bool {
    let (_, ca) = x509_parser::pem::parse_x509_pem(ca.cert_pem().as_bytes()).unwrap();
    let ca = ca.parse_x509().unwrap();
    let (_, pem) = x509_parser::pem::parse_x509_pem(cert_pem.as_bytes()).unwrap();
    let cert = pem.parse_x509().unwrap();
    cert.verify_signature(Some(ca.public_key())).is_ok()
}

fn of_groups(groups: &[&str]) -> Request {
    Request {
        common_name: "jbeda".into(),
        organizations: groups.iter().map(|g| (*g).to_owned()).collect(),
        usages: vec![Usage::Client],
        ..Request::default()
    }
}

#[test]
fn certificates_and_requests_name_every_group() {
    let dir = tempfile::tempdir().unwrap();
    let ca = Authority::load_or_create(dir.path(), "ca", "skiff-ca").unwrap();
    let request = of_groups(&["zeta", "alpha", "middle"]);
    let named = "O=zeta, O=alpha, O=middle, CN=jbeda";

    let issued = ca.issue(&request).unwrap();
    assert_eq!(subject_of(&issued.cert_pem), named);
    assert!(is_signed_by(&ca, &issued.cert_pem));

    let (csr, _) = pki::make_csr(&request).unwrap();
    let (_, block) = x509_parser::pem::parse_x509_pem(csr.as_bytes()).unwrap();
    let (_, parsed) = X509CertificationRequest::from_der(&block.contents).unwrap();
    parsed.verify_signature().unwrap();
    let asked = parsed.certification_request_info.subject.to_string();
    assert_eq!(asked, named);

    let signed = ca.sign_csr(&csr, &request).unwrap();
    assert_eq!(subject_of(&signed), named);
    assert!(is_signed_by(&ca, &signed));
}

/// As Go writes several organizations: in one set; with extensions that no
/// certificate of ours bears.
const ONE_SET: &str = include_str!("requests/p384-one-set.csr");

#[test]
fn requests_of_other_tools_and_keys_are_signed() {
    let dir = tempfile::tempdir().unwrap();
    let ca = Authority::load_or_create(dir.path(), "ca", "skiff-ca").unwrap();
    for (key, csr) in [
        ("RSA, 2048 bits", include_str!("requests/rsa-2048.csr")),
        ("RSA, 4096 bits", include_str!("requests/rsa-4096.csr")),
        ("P-384", ONE_SET),
        ("Ed25519", include_str!("requests/ed25519.csr")),
    ] {
        let signed = ca.sign_csr(csr, &of_groups(&["app1", "app2"])).expect(key);
        assert_eq!(subject_of(&signed), "O=app1, O=app2, CN=jbeda", "{key}");
        assert!(is_signed_by(&ca, &signed), "{key}");
    }
}

#[test]
fn request_signed_by_a_weak_digest_is_refused() {
    let dir = tempfile::tempdir().unwrap();
    let ca = Authority::load_or_create(dir.path(), "ca", "skiff-ca").unwrap();
    let refused = ca.sign_csr(include_str!("requests/sha1.csr"), &of_groups(&["app1"]));
    assert!(matches!(refused, Err(pki::Error::Request { .. })));
}

#[test]
fn name_that_reads_like_an_address_is_none() {
    let dir = tempfile::tempdir().unwrap();
    let ca = Authority::load_or_create(dir.path(), "ca", "skiff-ca").unwrap();
    let request = Request {
        common_name: "system:node:10.96.0.1".into(),
        dns_names: vec!["10.96.0.1".into()],
        usages: vec![Usage::Server],
        ..Request::default()
    };
    let (csr, _) = pki::make_csr(&request).unwrap();
    let signed = ca.sign_csr(&csr, &request).unwrap();
    for cert in [signed, ca.issue(&request).unwrap().cert_pem] {
        let (_, pem) = x509_parser::pem::parse_x509_pem(cert.as_bytes()).unwrap();
        let cert = pem.parse_x509().unwrap();
        let names = cert.subject_alternative_name().unwrap().unwrap();
        assert_eq!(
            names.value.general_names,
            [GeneralName::DNSName("10.96.0.1")]
        );
    }
}

#[test]
fn key_that_is_not_the_certificates_is_replaced() {
    let dir = tempfile::tempdir().unwrap();
    let ca = Authority::load_or_create(dir.path(), "ca", "skiff-ca").unwrap();
    let request = of_groups(&["app1"]);
    let first = pki::load_or_issue(&ca, dir.path(), "x", &request).unwrap();
    // As when the machine stops before the certificate is written.
    let other = ca.issue(&request).unwrap();
    std::fs::write(dir.path().join("x.key"), &other.key_pem).unwrap();
    let anew = pki::load_or_issue(&ca, dir.path(), "x", &request).unwrap();
    assert_ne!(anew.cert_pem, first.cert_pem);
    pki::Identity::new(&anew).unwrap();
}

#[test]
fn request_whose_key_did_not_sign_it_is_refused() {
    let dir = tempfile::tempdir().unwrap();
    let ca = Authority::load_or_create(dir.path(), "ca", "skiff-ca").unwrap();
    let (_, block) = x509_parser::pem::parse_x509_pem(ONE_SET.as_bytes()).unwrap();
    let mut der = block.contents;
    let name = der.windows(5).position(|w| w == b"jbeda").unwrap();
    der[name] = b'J';
    let forged = format!(
        "-----BEGIN CERTIFICATE REQUEST-----\n{}\n-----END CERTIFICATE REQUEST-----\n",
        base64::engine::general_purpose::STANDARD.encode(&der)
    );
    let refused = ca.sign_csr(&forged, &of_groups(&["app1"]));
    assert!(matches!(refused, Err(pki::Error::Request { .. })));
}

#[test]
fn token_verifies_for_its_audience_only() {
    let dir = tempfile::tempdir().unwrap();
    let key = TokenKey::load_or_create(&dir.path().join("sa.key")).unwrap();
    let token = key.sign(&claims(now(), 600)).unwrap();
    assert_eq!(
        key.verify(&token, &["api".into()])
            .unwrap()
            .kubernetes
            .namespace,
        "default"
    );
    let refused = key.verify(&token, &["vault".into()]);
    assert!(matches!(refused, Err(pki::Error::Audience { .. })));
}

#[test]
fn token_that_ended_or_was_altered_is_refused() {
    let dir = tempfile::tempdir().unwrap();
    let key = TokenKey::load_or_create(&dir.path().join("sa.key")).unwrap();
    let ended = key.sign(&claims(now() - 1000, 600)).unwrap();
    assert!(matches!(
        key.verify(&ended, &["api".into()]),
        Err(pki::Error::Token { .. })
    ));
    let other = TokenKey::load_or_create(&dir.path().join("other.key")).unwrap();
    let foreign = other.sign(&claims(now(), 600)).unwrap();
    assert!(matches!(
        key.verify(&foreign, &["api".into()]),
        Err(pki::Error::Token { .. })
    ));
}

#[test]
fn join_token_reads_what_it_wrote_and_nothing_else() {
    let token = pki::join::JoinToken::generate(format!("sha256:{}", "ab".repeat(32)));
    assert_eq!(
        pki::join::JoinToken::parse(&token.to_text()).unwrap(),
        token
    );
    for bad in [
        "",
        "abc",
        "abcdef.0123456789abcdef",
        "ABCDEF.0123456789abcdef@sha256:00",
    ] {
        assert!(pki::join::JoinToken::parse(bad).is_err(), "{bad}");
    }
    assert!(!format!("{token:?}").contains(&token.secret));
}
