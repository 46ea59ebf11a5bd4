//! Ways out of a container, and into its runtime, that once worked somewhere. Each is tried.

use std::fs;
use std::os::unix::fs::symlink;
use std::path::PathBuf;

use serde_json::json;

use crate::harness::{Ground, cases};

cases! {
    runtime_s_descriptors_do_not_reach_the_process;
    caller_s_descriptors_do_not_reach_the_process;
    exec_s_descriptors_do_not_reach_the_process;
    working_directory_by_a_descriptor_is_refused;
    working_directory_of_exec_by_a_descriptor_is_refused;
    working_directory_by_a_link_to_a_descriptor_is_refused;
    runtime_s_binary_cannot_be_written_by_run;
    runtime_s_binary_cannot_be_written_by_exec;
    runtime_s_binary_cannot_be_opened_through_the_init_of_create;
    first_process_cannot_be_traced_before_it_is_the_container_s;
    masked_paths_are_masked_by_a_true_null_device (Runc: "CVE-2025-31133");
    sysctls_are_not_written_through_a_false_proc;
    labels_are_not_written_through_a_false_proc;
    passwd_that_is_a_pipe_does_not_hang (Runc: "waits for a writer", Crun: "waits for a writer");
    passwd_of_many_megabytes_is_bounded;
    user_of_exec_is_parsed_strictly (Runc: "1.1 takes +1000", Crun: "CVE-2026-30892");
    exec_into_a_container_whose_programs_are_hostile;
    exec_into_a_container_without_proc (Runc: "1.1 needs /proc to start at all");
    hostile_process_cannot_keep_itself_from_being_killed;
    fork_bomb_is_ended_by_delete;
    process_cannot_leave_its_group_s_limit;
    process_cannot_see_the_host_s_root_after_the_pivot;
    process_cannot_unmount_its_masks;
    process_cannot_remount_its_root_writable;
    host_s_devices_cannot_be_made_and_opened;
    kernel_s_knobs_cannot_be_written_by_default;
    release_agent_cannot_be_set;
    state_of_the_runtime_is_its_owner_s_alone;
    pid_file_does_not_follow_a_link_in_the_bundle (Crun: "writes through it");
    poststop_hooks_are_those_of_the_creation;
    changed_configuration_does_not_change_a_created_container;
    keyring_of_the_caller_is_not_the_container_s;
}

/// A script by which a process lists all it has open, and where that leads.
const OPEN: &str = "ls /proc/$$/fd; true";

fn runtime_s_descriptors_do_not_reach_the_process(g: &Ground) {
    g.bundle().sh(OPEN).run().prints("0\n1\n2");
    // Not even to one of create and start, which are two processes of the runtime.
    let bundle = g.bundle().sh("ls /proc/$$/fd >/seen; sleep 1000");
    bundle.create().ok();
    bundle.start().ok();
    let seen = bundle.rootfs().join("seen");
    let text = e2e::until("it has looked", std::time::Duration::from_secs(30), || {
        fs::read_to_string(&seen).ok().filter(|text| text.contains('2'))
    });
    // The shell has saved its own output at ten.
    assert!(text.lines().all(|fd| matches!(fd, "0" | "1" | "2" | "10")), "{text}");
}

/// CVE-2024-21626.
fn caller_s_descriptors_do_not_reach_the_process(g: &Ground) {
    let bundle = g.bundle().sh(OPEN);
    bundle.write();
    let (dir, id) = (bundle.dir.display(), &bundle.id);
    g.script(&format!("exec 5</ 6</etc/passwd 9</sys/fs/cgroup; $RT run --bundle {dir} {id}")).prints("0\n1\n2");
}

fn exec_s_descriptors_do_not_reach_the_process(g: &Ground) {
    let bundle = g.bundle().up();
    g.script(&format!("exec 5</ 9</sys/fs/cgroup; $RT exec {} sh -c '{OPEN}'", bundle.id)).prints("0\n1\n2");
}

/// CVE-2024-21626: a working directory that is a descriptor of the runtime, outside of the root.
fn working_directory_by_a_descriptor_is_refused(g: &Ground) {
    for fd in 3..20 {
        for at in [format!("/proc/self/fd/{fd}"), format!("/proc/self/fd/{fd}/../..")] {
            let bundle = g.bundle().set("/process/cwd", at).sh("ls -d ../../../../var/tmp/skoci* 2>/dev/null; true");
            let outcome = bundle.run();
            assert!(!outcome.succeeded() || outcome.stdout.is_empty(), "{outcome:?}");
        }
    }
    g.is_clean();
}

fn working_directory_of_exec_by_a_descriptor_is_refused(g: &Ground) {
    let bundle = g.bundle().up();
    for fd in 3..20 {
        let at = format!("/proc/self/fd/{fd}");
        let outcome = bundle.exec_with(&["--cwd", &at], &["sh", "-c", "ls -d ../../../../var/tmp/skoci* 2>/dev/null; true"]);
        assert!(!outcome.succeeded() || outcome.stdout.is_empty(), "{outcome:?}");
    }
}

fn working_directory_by_a_link_to_a_descriptor_is_refused(g: &Ground) {
    for fd in 3..14 {
        let bundle = g.bundle().set("/process/cwd", "/link");
        symlink(format!("/proc/self/fd/{fd}"), bundle.rootfs().join("link")).expect("link");
        let outcome = bundle.sh("ls -d ../../../../var/tmp/skoci* 2>/dev/null; true").run();
        assert!(!outcome.succeeded() || outcome.stdout.is_empty(), "{outcome:?}");
    }
}

/// The runtime's file, and what it holds.
fn binary(g: &Ground) -> (PathBuf, std::time::SystemTime, u64) {
    let path = g.runtime.program().expect("it is there");
    let data = fs::metadata(&path).expect("it is there");
    (path, data.modified().expect("a time"), data.len())
}

/// CVE-2019-5736: `/proc/self/exe` as the program, and a library (here the program) that writes to its own file.
fn runtime_s_binary_cannot_be_written_by_run(g: &Ground) {
    let before = binary(g);
    let bundle = g.bundle().file("/evil", "#!/proc/self/exe\n").args(&["/evil"]);
    fs::set_permissions(bundle.rootfs().join("evil"), std::os::unix::fs::PermissionsExt::from_mode(0o755)).expect("chmod");
    bundle.run();
    g.bundle().args(&["/proc/self/exe", "--version"]).run();
    assert_eq!(binary(g), before);
}

/// A process that tries to write to the binary of whoever comes into its namespace.
fn runtime_s_binary_cannot_be_written_by_exec(g: &Ground) {
    let before = binary(g);
    let script = "while :; do for exe in /proc/[0-9]*/exe; do \
        case $(readlink $exe) in /bin/busybox|'') ;; *) readlink $exe >>/seen; (echo x >>$exe) 2>/dev/null && echo wrote >>/wrote;; esac; \
        done; done";
    let bundle = g.bundle().sh(script);
    bundle.run_with(&["--detach"]).ok();
    for _ in 0..20 {
        bundle.exec(&["/proc/self/exe", "true"]);
        bundle.exec(&["true"]).ok();
    }
    bundle.call(&["delete", "--force"]).ok();
    assert_eq!(binary(g), before);
    // A copy, or a file that is nobody else's, may have been written to by no one either.
    assert!(!bundle.rootfs().join("wrote").exists(), "a binary was written to");
}

fn runtime_s_binary_cannot_be_opened_through_the_init_of_create(g: &Ground) {
    let before = binary(g);
    let bundle = g.bundle().sleeper();
    bundle.create().ok();
    let exe = format!("/proc/{}/exe", bundle.pid());
    let opened = fs::OpenOptions::new().append(true).open(exe);
    let wrote = opened.is_ok_and(|mut file| std::io::Write::write_all(&mut file, b"x").is_ok());
    assert!(!wrote, "the file of the container's init could be written to");
    assert_eq!(binary(g), before);
}

/// What joins a hostile container must not be open to its processes until it is one of them.
fn first_process_cannot_be_traced_before_it_is_the_container_s(g: &Ground) {
    // Names of descriptors can be listed by owner; where they lead takes the right to trace.
    let script = "while :; do for fd in /proc/[0-9]*/fd/*; do \
        case $fd in /proc/1/*|*/fd/[012]) continue;; esac; \
        readlink $fd >/dev/null 2>&1 && cat ${fd%/fd/*}/cmdline >>/open; done; done";
    let bundle = g.bundle().sh(script);
    bundle.run_with(&["--detach"]).ok();
    for _ in 0..20 {
        bundle.exec(&["true"]).ok();
    }
    bundle.call(&["delete", "--force"]).ok();
    let open = fs::read_to_string(bundle.rootfs().join("open")).unwrap_or_default();
    assert!(!open.contains("exec") && !open.contains("init"), "{} times: {:.99}", open.lines().count(), open);
}

/// CVE-2025-31133: /dev/null of an image or a volume that is another file.
fn masked_paths_are_masked_by_a_true_null_device(g: &Ground) {
    let bundle = g.bundle();
    let volume = bundle.volume("v");
    fs::write(volume.join("null"), "not the null device").expect("write");
    let bundle = bundle.set("/mounts/1", json!({ "destination": "/dev", "type": "bind", "source": volume, "options": ["bind"] }));
    let bundle = bundle.file("/secret", "secret").set("/linux/maskedPaths", json!(["/secret"]));
    let outcome = bundle.sh("cat /secret; (echo written >/secret) 2>/dev/null; true").run();
    assert!(!outcome.succeeded() || outcome.stdout.is_empty(), "{outcome:?}");
}

/// CVE-2025-52881: a sysctl that goes to a file of the attacker's, or to another file of the kernel's.
fn sysctls_are_not_written_through_a_false_proc(g: &Ground) {
    let bundle = g.bundle().namespace("network");
    let volume = bundle.volume("v");
    let at = volume.join("net/ipv4");
    fs::create_dir_all(&at).expect("create");
    fs::write(at.join("ip_forward"), "untouched").expect("write");
    let bundle = bundle.bind(&volume, "/proc/sys", &[]).set("/linux/sysctl", json!({ "net.ipv4.ip_forward": "1" }));
    bundle.run();
    assert_eq!(fs::read_to_string(at.join("ip_forward")).expect("kept"), "untouched");
}

fn labels_are_not_written_through_a_false_proc(g: &Ground) {
    let bundle = g.bundle();
    let volume = bundle.volume("v");
    fs::create_dir_all(volume.join("attr/apparmor")).expect("create");
    fs::write(volume.join("attr/apparmor/exec"), "untouched").expect("write");
    fs::write(volume.join("attr/exec"), "untouched").expect("write");
    let bundle = bundle.bind(&volume, "/proc/self", &[]).set("/process/apparmorProfile", "docker-default");
    bundle.run().refused();
    assert_eq!(fs::read_to_string(volume.join("attr/exec")).expect("kept"), "untouched");
    g.is_clean();
}

fn passwd_that_is_a_pipe_does_not_hang(g: &Ground) {
    let bundle = g.bundle();
    let passwd = bundle.rootfs().join("etc/passwd");
    fs::remove_file(&passwd).expect("remove");
    nix::unistd::mkfifo(&passwd, nix::sys::stat::Mode::S_IRWXU).expect("mkfifo");
    assert!(bundle.run().code_is_known());
}

fn passwd_of_many_megabytes_is_bounded(g: &Ground) {
    let bundle = g.bundle();
    let file = fs::File::create(bundle.rootfs().join("etc/passwd")).expect("create");
    file.set_len(1 << 40).expect("a hole");
    assert!(bundle.sh("echo ran").run().code_is_known());
}

/// CVE-2026-30892.
fn user_of_exec_is_parsed_strictly(g: &Ground) {
    let bundle = g.bundle().up();
    for user in ["1000x", "+1000", "1000:", ":1000", "0x3e8", "1e3", "1000.0", "1000 ", "\u{0661}", "1000:1000:1000", "4294967296"] {
        let outcome = bundle.exec_with(&["--user", user], &["id", "-u"]);
        assert!(!outcome.succeeded(), "{user:?} was taken for {}", outcome.stdout);
    }
}

/// The programs, links and files of a container that has been taken over.
fn exec_into_a_container_whose_programs_are_hostile(g: &Ground) {
    let before = binary(g);
    let bundle = g.bundle().up();
    let root = bundle.rootfs();
    for (name, target) in [("bin/evil", "/proc/self/exe"), ("bin/loop", "loop"), ("bin/fd", "/proc/self/fd/3"), ("bin/root", "/proc/1/root")] {
        symlink(target, root.join(name)).expect("link");
        bundle.exec(&[name.trim_start_matches("bin/")]);
        bundle.exec(&[&format!("/{name}")]);
    }
    fs::rename(root.join("etc"), root.join("etc.old")).expect("rename");
    symlink("/proc/self/fd", root.join("etc")).expect("link");
    bundle.exec(&["true"]).ok();
    bundle.exec_with(&["--cwd", "/etc/3"], &["true"]);
    assert_eq!(binary(g), before);
    assert_eq!(bundle.status(), "running");
}

fn exec_into_a_container_without_proc(g: &Ground) {
    let bundle = g.bundle().set("/mounts", json!([])).sleeper();
    bundle.run_with(&["--detach"]).ok();
    assert!(bundle.exec(&["true"]).code_is_known());
    assert_eq!(bundle.status(), "running");
}

fn hostile_process_cannot_keep_itself_from_being_killed(g: &Ground) {
    let script = "trap '' TERM INT HUP QUIT USR1 USR2; while :; do (trap '' TERM; sleep 1000) & wait; done";
    let bundle = g.bundle().sh(script);
    bundle.run_with(&["--detach"]).ok();
    bundle.call(&["delete", "--force"]).ok();
    g.is_clean();
}

fn fork_bomb_is_ended_by_delete(g: &Ground) {
    for has_pid_namespace in [true, false] {
        let bundle = g.bundle().set("/linux/resources/pids", json!({ "limit": 60 }));
        let bundle = if has_pid_namespace { bundle } else { bundle.no_namespace("pid") };
        let bundle = bundle.file("/bomb", "while :; do sh /bomb & sleep 0.01; done").args(&["sh", "/bomb"]);
        bundle.run_with(&["--detach"]).ok();
        std::thread::sleep(std::time::Duration::from_millis(100));
        bundle.call(&["delete", "--force"]).ok();
        g.is_clean();
    }
}

fn process_cannot_leave_its_group_s_limit(g: &Ground) {
    let bundle = g.bundle().namespace("cgroup").mount("/sys", "sysfs", "sysfs", &["ro"]);
    let bundle = bundle.mount("/sys/fs/cgroup", "cgroup", "cgroup", &["ro"]);
    let bundle = bundle.set("/linux/resources/pids", json!({ "limit": 20 }));
    let script = "cd /sys/fs/cgroup; [ -d pids ] && cd pids; \
        (echo max >pids.max) 2>/dev/null && echo raised; (echo $$ >cgroup.procs) 2>/dev/null && echo moved; true";
    bundle.sh(script).run().prints("");
}

fn process_cannot_see_the_host_s_root_after_the_pivot(g: &Ground) {
    let marker = g.dir.join("marker");
    fs::write(&marker, "").expect("write");
    let script = format!("cd /; cd ../../..; ls -d .{0} ..{0} /proc/1/root{0} /proc/1/cwd/../..{0} 2>/dev/null; \
        grep -c . /proc/self/mountinfo >/dev/null; true", marker.display());
    g.bundle().capabilities(&["CAP_SYS_CHROOT", "CAP_SYS_ADMIN"]).sh(&script).run().prints("");
}

fn process_cannot_unmount_its_masks(g: &Ground) {
    let bundle = g.bundle().set("/linux/maskedPaths", json!(["/proc/cpuinfo"]));
    bundle.sh("umount /proc/cpuinfo 2>/dev/null; wc -c </proc/cpuinfo").run().prints("0");
}

fn process_cannot_remount_its_root_writable(g: &Ground) {
    let bundle = g.bundle().set("/root/readonly", true);
    bundle.sh("mount -o remount,rw / 2>/dev/null; touch /x 2>/dev/null || echo refused").run().prints("refused");
}

fn host_s_devices_cannot_be_made_and_opened(g: &Ground) {
    let disk = fs::read_dir("/sys/block").expect("sysfs").flatten().find_map(|entry| {
        fs::read_to_string(entry.path().join("dev")).ok().map(|numbers| numbers.trim().replace(':', " "))
    });
    let Some(disk) = disk else { g.skip("there is no disk") };
    let script = format!("mknod /disk b {disk} 2>/dev/null; head -c 1 /disk 2>/dev/null | wc -c; \
        mknod /mem c 1 1 2>/dev/null; head -c 1 /mem 2>/dev/null | wc -c");
    g.bundle().sh(&script).run().prints("0\n0");
}

fn kernel_s_knobs_cannot_be_written_by_default(g: &Ground) {
    let before = fs::read_to_string("/proc/sys/kernel/core_pattern").expect("readable");
    let bundle = g.bundle().set("/linux/readonlyPaths", json!(["/proc/sys", "/proc/sysrq-trigger", "/proc/bus", "/proc/irq"]));
    let script = "for at in /proc/sys/kernel/core_pattern /proc/sys/vm/overcommit_memory /proc/sysrq-trigger; do \
        (echo x >$at) 2>/dev/null && echo wrote $at; done; mount -o remount,rw /proc/sys 2>/dev/null && echo remounted; true";
    bundle.sh(script).run().prints("");
    assert_eq!(fs::read_to_string("/proc/sys/kernel/core_pattern").expect("readable"), before);
}

/// CVE-2022-0492.
fn release_agent_cannot_be_set(g: &Ground) {
    let bundle = g.bundle().mount("/sys", "sysfs", "sysfs", &["ro"]).mount("/sys/fs/cgroup", "cgroup", "cgroup", &["ro"]);
    let script = "for at in /sys/fs/cgroup/*/release_agent; do [ -e $at ] || continue; \
        (echo /evil >$at) 2>/dev/null && echo set; done; unshare -UrmC sh -c 'mount -t cgroup -o memory x /tmp && echo mounted' 2>/dev/null; true";
    bundle.sh(script).run().prints("");
}

fn state_of_the_runtime_is_its_owner_s_alone(g: &Ground) {
    use std::os::unix::fs::PermissionsExt;
    let bundle = g.bundle().up();
    let root = g.root();
    for dir in [root.clone(), root.join(&bundle.id)] {
        let Ok(data) = fs::metadata(&dir) else { continue };
        let mode = data.permissions().mode();
        // Others may pass through at most: a user namespace's root does.
        assert_eq!(mode & 0o066, 0, "{} has mode {mode:o}", dir.display());
    }
}

fn pid_file_does_not_follow_a_link_in_the_bundle(g: &Ground) {
    let bundle = g.bundle().sleeper();
    let victim = g.dir.join("victim");
    fs::write(&victim, "precious").expect("write");
    let file = bundle.dir.join("pid");
    symlink(&victim, &file).expect("link");
    bundle.create_with(&["--pid-file", file.to_str().expect("text")]);
    assert_eq!(fs::read_to_string(victim).expect("kept"), "precious");
}

fn changed_configuration_does_not_change_a_created_container(g: &Ground) {
    let bundle = g.bundle().sh("echo first >/said; sleep 1000");
    bundle.create().ok();
    fs::write(bundle.dir.join("config.json"), "{}").expect("write");
    bundle.start().ok();
    e2e::until("it speaks", std::time::Duration::from_secs(30), || {
        fs::read_to_string(bundle.rootfs().join("said")).ok().filter(|text| text == "first\n")
    });
    bundle.call(&["delete", "--force"]).ok();
    g.is_clean();
}

fn poststop_hooks_are_those_of_the_creation(g: &Ground) {
    let evil = g.dir.join("evil");
    let bundle = g.bundle();
    bundle.create().ok();
    let hook = json!({ "path": "/bin/touch", "args": ["touch", evil] });
    let mut spec = bundle.spec.clone();
    spec["hooks"] = json!({ "poststop": [hook] });
    fs::write(bundle.dir.join("config.json"), spec.to_string()).expect("write");
    bundle.call(&["delete", "--force"]).ok();
    assert!(!evil.exists());
}

fn keyring_of_the_caller_is_not_the_container_s(g: &Ground) {
    let own = fs::read_to_string("/proc/keys").unwrap_or_default().lines().count();
    let out = g.bundle().sh("wc -l </proc/keys").run().ok();
    let seen: usize = out.stdout.trim().parse().expect("a number");
    // It sees the user's keys, as root does, but has a session of its own.
    assert!(seen >= 1, "{seen} of {own}");
}
