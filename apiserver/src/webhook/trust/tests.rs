use std::time::Duration;

use rcgen::{BasicConstraints, CertificateParams, IsCa, KeyPair};

use super::*;

/// A certificate that is its own authority, as `openssl req -x509` makes them.
fn self_signed(name: &str) -> (CertificateDer<'static>, String) {
    let mut params = CertificateParams::new([name.to_owned()]).unwrap();
    params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
    let certificate = params.self_signed(&KeyPair::generate().unwrap()).unwrap();
    (certificate.der().clone(), certificate.pem())
}

fn verify(pinned: &str, shown: &CertificateDer<'_>, name: &str) -> Result<(), rustls::Error> {
    let verifier = verifier(&Roots::Pinned(pinned.to_owned())).unwrap();
    let name = ServerName::try_from(name.to_owned()).unwrap();
    let now = UnixTime::since_unix_epoch(Duration::from_secs(1_800_000_000));
    let verified = verifier.verify_server_cert(shown, &[], &name, &[], now);
    verified.map(drop)
}

#[test]
fn a_pinned_certificate_that_is_its_own_authority_is_good_for_its_name_only() {
    let (shown, pem) = self_signed("hook.g.svc");
    assert_eq!(verify(&pem, &shown, "hook.g.svc"), Ok(()));
    assert!(verify(&pem, &shown, "other.g.svc").is_err());
}

#[test]
fn another_certificate_of_the_same_name_is_not_good() {
    let (_, pinned) = self_signed("hook.g.svc");
    let (shown, _) = self_signed("hook.g.svc");
    assert!(verify(&pinned, &shown, "hook.g.svc").is_err());
}

#[test]
fn a_pinned_certificate_that_is_over_is_not_good() {
    let mut params = CertificateParams::new(["hook.g.svc".to_owned()]).unwrap();
    params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
    params.not_after = rcgen::date_time_ymd(2001, 1, 1);
    let certificate = params.self_signed(&KeyPair::generate().unwrap()).unwrap();
    let verified = verify(&certificate.pem(), certificate.der(), "hook.g.svc");
    assert!(verified.is_err());
}

#[test]
fn a_bundle_without_a_certificate_is_told() {
    let error = config(&Roots::Pinned("nothing".into()), None).unwrap_err();
    assert_eq!(
        error.to_string(),
        "unable to load root certificates: unable to parse bytes as PEM block"
    );
}
