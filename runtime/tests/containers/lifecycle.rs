//! Start, end, list, signal, remove, destroy.

use nix::sys::signal::Signal;
use runtime::{Error, Status};

use crate::node::{self, id, wait_for};

#[tokio::test]
async fn an_exit_code_is_told_and_kept_until_removed() {
    let Some(node) = node::open() else { return };
    let sandbox = node.sandbox().await;
    let (_, exit) = node.run(&sandbox, node.shell("c", "exit 3")).await;
    assert_eq!((exit.code, exit.signal, exit.oom_killed), (3, None, false));
    assert!(exit.finished_at >= exit.started_at);
    let states = sandbox.list().await.unwrap();
    assert_eq!(states.len(), 1);
    assert_eq!(states[0].status, Status::Exited(exit));
    assert_eq!(states[0].labels["container"], "c");
    sandbox.remove(&id("c")).await.unwrap();
    assert_eq!(sandbox.list().await.unwrap(), []);
    sandbox.destroy().await.unwrap();
    node.close().await;
}

#[tokio::test]
async fn a_signal_ends_a_container_with_128_and_its_number() {
    let Some(node) = node::open() else { return };
    let sandbox = node.sandbox().await;
    let mut events = sandbox.events().await.unwrap();
    sandbox.start(node.shell("c", "sleep 1000")).await.unwrap();
    sandbox.signal(&id("c"), Signal::SIGKILL).await.unwrap();
    let exit = wait_for(&mut events, &id("c")).await;
    assert_eq!((exit.code, exit.signal), (137, Some(9)));
    let again = sandbox.signal(&id("c"), Signal::SIGTERM).await;
    assert!(matches!(again, Err(Error::NotRunning { .. })), "{again:?}");
    sandbox.destroy().await.unwrap();
    node.close().await;
}

#[tokio::test]
async fn a_handler_for_term_runs() {
    let Some(node) = node::open() else { return };
    let sandbox = node.sandbox().await;
    let mut events = sandbox.events().await.unwrap();
    let script = "trap 'echo bye; exit 7' TERM; echo ready; while true; do sleep 0.01; done";
    sandbox.start(node.shell("c", script)).await.unwrap();
    while !node.log("c").contains(&"ready".to_owned()) {
        tokio::time::sleep(std::time::Duration::from_millis(5)).await;
    }
    sandbox.signal(&id("c"), Signal::SIGTERM).await.unwrap();
    assert_eq!(wait_for(&mut events, &id("c")).await.code, 7);
    assert_eq!(node.log("c"), ["ready", "bye"]);
    sandbox.destroy().await.unwrap();
    node.close().await;
}

#[tokio::test]
async fn a_running_container_is_not_removed() {
    let Some(node) = node::open() else { return };
    let sandbox = node.sandbox().await;
    sandbox.start(node.shell("c", "sleep 1000")).await.unwrap();
    let removed = sandbox.remove(&id("c")).await;
    assert!(matches!(removed, Err(Error::Refused { .. })), "{removed:?}");
    sandbox.destroy().await.unwrap();
    node.close().await;
}

#[tokio::test]
async fn destroy_leaves_nothing_of_a_pod_full_of_processes() {
    let Some(node) = node::open() else { return };
    let sandbox = node.sandbox().await;
    for name in ["one", "two"] {
        let script = "for i in 1 2 3 4 5; do (trap '' TERM; sleep 1000) & done; sleep 1000";
        sandbox.start(node.shell(name, script)).await.unwrap();
    }
    sandbox.destroy().await.unwrap();
    node.close().await;
}

#[tokio::test]
async fn remove_everything_ends_pods_that_nobody_holds() {
    let Some(node) = node::open() else { return };
    for uid in ["a", "b"] {
        let sandbox = node
            .runtime
            .create_sandbox(node.sandbox_config(uid))
            .await
            .unwrap();
        sandbox.start(node.shell(uid, "sleep 1000")).await.unwrap();
    }
    node.close().await;
}

async fn error_of(args: &[&str]) -> Option<Error> {
    let node = node::open()?;
    let sandbox = node.sandbox().await;
    let spec = runtime::defaults::spec(args.iter().map(|&a| a.to_owned()).collect());
    let error = sandbox.start(node.container("c", spec)).await.unwrap_err();
    assert_eq!(
        sandbox.list().await.unwrap(),
        [],
        "what did not start is no container"
    );
    // The same name is free for the next attempt.
    assert_eq!(node.run(&sandbox, node.shell("c", "true")).await.1.code, 0);
    sandbox.destroy().await.unwrap();
    node.close().await;
    Some(error)
}

fn is_exec(error: Option<Error>, expected: &str) {
    let Some(error) = error else { return };
    assert!(matches!(error, Error::Exec { .. }), "{error:?}");
    assert_eq!(error.to_string(), expected);
}

#[tokio::test]
async fn a_command_that_is_not_in_the_path_is_reported_as_runc_does() {
    is_exec(
        error_of(&["nosuch"]).await,
        r#"exec: "nosuch": executable file not found in $PATH"#,
    );
}

#[tokio::test]
async fn a_path_that_is_not_there_is_reported_as_runc_does() {
    let expected = r#"exec: "/no/such": stat /no/such: no such file or directory"#;
    is_exec(error_of(&["/no/such"]).await, expected);
}

#[tokio::test]
async fn a_file_that_is_not_executable_is_reported_as_runc_does() {
    is_exec(
        error_of(&["/etc/passwd"]).await,
        r#"exec: "/etc/passwd": permission denied"#,
    );
}

#[tokio::test]
async fn a_mount_that_cannot_be_made_is_an_error_of_creating() {
    let Some(node) = node::open() else { return };
    let sandbox = node.sandbox().await;
    let mut container = node.shell("c", "true");
    let missing =
        runtime::defaults::bind(std::path::Path::new("/no/such/source"), "/data", &["rbind"]);
    container.spec.mounts_mut().as_mut().unwrap().push(missing);
    let error = sandbox.start(container).await.unwrap_err();
    assert!(matches!(error, Error::Create { .. }), "{error:?}");
    assert!(error.to_string().contains("/no/such/source"), "{error}");
    sandbox.destroy().await.unwrap();
    node.close().await;
}

#[tokio::test]
async fn a_uid_has_one_sandbox() {
    let Some(node) = node::open() else { return };
    let sandbox = node.sandbox().await;
    let again = node.runtime.create_sandbox(node.sandbox_config("a")).await;
    assert!(matches!(again, Err(Error::Exists { .. })), "{again:?}");
    sandbox.destroy().await.unwrap();
    node.close().await;
}

#[tokio::test]
async fn a_uid_that_is_a_path_is_refused() {
    let Some(node) = node::open() else { return };
    let refused = node
        .runtime
        .create_sandbox(node.sandbox_config("../a"))
        .await;
    assert!(matches!(refused, Err(Error::Name { .. })), "{refused:?}");
    node.close().await;
}
