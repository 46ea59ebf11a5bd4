//! Container logs.

use std::fs;

use runtime::{LogLimits, Runtime};

use crate::node;

#[tokio::test]
async fn each_line_has_its_time_its_stream_and_f() {
    let Some(node) = node::open() else { return };
    let sandbox = node.sandbox().await;
    let script = "echo one; echo two >&2; printf three";
    node.run(&sandbox, node.shell("c", script)).await;
    let log = fs::read_to_string(node.path("c.log")).unwrap();
    let mut found: Vec<String> = log
        .lines()
        .map(|line| {
            let (time, rest) = line.split_once(' ').unwrap();
            assert_eq!(time.len(), "2026-11-23T05:05:22.000000120Z".len(), "{time}");
            time.parse::<jiff::Timestamp>().unwrap();
            rest.to_owned()
        })
        .collect();
    // Two streams are two pipes: their order is not kept.
    found.sort();
    assert_eq!(found, ["stderr F two", "stdout F one", "stdout F three"]);
    sandbox.destroy().await.unwrap();
    node.close().await;
}

#[tokio::test]
async fn a_long_line_is_cut_into_parts_of_16_kib() {
    let Some(node) = node::open() else { return };
    let sandbox = node.sandbox().await;
    let script = "head -c 40000 /dev/zero | tr '\\0' a; echo; echo end";
    node.run(&sandbox, node.shell("c", script)).await;
    let log = fs::read_to_string(node.path("c.log")).unwrap();
    let found: Vec<(String, usize)> = log
        .lines()
        .map(|l| l.splitn(4, ' ').collect::<Vec<_>>())
        .map(|fields| (fields[2].to_owned(), fields[3].len()))
        .collect();
    let expected = [("P", 16384), ("P", 16384), ("F", 7232), ("F", 3)];
    assert_eq!(found, expected.map(|(mark, len)| (mark.to_owned(), len)));
    sandbox.destroy().await.unwrap();
    node.close().await;
}

#[tokio::test]
async fn no_line_of_a_burst_before_the_exit_is_lost() {
    let Some(node) = node::open() else { return };
    let sandbox = node.sandbox().await;
    let (lines, _) = node.run(&sandbox, node.shell("c", "seq 1 100000")).await;
    assert_eq!(lines.len(), 100_000);
    assert_eq!(lines[99_999], "100000");
    sandbox.destroy().await.unwrap();
    node.close().await;
}

#[tokio::test]
async fn a_log_is_rotated_by_size_without_a_gap() {
    let Some(mut node) = node::open() else { return };
    node.config.logs = LogLimits {
        max_bytes: 64 << 10,
        max_files: 100,
    };
    node.runtime = Runtime::open(node.config.clone()).unwrap();
    let sandbox = node.sandbox().await;
    node.run(&sandbox, node.shell("c", "seq 1 20000")).await;
    let mut files: Vec<_> = fs::read_dir(node.dir.path())
        .unwrap()
        .map(|e| e.unwrap().path())
        .filter(|p| {
            p.file_name()
                .unwrap()
                .to_str()
                .unwrap()
                .starts_with("c.log")
        })
        .collect();
    files.sort();
    // The live file sorts first and was written last.
    files.rotate_left(1);
    assert!(files.len() > 3, "{files:?}");
    let text: String = files
        .iter()
        .map(|f| fs::read_to_string(f).unwrap())
        .collect();
    let numbers: Vec<u32> = text
        .lines()
        .map(|l| l.rsplit(' ').next().unwrap().parse().unwrap())
        .collect();
    assert!(
        numbers.iter().copied().eq(1..=20_000),
        "{} lines",
        numbers.len()
    );
    sandbox.destroy().await.unwrap();
    node.close().await;
}

#[tokio::test]
async fn a_log_renamed_by_someone_else_is_opened_anew_when_told() {
    let Some(node) = node::open() else { return };
    let sandbox = node.sandbox().await;
    let mut events = sandbox.events().await.unwrap();
    let script = "echo before; until [ -e /go ]; do sleep 0.01; done; echo after";
    let container = node.shell("c", script);
    let runtime::Rootfs::Overlay { .. } = &container.rootfs else {
        unreachable!()
    };
    sandbox.start(container).await.unwrap();
    while node.log("c").is_empty() {
        tokio::time::sleep(std::time::Duration::from_millis(5)).await;
    }
    fs::rename(node.path("c.log"), node.path("old.log")).unwrap();
    sandbox.reopen_log(&node::id("c")).await.unwrap();
    sandbox
        .exec(&node::id("c"), runtime::Exec::new(["touch", "/go"]))
        .await
        .unwrap()
        .wait()
        .await
        .unwrap();
    node::wait_for(&mut events, &node::id("c")).await;
    assert_eq!(
        (node.log("old"), node.log("c")),
        (vec!["before".to_owned()], vec!["after".to_owned()])
    );
    sandbox.destroy().await.unwrap();
    node.close().await;
}
