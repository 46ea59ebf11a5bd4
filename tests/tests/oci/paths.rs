//! Masked and read-only paths, devices, device rules and sysctls.

use std::fs;

use serde_json::json;

use crate::harness::{Ground, cases};

cases! {
    masked_file_is_empty;
    masked_directory_is_empty_and_read_only;
    masked_path_that_is_missing_is_no_error;
    masked_paths_of_proc_are_hidden;
    read_only_path_refuses_writes;
    read_only_path_that_is_missing_is_no_error;
    read_only_paths_of_proc_refuse_writes;
    read_only_path_keeps_its_flags (Crun: "drops them");
    masked_link_does_not_lead_outside;
    default_devices_are_there;
    default_links_are_there;
    default_devices_work;
    device_is_made_with_type_numbers_mode_owner;
    fifo_is_made;
    device_outside_dev_is_made;
    device_of_an_unknown_type_is_refused (Crun: "makes a plain one");
    device_with_a_relative_path_is_refused (Runc: "takes it from the root");
    other_devices_cannot_be_used;
    rule_that_allows_a_device_lets_it_be_used;
    rule_that_allows_reading_bars_writing;
    rule_that_allows_making_bars_opening;
    later_rule_overrides_the_earlier;
    rule_with_a_wildcard_allows_all_of_a_major (Crun: "writes -1 for it on v1");
    rule_without_a_minor_allows_all_of_a_major (Crun: "wants both numbers on v1");
    rules_that_allow_all_let_all_be_used;
    devices_that_every_container_has_work_without_rules;
    sysctl_of_the_network_is_set;
    sysctl_of_ipc_is_set;
    sysctl_with_slashes_is_set (Runc: "takes dots only", Crun: "1.8 takes slashes as they are");
    sysctl_of_the_host_is_refused;
    sysctl_of_the_network_without_its_namespace_is_refused;
    sysctl_of_ipc_without_its_namespace_is_refused;
    sysctl_of_the_hostname_needs_its_namespace (Crun: "allows it");
    sysctl_that_is_missing_is_refused;
    sysctl_with_dots_that_climb_is_refused;
    sysctl_with_a_plus_in_its_value_is_data;
}

fn masked_file_is_empty(g: &Ground) {
    let bundle = g.bundle().file("/etc/secret", "secret").set("/linux/maskedPaths", json!(["/etc/secret"]));
    let bundle = bundle.sh("cat /etc/secret; echo $?; stat -c %t:%T /etc/secret");
    bundle.run().prints("0\n1:3");
}

fn masked_directory_is_empty_and_read_only(g: &Ground) {
    let bundle = g.bundle().file("/secret/file", "x").set("/linux/maskedPaths", json!(["/secret"]));
    bundle.sh("ls -A /secret; touch /secret/x 2>/dev/null || echo refused").run().prints("refused");
}

fn masked_path_that_is_missing_is_no_error(g: &Ground) {
    g.bundle().set("/linux/maskedPaths", json!(["/no/such", "/proc/no-such"])).run().ok();
}

fn masked_paths_of_proc_are_hidden(g: &Ground) {
    let bundle = g.bundle().set("/linux/maskedPaths", json!(["/proc/cpuinfo", "/proc/irq"]));
    bundle.sh("wc -c </proc/cpuinfo; ls /proc/irq | wc -l").run().prints("0\n0");
}

fn read_only_path_refuses_writes(g: &Ground) {
    let bundle = g.bundle().file("/data/file", "x").set("/linux/readonlyPaths", json!(["/data"]));
    let script = "touch /data/new 2>/dev/null || echo refused; cat /data/file";
    bundle.sh(script).run().prints("refused\nx");
}

fn read_only_path_that_is_missing_is_no_error(g: &Ground) {
    g.bundle().set("/linux/readonlyPaths", json!(["/no/such"])).run().ok();
}

fn read_only_paths_of_proc_refuse_writes(g: &Ground) {
    let bundle = g.bundle().set("/linux/readonlyPaths", json!(["/proc/sys", "/proc/sysrq-trigger"]));
    let script = "for at in /proc/sys/kernel/hostname /proc/sysrq-trigger; do \
        (echo x >$at) 2>/dev/null || echo refused; done";
    bundle.sh(script).run().prints("refused\nrefused");
}

fn read_only_path_keeps_its_flags(g: &Ground) {
    let bundle = g.bundle().set("/mounts/0/options", json!(["nosuid", "nodev", "noexec"]));
    let bundle = bundle.set("/linux/readonlyPaths", json!(["/proc/sys"]));
    let out = bundle.sh("awk '$5 == \"/proc/sys\" {print $6}' /proc/self/mountinfo").run().ok();
    out.shows("ro").shows("nosuid").shows("nodev").shows("noexec");
}

fn masked_link_does_not_lead_outside(g: &Ground) {
    let outside = g.dir.join("outside");
    fs::write(&outside, "outside").expect("write");
    let bundle = g.bundle();
    std::os::unix::fs::symlink(&outside, bundle.rootfs().join("link")).expect("link");
    bundle.set("/linux/maskedPaths", json!(["/link"])).run();
    assert_eq!(fs::read_to_string(&outside).expect("kept"), "outside");
}

fn default_devices_are_there(g: &Ground) {
    let script = "for dev in null zero full random urandom tty; do stat -c %F:%t:%T:%a /dev/$dev; done";
    let numbers = ["1:3", "1:5", "1:7", "1:8", "1:9", "5:0"];
    let expected = numbers.map(|numbers| format!("character special file:{numbers}:666")).join("\n");
    g.bundle().sh(script).run().prints(&expected);
}

fn default_links_are_there(g: &Ground) {
    let script = "for link in fd stdin stdout stderr ptmx; do readlink /dev/$link; done";
    let expected = "/proc/self/fd\n/proc/self/fd/0\n/proc/self/fd/1\n/proc/self/fd/2\npts/ptmx";
    g.bundle().sh(script).run().prints(expected);
}

fn default_devices_work(g: &Ground) {
    let script = "echo x >/dev/null; head -c 3 /dev/zero | wc -c; head -c 3 /dev/urandom | wc -c; \
        (echo x >/dev/full) 2>/dev/null || echo full";
    g.bundle().sh(script).run().prints("3\n3\nfull");
}

fn device_is_made_with_type_numbers_mode_owner(g: &Ground) {
    let char = json!({ "path": "/dev/mine", "type": "c", "major": 10, "minor": 229, "fileMode": 0o620, "uid": 12, "gid": 34 });
    let block = json!({ "path": "/dev/block", "type": "b", "major": 7, "minor": 0, "fileMode": 0o600 });
    let bundle = g.bundle().set("/linux/devices", json!([char, block]));
    let script = "stat -c '%F %t:%T %a %u:%g' /dev/mine; stat -c '%F %t:%T %a' /dev/block";
    bundle.sh(script).run().prints("character special file a:e5 620 12:34\nblock special file 7:0 600");
}

fn fifo_is_made(g: &Ground) {
    let fifo = json!({ "path": "/dev/pipe", "type": "p", "fileMode": 0o600 });
    g.bundle().set("/linux/devices", json!([fifo])).args(&["stat", "-c", "%F", "/dev/pipe"]).run().prints("fifo");
}

fn device_outside_dev_is_made(g: &Ground) {
    let device = json!({ "path": "/opt/devices/null", "type": "c", "major": 1, "minor": 3, "fileMode": 0o666 });
    let bundle = g.bundle().set("/linux/devices", json!([device]));
    bundle.sh("stat -c %t:%T /opt/devices/null; echo x >/opt/devices/null && echo written").run().prints("1:3\nwritten");
}

fn device_of_an_unknown_type_is_refused(g: &Ground) {
    let device = json!({ "path": "/dev/mine", "type": "x", "major": 1, "minor": 3 });
    g.bundle().set("/linux/devices", json!([device])).is_refused();
}

fn device_with_a_relative_path_is_refused(g: &Ground) {
    let device = json!({ "path": "../dev/mine", "type": "c", "major": 1, "minor": 3 });
    g.bundle().set("/linux/devices", json!([device])).is_refused();
}

/// A container with /dev/kmsg (1:11), which nothing allows, under these rules more; what its script can do with it.
fn with_rules<'g>(g: &'g Ground, rules: &[serde_json::Value]) -> crate::harness::Bundle<'g> {
    let device = json!({ "path": "/dev/probe", "type": "c", "major": 1, "minor": 11, "fileMode": 0o666 });
    let caps = ["CAP_SYSLOG", "CAP_MKNOD", "CAP_DAC_OVERRIDE"];
    let mut bundle = g.bundle().capabilities(&caps).set("/linux/devices", json!([device]));
    for rule in rules {
        bundle = bundle.push("/linux/resources/devices", rule.clone());
    }
    let script = "(exec 3</dev/probe) 2>/dev/null && echo read; (exec 3>>/dev/probe) 2>/dev/null && echo write; \
        mknod /dev/made c 1 11 2>/dev/null && echo made; true";
    bundle.sh(script)
}

fn other_devices_cannot_be_used(g: &Ground) {
    let bundle = with_rules(g, &[]).sh("(exec 3</dev/probe) 2>/dev/null || echo barred");
    bundle.run().prints("barred");
}

fn rule_that_allows_a_device_lets_it_be_used(g: &Ground) {
    let rule = json!({ "allow": true, "type": "c", "major": 1, "minor": 11, "access": "rwm" });
    with_rules(g, &[rule]).run().prints("read\nwrite\nmade");
}

fn rule_that_allows_reading_bars_writing(g: &Ground) {
    let rule = json!({ "allow": true, "type": "c", "major": 1, "minor": 11, "access": "r" });
    with_rules(g, &[rule]).run().ok().shows("read").hides("write");
}

fn rule_that_allows_making_bars_opening(g: &Ground) {
    let rule = json!({ "allow": true, "type": "c", "major": 1, "minor": 11, "access": "m" });
    with_rules(g, &[rule]).run().prints("made");
}

fn later_rule_overrides_the_earlier(g: &Ground) {
    let allow = json!({ "allow": true, "type": "c", "major": 1, "minor": 11, "access": "rwm" });
    let deny = json!({ "allow": false, "type": "c", "major": 1, "minor": 11, "access": "w" });
    with_rules(g, &[allow, deny]).run().ok().shows("read").hides("write");
}

fn rule_with_a_wildcard_allows_all_of_a_major(g: &Ground) {
    let rule = json!({ "allow": true, "type": "c", "major": 1, "minor": -1, "access": "rwm" });
    with_rules(g, &[rule]).run().prints("read\nwrite\nmade");
}

fn rule_without_a_minor_allows_all_of_a_major(g: &Ground) {
    let rule = json!({ "allow": true, "type": "c", "major": 1, "access": "rwm" });
    with_rules(g, &[rule]).run().prints("read\nwrite\nmade");
}

fn rules_that_allow_all_let_all_be_used(g: &Ground) {
    with_rules(g, &[json!({ "allow": true, "access": "rwm" })]).run().prints("read\nwrite\nmade");
}

fn devices_that_every_container_has_work_without_rules(g: &Ground) {
    let bundle = g.bundle().without("/linux/resources/devices");
    bundle.sh("echo x >/dev/null && head -c 1 /dev/urandom | wc -c").run().prints("1");
}

fn sysctl_of_the_network_is_set(g: &Ground) {
    let sysctl = json!({ "net.ipv4.ip_forward": "1", "net.ipv4.ip_unprivileged_port_start": "123" });
    let bundle = g.bundle().namespace("network").set("/linux/sysctl", sysctl);
    let script = "cat /proc/sys/net/ipv4/ip_forward /proc/sys/net/ipv4/ip_unprivileged_port_start";
    bundle.sh(script).run().prints("1\n123");
}

fn sysctl_of_ipc_is_set(g: &Ground) {
    let sysctl = json!({ "kernel.shm_rmid_forced": "1", "kernel.msgmax": "4096", "fs.mqueue.queues_max": "11" });
    let bundle = g.bundle().set("/linux/sysctl", sysctl);
    let script = "cd /proc/sys; cat kernel/shm_rmid_forced kernel/msgmax fs/mqueue/queues_max";
    bundle.sh(script).run().prints("1\n4096\n11");
}

fn sysctl_with_slashes_is_set(g: &Ground) {
    let bundle = g.bundle().namespace("network").set("/linux/sysctl", json!({ "net/ipv4/ip_forward": "1" }));
    bundle.args(&["cat", "/proc/sys/net/ipv4/ip_forward"]).run().prints("1");
}

/// CVE-2022-0811.
fn sysctl_of_the_host_is_refused(g: &Ground) {
    let before = fs::read_to_string("/proc/sys/kernel/core_pattern").expect("readable");
    for (name, value) in [("kernel.core_pattern", "|/evil"), ("vm.swappiness", "1"), ("fs.file-max", "1")] {
        let mut sysctl = json!({});
        sysctl[name] = value.into();
        g.bundle().set("/linux/sysctl", sysctl).is_refused();
    }
    assert_eq!(fs::read_to_string("/proc/sys/kernel/core_pattern").expect("readable"), before);
}

fn sysctl_of_the_network_without_its_namespace_is_refused(g: &Ground) {
    g.bundle().set("/linux/sysctl", json!({ "net.ipv4.ip_forward": "1" })).is_refused();
}

fn sysctl_of_ipc_without_its_namespace_is_refused(g: &Ground) {
    g.bundle().no_namespace("ipc").set("/linux/sysctl", json!({ "kernel.msgmax": "4096" })).is_refused();
}

fn sysctl_of_the_hostname_needs_its_namespace(g: &Ground) {
    let bundle = g.bundle().no_namespace("uts").without("/hostname");
    bundle.set("/linux/sysctl", json!({ "kernel.domainname": "evil" })).is_refused();
}

fn sysctl_that_is_missing_is_refused(g: &Ground) {
    g.bundle().namespace("network").set("/linux/sysctl", json!({ "net.no.such": "1" })).is_refused();
}

fn sysctl_with_dots_that_climb_is_refused(g: &Ground) {
    let before = fs::read_to_string("/proc/sys/kernel/core_pattern").expect("readable");
    for name in ["net/../kernel/core_pattern", "net...kernel.core_pattern", "fs.mqueue/../../kernel/core_pattern"] {
        let mut sysctl = json!({});
        sysctl[name] = "|/evil".into();
        g.bundle().namespace("network").set("/linux/sysctl", sysctl).is_refused();
    }
    assert_eq!(fs::read_to_string("/proc/sys/kernel/core_pattern").expect("readable"), before);
}

/// CVE-2022-0811: a plus that some tool takes for a separator.
fn sysctl_with_a_plus_in_its_value_is_data(g: &Ground) {
    let before = fs::read_to_string("/proc/sys/kernel/core_pattern").expect("readable");
    let sysctl = json!({ "kernel.shm_rmid_forced": "1+kernel.core_pattern=|/evil" });
    g.bundle().set("/linux/sysctl", sysctl).run();
    assert_eq!(fs::read_to_string("/proc/sys/kernel/core_pattern").expect("readable"), before);
}
