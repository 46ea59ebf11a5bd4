//! What is on the disk, to the byte, and what happens if it is something else.

use std::{
    fs,
    os::unix::fs::PermissionsExt,
    path::{Path, PathBuf},
    sync::Arc,
    time::Duration,
};

use store::{Error, Expect, Log, Options, Range, Revision, Store, Value};

use super::fake_disk::FakeDisk;

const FIRST: &str = "log-00000000000000000001";
const SNAPSHOT: &str = "snapshot-00000000000000000005";
const SECOND: &str = "log-00000000000000000006";

fn fixtures() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/fixtures/v1")
}

fn open(dir: &Path) -> Result<Arc<Log>, Error> {
    Log::open(dir, Options::default())
}

/// The first life that the fixtures tell of: one segment.
async fn write_first(dir: &Path) {
    let log = open(dir).unwrap();
    for key in ["/pods/a", "/pods/b", "/nodes/n"] {
        let value = Value::with_revision_at(&br#"{"resourceVersion":""}"#[..], 20);
        log.put(key.as_bytes(), value, Expect::Absent)
            .await
            .unwrap();
    }
    log.delete(b"/pods/b", Expect::At(Revision(2)))
        .await
        .unwrap();
    log.close().await;
}

/// The second: a snapshot and the segment after it.
async fn write_second(dir: &Path) {
    let options = Options {
        snapshot_after: 1,
        ..Options::default()
    };
    let log = Log::open(dir, options).unwrap();
    log.put(b"/pods/a", Value::plain("changed"), Expect::Any)
        .await
        .unwrap();
    let superseded = async {
        while dir.join(FIRST).exists() {
            tokio::time::sleep(Duration::from_millis(2)).await;
        }
    };
    let limit = Duration::from_secs(30);
    tokio::time::timeout(limit, superseded)
        .await
        .expect("a snapshot is taken");
    log.close().await;
}

/// A directory with a copy of some of the fixtures.
fn copied(names: &[&str]) -> tempfile::TempDir {
    let dir = tempfile::tempdir().unwrap();
    for name in names {
        fs::copy(fixtures().join(name), dir.path().join(name)).unwrap();
    }
    dir
}

#[tokio::test]
async fn files_are_written_as_they_always_were() {
    let dir = tempfile::tempdir().unwrap();
    write_first(dir.path()).await;
    let first = fs::read(dir.path().join(FIRST)).unwrap();
    write_second(dir.path()).await;
    assert_eq!(first, fs::read(fixtures().join(FIRST)).unwrap());
    for name in [SNAPSHOT, SECOND] {
        let written = fs::read(dir.path().join(name)).unwrap();
        assert_eq!(written, fs::read(fixtures().join(name)).unwrap(), "{name}");
    }
}

#[tokio::test]
async fn files_of_version_1_are_read() {
    let segment = copied(&[FIRST]);
    let log = open(segment.path()).unwrap();
    let page = log.range(Range::prefix("/")).await.unwrap();
    let values: Vec<&[u8]> = page.entries.iter().map(|entry| &entry.value[..]).collect();
    assert_eq!(
        values,
        [br#"{"resourceVersion":"3"}"#, br#"{"resourceVersion":"1"}"#]
    );
    assert_eq!(page.revision, Revision(4));

    let snapshot = copied(&[SNAPSHOT, SECOND]);
    let log = open(snapshot.path()).unwrap();
    let entry = log.get(b"/pods/a").await.unwrap().unwrap();
    assert_eq!((entry.created, entry.modified), (Revision(1), Revision(5)));
    assert_eq!(&entry.value[..], b"changed");
    let next = log
        .put(b"x", Value::plain(""), Expect::Absent)
        .await
        .unwrap();
    assert_eq!(next.modified, Revision(6));
}

#[test]
fn another_version_is_refused_by_name() {
    for names in [&[FIRST][..], &[SNAPSHOT, SECOND]] {
        let dir = copied(names);
        let path = dir.path().join(names[0]);
        let mut bytes = fs::read(&path).unwrap();
        bytes[8] = 9;
        fs::write(&path, bytes).unwrap();
        let message = open(dir.path()).unwrap_err().to_string();
        for part in [
            names[0],
            "version 9",
            "understands 1",
            "another data directory",
        ] {
            assert!(message.contains(part), "{message}");
        }
    }
}

#[test]
fn a_flipped_bit_anywhere_stops_the_start() {
    for names in [&[FIRST][..], &[SNAPSHOT, SECOND]] {
        let dir = copied(names);
        let path = dir.path().join(names[0]);
        let good = fs::read(&path).unwrap();
        for at in 0..good.len() {
            let mut bad = good.clone();
            bad[at] ^= 1 << (at % 8);
            fs::write(&path, bad).unwrap();
            match open(dir.path()).unwrap_err() {
                Error::Damaged { path, offset, .. } => {
                    assert!(
                        path.ends_with(names[0]) && offset <= at as u64,
                        "{at}: {offset}"
                    );
                }
                Error::Version { .. } if (8..12).contains(&at) => {}
                error => panic!("byte {at}: {error}"),
            }
        }
    }
}

/// Zeros, so that a flipped bit may look like a sector that was not written.
#[tokio::test]
async fn a_flipped_bit_is_never_taken_for_a_torn_write() {
    for (key, length) in [("k", 0), ("kk", 1), ("kkk", 475), ("k", 2000)] {
        let disk = FakeDisk::default();
        let log = Log::open_on(Arc::new(disk.clone()), "/s", Options::default()).unwrap();
        for _ in 0..3 {
            let value = Value::plain(vec![0; length]);
            log.put(key.as_bytes(), value, Expect::Any).await.unwrap();
        }
        drop(log);
        let name = format!("/s/{FIRST}");
        let good = disk.contents(&name);
        for at in (0..good.len() * 8).filter(|at| length < 100 || at % 13 == 0) {
            let mut bad = good.clone();
            bad[at / 8] ^= 1 << (at % 8);
            let disk = FakeDisk::default();
            disk.put(&name, &bad);
            let opened = Log::open_on(Arc::new(disk), "/s", Options::default());
            let Err(error) = opened else {
                panic!("bit {at} of values of {length} zeros was passed over");
            };
            assert!(
                matches!(error, Error::Damaged { .. } | Error::Version { .. }),
                "bit {at}: {error}"
            );
        }
    }
}

#[tokio::test]
async fn a_torn_last_batch_is_cut_off_wherever_it_is_torn() {
    let good = fs::read(fixtures().join(FIRST)).unwrap();
    // The last batch deletes `/pods/b`: a head, a kind, a length and the key.
    let last = good.len() - (20 + 1 + 4 + 7);
    for length in last..good.len() {
        for blank in [false, true] {
            let dir = tempfile::tempdir().unwrap();
            let path = dir.path().join(FIRST);
            let mut torn = good[..length].to_vec();
            if blank {
                torn.resize(good.len(), 0);
                torn[last..].fill(0);
            }
            fs::write(&path, torn).unwrap();
            let log = open(dir.path()).unwrap();
            assert_eq!(log.revision(), Revision(3));
            let next = log.delete(b"/pods/a", Expect::Any).await.unwrap().1;
            assert_eq!(next, Revision(4));
            drop(log);
            assert_eq!(open(dir.path()).unwrap().revision(), Revision(4));
        }
    }
}

#[test]
fn a_blank_batch_with_others_after_it_is_damage() {
    let dir = copied(&[FIRST]);
    let path = dir.path().join(FIRST);
    let mut bytes = fs::read(&path).unwrap();
    bytes[24..44].fill(0);
    fs::write(&path, bytes).unwrap();
    let error = open(dir.path()).unwrap_err();
    assert!(
        matches!(error, Error::Damaged { offset: 24, .. }),
        "{error}"
    );
}

#[test]
fn a_missing_segment_stops_the_start() {
    let error = open(copied(&[SNAPSHOT]).path()).unwrap_err();
    assert!(
        matches!(
            error,
            Error::Missing {
                revision: Revision(6),
                ..
            }
        ),
        "{error}"
    );
    let dir = copied(&[FIRST]);
    fs::rename(dir.path().join(FIRST), dir.path().join(SECOND)).unwrap();
    let error = open(dir.path()).unwrap_err();
    assert!(
        matches!(
            error,
            Error::Missing {
                revision: Revision(1),
                ..
            }
        ),
        "{error}"
    );
}

#[test]
fn a_directory_that_is_open_is_refused_and_says_by_whom() {
    let dir = tempfile::tempdir().unwrap();
    let log = open(dir.path()).unwrap();
    let message = open(dir.path()).unwrap_err().to_string();
    let holder = format!("(process {})", std::process::id());
    assert!(
        message.contains("in use") && message.contains(&holder),
        "{message}"
    );
    drop(log);
    open(dir.path()).unwrap();
}

#[test]
fn nobody_else_may_read_the_files() {
    let parent = tempfile::tempdir().unwrap();
    let dir = parent.path().join("store");
    fs::create_dir(&dir).unwrap();
    fs::set_permissions(&dir, fs::Permissions::from_mode(0o755)).unwrap();
    let _log = open(&dir).unwrap();
    let mode = |path: &Path| fs::metadata(path).unwrap().permissions().mode() & 0o777;
    assert_eq!(mode(&dir), 0o700);
    for file in fs::read_dir(&dir).unwrap() {
        assert_eq!(mode(&file.unwrap().path()), 0o600);
    }
}
