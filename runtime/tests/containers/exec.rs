//! More processes in a running container.

use runtime::{Error, Exec, Running, Sandbox, User};
use tokio::io::{AsyncReadExt, AsyncWriteExt};

use crate::node::{self, Node, id};

async fn running() -> Option<(Node, Sandbox)> {
    let node = node::open()?;
    let sandbox = node.sandbox().await;
    sandbox.start(node.shell("c", "sleep 1000")).await.unwrap();
    Some((node, sandbox))
}

async fn end(node: Node, sandbox: Sandbox) {
    sandbox.destroy().await.unwrap();
    node.close().await;
}

async fn collect(running: &mut Running) -> (String, String, i32) {
    let (mut out, mut err) = (String::new(), String::new());
    if let Some(mut stdout) = running.stdout.take() {
        stdout.read_to_string(&mut out).await.unwrap();
    }
    if let Some(mut stderr) = running.stderr.take() {
        stderr.read_to_string(&mut err).await.unwrap();
    }
    (out, err, running.wait().await.unwrap())
}

async fn shell(sandbox: &Sandbox, script: &str) -> (String, String, i32) {
    let mut running = sandbox
        .exec(&id("c"), Exec::new(["sh", "-c", script]))
        .await
        .unwrap();
    collect(&mut running).await
}

#[tokio::test]
async fn its_streams_and_its_code_come_back() {
    let Some((node, sandbox)) = running().await else {
        return;
    };
    let came = shell(&sandbox, "echo out; echo err >&2; exit 5").await;
    assert_eq!(came, ("out\n".to_owned(), "err\n".to_owned(), 5));
    end(node, sandbox).await;
}

#[tokio::test]
async fn it_is_in_every_namespace_and_group_of_the_container() {
    let Some((node, sandbox)) = running().await else {
        return;
    };
    let script = "for n in mnt pid net ipc uts cgroup; do \
        [ $(readlink /proc/1/ns/$n) = $(readlink /proc/self/ns/$n) ] || echo $n; done; \
        cmp /proc/1/cgroup /proc/self/cgroup; hostname";
    assert_eq!(
        shell(&sandbox, script).await,
        ("host-of-a\n".to_owned(), String::new(), 0)
    );
    end(node, sandbox).await;
}

#[tokio::test]
async fn it_is_confined_as_the_container_is() {
    let Some(node) = node::open() else { return };
    let sandbox = node.sandbox().await;
    let mut container = node.shell("c", "sleep 1000");
    let caps = runtime::defaults::CAPABILITIES.into();
    let linux = container.spec.linux_mut().as_mut().unwrap();
    linux.set_seccomp(Some(runtime::defaults::seccomp(&caps)));
    container
        .spec
        .process_mut()
        .as_mut()
        .unwrap()
        .set_no_new_privileges(Some(true));
    sandbox.start(container).await.unwrap();
    let script = "grep -E '^(Cap|NoNewPrivs|Seccomp:)' /proc/self/status";
    let expected = "CapInh:\t0000000000000000\nCapPrm:\t00000000a80425fb\nCapEff:\t00000000a80425fb\n\
        CapBnd:\t00000000a80425fb\nCapAmb:\t0000000000000000\nNoNewPrivs:\t1\nSeccomp:\t2\n";
    assert_eq!(shell(&sandbox, script).await.0, expected);
    end(node, sandbox).await;
}

/// CVE-2022-31030 and CVE-2022-1708, where what a command wrote filled the host's memory.
#[tokio::test]
async fn one_that_floods_is_held_up_until_it_is_read() {
    const WRITTEN: u64 = 64 << 20;
    let Some((node, sandbox)) = running().await else {
        return;
    };
    let flood = Exec::new(["dd", "if=/dev/zero", "bs=64k", "count=1024"]);
    let mut flood = sandbox.exec(&id("c"), flood).await.unwrap();
    let mut waits = 0;
    while waits < 20 {
        let (wchan, why, _) = shell(&sandbox, "cat /proc/$(pidof dd)/wchan").await;
        assert!(
            !wchan.is_empty(),
            "it has ended, with nobody reading: {why}"
        );
        waits += u32::from(wchan.contains("pipe"));
    }
    let mut stdout = flood.stdout.take().unwrap();
    let read = tokio::io::copy(&mut stdout, &mut tokio::io::sink()).await;
    assert_eq!((read.unwrap(), flood.wait().await.unwrap()), (WRITTEN, 0));
    end(node, sandbox).await;
}

#[tokio::test]
async fn it_reads_what_it_is_sent_until_the_end() {
    let Some((node, sandbox)) = running().await else {
        return;
    };
    let exec = Exec {
        stdin: true,
        ..Exec::new(["wc", "-c"])
    };
    let mut running = sandbox.exec(&id("c"), exec).await.unwrap();
    let mut stdin = running.stdin.take().unwrap();
    stdin.write_all(&vec![b'x'; 300_000]).await.unwrap();
    drop(stdin);
    assert_eq!(
        collect(&mut running).await,
        ("300000\n".to_owned(), String::new(), 0)
    );
    end(node, sandbox).await;
}

#[tokio::test]
async fn with_a_tty_it_has_a_terminal_of_the_asked_size() {
    let Some((node, sandbox)) = running().await else {
        return;
    };
    // The echo of what is typed would race with what is printed.
    let script = "stty -echo; tty; read line; echo got $line; stty size; exit 4";
    let exec = Exec {
        stdin: true,
        tty: true,
        stderr: false,
        ..Exec::new(["sh", "-c", script])
    };
    let mut running = sandbox.exec(&id("c"), exec).await.unwrap();
    running.resize(132, 43).unwrap();
    let mut tty = [0; 12];
    running
        .stdout
        .as_mut()
        .unwrap()
        .read_exact(&mut tty)
        .await
        .unwrap();
    assert_eq!(&tty, b"/dev/pts/0\r\n");
    running
        .stdin
        .as_mut()
        .unwrap()
        .write_all(b"word\n")
        .await
        .unwrap();
    let (out, _, code) = collect(&mut running).await;
    assert_eq!(
        (out.replace('\r', ""), code),
        ("got word\n43 132\n".to_owned(), 4)
    );
    end(node, sandbox).await;
}

#[tokio::test]
async fn user_directory_and_environment_are_as_asked() {
    let Some((node, sandbox)) = running().await else {
        return;
    };
    let exec = Exec {
        user: Some(User {
            uid: 1000,
            gid: 1000,
            additional_gids: vec![2000],
        }),
        cwd: Some("/tmp".into()),
        env: Some(vec!["PATH=/bin".into(), "A=b".into()]),
        ..Exec::new(["sh", "-c", "id; pwd; echo $A $HOME; echo x > /dev/stderr"])
    };
    let mut running = sandbox.exec(&id("c"), exec).await.unwrap();
    let expected = "uid=1000(user) gid=1000(user) groups=2000(extra)\n/tmp\nb /home/user\n";
    assert_eq!(
        collect(&mut running).await,
        (expected.to_owned(), "x\n".to_owned(), 0)
    );
    end(node, sandbox).await;
}

#[tokio::test]
async fn what_cannot_be_run_is_reported_as_runc_does() {
    let Some((node, sandbox)) = running().await else {
        return;
    };
    let error = sandbox
        .exec(&id("c"), Exec::new(["nosuch"]))
        .await
        .unwrap_err();
    assert_eq!(
        error.to_string(),
        r#"exec: "nosuch": executable file not found in $PATH"#
    );
    assert!(matches!(error, Error::Exec { .. }), "{error:?}");
    end(node, sandbox).await;
}

#[tokio::test]
async fn dropping_it_kills_it() {
    let Some((node, sandbox)) = running().await else {
        return;
    };
    let running = sandbox
        .exec(&id("c"), Exec::new(["sleep", "987"]))
        .await
        .unwrap();
    drop(running);
    let mut counts = Vec::new();
    for _ in 0..100 {
        counts.push(shell(&sandbox, "ps | grep -c '[s]leep 987'").await.0);
        if counts.last().is_some_and(|c| c == "0\n") {
            break;
        }
    }
    assert_eq!(counts.last().unwrap(), "0\n");
    end(node, sandbox).await;
}

#[tokio::test]
async fn a_container_that_has_ended_takes_none() {
    let Some(node) = node::open() else { return };
    let sandbox = node.sandbox().await;
    node.run(&sandbox, node.shell("c", "true")).await;
    let error = sandbox
        .exec(&id("c"), Exec::new(["true"]))
        .await
        .unwrap_err();
    assert!(matches!(error, Error::NotRunning { .. }), "{error:?}");
    let error = sandbox
        .exec(&id("other"), Exec::new(["true"]))
        .await
        .unwrap_err();
    assert!(matches!(error, Error::NotFound { .. }), "{error:?}");
    end(node, sandbox).await;
}
