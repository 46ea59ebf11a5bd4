//! The container's own streams.

use runtime::{Sandbox, Stdin};
use tokio::io::{AsyncReadExt, AsyncWriteExt};

use crate::node::{self, Node, id, wait_for};

async fn start(script: &str, stdin: Stdin, tty: bool) -> Option<(Node, Sandbox)> {
    let node = node::open()?;
    let sandbox = node.sandbox().await;
    let mut container = node.shell("c", script);
    container.stdin = stdin;
    container
        .spec
        .process_mut()
        .as_mut()
        .unwrap()
        .set_terminal(Some(tty));
    sandbox.start(container).await.unwrap();
    Some((node, sandbox))
}

async fn end(node: Node, sandbox: Sandbox) {
    sandbox.destroy().await.unwrap();
    node.close().await;
}

#[tokio::test]
async fn everyone_attached_gets_the_output_and_so_does_the_log() {
    let script = "read go; echo out; echo err >&2; seq 1 50000";
    let Some((node, sandbox)) = start(script, Stdin::Open, false).await else {
        return;
    };
    let mut events = sandbox.events().await.unwrap();
    let mut one = sandbox.attach(&id("c"), true, true, true).await.unwrap();
    let mut two = sandbox.attach(&id("c"), false, true, false).await.unwrap();
    one.stdin
        .as_mut()
        .unwrap()
        .write_all(b"go\n")
        .await
        .unwrap();
    let (mut out, mut err, mut other) = (String::new(), String::new(), String::new());
    let (mut stdout, mut stderr, mut stdout2) = (
        one.stdout.take().unwrap(),
        one.stderr.take().unwrap(),
        two.stdout.take().unwrap(),
    );
    let read = tokio::try_join!(
        stdout.read_to_string(&mut out),
        stderr.read_to_string(&mut err),
        stdout2.read_to_string(&mut other)
    );
    read.unwrap();
    wait_for(&mut events, &id("c")).await;
    assert_eq!((out.lines().count(), err.as_str()), (50_001, "err\n"));
    assert!(out == other, "both read the same");
    assert_eq!(node.log("c").len(), 50_002);
    end(node, sandbox).await;
}

#[tokio::test]
async fn one_that_leaves_holds_nobody_up() {
    let script = "read go; seq 1 100000";
    let Some((node, sandbox)) = start(script, Stdin::Open, false).await else {
        return;
    };
    let mut events = sandbox.events().await.unwrap();
    let mut stays = sandbox.attach(&id("c"), true, false, false).await.unwrap();
    // It never reads, so the container has to wait for it, until it goes.
    let leaves = sandbox.attach(&id("c"), false, true, false).await.unwrap();
    stays
        .stdin
        .as_mut()
        .unwrap()
        .write_all(b"go\n")
        .await
        .unwrap();
    drop(leaves);
    assert_eq!(wait_for(&mut events, &id("c")).await.code, 0);
    assert_eq!(node.log("c").len(), 100_000);
    end(node, sandbox).await;
}

#[tokio::test]
async fn stdin_once_ends_with_its_first_client() {
    let Some((node, sandbox)) = start("cat; echo end", Stdin::Once, false).await else {
        return;
    };
    let mut events = sandbox.events().await.unwrap();
    let mut client = sandbox.attach(&id("c"), true, false, false).await.unwrap();
    client
        .stdin
        .as_mut()
        .unwrap()
        .write_all(b"hello\n")
        .await
        .unwrap();
    drop(client);
    wait_for(&mut events, &id("c")).await;
    assert_eq!(node.log("c"), ["hello", "end"]);
    end(node, sandbox).await;
}

#[tokio::test]
async fn stdin_outlives_its_clients_unless_once() {
    let Some((node, sandbox)) = start("read a; read b; echo $a $b", Stdin::Open, false).await
    else {
        return;
    };
    let mut events = sandbox.events().await.unwrap();
    for word in ["one\n", "two\n"] {
        let mut client = sandbox.attach(&id("c"), true, false, false).await.unwrap();
        client
            .stdin
            .as_mut()
            .unwrap()
            .write_all(word.as_bytes())
            .await
            .unwrap();
    }
    wait_for(&mut events, &id("c")).await;
    assert_eq!(node.log("c"), ["one two"]);
    end(node, sandbox).await;
}

#[tokio::test]
async fn a_closed_stdin_is_at_its_end() {
    let Some((node, sandbox)) = start("cat; echo $?", Stdin::Closed, false).await else {
        return;
    };
    let mut events = sandbox.events().await.unwrap();
    wait_for(&mut events, &id("c")).await;
    assert_eq!(node.log("c"), ["0"]);
    end(node, sandbox).await;
}

#[tokio::test]
async fn a_terminal_is_the_first_of_the_container_and_its_console() {
    let script = "stty -echo; tty; [ -c /dev/console ] && echo console; read line; stty size; echo got $line";
    let Some((node, sandbox)) = start(script, Stdin::Open, true).await else {
        return;
    };
    let mut events = sandbox.events().await.unwrap();
    sandbox.resize(&id("c"), 100, 30).await.unwrap();
    while node.log("c").len() < 2 {
        tokio::time::sleep(std::time::Duration::from_millis(5)).await;
    }
    let mut client = sandbox.attach(&id("c"), true, true, false).await.unwrap();
    client
        .stdin
        .as_mut()
        .unwrap()
        .write_all(b"word\n")
        .await
        .unwrap();
    wait_for(&mut events, &id("c")).await;
    let log: Vec<_> = node
        .log("c")
        .iter()
        .map(|l| l.trim_end().to_owned())
        .collect();
    assert_eq!(log, ["/dev/pts/0", "console", "30 100", "got word"]);
    end(node, sandbox).await;
}
