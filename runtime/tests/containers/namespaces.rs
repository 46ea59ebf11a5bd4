//! What the containers of a pod share.

use runtime::{Namespaces, PidNamespace, Sandbox, Scope};

use crate::node::{self, Node};

async fn pod(namespaces: Namespaces) -> Option<(Node, Sandbox)> {
    let node = node::open()?;
    let config = runtime::SandboxConfig {
        namespaces,
        ..node.sandbox_config("a")
    };
    let sandbox = node.runtime.create_sandbox(config).await.unwrap();
    Some((node, sandbox))
}

async fn output(node: &Node, sandbox: &Sandbox, id: &str, script: &str) -> Vec<String> {
    node.run(sandbox, node.shell(id, script)).await.0
}

async fn end(node: Node, sandbox: Sandbox) {
    sandbox.destroy().await.unwrap();
    node.close().await;
}

fn host(namespace: &str) -> String {
    std::fs::read_link(format!("/proc/self/ns/{namespace}"))
        .unwrap()
        .display()
        .to_string()
}

#[tokio::test]
async fn a_pod_shares_net_ipc_and_uts_and_no_container_its_processes() {
    let Some((node, sandbox)) = pod(Namespaces::default()).await else {
        return;
    };
    let script =
        "for n in net ipc uts pid mnt; do readlink /proc/self/ns/$n; done; echo $$; hostname";
    let one = output(&node, &sandbox, "one", script).await;
    let two = output(&node, &sandbox, "two", script).await;
    assert_eq!(one[..3], two[..3]);
    assert_eq!((one[5].as_str(), one[6].as_str()), ("1", "host-of-a"));
    for (index, name) in ["net", "ipc", "uts", "pid", "mnt"].into_iter().enumerate() {
        assert_ne!(one[index], host(name), "{name}");
    }
    end(node, sandbox).await;
}

#[tokio::test]
async fn containers_of_a_pod_share_memory_by_dev_shm() {
    let Some((node, sandbox)) = pod(Namespaces::default()).await else {
        return;
    };
    output(&node, &sandbox, "one", "echo shared > /dev/shm/x").await;
    assert_eq!(
        output(&node, &sandbox, "two", "cat /dev/shm/x").await,
        ["shared"]
    );
    end(node, sandbox).await;
}

#[tokio::test]
async fn the_loopback_interface_is_up_and_there_is_no_other() {
    let Some((node, sandbox)) = pod(Namespaces::default()).await else {
        return;
    };
    let lines = output(
        &node,
        &sandbox,
        "c",
        "ip -o link | cut -d: -f2 | cut -d' ' -f2; ping -c1 -W1 127.0.0.1 > /dev/null; echo $?",
    )
    .await;
    assert_eq!(lines, ["lo", "0"]);
    end(node, sandbox).await;
}

#[tokio::test]
async fn the_netns_path_is_that_of_the_pod() {
    let Some((node, sandbox)) = pod(Namespaces::default()).await else {
        return;
    };
    let inside = output(&node, &sandbox, "c", "readlink /proc/self/ns/net").await;
    let outside = std::fs::read_link(sandbox.netns().unwrap()).unwrap();
    assert_eq!(inside, [outside.to_str().unwrap()]);
    end(node, sandbox).await;
}

#[tokio::test]
async fn a_shared_pid_namespace_shows_the_other_containers_and_nothing_of_the_host() {
    let namespaces = Namespaces {
        pid: PidNamespace::Pod,
        ..Namespaces::default()
    };
    let Some((node, sandbox)) = pod(namespaces).await else {
        return;
    };
    sandbox
        .start(node.shell("other", "exec sleep 4321"))
        .await
        .unwrap();
    let script = "[ $$ -gt 1 ] && echo not 1; ps | grep -c '[s]leep 4321'; ls /proc/1/root/ 2>&1 | head -n1; \
        readlink /proc/1/fd/2 || echo hidden; cat /proc/1/comm; (sleep 0.1 &); sleep 0.3; \
        grep State /proc/[0-9]*/status | grep -c zombie";
    let lines = output(&node, &sandbox, "c", script).await;
    assert_eq!(lines[..2], ["not 1", "1"]);
    assert!(lines[2].contains("Permission denied"), "{lines:?}");
    assert_eq!(lines[3..], ["hidden", "skiff-reaper", "0"]);
    end(node, sandbox).await;
}

#[tokio::test]
async fn even_with_ptrace_the_reaper_shows_an_empty_root() {
    let namespaces = Namespaces {
        pid: PidNamespace::Pod,
        ..Namespaces::default()
    };
    let Some((node, sandbox)) = pod(namespaces).await else {
        return;
    };
    let mut container = node.shell(
        "c",
        "ls -a /proc/1/root/ | tr '\\n' ' '; ls /proc/1/fd | tr '\\n' ' '",
    );
    let caps = runtime::defaults::capabilities(runtime::defaults::ALL_CAPABILITIES.into());
    container
        .spec
        .process_mut()
        .as_mut()
        .unwrap()
        .set_capabilities(Some(caps));
    let (lines, _) = node.run(&sandbox, container).await;
    // Its three descriptors are /dev/null.
    assert_eq!(lines, [". .. 0 1 2 "]);
    end(node, sandbox).await;
}

#[tokio::test]
async fn killing_a_container_of_a_shared_pid_namespace_kills_what_it_left() {
    let namespaces = Namespaces {
        pid: PidNamespace::Pod,
        ..Namespaces::default()
    };
    let Some((node, sandbox)) = pod(namespaces).await else {
        return;
    };
    output(&node, &sandbox, "one", "setsid sleep 5432 & sleep 0.1").await;
    assert_eq!(
        output(
            &node,
            &sandbox,
            "two",
            "sleep 0.1; ps | grep -c '[s]leep 5432'"
        )
        .await,
        ["0"]
    );
    end(node, sandbox).await;
}

#[tokio::test]
async fn a_container_ends_though_another_goes_on_writing_to_its_output() {
    let shared = Namespaces {
        pid: PidNamespace::Pod,
        ..Namespaces::default()
    };
    let Some((node, sandbox)) = pod(shared).await else {
        return;
    };
    let mut events = sandbox.events().await.unwrap();
    let a = node.shell("a", "exec sleep 777");
    sandbox.start(a).await.unwrap();
    // By way of /proc, for ever: a monitor that read to the end would do nothing else.
    let script = "exec yes > /proc/$(pidof sleep)/fd/1";
    sandbox.start(node.shell("b", script)).await.unwrap();
    let patience = std::time::Duration::from_secs(10);
    let heard = async {
        while std::fs::read(node.path("a.log")).unwrap().is_empty() {
            tokio::time::sleep(std::time::Duration::from_millis(10)).await;
        }
    };
    tokio::time::timeout(patience, heard).await.unwrap();
    let kill = nix::sys::signal::Signal::SIGKILL;
    sandbox.signal(&node::id("a"), kill).await.unwrap();
    let exit = node::wait_for(&mut events, &node::id("a")).await;
    assert_eq!(exit.signal, Some(9));
    end(node, sandbox).await;
}

#[tokio::test]
async fn a_pod_of_the_hosts_namespaces_is_in_them() {
    let namespaces = Namespaces {
        network: Scope::Host,
        ipc: Scope::Host,
        pid: PidNamespace::Host,
    };
    let Some((node, sandbox)) = pod(namespaces).await else {
        return;
    };
    let script = "for n in net ipc uts pid; do readlink /proc/self/ns/$n; done";
    let lines = output(&node, &sandbox, "c", script).await;
    assert_eq!(lines, ["net", "ipc", "uts", "pid"].map(host));
    assert_eq!(sandbox.netns(), None);
    end(node, sandbox).await;
}

#[tokio::test]
async fn sysctls_are_set_in_the_pod_only() {
    let Some(node) = node::open() else { return };
    let read = || std::fs::read_to_string("/proc/sys/kernel/shm_rmid_forced").unwrap();
    let before = read();
    let sysctls = [
        ("kernel.shm_rmid_forced", "1"),
        ("net.ipv4.ip_unprivileged_port_start", "99"),
    ];
    let sysctls = sysctls.map(|(n, v)| (n.to_owned(), v.to_owned())).into();
    let config = runtime::SandboxConfig {
        sysctls,
        ..node.sandbox_config("a")
    };
    let sandbox = node.runtime.create_sandbox(config).await.unwrap();
    let script =
        "cat /proc/sys/kernel/shm_rmid_forced /proc/sys/net/ipv4/ip_unprivileged_port_start";
    assert_eq!(output(&node, &sandbox, "c", script).await, ["1", "99"]);
    assert_eq!(read(), before);
    end(node, sandbox).await;
}

#[tokio::test]
async fn a_sysctl_of_the_host_makes_no_pod() {
    let Some(node) = node::open() else { return };
    let sysctls = [("kernel.core_pattern".to_owned(), "|/bin/evil".to_owned())].into();
    let config = runtime::SandboxConfig {
        sysctls,
        ..node.sandbox_config("a")
    };
    let error = node.runtime.create_sandbox(config).await.unwrap_err();
    assert!(error.to_string().contains("kernel.core_pattern"), "{error}");
    assert_eq!(node.runtime.sandboxes().await.unwrap().len(), 0);
    node.close().await;
}
