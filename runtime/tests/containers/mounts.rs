//! What is mounted in a container, as recorded from containerd.

use std::fs;
use std::os::unix::fs::symlink;

use runtime::defaults::bind;

use crate::node;

/// The script of the recorded case "mounts default", without the file mounts kubelet adds.
const MOUNTS: &str = "awk '{print $2,$3,$4}' /proc/mounts | grep -v upperdir | \
    sed 's/size=[0-9]*k/size=x/; s/,inode64//; s/nr_inodes=[0-9]*/nr/' | sort";

#[tokio::test]
async fn the_default_mounts_are_those_of_containerd() {
    let Some(node) = node::open() else { return };
    let lines = node.output(MOUNTS).await;
    let (groups, rest): (Vec<_>, Vec<_>) = lines
        .into_iter()
        .partition(|l| l.starts_with("/sys/fs/cgroup"));
    let expected = [
        "/dev tmpfs rw,nosuid,size=x,mode=755",
        "/dev/mqueue mqueue rw,nosuid,nodev,noexec,relatime",
        "/dev/pts devpts rw,nosuid,noexec,relatime,gid=5,mode=620,ptmxmode=666",
        "/dev/shm tmpfs rw,nosuid,nodev,noexec,relatime,size=x",
        "/proc proc rw,nosuid,nodev,noexec,relatime",
        "/proc/acpi tmpfs ro,relatime",
        "/proc/bus proc ro,nosuid,nodev,noexec,relatime",
        "/proc/fs proc ro,nosuid,nodev,noexec,relatime",
        "/proc/interrupts tmpfs rw,nosuid,size=x,mode=755",
        "/proc/irq proc ro,nosuid,nodev,noexec,relatime",
        "/proc/keys tmpfs rw,nosuid,size=x,mode=755",
        "/proc/sys proc ro,nosuid,nodev,noexec,relatime",
        "/proc/timer_list tmpfs rw,nosuid,size=x,mode=755",
        "/sys sysfs ro,nosuid,nodev,noexec,relatime",
        "/sys/firmware tmpfs ro,relatime",
    ];
    assert_eq!(rest, expected);
    if fs::exists("/sys/fs/cgroup/memory").unwrap() {
        assert!(
            groups.contains(
                &"/sys/fs/cgroup tmpfs rw,nosuid,nodev,noexec,relatime,mode=755".to_owned()
            ),
            "{groups:?}"
        );
        let memory =
            "/sys/fs/cgroup/memory cgroup ro,nosuid,nodev,noexec,relatime,memory".to_owned();
        assert!(groups.contains(&memory), "{groups:?}");
    } else {
        assert_eq!(
            groups,
            ["/sys/fs/cgroup cgroup2 ro,nosuid,nodev,noexec,relatime"]
        );
    }
}

#[tokio::test]
async fn the_devices_are_those_of_containerd() {
    let Some(node) = node::open() else { return };
    let script = "ls /dev | sort | tr '\\n' ' '; echo; \
        ls -l /dev/null /dev/zero /dev/full /dev/random /dev/urandom /dev/tty | awk '{print $1,$3,$4,$5,$6,$10}'; \
        ls -l /dev/fd /dev/stdin /dev/stdout /dev/stderr /dev/ptmx | awk '{print $9,$11}'";
    let expected = [
        "fd full mqueue null ptmx pts random shm stderr stdin stdout tty urandom zero ",
        "crw-rw-rw- root root 1, 7 /dev/full",
        "crw-rw-rw- root root 1, 3 /dev/null",
        "crw-rw-rw- root root 1, 8 /dev/random",
        "crw-rw-rw- root root 5, 0 /dev/tty",
        "crw-rw-rw- root root 1, 9 /dev/urandom",
        "crw-rw-rw- root root 1, 5 /dev/zero",
        "/dev/fd /proc/self/fd",
        "/dev/ptmx pts/ptmx",
        "/dev/stderr /proc/self/fd/2",
        "/dev/stdin /proc/self/fd/0",
        "/dev/stdout /proc/self/fd/1",
    ];
    assert_eq!(node.output(script).await, expected);
}

#[tokio::test]
async fn masked_paths_are_empty_and_read_only_ones_refuse() {
    let Some(node) = node::open() else { return };
    let script = "head -c 10 /proc/keys | wc -c; ls /proc/acpi /sys/firmware; \
        for f in /proc/sys/kernel/hostname /proc/irq/default_smp_affinity; do echo x > $f; done 2>&1; \
        mkdir -p /tmp/m; mount -t tmpfs t /tmp/m 2>&1; mount -o remount,rw /proc/sys 2>&1";
    let expected = [
        "0",
        "/proc/acpi:",
        "",
        "/sys/firmware:",
        "sh: can't create /proc/sys/kernel/hostname: Read-only file system",
        "sh: can't create /proc/irq/default_smp_affinity: Read-only file system",
        "mount: permission denied (are you root?)",
        "mount: permission denied (are you root?)",
    ];
    assert_eq!(node.output(script).await, expected);
}

#[tokio::test]
async fn a_read_only_root_leaves_the_mounts_writable() {
    let Some(node) = node::open() else { return };
    let script = "exec 2>&1; touch /x; touch /tmp/x; touch /dev/shm/x && echo shm";
    let mut container = node.shell("c", script);
    container
        .spec
        .root_mut()
        .as_mut()
        .unwrap()
        .set_readonly(Some(true));
    let expected = [
        "touch: /x: Read-only file system",
        "touch: /tmp/x: Read-only file system",
        "shm",
    ];
    assert_eq!(node.output_of(container).await, expected);
}

#[tokio::test]
async fn a_bind_is_made_where_it_is_asked_for_and_read_only_when_asked() {
    let Some(node) = node::open() else { return };
    fs::create_dir(node.path("data")).unwrap();
    fs::write(node.path("data/file"), "from the host\n").unwrap();
    let mut container = node.shell(
        "c",
        "cat /new/dir/file; echo x > /new/dir/file; cat /etc/one; echo y >> /etc/one",
    );
    let mounts = container.spec.mounts_mut().as_mut().unwrap();
    mounts.push(bind(&node.path("data"), "/new/dir", &["rbind", "ro"]));
    fs::write(node.path("one"), "one file\n").unwrap();
    mounts.push(bind(&node.path("one"), "/etc/one", &["rbind", "rprivate"]));
    let one = node.path("one");
    let sandbox = node.sandbox().await;
    let (lines, _) = node.run(&sandbox, container).await;
    let refused = "sh: can't create /new/dir/file: Read-only file system";
    let mut sorted = lines.clone();
    sorted.sort();
    assert_eq!(sorted, ["from the host", "one file", refused]);
    assert_eq!(fs::read_to_string(one).unwrap(), "one file\ny\n");
    sandbox.destroy().await.unwrap();
    node.close().await;
}

#[tokio::test]
async fn a_link_in_the_image_leads_a_mount_inside_of_it() {
    let Some(node) = node::open() else { return };
    fs::create_dir(node.path("image/run")).unwrap();
    fs::create_dir(node.path("image/var")).unwrap();
    // As Debian's images have it, and as an attacker might.
    symlink("/run", node.path("image/var/run")).unwrap();
    fs::create_dir(node.path("data")).unwrap();
    fs::write(node.path("data/token"), "secret\n").unwrap();
    let mut container = node.shell("c", "cat /run/secrets/token");
    container.spec.mounts_mut().as_mut().unwrap().push(bind(
        &node.path("data"),
        "/var/run/secrets",
        &["rbind", "ro"],
    ));
    assert_eq!(node.output_of(container).await, ["secret"]);
}

#[tokio::test]
async fn a_missing_working_directory_is_made() {
    let Some(node) = node::open() else { return };
    let mut container = node.shell("c", "pwd; ls -ld . | awk '{print $1,$3}'; umask");
    container
        .spec
        .process_mut()
        .as_mut()
        .unwrap()
        .set_cwd("/new/dir".into());
    assert_eq!(
        node.output_of(container).await,
        ["/new/dir", "drwxr-xr-x root", "0022"]
    );
}

#[tokio::test]
async fn a_directory_can_be_the_root() {
    let Some(node) = node::open() else { return };
    let mut container = node.shell("c", "echo kept > /kept; cat /etc/group | head -n1");
    container.rootfs = runtime::Rootfs::Dir(node.path("image"));
    let image = node.path("image/kept");
    let sandbox = node.sandbox().await;
    let (lines, _) = node.run(&sandbox, container).await;
    assert_eq!(
        (lines, fs::read_to_string(image).unwrap()),
        (vec!["root:x:0:".to_owned()], "kept\n".to_owned())
    );
    sandbox.destroy().await.unwrap();
    node.close().await;
}

#[tokio::test]
async fn a_hundred_layers_are_one_root() {
    let Some(node) = node::open() else { return };
    let mut container = node.shell("c", "cat /layer1 /layer100 /etc/top");
    let runtime::Rootfs::Overlay { lower, .. } = &mut container.rootfs else {
        unreachable!()
    };
    for n in 1..=100 {
        let layer = node.path(&format!("a-directory-with-a-long-name-and-a:colon/{n}"));
        fs::create_dir_all(layer.join("etc")).unwrap();
        fs::write(layer.join(format!("layer{n}")), format!("{n}\n")).unwrap();
        fs::write(layer.join("etc/top"), format!("top is {n}\n")).unwrap();
        lower.push(layer);
    }
    assert_eq!(node.output_of(container).await, ["1", "100", "top is 100"]);
}

#[tokio::test]
async fn the_host_sees_no_mount_of_a_running_container() {
    let Some(node) = node::open() else { return };
    let sandbox = node.sandbox().await;
    let before = fs::read_to_string("/proc/self/mountinfo").unwrap();
    sandbox.start(node.shell("c", "sleep 1000")).await.unwrap();
    let after = fs::read_to_string("/proc/self/mountinfo").unwrap();
    let dir = node.dir.path().to_str().unwrap().to_owned();
    let of_ours = |text: &str| {
        text.lines()
            .filter(|l| l.contains(&dir))
            .map(str::to_owned)
            .collect::<Vec<_>>()
    };
    assert_eq!(of_ours(&after), of_ours(&before));
    sandbox.destroy().await.unwrap();
    node.close().await;
}
