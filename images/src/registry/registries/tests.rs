use super::*;

const FILE: &str = r#"
mirrors:
  docker.io:
    endpoint:
    - https://registry.lan:5000
    - http://cache.lan/v2/hub/
  plain.lan:
    endpoint: [http://plain.lan]
  "*":
    endpoint: [https://any.lan]
configs:
  registry.lan:5000:
    auth: {username: skiff, password: 1234}
    tls: {ca_file: /etc/ca.pem}
  quay.io:
    auth: {auth: dXNlcjpwYXNz}
"#;

fn bases(registries: &Registries, image: &str) -> Vec<String> {
    let endpoints = registries.endpoints(&image.parse().unwrap(), None);
    endpoints
        .into_iter()
        .map(|endpoint| endpoint.base)
        .collect()
}

fn refused(text: &str) -> String {
    crate::error::chain(&Registries::parse(text).unwrap_err())
}

#[test]
fn mirrors_are_asked_in_order_and_the_registry_itself_last() {
    let registries = Registries::parse(FILE).unwrap();
    let wanted = [
        "https://registry.lan:5000/v2",
        "http://cache.lan/v2/hub",
        "https://registry-1.docker.io/v2",
    ];
    assert_eq!(bases(&registries, "nginx"), wanted);
    assert_eq!(
        bases(&registries, "ghcr.io/a/b"),
        ["https://any.lan/v2", "https://ghcr.io/v2"]
    );
    assert_eq!(bases(&registries, "plain.lan/a/b"), ["http://plain.lan/v2"]);
}

#[test]
fn credentials_go_to_the_host_they_are_for() {
    let registries = Registries::parse(FILE).unwrap();
    let brought = Credentials::Registry {
        token: "pod".to_owned(),
    };
    let endpoints = registries.endpoints(&"nginx".parse().unwrap(), Some(&brought));
    let ours = Credentials::Basic {
        username: "skiff".to_owned(),
        password: "1234".to_owned(),
    };
    let credentials: Vec<_> = endpoints
        .into_iter()
        .map(|endpoint| endpoint.credentials)
        .collect();
    assert_eq!(credentials, [Some(ours), None, Some(brought)]);
    let quay = registries.endpoints(&"quay.io/a/b".parse().unwrap(), None);
    let own = Credentials::Basic {
        username: "user".to_owned(),
        password: "pass".to_owned(),
    };
    assert_eq!(quay.last().unwrap().credentials, Some(own));
    assert_eq!(quay[0].credentials, None);
}

#[test]
fn authorities_are_of_one_host() {
    let registries = Registries::parse(FILE).unwrap();
    assert!(
        registries
            .tls("registry.lan:5000")
            .unwrap()
            .ca_file
            .is_some()
    );
    assert!(registries.tls("registry.lan").is_none());
}

#[test]
fn only_this_machine_is_spoken_to_without_tls_unless_the_file_says_so() {
    for plain in [
        "localhost",
        "localhost:5000",
        "127.0.0.1:5000",
        "127.3.2.1",
        "[::1]:5000",
    ] {
        assert!(is_this_machine(plain), "{plain}");
    }
    for secure in [
        "docker.io",
        "registry.lan",
        "localhost.evil.example",
        "128.0.0.1",
        "127.0.0.1.nip.io:80",
    ] {
        assert!(!is_this_machine(secure), "{secure}");
    }
}

#[test]
fn what_cannot_be_followed_is_refused_by_name() {
    assert!(refused("mirrors: {a: {rewrite: {x: y}}}").contains("unknown field `rewrite`"));
    assert!(
        refused("mirrors: {a: {endpoint: [registry.lan]}}")
            .contains("the endpoint \"registry.lan\" is no URL")
    );
    assert!(
        refused("mirrors: {a: {endpoint: ['https://u:p@b']}}").contains("is no URL of the form")
    );
    assert!(refused("configs: {a: {auth: {username: u}}}").contains("needs username and password"));
    assert!(
        refused("configs: {a: {tls: {insecure_skip_verify: true}}}").contains("always checked")
    );
    assert!(refused("configs: {a: {tls: {cert_file: /x}}}").contains("go together"));
    assert!(Registries::parse("").unwrap().mirrors.is_empty());
}

#[test]
fn passwords_are_shown_to_nobody() {
    let error = refused("configs: {a: {auth: {password: [hunter2]}}}");
    assert!(!error.contains("hunter2"), "{error}");
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("registries.yaml");
    std::fs::write(&path, FILE).unwrap();
    let mode =
        |mode| std::fs::set_permissions(&path, std::fs::Permissions::from_mode(mode)).unwrap();
    mode(0o644);
    let error = Registries::read(&path).unwrap_err().chain();
    assert!(error.contains("chmod 600"), "{error}");
    mode(0o600);
    let debug = format!("{:?}", Registries::read(&path).unwrap());
    assert!(!debug.contains("1234"), "{debug}");
}
