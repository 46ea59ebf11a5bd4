use super::*;

fn normal(input: &str) -> String {
    input.parse::<Reference>().unwrap().to_string()
}

fn problem(input: &str) -> String {
    input.parse::<Reference>().unwrap_err().to_string()
}

#[test]
fn short_names_become_full_ones_as_docker_does_it() {
    let hex = "a".repeat(64);
    for (short, full) in [
        ("busybox", "docker.io/library/busybox:latest".to_owned()),
        ("busybox:1", "docker.io/library/busybox:1".to_owned()),
        ("user/app", "docker.io/user/app:latest".to_owned()),
        (
            "docker.io/busybox",
            "docker.io/library/busybox:latest".to_owned(),
        ),
        (
            "index.docker.io/busybox",
            "docker.io/library/busybox:latest".to_owned(),
        ),
        ("localhost/app", "localhost/app:latest".to_owned()),
        ("localhost:5000/a/b:v1", "localhost:5000/a/b:v1".to_owned()),
        ("[::1]:5000/a", "[::1]:5000/a:latest".to_owned()),
        (
            "registry.k8s.io/pause:3.9",
            "registry.k8s.io/pause:3.9".to_owned(),
        ),
        (
            &format!("a@sha256:{hex}"),
            format!("docker.io/library/a@sha256:{hex}"),
        ),
        (
            &format!("a:1@sha256:{hex}"),
            format!("docker.io/library/a:1@sha256:{hex}"),
        ),
        (
            "a__b/c.d/e---f",
            "docker.io/a__b/c.d/e---f:latest".to_owned(),
        ),
    ] {
        assert_eq!(normal(short), full, "{short}");
    }
}

#[test]
fn malformed_names_are_refused_in_kubernetes_words() {
    for bad in [
        "",
        "a:",
        ":1",
        "a//b",
        "a b",
        "UPPER/bad:::",
        "a@sha256:12",
        "-a",
        "a-",
        "a..b",
        "a___b",
        "../etc",
    ] {
        assert_eq!(
            problem(bad),
            format!("couldn't parse image reference {bad:?}: invalid reference format")
        );
    }
}

#[test]
fn uppercase_names_are_told_apart() {
    let message = "couldn't parse image reference \"busyBox\": \
                   invalid reference format: repository name (library/busyBox) must be lowercase";
    assert_eq!(problem("busyBox"), message);
}

#[test]
fn overlong_names_and_bare_ids_are_refused() {
    assert!(problem(&"a".repeat(300)).ends_with("must not be longer than 255 characters"));
    assert!(problem(&"a".repeat(64)).ends_with("cannot specify 64-byte hexadecimal strings"));
    assert!("a:".to_owned().parse::<Reference>().is_err());
    assert!(
        format!("a:{}", "t".repeat(129))
            .parse::<Reference>()
            .is_err()
    );
}
