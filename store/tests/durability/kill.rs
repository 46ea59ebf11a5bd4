//! A real process on a real disk, killed while it writes, starts, takes
//! snapshots and compacts. `cargo run -p store --example crash_checker` does the
//! same for as many rounds as it is told to.

mod checker;
mod child;

use std::{env, path::Path, process::Command};

const ROUNDS: usize = 200;

/// Not a test of its own: what the killed process runs.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn child_that_writes_until_it_is_killed() {
    match env::var_os(child::DIR) {
        Some(dir) => child::run(Path::new(&dir)).await,
        None => println!("skipped: only the checker starts it"),
    }
}

#[tokio::test]
async fn two_hundred_kills_lose_no_write_and_reorder_none() {
    let dir = tempfile::tempdir().unwrap();
    let stats = checker::run(ROUNDS, rand::random_range(0..1 << 40), dir.path(), || {
        let mut command = Command::new(env::current_exe().unwrap());
        let test = "kill::child_that_writes_until_it_is_killed";
        command.args(["--exact", "--nocapture", test]);
        command
    })
    .await;
    println!("{stats:?}");
    assert_eq!(stats.rounds, ROUNDS);
    assert!(
        stats.acknowledged > 2000
            && stats.resumed > 5
            && stats.amid_snapshot > 0
            && stats.torn > 10,
        "too tame: {stats:?}"
    );
}
