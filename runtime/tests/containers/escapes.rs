//! Past escapes from containers, tried again.

use std::fs;
use std::os::unix::fs::symlink;

use runtime::defaults::bind;
use runtime::{Error, Exec};
use tokio::io::AsyncReadExt;

use crate::node::{self, Node, id};

#[tokio::test]
async fn no_descriptor_but_the_three_reaches_the_program() {
    let Some(node) = node::open() else { return };
    // CVE-2024-21626; ls itself has one open on what it lists.
    assert_eq!(
        node.output("ls /proc/self/fd | tr '\\n' ' '").await,
        ["0 1 2 3 "]
    );
}

#[tokio::test]
async fn no_descriptor_but_the_three_reaches_an_exec() {
    let Some(node) = node::open() else { return };
    let sandbox = node.sandbox().await;
    sandbox.start(node.shell("c", "sleep 1000")).await.unwrap();
    let mut running = sandbox
        .exec(&id("c"), Exec::new(["ls", "/proc/self/fd"]))
        .await
        .unwrap();
    let mut out = String::new();
    running
        .stdout
        .take()
        .unwrap()
        .read_to_string(&mut out)
        .await
        .unwrap();
    assert_eq!(out, "0\n1\n2\n3\n");
    sandbox.destroy().await.unwrap();
    node.close().await;
}

#[tokio::test]
async fn a_working_directory_through_a_descriptor_leads_nowhere() {
    let Some(node) = node::open() else { return };
    // CVE-2024-21626: every number the runtime might have left open.
    let sandbox = node.sandbox().await;
    for fd in 3..40 {
        let mut container = node.shell("c", "cat ../../../../etc/hostname; ls -d /work");
        container
            .spec
            .process_mut()
            .as_mut()
            .unwrap()
            .set_cwd(format!("/proc/self/fd/{fd}").into());
        match sandbox.start(container).await {
            Err(error) => assert!(matches!(error, Error::Exec { .. }), "{error:?}"),
            Ok(_) => panic!("descriptor {fd} was a directory to work in"),
        }
    }
    sandbox.destroy().await.unwrap();
    node.close().await;
}

#[tokio::test]
async fn the_monitors_program_cannot_be_written_by_way_of_proc() {
    let Some(node) = node::open() else { return };
    // CVE-2019-5736: the "program" of the container is the one that makes it.
    let before = fs::read(&node.config.monitor.exe).unwrap();
    let sandbox = node.sandbox().await;
    let spec = runtime::defaults::spec(vec!["/proc/self/exe".into(), "x".into()]);
    let mut container = node.container("c", spec);
    let caps = runtime::defaults::capabilities(runtime::defaults::ALL_CAPABILITIES.into());
    container
        .spec
        .process_mut()
        .as_mut()
        .unwrap()
        .set_capabilities(Some(caps));
    // It runs as itself, finds no pod, and ends; or is refused. Either way nothing is written.
    let _ = sandbox.start(container).await;
    let monitor = sandbox.monitor_pid().unwrap();
    let exe = format!("/proc/{monitor}/exe");
    for attempt in [
        fs::File::options().write(true).open(&exe),
        fs::File::options().append(true).open(&exe),
    ] {
        let error = attempt.unwrap_err();
        // Read-only file system, text file busy, or sealed: not "permission denied", for this is root.
        assert!(
            matches!(
                error.raw_os_error(),
                Some(libc::EROFS | libc::ETXTBSY | libc::EPERM)
            ),
            "{error}"
        );
    }
    sandbox.destroy().await.unwrap();
    // The same after nothing runs it any more: through the descriptor of this process.
    let mine = fs::read_dir("/proc/self/fd")
        .unwrap()
        .flatten()
        .map(|e| e.path());
    let name = node.config.monitor.exe.file_name().unwrap().to_owned();
    let held: Vec<_> = mine
        .filter(|p| fs::read_link(p).is_ok_and(|l| l.file_name() == Some(&name)))
        .collect();
    for fd in &held {
        let error = fs::File::options().write(true).open(fd).unwrap_err();
        assert!(
            matches!(error.raw_os_error(), Some(libc::EROFS | libc::EPERM)),
            "{error}"
        );
    }
    assert!(
        fs::read(&node.config.monitor.exe).unwrap() == before,
        "the program changed"
    );
    node.close().await;
}

#[tokio::test]
async fn a_monitor_cannot_be_dumped() {
    let Some(node) = node::open() else { return };
    let sandbox = node.sandbox().await;
    // A process that cannot be dumped has its /proc files owned by root whoever runs it; its core is refused.
    let status =
        fs::read_to_string(format!("/proc/{}/status", sandbox.monitor_pid().unwrap())).unwrap();
    assert!(status.contains("CoreDumping:\t0"), "{status}");
    assert!(status.contains("Name:\tskiff-monitor"), "{status}");
    assert!(status.contains("Threads:\t1"), "{status}");
    sandbox.destroy().await.unwrap();
    node.close().await;
}

/// Mounts `target` of an image that an attacker has made, and gives back what of the host changed.
async fn mount_on(node: &Node, target: &str) -> Result<(), Error> {
    let sandbox = node.sandbox().await;
    fs::create_dir_all(node.path("data")).unwrap();
    let mut container = node.shell("c", "true");
    container.spec.mounts_mut().as_mut().unwrap().push(bind(
        &node.path("data"),
        target,
        &["rbind"],
    ));
    let started = sandbox.start(container).await;
    sandbox.destroy().await.unwrap();
    started.map(drop)
}

#[tokio::test]
async fn a_mount_point_that_is_a_link_to_the_host_stays_inside() {
    let Some(node) = node::open() else { return };
    // CVE-2021-30465, CVE-2024-45310: nothing is made at the host's path of that name.
    let outside = node.path("outside");
    symlink(&outside, node.path("image/link")).unwrap();
    symlink(
        "../../../../../../../..".to_owned() + outside.to_str().unwrap(),
        node.path("image/relative"),
    )
    .unwrap();
    for target in ["/link/made", "/relative/made", "/../../../link/again"] {
        // Made inside, or refused: both are safe.
        let _ = mount_on(&node, target).await;
        assert!(!outside.exists(), "{target} made {}", outside.display());
    }
    node.close().await;
}

#[tokio::test]
async fn an_image_whose_proc_is_a_link_does_not_start() {
    let Some(node) = node::open() else { return };
    // CVE-2023-27561: masks and read-only paths must land on the kernel's own /proc.
    fs::remove_dir(node.path("image/proc")).unwrap();
    fs::create_dir(node.path("image/fake")).unwrap();
    symlink("/fake", node.path("image/proc")).unwrap();
    let sandbox = node.sandbox().await;
    let error = sandbox.start(node.shell("c", "true")).await.unwrap_err();
    assert!(matches!(error, Error::Create { .. }), "{error:?}");
    assert!(error.to_string().contains("/proc"), "{error}");
    sandbox.destroy().await.unwrap();
    node.close().await;
}

#[tokio::test]
async fn an_image_whose_dev_is_a_link_makes_nothing_on_the_host() {
    let Some(node) = node::open() else { return };
    // CVE-2026-41579.
    let outside = node.path("outside");
    fs::create_dir(&outside).unwrap();
    fs::remove_dir(node.path("image/dev")).unwrap();
    symlink(&outside, node.path("image/dev")).unwrap();
    let sandbox = node.sandbox().await;
    let error = sandbox.start(node.shell("c", "true")).await.unwrap_err();
    assert!(matches!(error, Error::Create { .. }), "{error:?}");
    assert_eq!(fs::read_dir(&outside).unwrap().count(), 0);
    sandbox.destroy().await.unwrap();
    node.close().await;
}

#[tokio::test]
async fn a_null_device_that_is_something_else_masks_nothing() {
    let Some(node) = node::open() else { return };
    // CVE-2025-31133: /dev/null of the image is a link to what the attacker wants to write.
    fs::write(node.path("image/dev/null"), "not a device").unwrap();
    let sandbox = node.sandbox().await;
    let mut container = node.shell("c", "true");
    // Without a /dev of its own the image's is used.
    container
        .spec
        .mounts_mut()
        .as_mut()
        .unwrap()
        .retain(|m| !m.destination().starts_with("/dev"));
    let error = sandbox.start(container).await.unwrap_err();
    assert!(
        error
            .to_string()
            .contains("/dev/null is not the null device"),
        "{error}"
    );
    sandbox.destroy().await.unwrap();
    node.close().await;
}

#[tokio::test]
async fn the_host_is_not_reachable_by_way_of_pid_1s_root() {
    let Some(node) = node::open() else { return };
    let lines = node
        .output("ls /proc/1/root/ | tr '\\n' ' '; echo; ls -d /proc/1/cwd/../work 2>&1")
        .await;
    assert_eq!(lines[0], "bin dev etc proc sys tmp ");
    assert!(lines[1].contains("No such file"), "{lines:?}");
}

#[tokio::test]
async fn groups_cannot_be_written_from_inside() {
    let Some(node) = node::open() else { return };
    // CVE-2023-25809, CVE-2022-0492.
    let script = "for f in $(find /sys/fs/cgroup -name cgroup.procs); do echo 0 > $f; done 2>&1 | grep -vc 'Read-only'; \
        find /sys/fs/cgroup -name release_agent";
    assert_eq!(node.output(script).await, ["0"]);
}

#[tokio::test]
async fn the_number_that_means_no_change_is_no_user() {
    let Some(node) = node::open() else { return };
    // CVE-2024-40635: setresuid(2) takes 4294967295 for "stay who you are", which is root.
    let sandbox = node.sandbox().await;
    let nobody = [(u32::MAX, 1000), (1000, u32::MAX)];
    for (uid, gid) in nobody {
        let mut container = node.shell("c", "id");
        let mut user = oci_spec::runtime::User::default();
        user.set_uid(uid).set_gid(gid);
        let process = container.spec.process_mut().as_mut().unwrap();
        process.set_user(user);
        let error = sandbox.start(container).await.unwrap_err();
        assert!(error.to_string().contains("4294967295 is no"), "{error}");
    }
    sandbox.start(node.shell("c", "sleep 1000")).await.unwrap();
    for (uid, gid) in nobody {
        let user = runtime::User {
            uid,
            gid,
            additional_gids: Vec::new(),
        };
        let exec = Exec {
            user: Some(user),
            ..Exec::new(["id"])
        };
        let error = sandbox.exec(&id("c"), exec).await.unwrap_err();
        assert!(error.to_string().contains("4294967295 is no"), "{error}");
    }
    sandbox.destroy().await.unwrap();
    node.close().await;
}

#[tokio::test]
async fn an_account_file_that_is_a_fifo_is_not_waited_for() {
    let Some(node) = node::open() else { return };
    let passwd = node.path("image/etc/passwd");
    fs::remove_file(&passwd).unwrap();
    nix::unistd::mkfifo(&passwd, nix::sys::stat::Mode::S_IRUSR).unwrap();
    let run = node.output("echo $HOME");
    let lines = tokio::time::timeout(std::time::Duration::from_secs(20), run).await;
    assert_eq!(lines.expect("it starts"), ["/"]);
}

/// A container's `/proc` or `/sys` is a directory that an attacker has filled.
async fn start_with(node: &Node, change: impl FnOnce(&mut oci_spec::runtime::Spec)) -> Error {
    let sandbox = node.sandbox().await;
    let mut container = node.shell("c", "true");
    change(&mut container.spec);
    let error = sandbox.start(container).await.unwrap_err();
    sandbox.destroy().await.unwrap();
    assert!(matches!(error, Error::Create { .. }), "{error:?}");
    error
}

#[tokio::test]
async fn a_redirected_procfs_is_neither_masked_nor_written_to() {
    let Some(node) = node::open() else { return };
    // CVE-2019-19921, CVE-2025-52881: a /proc of the image's own making, by a mount or without any.
    let fake = node.path("fake");
    fs::create_dir_all(fake.join("sys/kernel")).unwrap();
    for file in ["keys", "timer_list", "sysrq-trigger"] {
        fs::write(fake.join(file), "").unwrap();
    }
    let by_mount = |spec: &mut oci_spec::runtime::Spec| {
        let mounts = spec.mounts_mut().as_mut().unwrap();
        mounts.retain(|m| m.destination() != std::path::Path::new("/proc"));
        mounts.push(bind(&fake, "/proc", &["rbind"]));
    };
    let error = start_with(&node, by_mount).await;
    assert!(
        error.to_string().contains("not on the kernel's own"),
        "{error}"
    );
    let over_it = |spec: &mut oci_spec::runtime::Spec| {
        let mounts = spec.mounts_mut().as_mut().unwrap();
        mounts.push(bind(&fake, "/proc", &["rbind"]));
    };
    let error = start_with(&node, over_it).await;
    assert!(error.to_string().contains("inside /proc"), "{error}");
    let in_it = |spec: &mut oci_spec::runtime::Spec| {
        let mounts = spec.mounts_mut().as_mut().unwrap();
        mounts.push(bind(&fake, "/proc/self/attr", &["rbind"]));
    };
    let error = start_with(&node, in_it).await;
    assert!(error.to_string().contains("inside /proc"), "{error}");
    let written = fs::read(fake.join("sysrq-trigger")).unwrap();
    assert!(written.is_empty());
    node.close().await;
}

#[tokio::test]
async fn a_sysctl_is_written_whatever_the_container_shows_at_its_place() {
    let Some(node) = node::open() else { return };
    // CVE-2025-52881: redirected, it would be a write to a file of the attacker's choice.
    let mut config = node.sandbox_config("a");
    config.sysctls = [("net.ipv4.ip_forward".to_owned(), "1".to_owned())].into();
    let sandbox = node.runtime.create_sandbox(config).await.unwrap();
    let script = "cat /proc/sys/net/ipv4/ip_forward";
    let (lines, _) = node.run(&sandbox, node.shell("c", script)).await;
    assert_eq!(lines, ["1"]);
    sandbox.destroy().await.unwrap();
    node.close().await;
}

#[tokio::test]
async fn an_image_whose_sys_is_a_link_does_not_start() {
    let Some(node) = node::open() else { return };
    fs::remove_dir(node.path("image/sys")).unwrap();
    fs::create_dir(node.path("image/fake")).unwrap();
    symlink("/fake", node.path("image/sys")).unwrap();
    let error = start_with(&node, |_| {}).await;
    assert!(error.to_string().contains("/sys"), "{error}");
    node.close().await;
}

#[tokio::test]
async fn another_user_at_the_monitors_socket_is_not_heard() {
    use std::os::unix::fs::PermissionsExt;
    use std::os::unix::process::CommandExt;
    let Some(node) = node::open() else { return };
    // CVE-2020-15257. The directories are opened wide, as a careless administrator might.
    let sandbox = node.sandbox().await;
    let socket = node.config.run_dir.join("pods/a/monitor.sock");
    let up: Vec<_> = socket.ancestors().collect();
    for path in up.iter().filter(|p| p.starts_with(node.dir.path())) {
        let mode = fs::metadata(path).unwrap().permissions().mode();
        fs::set_permissions(path, fs::Permissions::from_mode(mode | 0o777)).unwrap();
    }
    let ask = r#"use Socket; socket(S, PF_UNIX, SOCK_STREAM, 0) or die; connect(S, sockaddr_un($ARGV[0])) or die "connect: $!";
        local $SIG{PIPE} = 'IGNORE'; syswrite(S, pack("V", 6) . '"List"'); alarm 20; print sysread(S, $answer, 4096) ? "heard" : "refused""#;
    let as_user = |uid: u32| {
        let mut perl = std::process::Command::new("perl");
        perl.args(["-e", ask]).arg(&socket).uid(uid).gid(uid);
        let output = perl.output().unwrap();
        let error = String::from_utf8(output.stderr).unwrap();
        assert!(output.status.success(), "{error}");
        String::from_utf8(output.stdout).unwrap()
    };
    assert_eq!(as_user(1000), "refused");
    assert_eq!(as_user(0), "heard");
    sandbox.destroy().await.unwrap();
    node.close().await;
}
