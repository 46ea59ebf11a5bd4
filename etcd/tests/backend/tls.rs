//! etcd behind TLS, which takes clients with a certificate only.

use std::net::Ipv4Addr;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use store::{Error, Expect, Store, Value};
use store_etcd::{Config, Etcd, Tls};
use tempfile::TempDir;

use crate::member::{self, Cluster};

/// Certificates of one authority, in files.
struct Files {
    dir: TempDir,
}

impl Files {
    fn new() -> Self {
        let dir = tempfile::tempdir().unwrap();
        let authority = pki::Authority::load_or_create(dir.path(), "ca", "etcd-ca").unwrap();
        for (name, usage) in [("etcd", pki::Usage::Server), ("skiff", pki::Usage::Client)] {
            let request = pki::Request {
                common_name: name.into(),
                addresses: vec![Ipv4Addr::LOCALHOST.into()],
                usages: vec![usage],
                ..pki::Request::default()
            };
            pki::load_or_issue(&authority, dir.path(), name, &request).unwrap();
        }
        Self { dir }
    }

    fn path(&self, name: &str) -> PathBuf {
        self.dir.path().join(name)
    }

    fn flags(&self) -> Vec<String> {
        let flag = |name: &str, file: &str| format!("--{name}={}", self.path(file).display());
        vec![
            flag("cert-file", "etcd.crt"),
            flag("key-file", "etcd.key"),
            flag("trusted-ca-file", "ca.crt"),
            "--client-cert-auth=true".to_owned(),
        ]
    }
}

async fn connect(cluster: &Cluster, tls: Tls) -> Result<Arc<Etcd>, Error> {
    let config = Config {
        tls,
        request_timeout: Duration::from_secs(2),
        ..Config::new(cluster.urls())
    };
    Etcd::connect(&config).await
}

fn identity(files: &Files) -> Option<(PathBuf, PathBuf)> {
    Some((files.path("skiff.crt"), files.path("skiff.key")))
}

#[tokio::test(flavor = "multi_thread")]
async fn etcd_is_used_with_a_certificate_and_not_trusted_without_its_authority() {
    if !member::is_there() {
        return;
    }
    let files = Files::new();
    let cluster = Cluster::start_with(1, &files.flags());
    let good = || Tls {
        ca: Some(files.path("ca.crt")),
        identity: identity(&files),
    };
    let mut store = connect(&cluster, good()).await;
    for _ in 0..10 {
        if store.is_ok() {
            break;
        }
        store = connect(&cluster, good()).await;
    }
    let store = store.unwrap();
    let mut watch = store.watch(b"/", store.revision()).await.unwrap();
    let put = store.put(b"/k", Value::plain("v"), Expect::Absent).await;
    put.unwrap();
    assert!(watch.next().await.unwrap().is_ok());

    let nobody = Tls {
        identity: None,
        ..good()
    };
    let error = connect(&cluster, nobody).await.unwrap_err();
    assert!(matches!(error, Error::Unreachable { .. }), "{error}");
    // Another authority than that of etcd's certificate.
    let other = Files::new();
    let stranger = Tls {
        ca: Some(other.path("ca.crt")),
        identity: identity(&files),
    };
    let error = connect(&cluster, stranger).await.unwrap_err();
    assert!(matches!(error, Error::Unreachable { .. }), "{error}");
}
