//! `skiff snapshot`: from a running server to a file and into another directory.

use std::fs;
use std::os::unix::fs::PermissionsExt;

use store::{Log, Options, Store};

use crate::world::World;

#[test]
fn a_snapshot_is_saved_verified_and_restored_into_an_empty_data_directory() {
    let world = World::new();
    world.out(&["create", "configmap", "kept", "--from-literal=k=v"]);
    let file = world.dir.path().join("saved").display().to_string();
    let data = world.dir.path().join("data").display().to_string();
    let saved = world.out(&["snapshot", "save", &file]);
    let mode = fs::metadata(&file).unwrap().permissions().mode() & 0o777;
    assert_eq!(mode, 0o600);
    let verified = world.out(&["snapshot", "verify", &file]);
    let holds = |told: &str| told.split_once(": ").unwrap().1.to_owned();
    assert_eq!(holds(&saved), holds(&verified));
    let restored = world.out(&["snapshot", "restore", &file, "--data-dir", &data]);
    assert!(restored.contains("revision 1000000"), "{restored}");
    assert!(restored.contains("pki"), "{restored}");

    let again = world.run(&["snapshot", "restore", &file, "--data-dir", &data]);
    assert_eq!(again.code, Some(1));
    assert!(again.err.contains("holds a store already"), "{}", again.err);
    let log = Log::open(format!("{data}/store"), Options::default()).unwrap();
    let runtime = tokio::runtime::Runtime::new().unwrap();
    let kept = runtime.block_on(log.get(b"/registry/configmaps/default/kept"));
    assert!(kept.unwrap().is_some());
}

#[test]
fn what_is_no_snapshot_is_refused_and_touches_nothing() {
    let world = World::new();
    let file = world.file("odd", "SKIFFSNP and then something else");
    let data = world.dir.path().join("data");
    let refused = world.run(&["snapshot", "verify", &file]);
    assert_eq!(refused.code, Some(1));
    assert!(
        refused.err.contains("format version") || refused.err.contains("not a whole snapshot"),
        "{}",
        refused.err
    );
    let refused = world.run(&[
        "snapshot",
        "restore",
        &file,
        "--data-dir",
        &data.display().to_string(),
    ]);
    assert_eq!(refused.code, Some(1));
    assert!(!data.join("store").exists());
}
