//! Backups: consistent, checked, private, and nothing old after a restore.

use std::{
    fs,
    os::unix::fs::PermissionsExt,
    path::{Path, PathBuf},
    sync::Arc,
};

use rand::{RngExt, SeedableRng, rngs::StdRng};
use store::{
    Entry, Error, Expect, Log, Options, Range, Revision, Store, Value,
    backup::{self, Backup, Incoming, Summary},
    disk::Local,
};
use tempfile::TempDir;

use super::fake_disk::FakeDisk;

const BUMP: u64 = 1000;
/// Of format version 1, as `skiff snapshot save` first wrote it.
const GOLDEN: &str = "backup";

fn open(dir: &Path) -> Arc<Log> {
    Log::open(dir, Options::default()).unwrap()
}

/// A store with `keys` keys, of which some were changed and some deleted.
async fn fill(log: &Log, keys: usize) {
    for at in 0..keys {
        let key = format!("/pods/{at:04}");
        for size in [10, at * 7 % 3000] {
            let value = Value::with_revision_at(vec![b'x'; size], size / 2);
            log.put(key.as_bytes(), value, Expect::Any).await.unwrap();
        }
        if at % 5 == 4 {
            log.delete(key.as_bytes(), Expect::Any).await.unwrap();
        }
    }
}

async fn save(store: &dyn Store, path: &Path) -> Result<Summary, Error> {
    let mut incoming = Incoming::create(Arc::new(Local), path)?;
    for piece in store.backup().await? {
        incoming.write(&piece)?;
    }
    incoming.finish()
}

fn restore(path: &Path, dir: &Path) -> Result<Summary, Error> {
    backup::restore(&Local, path, dir, BUMP)
}

async fn all(store: &dyn Store) -> Vec<Entry> {
    store.range(Range::prefix("")).await.unwrap().entries
}

/// A directory for a store, and a backup beside it.
fn place() -> (TempDir, PathBuf, PathBuf) {
    let dir = tempfile::tempdir().unwrap();
    let (store, file) = (dir.path().join("store"), dir.path().join("saved"));
    (dir, store, file)
}

#[tokio::test]
async fn a_restored_store_holds_what_the_saved_one_held() {
    let (_dir, store, file) = place();
    let log = Log::open_on(Arc::new(FakeDisk::default()), "/s", Options::default()).unwrap();
    fill(&log, 500).await;
    let saved = all(&*log).await;
    let summary = save(&*log, &file).await.unwrap();
    assert_eq!((summary.keys, summary.revision), (400, log.revision()));
    assert_eq!(summary.size, log.state().unwrap().live);
    assert_eq!(backup::verify(&Local, &file).unwrap(), summary);
    let restored = restore(&file, &store).unwrap();
    assert_eq!(restored.revision.0, summary.revision.0 + BUMP);
    let log = open(&store);
    assert_eq!(all(&*log).await, saved);
    let put = log.put(b"/new", Value::plain(""), Expect::Absent).await;
    assert_eq!(put.unwrap().modified, restored.revision.next());
    drop(log);
    assert_eq!(all(&*open(&store)).await.len(), 401);
}

#[tokio::test]
async fn an_empty_store_can_be_saved_and_restored() {
    let (dir, store, file) = place();
    let summary = save(&*open(&dir.path().join("other")), &file)
        .await
        .unwrap();
    assert_eq!((summary.keys, summary.revision), (0, Revision(0)));
    restore(&file, &store).unwrap();
    assert_eq!(open(&store).revision(), Revision(BUMP));
    let error = backup::restore(&Local, &file, &dir.path().join("third"), 0).unwrap_err();
    assert!(error.to_string().contains("--bump-revision"), "{error}");
}

#[tokio::test]
async fn a_backup_shows_one_revision_however_much_is_written_meanwhile() {
    let log = Log::open_on(Arc::new(FakeDisk::default()), "/s", Options::default()).unwrap();
    fill(&log, 5000).await;
    let backup = Backup::of(&*log).await.unwrap();
    let at = all(&*log).await;
    assert_eq!(backup.revision(), log.revision());
    let (dir, _, file) = place();
    let mut incoming = Incoming::create(Arc::new(Local), &file).unwrap();
    for piece in backup {
        incoming.write(&piece).unwrap();
        fill(&log, 200).await;
        log.compact(log.revision()).await.unwrap();
    }
    incoming.finish().unwrap();
    let store = dir.path().join("restored");
    restore(&file, &store).unwrap();
    assert_eq!(all(&*open(&store)).await, at);
}

#[tokio::test]
async fn watchers_from_before_a_restore_are_told_to_list_again() {
    let (dir, store, file) = place();
    let log = open(&dir.path().join("lost"));
    fill(&log, 10).await;
    save(&*log, &file).await.unwrap();
    // What the backup does not know, and clients do.
    fill(&log, 10).await;
    let seen = log.revision();
    restore(&file, &store).unwrap();
    let log = open(&store);
    for from in [Revision(0), Revision(5), seen] {
        let error = log.watch(b"", from).await.unwrap_err();
        assert!(matches!(error, Error::Compacted { .. }), "{from}: {error}");
        let error = log.range(Range::prefix("").at(from)).await.unwrap_err();
        assert!(matches!(error, Error::Compacted { .. }), "{from}: {error}");
    }
    assert!(log.revision() > seen);
    log.watch(b"", log.revision()).await.unwrap();
}

#[tokio::test]
async fn nothing_is_restored_over_a_store() {
    let (dir, _, file) = place();
    let other = dir.path().join("other");
    let log = open(&other);
    fill(&log, 10).await;
    save(&*log, &file).await.unwrap();
    let error = restore(&file, &other).unwrap_err();
    assert!(matches!(error, Error::InUse { .. }), "{error}");
    let before = all(&*log).await;
    drop(log);
    let error = restore(&file, &other).unwrap_err();
    assert!(matches!(error, Error::NotEmpty { .. }), "{error}");
    assert_eq!(all(&*open(&other)).await, before);
    // One that was opened and never written to holds nothing.
    let unused = dir.path().join("unused");
    drop(open(&unused));
    restore(&file, &unused).unwrap();
    assert_eq!(all(&*open(&unused)).await, before);
}

#[tokio::test]
async fn a_backup_is_private_and_there_only_when_it_is_whole() {
    let (dir, _, file) = place();
    let log = open(&dir.path().join("store"));
    fill(&log, 100).await;
    fs::write(&file, "an older one").unwrap();
    let pieces: Vec<Vec<u8>> = Backup::of(&*log).await.unwrap().collect();
    let mut incoming = Incoming::create(Arc::new(Local), &file).unwrap();
    for piece in &pieces[..pieces.len() - 1] {
        incoming.write(piece).unwrap();
    }
    let error = incoming.finish().unwrap_err();
    assert!(matches!(error, Error::BadBackup { .. }), "{error}");
    assert_eq!(fs::read_to_string(&file).unwrap(), "an older one");
    save(&*log, &file).await.unwrap();
    let mode = fs::metadata(&file).unwrap().permissions().mode();
    assert_eq!(mode & 0o777, 0o600);
    assert_eq!(
        names(dir.path()),
        ["saved", "store"],
        "nothing else is left"
    );
}

fn names(dir: &Path) -> Vec<String> {
    let entries = fs::read_dir(dir).unwrap();
    let mut names: Vec<_> = entries
        .map(|entry| entry.unwrap().file_name().into_string().unwrap())
        .collect();
    names.sort();
    names
}

#[tokio::test]
async fn a_flipped_bit_or_a_cut_anywhere_is_found() {
    let (dir, _, file) = place();
    let log = open(&dir.path().join("store"));
    fill(&log, 12).await;
    save(&*log, &file).await.unwrap();
    let good = fs::read(&file).unwrap();
    let is_refused = |bytes: &[u8], what: &str| {
        let disk = FakeDisk::default();
        disk.put("/saved", bytes);
        let error = backup::verify(&disk, Path::new("/saved")).expect_err(what);
        assert!(
            matches!(error, Error::BadBackup { .. } | Error::Version { .. }),
            "{what}: {error}"
        );
    };
    for at in 0..good.len() * 8 {
        // Every bit of what has structure, some of the long values.
        if at > 3000 && at % 13 != 0 {
            continue;
        }
        let mut bad = good.clone();
        bad[at / 8] ^= 1 << (at % 8);
        is_refused(&bad, &format!("bit {at}"));
    }
    for length in (0..good.len()).step_by(11) {
        is_refused(&good[..length], &format!("{length} bytes"));
    }
    let longer = [&good[..], b"x"].concat();
    is_refused(&longer, "a byte more");
    let twice = [&good[..], &good[24..]].concat();
    is_refused(&twice, "all of it twice");
}

/// Anything may be handed to `skiff snapshot restore`, also with checksums that
/// are right.
#[test]
fn no_file_makes_a_restore_panic_or_leaves_half_a_store() {
    let mut rng = StdRng::seed_from_u64(7);
    let mut restored = 0;
    let (file, store) = (Path::new("/saved"), Path::new("/store"));
    for _ in 0..5000 {
        let disk = FakeDisk::default();
        disk.put("/saved", &crafted(&mut rng));
        let verified = backup::verify(&disk, file);
        match backup::restore(&disk, file, store, rng.random_range(0..3)) {
            Ok(_) => {
                verified.unwrap();
                Log::open_on(Arc::new(disk), store, Options::default()).unwrap();
                restored += 1;
            }
            Err(_) => assert_eq!(disk.names(), ["/saved"]),
        }
    }
    assert!(restored > 500, "only {restored} were good: too tame");
}

/// A file of the right kind, whose parts are right or anything.
fn crafted(rng: &mut StdRng) -> Vec<u8> {
    let checked = |mut bytes: Vec<u8>| {
        bytes.extend(crc32c::crc32c(&bytes).to_le_bytes());
        bytes
    };
    let revision = [5, 6, 0, u64::MAX, 1 << 62][rng.random_range(0..5) / 2];
    let version = [1u32, 1, 1, 1, 1, 1, 0, 2][rng.random_range(0..8)];
    let mut head = b"SKIFFSNP".to_vec();
    head.extend(version.to_le_bytes());
    head.extend(revision.to_le_bytes());
    let mut file = checked(head);
    let mut entries = 0u64;
    for batch in 0..rng.random_range(1..4) {
        let mut records = Vec::new();
        for at in 0..rng.random_range(0..3u8) {
            entries += 1;
            kept(rng, &mut records, &[b'k', batch, at]);
        }
        if rng.random_bool(0.1) {
            records.extend((0..20).map(|_| rng.random::<u8>()));
        }
        append(&mut file, &records, revision, rng);
    }
    if rng.random_bool(0.05) {
        entries += 1;
    }
    let mut end = vec![4];
    end.extend(entries.to_le_bytes());
    append(&mut file, &end, revision, rng);
    if rng.random_bool(0.1) {
        let end = rng.random_range(0..file.len());
        file.truncate(end);
    }
    file
}

fn kept(rng: &mut StdRng, records: &mut Vec<u8>, key: &[u8]) {
    let odd = [0, 1, u64::MAX, 9][rng.random_range(0..4)];
    let strange = rng.random_bool(0.1);
    records.push(if strange { rng.random() } else { 3 });
    records.extend((if rng.random_bool(0.05) { odd } else { 1 }).to_le_bytes());
    records.extend((if rng.random_bool(0.05) { odd } else { 4 }).to_le_bytes());
    let length = if rng.random_bool(0.05) { u32::MAX } else { 5 };
    records.extend((key.len() as u32).to_le_bytes());
    records.extend(length.to_le_bytes());
    records.extend(key);
    records.extend(b"value");
}

fn append(file: &mut Vec<u8>, records: &[u8], revision: u64, rng: &mut StdRng) {
    let length = if rng.random_bool(0.03) {
        u32::MAX
    } else {
        records.len() as u32
    };
    let mut head = length.to_le_bytes().to_vec();
    head.extend(revision.to_le_bytes());
    head.extend(crc32c::crc32c(records).to_le_bytes());
    head.extend(crc32c::crc32c(&head).to_le_bytes());
    file.extend(head);
    file.extend(records);
}

#[tokio::test]
async fn a_restore_cut_short_anywhere_is_all_there_or_nothing() {
    let log = Log::open_on(Arc::new(FakeDisk::default()), "/s", Options::default()).unwrap();
    fill(&log, 100).await;
    let saved = all(&*log).await;
    let pieces: Vec<u8> = Backup::of(&*log).await.unwrap().flatten().collect();
    let mut rng = StdRng::seed_from_u64(1);
    let (mut whole, mut nothing) = (0, 0);
    for at in (1..40).cycle().take(400) {
        let disk = FakeDisk::default();
        disk.put("/saved", &pieces);
        disk.state().crash_at = Some(at);
        let restored = backup::restore(&disk, Path::new("/saved"), Path::new("/store"), BUMP);
        let disk = disk.after_crash(&mut rng);
        let log = Log::open_on(Arc::new(disk), "/store", Options::default());
        let log = log.unwrap_or_else(|error| panic!("operation {at}: {error}"));
        match all(&*log).await {
            found if found == saved => whole += 1,
            found => {
                assert!(found.is_empty() && log.revision() == Revision(0));
                assert!(restored.is_err(), "operation {at}: it said it was done");
                nothing += 1;
            }
        }
    }
    assert!(whole > 20 && nothing > 20, "{whole} whole, {nothing} empty");
}

#[tokio::test]
async fn backups_of_version_1_are_restored() {
    let (_dir, store, _) = place();
    let golden = Path::new(env!("CARGO_MANIFEST_DIR"))
        .join("tests/fixtures/v1")
        .join(GOLDEN);
    let summary = restore(&golden, &store).unwrap();
    assert_eq!((summary.keys, summary.revision), (2, Revision(1004)));
    let log = open(&store);
    let entry = log.get(b"/pods/a").await.unwrap().unwrap();
    assert_eq!((entry.created, entry.modified), (Revision(1), Revision(1)));
    assert_eq!(&entry.value[..], br#"{"resourceVersion":"1"}"#);
}

#[tokio::test]
async fn backups_are_written_as_they_always_were() {
    let log = Log::open_on(Arc::new(FakeDisk::default()), "/s", Options::default()).unwrap();
    for key in ["/pods/a", "/pods/b", "/nodes/n"] {
        let value = Value::with_revision_at(&br#"{"resourceVersion":""}"#[..], 20);
        let put = log.put(key.as_bytes(), value, Expect::Absent);
        put.await.unwrap();
    }
    log.delete(b"/pods/b", Expect::Any).await.unwrap();
    let written: Vec<u8> = Backup::of(&*log).await.unwrap().flatten().collect();
    let golden = Path::new(env!("CARGO_MANIFEST_DIR"))
        .join("tests/fixtures/v1")
        .join(GOLDEN);
    assert_eq!(written, fs::read(golden).unwrap());
}
