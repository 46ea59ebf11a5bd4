use std::path::{Path, PathBuf};

use apiserver::{Access, Error};
use http::Method;
use serde_json::{Value, json};
use store::Store as _;
use tempfile::TempDir;

use crate::cluster::Cluster;

const OLD: &str =
    "aescbc: { keys: [{ name: old, secret: MDEyMzQ1Njc4OWFiY2RlZjAxMjM0NTY3ODlhYmNkZWY= }] }";
const NEW: &str =
    "secretbox: { keys: [{ name: new, secret: ZmVkY2JhOTg3NjU0MzIxMGZlZGNiYTk4NzY1NDMyMTA= }] }";
const SECRETS: &str = "/api/v1/namespaces/default/secrets";
/// `hunter2`.
const PASSWORD: &str = "aHVudGVyMg==";

fn config(dir: &Path, providers: &[&str]) -> Access {
    let list: String = providers.iter().map(|p| format!("  - {p}\n")).collect();
    let path: PathBuf = dir.join("encryption.yaml");
    let text = format!(
        "apiVersion: apiserver.config.k8s.io/v1\nkind: EncryptionConfiguration\nresources:\n- resources: [secrets]\n  providers:\n{list}"
    );
    std::fs::write(&path, text).unwrap();
    Access {
        encryption: Some(path),
        ..Access::default()
    }
}

async fn start(dir: TempDir, providers: &[&str]) -> Cluster {
    let access = config(dir.path(), providers);
    Cluster::start_with(dir, 0, access).await.unwrap()
}

async fn make_secret(cluster: &Cluster) -> Value {
    let secret = json!({ "apiVersion": "v1", "kind": "Secret", "metadata": { "name": "s" },
        "data": { "password": PASSWORD } });
    cluster.ask(Method::POST, SECRETS, &secret).await
}

/// Whether any file below `dir` holds the bytes.
fn is_in_files(dir: &Path, needle: &[u8]) -> bool {
    std::fs::read_dir(dir).unwrap().any(|entry| {
        let path = entry.unwrap().path();
        if path.is_dir() {
            return is_in_files(&path, needle);
        }
        let bytes = std::fs::read(&path).unwrap();
        bytes.windows(needle.len()).any(|part| part == needle)
    })
}

#[tokio::test]
async fn secrets_are_read_as_written_and_are_in_no_file() {
    let cluster = start(tempfile::tempdir().unwrap(), &[OLD]).await;
    let made = make_secret(&cluster).await;
    assert_eq!(made["data"]["password"], PASSWORD);
    let one = format!("{SECRETS}/s");
    assert_eq!(cluster.get(&one).await, made);
    let list = cluster.get("/api/v1/secrets").await;
    assert_eq!(list["items"][0]["data"]["password"], PASSWORD);
    let map = json!({ "apiVersion": "v1", "kind": "ConfigMap", "metadata": { "name": "m" },
        "data": { "plain": "config-in-the-clear" } });
    let maps = "/api/v1/namespaces/default/configmaps";
    cluster.ask(Method::POST, maps, &map).await;
    let dir = cluster.stop().await;
    assert!(!is_in_files(dir.path(), PASSWORD.as_bytes()));
    assert!(is_in_files(dir.path(), b"config-in-the-clear"));
}

#[tokio::test]
async fn a_key_is_rotated_by_replacing_every_secret_with_itself() {
    let cluster = start(tempfile::tempdir().unwrap(), &[OLD]).await;
    let made = make_secret(&cluster).await;
    let dir = cluster.stop().await;
    let cluster = start(dir, &[NEW, OLD]).await;
    let one = format!("{SECRETS}/s");
    let read = cluster.get(&one).await;
    assert_eq!(read, made);
    let written = cluster.ask(Method::PUT, &one, &read).await;
    assert_ne!(
        written["metadata"]["resourceVersion"],
        read["metadata"]["resourceVersion"]
    );
    let again = cluster.ask(Method::PUT, &one, &written).await;
    assert_eq!(
        again, written,
        "what the first key wrote is not written again"
    );
    let dir = cluster.stop().await;
    let cluster = start(dir, &[NEW]).await;
    assert_eq!(cluster.get(&one).await["data"]["password"], PASSWORD);
    cluster.stop().await;
}

#[tokio::test]
async fn without_the_key_reads_fail_and_say_which_it_was() {
    let cluster = start(tempfile::tempdir().unwrap(), &[OLD]).await;
    make_secret(&cluster).await;
    let dir = cluster.stop().await;
    let cluster = start(dir, &[NEW]).await;
    for path in [format!("{SECRETS}/s"), "/api/v1/secrets".to_owned()] {
        let failed = cluster.get(&path).await;
        assert_eq!(failed["code"], 500, "{path}: {failed}");
        let message = failed["message"].as_str().unwrap();
        assert!(message.contains("/registry/secrets/default/s"), "{message}");
        assert!(message.contains("aescbc:v1:old"), "{message}");
    }
    let dir = cluster.stop().await;
    let refused = Cluster::start_in(dir, 0).await.err().unwrap();
    assert!(matches!(refused, Error::Encryption { .. }), "{refused}");
}

#[tokio::test]
async fn secrets_of_before_are_read_where_identity_is_a_provider() {
    let cluster = Cluster::start().await;
    let made = make_secret(&cluster).await;
    let dir = cluster.stop().await;
    let cluster = start(dir, &[NEW, "identity: {}"]).await;
    assert_eq!(cluster.get(&format!("{SECRETS}/s")).await, made);
    cluster.stop().await;
}

#[tokio::test]
async fn a_server_works_on_a_store_in_which_everything_is_sealed() {
    let dir = tempfile::tempdir().unwrap();
    let access = || {
        let access = config(dir.path(), &[NEW]);
        let path = access.encryption.as_ref().unwrap();
        let text = std::fs::read_to_string(path).unwrap();
        std::fs::write(path, text.replace("[secrets]", "['*.*']")).unwrap();
        access
    };
    let cluster = Cluster::start_with(tempfile::tempdir().unwrap(), 0, access())
        .await
        .unwrap();
    cluster.namespace("sealed-namespace").await;
    let map = json!({ "apiVersion": "v1", "kind": "ConfigMap", "metadata": { "name": "m" } });
    let maps = "/api/v1/namespaces/sealed-namespace/configmaps";
    assert_eq!(
        cluster.ask(Method::POST, maps, &map).await["kind"],
        "ConfigMap"
    );
    let kept = cluster.stop().await;
    assert!(
        !is_in_files(kept.path(), b"rbac-defaults"),
        "a role is in the clear"
    );
    let cluster = Cluster::start_with(kept, 0, access()).await.unwrap();
    let list = cluster.get(maps).await;
    assert_eq!(list["items"].as_array().unwrap().len(), 1);
    cluster.stop().await;
}

#[tokio::test]
async fn a_configuration_that_is_replaced_holds_without_a_restart() {
    let dir = tempfile::tempdir().unwrap();
    let access = Access {
        reloads_encryption: true,
        ..config(dir.path(), &["identity: {}"])
    };
    let cluster = Cluster::start_with(dir, 0, access).await.unwrap();
    let made = make_secret(&cluster).await;
    let key = b"/registry/secrets/default/s";
    let is_plain = async || {
        let stored = cluster.store.get(key).await.unwrap().unwrap();
        stored.value.starts_with(b"{")
    };
    assert!(is_plain().await);
    config(cluster.dir.path(), &[NEW, "identity: {}"]);
    let one = format!("{SECRETS}/s");
    let change = |n: u32| json!({ "metadata": { "labels": { "n": n.to_string() } } });
    for n in 0..200 {
        let changed = cluster.ask(Method::PATCH, &one, &change(n)).await;
        assert_eq!(changed["data"], made["data"], "{changed}");
        if !is_plain().await {
            return;
        }
        tokio::time::sleep(std::time::Duration::from_millis(50)).await;
    }
    panic!("the new configuration never held");
}
