//! A real process on a real disk, killed while it writes.

use std::{
    env,
    io::{BufRead, BufReader, Write},
    process::{Command, Stdio},
    sync::Arc,
};

use store::{Expect, Log, Options, Store, Value};

const DIR: &str = "SKIFF_STORE_KILL_TEST_DIR";

fn options() -> Options {
    Options {
        snapshot_after: 100_000,
        ..Options::default()
    }
}

/// Not a test of its own: what the killed process runs.
#[tokio::test]
async fn child_that_writes_until_it_is_killed() {
    let Some(dir) = env::var_os(DIR) else {
        println!("skipped: only acknowledged_writes_survive_a_killed_process starts it");
        return;
    };
    let log = Log::open(dir, options()).unwrap();
    let writers = (0..8).map(|_| tokio::spawn(write(Arc::clone(&log))));
    futures::future::join_all(writers).await;
}

async fn write(log: Arc<Log>) {
    for at in 0.. {
        let key = format!("/{:p}/{at}", &raw const at);
        let value = Value::with_revision_at(vec![b'x'; 200], 0);
        let entry = log.put(key.as_bytes(), value, Expect::Any).await.unwrap();
        let mut out = std::io::stdout().lock();
        writeln!(out, "acknowledged {} {key}", entry.modified).unwrap();
    }
}

#[tokio::test]
async fn acknowledged_writes_survive_a_killed_process() {
    let dir = tempfile::tempdir().unwrap();
    let mut newest = 0;
    for life in 1..=4 {
        let mut child = Command::new(env::current_exe().unwrap())
            .args([
                "--exact",
                "--nocapture",
                "kill::child_that_writes_until_it_is_killed",
            ])
            .env(DIR, dir.path())
            .stdout(Stdio::piped())
            .spawn()
            .unwrap();
        let output = BufReader::new(child.stdout.take().unwrap());
        let mut acknowledged = Vec::new();
        for line in output.lines().map_while(Result::ok) {
            let words: Vec<&str> = line.split(' ').collect();
            if let ["acknowledged", revision, key] = words[..] {
                acknowledged.push((revision.parse::<u64>().unwrap(), key.to_owned()));
            }
            if acknowledged.len() == life * 700 {
                child.kill().unwrap();
            }
        }
        child.wait().unwrap();
        assert!(acknowledged.len() >= life * 700);
        let log = Log::open(dir.path(), options()).unwrap();
        for (revision, key) in acknowledged {
            assert!(revision > newest, "{revision} was given twice");
            let entry = log
                .get(key.as_bytes())
                .await
                .unwrap()
                .expect("it was acknowledged");
            assert_eq!(entry.modified.0, revision);
            assert!(entry.value.starts_with(revision.to_string().as_bytes()));
        }
        newest = log.revision().0;
    }
}
