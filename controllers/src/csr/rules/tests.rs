use super::*;

fn spec(username: &str, groups: &[&str], usages: &[&str]) -> CertificateSigningRequestSpec {
    let owned = |list: &[&str]| Some(list.iter().map(|s| (*s).to_owned()).collect());
    CertificateSigningRequestSpec {
        username: Some(username.into()),
        groups: owned(groups),
        usages: owned(usages),
        ..CertificateSigningRequestSpec::default()
    }
}

fn node(name: &str) -> Asked {
    Asked {
        common_name: format!("system:node:{name}"),
        organizations: vec![NODES.into()],
        ..Asked::default()
    }
}

fn serving(name: &str, dns: &str) -> Asked {
    Asked {
        dns_names: vec![dns.into()],
        addresses: vec!["192.0.2.1".parse().unwrap()],
        ..node(name)
    }
}

const CLIENT: [&str; 2] = ["digital signature", "client auth"];
const SERVER: [&str; 2] = ["digital signature", "server auth"];

#[test]
fn whoever_may_make_nodes_gets_the_client_certificate_of_one() {
    let spec = spec(
        "system:bootstrap:abcdef",
        &["system:bootstrappers"],
        &CLIENT,
    );
    let signer = Signer::NodeClient;
    assert_eq!(signer.check(&spec, &node("n1")), Ok(()));
    assert!(!signer.is_trusted(&spec, &node("n1"), |_| false));
    assert_eq!(signer.permissions(&spec, &node("n1")), ["nodeclient"]);
}

#[test]
fn node_renews_its_own_certificate_and_no_other() {
    let spec = spec("system:node:n1", &[NODES], &CLIENT);
    let permissions = |name| Signer::NodeClient.permissions(&spec, &node(name));
    assert_eq!(permissions("n1"), ["selfnodeclient", "nodeclient"]);
    assert_eq!(permissions("n2"), ["nodeclient"]);
}

#[test]
fn somebody_else_gets_nothing_unapproved() {
    let spec = spec("jane", &["system:authenticated"], &CLIENT);
    assert!(!Signer::NodeClient.is_trusted(&spec, &node("n1"), |_| false));
    assert!(!Signer::Client.is_trusted(&spec, &Asked::default(), |_| false));
}

#[test]
fn node_certificate_is_of_the_nodes_group_alone() {
    let spec = spec(
        "system:bootstrap:abcdef",
        &["system:bootstrappers"],
        &CLIENT,
    );
    let mut asked = node("n1");
    asked.organizations.push(MASTERS.into());
    assert_eq!(
        Signer::NodeClient.check(&spec, &asked),
        Err(Refusal::Organization)
    );
    for name in ["", "*.example.com", "N1", "a/b"] {
        let refused = Signer::NodeClient.check(&spec, &node(name));
        assert_eq!(refused, Err(Refusal::CommonName), "{name}");
    }
    asked = serving("n1", "n1");
    assert_eq!(Signer::NodeClient.check(&spec, &asked), Err(Refusal::Names));
}

#[test]
fn client_signer_grants_no_server_and_no_masters() {
    let wrong = spec("jane", &[], &["client auth", "server auth"]);
    let asked = Asked::default();
    assert!(matches!(
        Signer::Client.check(&wrong, &asked),
        Err(Refusal::Usages(_))
    ));
    let right = spec("jane", &[], &["client auth"]);
    assert_eq!(Signer::Client.check(&right, &asked), Ok(()));
    let master = Asked {
        organizations: vec![MASTERS.into()],
        ..Asked::default()
    };
    assert_eq!(Signer::Client.check(&right, &master), Err(Refusal::Masters));
}

#[test]
fn serving_certificate_is_for_the_node_itself_under_its_own_names() {
    let spec = spec("system:node:n1", &[NODES], &SERVER);
    let signer = Signer::NodeServing;
    assert_eq!(signer.check(&spec, &serving("n1", "n1")), Ok(()));
    assert!(signer.is_trusted(&spec, &serving("n1", "n1"), |_| false));
    assert!(!signer.is_trusted(&spec, &serving("n1", "kubernetes.default.svc"), |_| false));
    assert!(!signer.is_trusted(&spec, &serving("n1", "n1"), |_| true));
    assert!(!signer.is_trusted(&spec, &serving("n2", "n2"), |_| false));
    assert!(!signer.is_trusted(&spec, &serving("n1", "localhost"), |_| false));
    let mut loopback = serving("n1", "n1");
    loopback.addresses.push("127.0.0.1".parse().unwrap());
    assert!(!signer.is_trusted(&spec, &loopback, |_| false));
    assert_eq!(
        signer.check(&spec, &node("n1")),
        Err(Refusal::NoServingNames)
    );
}

#[test]
fn node_that_is_called_as_the_api_server_gets_no_serving_certificate() {
    let names = [
        "kubernetes",
        "localhost",
        "kubernetes.default.svc",
        "web.shop.svc.cluster.local",
    ];
    for name in names {
        let spec = spec(&format!("system:node:{name}"), &[NODES], &SERVER);
        let asked = serving(name, name);
        let is_trusted = Signer::NodeServing.is_trusted(&spec, &asked, |_| false);
        assert!(!is_trusted, "{name}");
    }
}

#[test]
fn certificate_is_for_what_was_asked() {
    let spec = spec("jane", &[], &["digital signature", "client auth"]);
    let grant = Signer::grant(&spec, &node("n1"), Duration::from_secs(600));
    let usages = [pki::Usage::DigitalSignature, pki::Usage::Client];
    assert_eq!(grant.usages, usages);
}
