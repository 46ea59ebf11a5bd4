use store::Log;
use tempfile::TempDir;

use super::*;

const OLD: &str = "aesgcm: { keys: [{ name: old, secret: MDEyMzQ1Njc4OWFiY2RlZg== }] }";
const NEW: &str =
    "secretbox: { keys: [{ name: new, secret: MDEyMzQ1Njc4OWFiY2RlZjAxMjM0NTY3ODlhYmNkZWY= }] }";
const SECRET: &[u8] = b"/registry/secrets/g/s";
const POD: &[u8] = b"/registry/pods/g/p";

fn log(dir: &TempDir) -> Arc<Log> {
    Log::open(dir.path(), store::Options::default()).unwrap()
}

fn config(providers: &[&str]) -> Config {
    let list: String = providers.iter().map(|p| format!("  - {p}\n")).collect();
    Config::parse(&format!(
        "apiVersion: apiserver.config.k8s.io/v1\nkind: EncryptionConfiguration\nresources:\n- resources: [secrets]\n  providers:\n{list}"
    ))
    .unwrap()
}

fn layer(log: &Arc<Log>, providers: &[&str]) -> Layer {
    let resource = |plural: &str| Resource {
        group: String::new(),
        plural: plural.into(),
        prefix: plural.into(),
    };
    Layer::new(
        log.clone(),
        config(providers),
        &[resource("secrets"), resource("pods")],
    )
}

fn object(text: &'static str) -> Value {
    Value::with_revision_at(format!("{{\"v\":\"\",\"d\":\"{text}\"}}"), 6)
}

#[tokio::test]
async fn what_is_written_is_read_back_with_its_revision_and_is_not_in_the_files() {
    let dir = tempfile::tempdir().unwrap();
    let log = log(&dir);
    let store = layer(&log, &[OLD]);
    let put = store.put(SECRET, object("hunter2"), Expect::Absent).await;
    let put = put.unwrap();
    assert_eq!(put.value, "{\"v\":\"1\",\"d\":\"hunter2\"}");
    assert_eq!(store.get(SECRET).await.unwrap(), Some(put.clone()));
    let page = store.range(Range::prefix("/registry/secrets/")).await;
    assert_eq!(page.unwrap().entries, [put]);
    log.close().await;
    let files = std::fs::read_dir(dir.path()).unwrap();
    for file in files.map(|f| f.unwrap().path()).filter(|p| p.is_file()) {
        let bytes = std::fs::read(&file).unwrap();
        assert!(!bytes.windows(7).any(|part| part == b"hunter2"), "{file:?}");
    }
}

#[tokio::test]
async fn other_resources_pass_with_their_bytes_shared() {
    let dir = tempfile::tempdir().unwrap();
    let log = log(&dir);
    let store = layer(&log, &[OLD]);
    store
        .put(POD, Value::plain("{}"), Expect::Any)
        .await
        .unwrap();
    let below = log.get(POD).await.unwrap().unwrap();
    let above = store.get(POD).await.unwrap().unwrap();
    assert_eq!(below.value.as_ptr(), above.value.as_ptr());
    assert!(!store.is_stale(POD).await.unwrap());
}

#[tokio::test]
async fn a_rotated_key_is_read_until_all_is_written_again() {
    let dir = tempfile::tempdir().unwrap();
    let log = log(&dir);
    let first = layer(&log, &[OLD]);
    first.put(SECRET, object("a"), Expect::Any).await.unwrap();
    let both = layer(&log, &[NEW, OLD]);
    assert!(both.is_stale(SECRET).await.unwrap());
    let entry = both.get(SECRET).await.unwrap().unwrap();
    let expect = Expect::At(entry.modified);
    both.put(SECRET, object("a"), expect).await.unwrap();
    assert!(!both.is_stale(SECRET).await.unwrap());
    let last = layer(&log, &[NEW]);
    let read = last.get(SECRET).await.unwrap().unwrap();
    assert_eq!(read.value, "{\"v\":\"2\",\"d\":\"a\"}");
}

#[tokio::test]
async fn a_key_that_is_missing_is_an_error_that_names_object_and_key() {
    let dir = tempfile::tempdir().unwrap();
    let log = log(&dir);
    let first = layer(&log, &[OLD]);
    first.put(SECRET, object("a"), Expect::Any).await.unwrap();
    let other = layer(&log, &[NEW]);
    let error = other.get(SECRET).await.unwrap_err();
    assert_eq!(error.to_string(), "read /registry/secrets/g/s");
    let source = std::error::Error::source(&error).unwrap().to_string();
    assert!(source.contains("aesgcm:v1:old"), "{source}");
    assert!(other.delete(SECRET, Expect::Any).await.is_err());
    assert!(log.get(SECRET).await.unwrap().is_some());
    assert!(refuse_sealed(&*log, &["pods"]).await.is_ok());
    let refused = refuse_sealed(&*log, &["pods", "secrets"]).await;
    assert!(matches!(refused, Err(Error::NotConfigured { .. })));
}

#[tokio::test]
async fn a_watcher_sees_plain_values_old_and_new() {
    let dir = tempfile::tempdir().unwrap();
    let log = log(&dir);
    let store = layer(&log, &[OLD]);
    store.put(SECRET, object("a"), Expect::Any).await.unwrap();
    store.put(SECRET, object("b"), Expect::Any).await.unwrap();
    store.delete(SECRET, Expect::Any).await.unwrap();
    for _ in 0..2 {
        let mut watch = store.watch(b"/registry/", Revision(0)).await.unwrap();
        let mut seen = Vec::new();
        for _ in 0..3 {
            let Some(Ok(Signal::Change(change))) = watch.next().await else {
                panic!("a change was due");
            };
            seen.push(change);
        }
        assert!(
            matches!(&*seen[1], Change::Put { entry, previous: Some(old) }
            if entry.value == "{\"v\":\"2\",\"d\":\"b\"}" && old.value == "{\"v\":\"1\",\"d\":\"a\"}")
        );
        assert!(matches!(&*seen[2], Change::Delete { previous, .. }
            if previous.value == "{\"v\":\"2\",\"d\":\"b\"}"));
        watch.request_progress();
        assert!(matches!(
            watch.next().await,
            Some(Ok(Signal::Progress(Revision(3))))
        ));
    }
}

#[tokio::test]
async fn a_lost_race_shows_the_plain_value_that_won() {
    let dir = tempfile::tempdir().unwrap();
    let log = log(&dir);
    let store = layer(&log, &[OLD]);
    store.put(SECRET, object("a"), Expect::Any).await.unwrap();
    let lost = store.put(SECRET, object("b"), Expect::Absent).await;
    let Err(store::Error::Conflict {
        current: Some(entry),
    }) = lost
    else {
        panic!("a conflict was due");
    };
    assert_eq!(entry.value, "{\"v\":\"1\",\"d\":\"a\"}");
}

#[tokio::test]
async fn a_replaced_configuration_holds_for_what_is_written_and_watched_next() {
    let dir = tempfile::tempdir().unwrap();
    let log = log(&dir);
    let resource = |plural: &str| Resource {
        group: String::new(),
        plural: plural.into(),
        prefix: plural.into(),
    };
    let resources = [resource("secrets"), resource("pods")];
    let layer = Layer::replaceable(log.clone(), config(&["identity: {}"]), &resources);
    let mut watch = layer.watch(b"/registry/", Revision(0)).await.unwrap();
    let plain = layer
        .put(SECRET, object("one"), Expect::Absent)
        .await
        .unwrap();
    assert!(
        !log.get(SECRET)
            .await
            .unwrap()
            .unwrap()
            .value
            .starts_with(MARK)
    );

    layer.replace(config(&[NEW, "identity: {}"]));
    assert_eq!(layer.get(SECRET).await.unwrap(), Some(plain.clone()));
    assert!(layer.is_stale(SECRET).await.unwrap());
    let sealed = layer
        .put(SECRET, object("two"), Expect::At(plain.modified))
        .await
        .unwrap();
    assert!(
        log.get(SECRET)
            .await
            .unwrap()
            .unwrap()
            .value
            .starts_with(MARK)
    );
    for expected in [plain, sealed] {
        let Some(Ok(Signal::Change(change))) = watch.next().await else {
            panic!("no change");
        };
        let Change::Put { entry, .. } = &*change else {
            panic!("no put");
        };
        assert_eq!(entry.value, expected.value);
    }
}
