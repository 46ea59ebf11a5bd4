//! The agent dies, the monitor dies: what is found again.

use std::time::Duration;

use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use runtime::{Error, Event, Runtime, Status};

use crate::node::{self, id, wait_for};

#[tokio::test]
async fn another_runtime_finds_the_pods_and_their_running_containers() {
    let Some(node) = node::open() else { return };
    let sandbox = node.sandbox().await;
    let started = sandbox.start(node.shell("c", "sleep 1000")).await.unwrap();
    drop(sandbox);
    let found = Runtime::open(node.config.clone())
        .unwrap()
        .sandboxes()
        .await
        .unwrap();
    assert_eq!(found.len(), 1);
    assert!(found[0].is_live());
    assert_eq!(found[0].config().hostname, "host-of-a");
    assert_eq!(
        found[0].list().await.unwrap()[0].status,
        Status::Running(started)
    );
    found[0].clone().destroy().await.unwrap();
    node.close().await;
}

#[tokio::test]
async fn an_exit_while_nobody_listened_is_told_until_acknowledged() {
    let Some(node) = node::open() else { return };
    let sandbox = node.sandbox().await;
    sandbox.start(node.shell("c", "exit 6")).await.unwrap();
    tokio::time::sleep(Duration::from_millis(100)).await;
    for _ in 0..2 {
        let exit = wait_for(&mut sandbox.events().await.unwrap(), &id("c")).await;
        assert_eq!(exit.code, 6);
    }
    sandbox.acknowledge(&id("c")).await.unwrap();
    sandbox.start(node.shell("d", "exit 7")).await.unwrap();
    let Event::Exited { id: ended, exit } = sandbox.events().await.unwrap().next().await.unwrap();
    assert_eq!((ended.as_str(), exit.code), ("d", 7));
    sandbox.destroy().await.unwrap();
    node.close().await;
}

/// The agent of this test is another process, killed as a crash would end it.
#[tokio::test]
async fn kill_9_of_the_agent_touches_no_container_and_loses_no_line() {
    let Some(node) = node::open() else { return };
    let sandbox = node.sandbox().await;
    let script = "i=0; while [ $i -lt 300 ]; do i=$((i+1)); echo $i; sleep 0.005; done; exit 42";
    let container = serde_json::to_string(&node.shell("c", script)).unwrap();
    std::fs::write(node.path("container.json"), container).unwrap();
    drop(sandbox);
    let exe = std::env::current_exe().unwrap();
    let agent = exe
        .parent()
        .unwrap()
        .parent()
        .unwrap()
        .join("examples/agent");
    let mut agent = tokio::process::Command::new(agent)
        .args([
            &node.config.run_dir,
            &node.config.cgroup_root,
            &node.config.monitor.exe,
        ])
        .arg(node.path("container.json"))
        .stdout(std::process::Stdio::piped())
        .spawn()
        .unwrap();
    use tokio::io::AsyncReadExt;
    let mut pid = [0; 4];
    agent
        .stdout
        .take()
        .unwrap()
        .read_exact(&mut pid)
        .await
        .unwrap();
    tokio::time::sleep(Duration::from_millis(200)).await;
    agent.kill().await.unwrap();
    assert!(
        !node.log("c").contains(&"300".to_owned()),
        "it was killed in the middle"
    );
    let found = node.runtime.sandboxes().await.unwrap();
    let sandbox = found[0].clone();
    let Status::Running(started) = sandbox.list().await.unwrap()[0].status else {
        panic!("it does not run")
    };
    assert_eq!(started.pid, u32::from_le_bytes(pid));
    let exit = wait_for(&mut sandbox.events().await.unwrap(), &id("c")).await;
    assert_eq!(exit.code, 42);
    assert!(
        node.log("c")
            .into_iter()
            .eq((1..=300).map(|i| i.to_string()))
    );
    sandbox.destroy().await.unwrap();
    node.close().await;
}

#[tokio::test]
async fn a_killed_monitor_takes_its_containers_with_it_and_the_pod_says_so() {
    let Some(node) = node::open() else { return };
    let sandbox = node.sandbox().await;
    node.run(&sandbox, node.shell("ended", "exit 3")).await;
    let started = sandbox.start(node.shell("c", "sleep 1000")).await.unwrap();
    let mut events = sandbox.events().await.unwrap();
    events.next().await.unwrap();
    let monitor = Pid::from_raw(sandbox.monitor_pid().unwrap().try_into().unwrap());
    kill(monitor, Signal::SIGKILL).unwrap();
    let lost = events.next().await;
    assert!(matches!(lost, Err(Error::Lost { .. })), "{lost:?}");
    let found = node.runtime.sandboxes().await.unwrap();
    assert!(!found[0].is_live());
    let mut states = found[0].list().await.unwrap();
    states.sort_by(|a, b| a.id.cmp(&b.id));
    assert_eq!(states[0].status, Status::Lost(started));
    let Status::Exited(exit) = states[1].status else {
        panic!("{states:?}")
    };
    assert_eq!(exit.code, 3);
    // Gone, or waiting to be reaped by whoever adopted it.
    let is_dead = || match std::fs::read_to_string(format!("/proc/{}/stat", started.pid)) {
        Ok(stat) => stat.contains(") Z "),
        Err(_) => true,
    };
    for _ in 0..100 {
        if is_dead() {
            break;
        }
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
    assert!(is_dead(), "the container outlived its monitor");
    sandbox.destroy().await.unwrap();
    node.close().await;
}

#[tokio::test]
async fn nobody_but_root_can_reach_a_monitor() {
    use std::os::unix::fs::PermissionsExt;
    let Some(node) = node::open() else { return };
    let sandbox = node.sandbox().await;
    let mode = std::fs::metadata(node.config.run_dir.join("pods"))
        .unwrap()
        .permissions()
        .mode();
    assert_eq!(mode & 0o777, 0o700);
    sandbox.destroy().await.unwrap();
    node.close().await;
}

#[tokio::test]
async fn nonsense_on_the_socket_hurts_nobody() {
    use std::io::Write;
    let Some(node) = node::open() else { return };
    let sandbox = node.sandbox().await;
    let socket = node.config.run_dir.join("pods/a/monitor.sock");
    for nonsense in [
        &b"\xff\xff\xff\xff"[..],
        b"\x04\0\0\0nope",
        b"\x02\0\0\0{}",
        b"\x09\0",
    ] {
        std::os::unix::net::UnixStream::connect(&socket)
            .unwrap()
            .write_all(nonsense)
            .unwrap();
    }
    assert_eq!(
        node.run(&sandbox, node.shell("c", "exit 8")).await.1.code,
        8
    );
    sandbox.destroy().await.unwrap();
    node.close().await;
}

#[tokio::test]
async fn a_monitor_is_small() {
    let Some(node) = node::open() else { return };
    // With a second monitor, what is the binary's is shared.
    let other = node
        .runtime
        .create_sandbox(node.sandbox_config("b"))
        .await
        .unwrap();
    other
        .start(node.shell("other", "sleep 1000"))
        .await
        .unwrap();
    let sandbox = node.sandbox().await;
    for name in ["one", "two", "three"] {
        sandbox
            .start(node.shell(name, "seq 1 1000; sleep 1000"))
            .await
            .unwrap();
    }
    let smaps = format!("/proc/{}/smaps_rollup", sandbox.monitor_pid().unwrap());
    let smaps = std::fs::read_to_string(smaps).unwrap();
    let private: u64 = smaps
        .lines()
        .filter(|l| l.starts_with("Private_"))
        .map(|l| l.split_whitespace().nth(1).unwrap().parse::<u64>().unwrap())
        .sum();
    other.destroy().await.unwrap();
    println!("private memory of a monitor of three containers: {private} KiB");
    assert!(private <= 1024, "{smaps}");
    sandbox.destroy().await.unwrap();
    node.close().await;
}
