//! Pulls from Debian's docker-registry, and from a registry that misbehaves on purpose.

use std::{
    net::{SocketAddr, TcpListener, TcpStream},
    process::{Child, Command, Stdio},
    sync::{
        Arc, Mutex,
        atomic::{AtomicU64, Ordering},
    },
    time::{Duration, Instant},
};

use images::{Credentials, Digest, Kind, Progress, PullOptions, Reference};
use tokio::io::{AsyncReadExt, AsyncWriteExt};

use crate::fixture::{Store, Tar, gzip, have, run, store, umoci_layout};

/// A real registry; killed when dropped.
pub struct Registry {
    child: Child,
    pub address: SocketAddr,
    _dir: tempfile::TempDir,
}

impl Drop for Registry {
    fn drop(&mut self) {
        self.child.kill().unwrap();
        self.child.wait().unwrap();
    }
}

impl Registry {
    pub fn start(auth: &str) -> Option<Self> {
        if !have(&["docker-registry", "skopeo", "umoci"]) {
            return None;
        }
        let dir = tempfile::TempDir::new().unwrap();
        let address = TcpListener::bind("127.0.0.1:0")
            .unwrap()
            .local_addr()
            .unwrap();
        let config = dir.path().join("config.yml");
        let root = dir.path().join("data");
        // Nobody knows the password: what is tested is being turned away.
        let hash = "user:$2y$05$tXJRdCVJ0VCoF/EG5VAfdOlfIdBwBgpz9Uoek7IL3wYq7RkpDWSKq\n";
        std::fs::write(dir.path().join("htpasswd"), hash).unwrap();
        let auth = auth.replace("DIR", dir.path().to_str().unwrap());
        let text = format!(
            "version: 0.1\nlog: {{level: error}}\nstorage: {{filesystem: {{rootdirectory: {}}}}}\nhttp: {{addr: \"{address}\"}}\n{auth}",
            root.display()
        );
        std::fs::write(&config, text).unwrap();
        let mut command = Command::new("docker-registry");
        let child = command
            .arg("serve")
            .arg(&config)
            .stderr(Stdio::null())
            .stdout(Stdio::null())
            .spawn()
            .unwrap();
        let registry = Self {
            child,
            address,
            _dir: dir,
        };
        let deadline = Instant::now() + Duration::from_secs(20);
        while TcpStream::connect(address).is_err() {
            assert!(
                Instant::now() < deadline,
                "docker-registry does not listen on {address}"
            );
            std::thread::sleep(Duration::from_millis(20));
        }
        Some(registry)
    }

    pub fn name(&self, rest: &str) -> Reference {
        format!("{}/{rest}", self.address).parse().unwrap()
    }

    pub fn push(&self, store: &Store, rest: &str, more: &[&str]) {
        let layout = umoci_layout(store.dir.path(), "web");
        let (from, to) = (
            format!("oci:{}:web", layout.display()),
            format!("docker://{}/{rest}", self.address),
        );
        run(
            "skopeo",
            &[
                &["copy", "-q", "--dest-tls-verify=false"],
                more,
                &[&from, &to],
            ]
            .concat(),
        );
    }
}

#[tokio::test]
async fn image_pushed_by_skopeo_is_pulled_by_tag_and_by_digest() {
    let Some(registry) = Registry::start("") else {
        return;
    };
    for format in ["oci", "v2s2"] {
        let store = store();
        registry.push(&store, &format!("team/web:{format}"), &["--format", format]);
        let seen = Arc::new(Mutex::new(Vec::new()));
        let record = Arc::clone(&seen);
        let progress: images::PullOptions = PullOptions {
            progress: Some(Arc::new(move |progress: Progress| {
                record.lock().unwrap().push(progress)
            })),
            ..PullOptions::default()
        };
        let name = registry.name(&format!("team/web:{format}"));
        let image = store.images.pull_with(&name, progress).await.unwrap();
        assert_eq!(image.names, [name.to_string()]);
        assert_eq!((image.layers.len(), image.user()), (2, "1000:1000"));
        assert_eq!(
            std::fs::read_to_string(image.layers[0].join("etc/kept")).unwrap(),
            "kept"
        );
        let last = *seen.lock().unwrap().last().unwrap();
        assert_eq!(last.done, last.total);
        assert_eq!(image.repo_digests.len(), 1);
        assert_eq!(image.reported_id(), image.repo_digests[0]);
        let by_digest: Reference = image.repo_digests[0].parse().unwrap();
        assert_eq!(
            store.images.find(&by_digest).await.unwrap().unwrap().id,
            image.id
        );
        assert_eq!(
            store.images.pull(&by_digest, None).await.unwrap().id,
            image.id
        );
        assert_eq!(
            (store.count("staging"), store.count("blobs")),
            (0, 2),
            "layer blobs are not kept"
        );
    }
}

#[tokio::test]
async fn pulls_of_one_image_at_a_time_share_the_work() {
    let Some(registry) = Registry::start("") else {
        return;
    };
    let store = store();
    registry.push(&store, "web:1", &[]);
    let name = registry.name("web:1");
    let bytes = Arc::new(AtomicU64::new(0));
    let pull = || {
        let bytes = Arc::clone(&bytes);
        let progress = move |progress: Progress| {
            bytes.fetch_max(progress.done, Ordering::Relaxed);
        };
        let options = PullOptions {
            progress: Some(Arc::new(progress)),
            ..PullOptions::default()
        };
        store.images.pull_with(&name, options)
    };
    let (a, b, c) = tokio::join!(pull(), pull(), pull());
    let (a, b, c) = (a.unwrap(), b.unwrap(), c.unwrap());
    assert!(a.id == b.id && b.id == c.id);
    assert_eq!((store.count("layers"), store.count("staging")), (2, 0));
}

#[tokio::test]
async fn missing_image_and_missing_registry_are_told_in_containerds_words() {
    let store = store();
    let name: Reference = "127.0.0.1:9/x:1".parse().unwrap();
    let error = store.images.pull(&name, None).await.unwrap_err();
    assert_eq!(
        error.chain(),
        "failed to pull and unpack image \"127.0.0.1:9/x:1\": failed to resolve reference \"127.0.0.1:9/x:1\": \
         failed to do request: Head \"http://127.0.0.1:9/v2/x/manifests/1\": dial tcp 127.0.0.1:9: connect: connection refused"
    );
    assert_eq!(error.kind(), Kind::Unreachable);
    let Some(registry) = Registry::start("") else {
        return;
    };
    let name = registry.name("none:1");
    let error = store.images.pull(&name, None).await.unwrap_err();
    assert_eq!(error.kind(), Kind::NotFound);
    let expected = format!(
        "failed to pull and unpack image \"{name}\": failed to resolve reference \"{name}\": {name}: not found"
    );
    assert_eq!(error.chain(), expected);
}

#[tokio::test]
async fn registry_with_passwords_wants_the_right_one() {
    let Some(registry) = Registry::start("auth: {htpasswd: {realm: test, path: DIR/htpasswd}}\n")
    else {
        return;
    };
    let store = store();
    let name = registry.name("web:1");
    let error = store.images.pull(&name, None).await.unwrap_err();
    assert_eq!(error.kind(), Kind::Unauthorized, "{}", error.chain());
    assert!(
        error
            .chain()
            .contains("pull access denied, repository does not exist or may require authorization")
    );
    let wrong = Credentials::Basic {
        username: "user".to_owned(),
        password: "wrong".to_owned(),
    };
    assert_eq!(
        store
            .images
            .pull(&name, Some(&wrong))
            .await
            .unwrap_err()
            .kind(),
        Kind::Unauthorized
    );
}

/// One image, served with the faults a test asks for.
struct Fake {
    address: SocketAddr,
    requests: Arc<Mutex<Vec<String>>>,
}

#[derive(Clone, Copy, PartialEq)]
enum Fault {
    None,
    /// The connection breaks in the middle of the layer, the first time.
    Breaks,
    /// The same, and the registry knows no ranges.
    BreaksWithoutRanges,
    LyingLayer,
    LyingManifest,
    WantsToken,
    WantsPassword,
}

struct Content {
    manifest: String,
    config: String,
    layer: Vec<u8>,
}

fn content() -> Content {
    let noise: Vec<u8> = (0..300_000_u32)
        .map(|n| n.wrapping_mul(2_654_435_761).to_le_bytes()[3])
        .collect();
    let plain = Tar::new().file("noise", &noise).bytes();
    let layer = gzip(&plain);
    let config = serde_json::json!({"architecture": "amd64", "os": "linux",
        "rootfs": {"type": "layers", "diff_ids": [Digest::of(&plain)]}})
    .to_string();
    let manifest = serde_json::json!({"schemaVersion": 2,
        "config": {"digest": Digest::of(config.as_bytes()), "size": config.len()},
        "layers": [{"digest": Digest::of(&layer), "size": layer.len()}]})
    .to_string();
    Content {
        manifest,
        config,
        layer,
    }
}

impl Fake {
    async fn start(fault: Fault) -> Self {
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
        let fake = Self {
            address: listener.local_addr().unwrap(),
            requests: Arc::default(),
        };
        let (content, requests, address) = (content(), Arc::clone(&fake.requests), fake.address);
        tokio::spawn(async move {
            loop {
                let (mut stream, _) = listener.accept().await.unwrap();
                let mut head = Vec::new();
                while !head.ends_with(b"\r\n\r\n") {
                    let Ok(byte) = stream.read_u8().await else {
                        break;
                    };
                    head.push(byte);
                }
                let head = String::from_utf8(head).unwrap();
                let answer = answer(fault, &content, &head, &requests, address);
                requests.lock().unwrap().push(head);
                let _ = stream.write_all(&answer).await;
            }
        });
        fake
    }

    fn name(&self) -> Reference {
        format!("{}/web:1", self.address).parse().unwrap()
    }

    fn count(&self, what: &str) -> usize {
        self.requests
            .lock()
            .unwrap()
            .iter()
            .filter(|request| request.contains(what))
            .count()
    }
}

fn reply(status: &str, headers: &str, body: &[u8], length: usize) -> Vec<u8> {
    let head = format!(
        "HTTP/1.1 {status}\r\nConnection: close\r\nContent-Length: {length}\r\n{headers}\r\n"
    );
    [head.as_bytes(), body].concat()
}

fn answer(
    fault: Fault,
    content: &Content,
    head: &str,
    earlier: &Mutex<Vec<String>>,
    address: SocketAddr,
) -> Vec<u8> {
    let ok = |body: &[u8]| reply("200 OK", "", body, body.len());
    let path = head.split(' ').nth(1).unwrap();
    if path.starts_with("/token?") {
        assert!(path.contains("scope=repository:web:pull"), "{path}");
        return ok(br#"{"token":"let-me-in"}"#);
    }
    if fault == Fault::WantsToken && !head.contains("Bearer let-me-in") {
        let challenge =
            format!("WWW-Authenticate: Bearer realm=\"http://{address}/token\",service=\"s\"\r\n");
        return reply("401 Unauthorized", &challenge, b"", 0);
    }
    // "user:secret"
    if fault == Fault::WantsPassword && !head.contains("authorization: Basic dXNlcjpzZWNyZXQ=") {
        return reply(
            "401 Unauthorized",
            "WWW-Authenticate: Basic realm=\"x\"\r\n",
            b"",
            0,
        );
    }
    if path.contains("/manifests/") {
        let mut manifest = content.manifest.clone();
        if fault == Fault::LyingManifest && head.starts_with("GET") {
            manifest.push(' ');
        }
        let digest = format!(
            "Docker-Content-Digest: {}\r\n",
            Digest::of(content.manifest.as_bytes())
        );
        let body = if head.starts_with("HEAD") {
            ""
        } else {
            &manifest
        };
        return reply("200 OK", &digest, body.as_bytes(), manifest.len());
    }
    if !path.ends_with(Digest::of(&content.layer).as_str()) {
        return ok(content.config.as_bytes());
    }
    let layer = &content.layer;
    let is_first = !earlier
        .lock()
        .unwrap()
        .iter()
        .any(|request| request.contains(path));
    match fault {
        Fault::LyingLayer => ok(&layer.iter().rev().copied().collect::<Vec<_>>()),
        Fault::Breaks | Fault::BreaksWithoutRanges if is_first => {
            reply("200 OK", "", &layer[..10_000], layer.len())
        }
        Fault::Breaks => {
            assert!(head.contains("range: bytes=10000-"), "{head}");
            reply(
                "206 Partial Content",
                "",
                &layer[10_000..],
                layer.len() - 10_000,
            )
        }
        _ => ok(layer),
    }
}

#[tokio::test]
async fn broken_download_goes_on_where_it_broke() {
    for fault in [Fault::Breaks, Fault::BreaksWithoutRanges] {
        let (fake, store) = (Fake::start(fault).await, store());
        let image = store.images.pull(&fake.name(), None).await.unwrap();
        assert!(image.layers[0].join("noise").exists());
        assert_eq!(fake.count(Digest::of(&content().layer).as_str()), 2);
    }
}

#[tokio::test]
async fn content_that_is_not_what_was_promised_is_refused_and_leaves_nothing() {
    for fault in [Fault::LyingLayer, Fault::LyingManifest] {
        let (fake, store) = (Fake::start(fault).await, store());
        let error = store.images.pull(&fake.name(), None).await.unwrap_err();
        assert_eq!(error.kind(), Kind::Invalid);
        assert!(error.chain().contains("was promised"), "{}", error.chain());
        assert_eq!((store.count("layers"), store.count("staging")), (0, 0));
        assert!(store.images.list().await.unwrap().is_empty());
    }
}

#[tokio::test]
async fn token_is_fetched_once_for_all_requests_of_a_pull() {
    let (fake, store) = (Fake::start(Fault::WantsToken).await, store());
    store.images.pull(&fake.name(), None).await.unwrap();
    assert_eq!(fake.count("GET /token?"), 1);
}

#[tokio::test]
async fn image_that_is_here_already_costs_one_request() {
    let (fake, store) = (Fake::start(Fault::None).await, store());
    let first = store.images.pull(&fake.name(), None).await.unwrap();
    let before = fake.count("HTTP/1.1");
    let second = store.images.pull(&fake.name(), None).await.unwrap();
    assert_eq!(
        (fake.count("HTTP/1.1"), first.id == second.id),
        (before + 1, true)
    );
}

#[tokio::test]
async fn password_is_shown_to_a_registry_that_asks() {
    let (fake, store) = (Fake::start(Fault::WantsPassword).await, store());
    let credentials = Credentials::Basic {
        username: "user".to_owned(),
        password: "secret".to_owned(),
    };
    store
        .images
        .pull(&fake.name(), Some(&credentials))
        .await
        .unwrap();
    assert_eq!(
        store
            .images
            .pull(&fake.name(), None)
            .await
            .unwrap_err()
            .kind(),
        Kind::Unauthorized
    );
}
