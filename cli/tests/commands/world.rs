//! An API server of the test's own, and `skiff` called with its kubeconfig.

use std::net::Ipv4Addr;
use std::path::PathBuf;
use std::process::{Command, Stdio};
use std::sync::Arc;

use apiserver::{KeyPair, Server};
use pki::{Authority, Request, TokenKey, Usage, kubeconfig};
use tempfile::TempDir;

/// Ended with the test; the server runs on a runtime of its own.
pub struct World {
    pub dir: TempDir,
    _server: Server,
    _runtime: tokio::runtime::Runtime,
}

/// What a command came to.
#[derive(Debug)]
pub struct Ran {
    pub out: String,
    pub err: String,
    pub code: Option<i32>,
}

impl World {
    pub fn new() -> Self {
        let dir = tempfile::tempdir().unwrap();
        let runtime = tokio::runtime::Builder::new_multi_thread()
            .worker_threads(1)
            .enable_all()
            .build()
            .unwrap();
        let authority = Authority::load_or_create(dir.path(), "ca", "test-ca").unwrap();
        let serving = authority
            .issue(&Request {
                common_name: "kube-apiserver".into(),
                addresses: vec![Ipv4Addr::LOCALHOST.into()],
                usages: vec![Usage::Server],
                ..Request::default()
            })
            .unwrap();
        let admin = authority
            .issue(&Request {
                common_name: "admin".into(),
                organizations: vec!["system:masters".into()],
                usages: vec![Usage::Client],
                ..Request::default()
            })
            .unwrap();
        let store = store::Log::open(dir.path().join("store"), store::Options::default()).unwrap();
        let config = apiserver::Config {
            listen: (Ipv4Addr::LOCALHOST, 0).into(),
            serving: KeyPair {
                cert_pem: serving.cert_pem,
                key_pem: serving.key_pem,
            },
            client_ca_pem: authority.cert_pem().to_owned(),
            kubelet: None,
            token_key: Arc::new(TokenKey::load_or_create(&dir.path().join("key")).unwrap()),
            issuer: apiserver::Config::ISSUER.into(),
            store,
            service_range: "10.96.0.0/12".parse().unwrap(),
            node_ports: apiserver::Config::NODE_PORTS,
            tokens: Vec::new(),
            advertise: None,
            access: apiserver::Access::default(),
        };
        let server = runtime.block_on(Server::start(config)).unwrap();
        let url = format!("https://{}", server.addr());
        let path = dir.path().join("admin.kubeconfig");
        kubeconfig::write(&path, "test", &url, authority.cert_pem(), "admin", &admin).unwrap();
        Self {
            dir,
            _server: server,
            _runtime: runtime,
        }
    }

    /// Runs `skiff` with these words.
    pub fn run(&self, words: &[&str]) -> Ran {
        let kubeconfig = self.dir.path().join("admin.kubeconfig");
        skiff(words, &kubeconfig.display().to_string())
    }

    /// What it prints where it must not fail.
    pub fn out(&self, words: &[&str]) -> String {
        let ran = self.run(words);
        assert_eq!(ran.code, Some(0), "skiff {words:?}: {ran:?}");
        ran.out
    }

    pub fn file(&self, name: &str, text: &str) -> String {
        let path: PathBuf = self.dir.path().join(name);
        std::fs::write(&path, text).unwrap();
        path.display().to_string()
    }
}

pub fn skiff(words: &[&str], kubeconfig: &str) -> Ran {
    let ran = Command::new(env!("CARGO_BIN_EXE_skiff"))
        .args(words)
        .env("KUBECONFIG", kubeconfig)
        .env("SKIFF_DATA_DIR", "/nonexistent")
        .stdin(Stdio::null())
        .output()
        .unwrap();
    Ran {
        out: String::from_utf8(ran.stdout).unwrap(),
        err: String::from_utf8(ran.stderr).unwrap(),
        code: ran.status.code(),
    }
}
