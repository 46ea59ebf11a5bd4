use super::*;
use std::io::Write as _;

const LOG: &str = "2026-01-01T00:00:01Z stdout F one\n2026-01-01T00:00:02Z stderr P tw\n2026-01-01T00:00:02Z stderr F o\n2026-01-01T00:00:03Z stdout F three\n";

async fn all(options: Options) -> String {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("0.log");
    std::fs::write(&path, LOG).unwrap();
    let (sender, mut receiver) = mpsc::channel(100);
    read(&path, &options, &sender, std::future::ready(()))
        .await
        .unwrap();
    drop(sender);
    let mut text = String::new();
    while let Some(bytes) = receiver.recv().await {
        text.push_str(std::str::from_utf8(&bytes).unwrap());
    }
    text
}

#[tokio::test]
async fn partial_entries_are_joined() {
    assert_eq!(all(Options::default()).await, "one\ntwo\nthree\n");
}

#[tokio::test]
async fn the_tail_counts_the_containers_lines() {
    assert_eq!(
        all(Options {
            tail_lines: Some(2),
            ..Options::default()
        })
        .await,
        "two\nthree\n"
    );
    assert_eq!(
        all(Options {
            tail_lines: Some(0),
            ..Options::default()
        })
        .await,
        ""
    );
}

#[tokio::test]
async fn time_stream_and_size_limit_what_is_read() {
    let since = Some("2026-01-01T00:00:02Z".parse().unwrap());
    assert_eq!(
        all(Options {
            since,
            ..Options::default()
        })
        .await,
        "two\nthree\n"
    );
    assert_eq!(
        all(Options {
            stream: Some("stderr".into()),
            ..Options::default()
        })
        .await,
        "two\n"
    );
    assert_eq!(
        all(Options {
            limit_bytes: Some(5),
            ..Options::default()
        })
        .await,
        "one\nt"
    );
    let timed = all(Options {
        timestamps: true,
        tail_lines: Some(1),
        ..Options::default()
    })
    .await;
    assert_eq!(timed, "2026-01-01T00:00:03Z three\n");
}

#[tokio::test]
async fn following_sees_what_is_written_later_and_over_a_rotation() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("0.log");
    std::fs::write(&path, LOG).unwrap();
    let (sender, mut receiver) = mpsc::channel(100);
    let (end, ended) = tokio::sync::oneshot::channel::<()>();
    let options = Options {
        follow: true,
        tail_lines: Some(1),
        ..Options::default()
    };
    let reading = {
        let path = path.clone();
        tokio::spawn(
            async move { read(&path, &options, &sender, async { drop(ended.await) }).await },
        )
    };
    assert_eq!(receiver.recv().await.unwrap(), "three\n");
    let mut file = std::fs::OpenOptions::new()
        .append(true)
        .open(&path)
        .unwrap();
    file.write_all(b"2026-01-01T00:00:04Z stdout F four\n")
        .unwrap();
    assert_eq!(receiver.recv().await.unwrap(), "four\n");
    std::fs::rename(&path, dir.path().join("0.log.1")).unwrap();
    std::fs::write(&path, "2026-01-01T00:00:05Z stdout F five\n").unwrap();
    assert_eq!(receiver.recv().await.unwrap(), "five\n");
    end.send(()).unwrap();
    assert!(receiver.recv().await.is_none());
    reading.await.unwrap().unwrap();
}
