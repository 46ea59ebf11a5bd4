//! The process of a container: its words, user, limits, capabilities and the like.

use serde_json::json;

use crate::harness::{Ground, Runtime, cases};

cases! {
    arguments_are_passed_on_as_they_are;
    program_is_searched_in_the_path_of_the_container;
    environment_is_what_is_configured_and_no_more;
    first_of_equal_variables_is_not_doubled;
    home_is_set_from_passwd_where_it_is_not_configured;
    home_that_is_configured_stays;
    working_directory_is_entered;
    user_and_group_are_taken;
    additional_groups_are_exactly_those_configured;
    no_additional_groups_means_none;
    group_of_the_caller_is_dropped;
    umask_is_set;
    umask_is_022_where_it_is_not_configured;
    resource_limits_are_set;
    core_and_stack_limits_are_set;
    limit_that_is_unknown_is_refused;
    limit_that_is_given_twice_is_refused (Runc: "1.1 takes the last", Crun: "takes the last");
    soft_limit_above_the_hard_is_refused;
    capabilities_are_set_in_bounding_effective_permitted;
    ambient_and_inheritable_capabilities_are_set;
    capabilities_are_kept_by_a_user_who_is_not_root_when_ambient;
    user_who_is_not_root_has_no_effective_capabilities;
    no_capabilities_means_none;
    capability_that_is_unknown_is_ignored_with_a_warning (Crun: "refuses it");
    new_privileges_are_barred;
    new_privileges_are_possible_where_not_barred;
    oom_score_is_adjusted;
    oom_score_is_inherited_where_it_is_not_configured;
    scheduler_policy_is_set (Runc: "1.1 knows no scheduler", Crun: "1.8 knows no scheduler");
    scheduler_that_is_unknown_is_refused (Runc: "1.1 knows no scheduler", Crun: "1.8 knows no scheduler");
    io_priority_is_set (Runc: "1.1 knows no ioPriority", Crun: "1.8 knows no ioPriority");
    personality_is_set (Runc: "1.1 ignores it");
    personality_of_another_domain_is_refused (Runc: "1.1 ignores it");
    input_is_passed_on;
    first_process_is_pid_one;
    signals_are_neither_blocked_nor_ignored;
    no_descriptor_but_three_is_open;
    session_keyring_is_a_new_one;
    apparmor_profile_where_the_kernel_has_none_is_refused;
    apparmor_profile_of_exec_where_the_kernel_has_none_is_refused;
    selinux_label_where_the_kernel_has_none_is_refused;
    mount_label_where_the_kernel_has_none_is_refused (Crun: "leaves it out");
    affinity_of_the_first_process_is_that_of_its_group;
}

fn arguments_are_passed_on_as_they_are(g: &Ground) {
    let odd = "a 'b' \"c\" $d \\ \u{e4} *";
    g.bundle().args(&["echo", odd, "", "last"]).run().prints(&format!("{odd}  last"));
}

fn program_is_searched_in_the_path_of_the_container(g: &Ground) {
    let bundle = g.bundle().set("/process/env", json!(["PATH=/nowhere:/opt/x:/bin"]));
    let bundle = bundle.file("/opt/x/keep", "");
    std::os::unix::fs::symlink("/bin/busybox", bundle.rootfs().join("opt/x/uname")).expect("link");
    bundle.sh("which uname").run().prints("/opt/x/uname");
}

fn environment_is_what_is_configured_and_no_more(g: &Ground) {
    let bundle = g.bundle().set("/process/env", json!(["PATH=/bin", "HOME=/x", "A=b=c", "EMPTY="]));
    let out = bundle.args(&["env"]).run().ok();
    let mut lines: Vec<_> = out.stdout.lines().collect();
    lines.sort_unstable();
    assert_eq!(lines, ["A=b=c", "EMPTY=", "HOME=/x", "PATH=/bin"]);
}

fn first_of_equal_variables_is_not_doubled(g: &Ground) {
    let bundle = g.bundle().set("/process/env", json!(["PATH=/bin", "A=1", "A=2"]));
    bundle.sh("echo $A").run().prints("2");
}

fn home_is_set_from_passwd_where_it_is_not_configured(g: &Ground) {
    g.bundle().sh("echo $HOME").run().prints("/root");
    let user = g.bundle().set("/process/user", json!({ "uid": 1000, "gid": 1000 }));
    user.sh("echo $HOME").run().prints("/home/user");
}

fn home_that_is_configured_stays(g: &Ground) {
    g.bundle().push("/process/env", json!("HOME=/mine")).sh("echo $HOME").run().prints("/mine");
}

fn working_directory_is_entered(g: &Ground) {
    g.bundle().set("/process/cwd", "/home/user").args(&["pwd"]).run().prints("/home/user");
}

fn user_and_group_are_taken(g: &Ground) {
    let user = json!({ "uid": 1234, "gid": 5678 });
    let script = "id -u; id -g; grep -E '^[UG]id' /proc/self/status | tr -s '\\t' ' '";
    let expected = "1234\n5678\nUid: 1234 1234 1234 1234\nGid: 5678 5678 5678 5678";
    g.bundle().set("/process/user", user).sh(script).run().prints(expected);
}

fn additional_groups_are_exactly_those_configured(g: &Ground) {
    let user = json!({ "uid": 1000, "gid": 1000, "additionalGids": [7, 2_000_000_000, 9] });
    let script = "grep Groups /proc/self/status | tr -s ' \\t' ' '";
    let out = g.bundle().set("/process/user", user).sh(script).run().ok();
    let mut groups: Vec<_> = out.stdout.split_whitespace().skip(1).collect();
    groups.sort_unstable();
    assert_eq!(groups, ["2000000000", "7", "9"]);
}

fn no_additional_groups_means_none(g: &Ground) {
    let bundle = g.bundle().set("/process/user", json!({ "uid": 1000, "gid": 1000 }));
    let out = bundle.sh("grep Groups /proc/self/status").run().ok();
    assert_eq!(out.stdout.split_whitespace().collect::<Vec<_>>(), ["Groups:"]);
}

fn group_of_the_caller_is_dropped(g: &Ground) {
    let bundle = g.bundle().sh("grep Groups /proc/self/status | tr -s ' \\t' ' '");
    bundle.write();
    let script = format!("setpriv --groups 4,24 $RT run --bundle {} {}", bundle.dir.display(), bundle.id);
    g.script(&script).prints("Groups:");
}

fn umask_is_set(g: &Ground) {
    g.bundle().set("/process/user/umask", 0o027).sh("umask").run().prints("0027");
}

fn umask_is_022_where_it_is_not_configured(g: &Ground) {
    g.bundle().sh("umask").run().prints("0022");
}

fn resource_limits_are_set(g: &Ground) {
    let limits = json!([{ "type": "RLIMIT_NOFILE", "soft": 123, "hard": 456 }]);
    g.bundle().set("/process/rlimits", limits).sh("ulimit -Sn; ulimit -Hn").run().prints("123\n456");
}

fn core_and_stack_limits_are_set(g: &Ground) {
    let limits = json!([
        { "type": "RLIMIT_CORE", "soft": 0, "hard": 4096 },
        { "type": "RLIMIT_STACK", "soft": 1_048_576, "hard": 8_388_608 },
        { "type": "RLIMIT_NPROC", "soft": 77, "hard": 99 },
    ]);
    let script = "grep -E 'core|stack|processes' /proc/self/limits | awk '{print $(NF-2), $(NF-1)}' | sort";
    let bundle = g.bundle().set("/process/rlimits", limits).sh(script);
    bundle.run().prints("0 4096\n1048576 8388608\n77 99");
}

fn limit_that_is_unknown_is_refused(g: &Ground) {
    let limits = json!([{ "type": "RLIMIT_NOSUCH", "soft": 1, "hard": 1 }]);
    g.bundle().set("/process/rlimits", limits).is_refused();
}

fn limit_that_is_given_twice_is_refused(g: &Ground) {
    let limit = json!({ "type": "RLIMIT_NOFILE", "soft": 10, "hard": 10 });
    g.bundle().set("/process/rlimits", json!([limit, limit])).is_refused();
}

fn soft_limit_above_the_hard_is_refused(g: &Ground) {
    let limits = json!([{ "type": "RLIMIT_NOFILE", "soft": 20, "hard": 10 }]);
    g.bundle().set("/process/rlimits", limits).is_refused();
}

fn capabilities_are_set_in_bounding_effective_permitted(g: &Ground) {
    let bundle = g.bundle().capabilities(&["CAP_CHOWN", "CAP_KILL"]);
    let bounding = json!(["CAP_CHOWN", "CAP_KILL", "CAP_FOWNER"]);
    let bundle = bundle.set("/process/capabilities/bounding", bounding);
    // The exec of a root process raises permitted and effective to the bounding set (capabilities(7)).
    let out = bundle.sh("grep Cap /proc/self/status | tr -s '\\t' ' '").run().ok();
    out.shows("CapBnd: 0000000000000029").shows("CapEff: 0000000000000029").shows("CapInh: 0000000000000000");
}

fn ambient_and_inheritable_capabilities_are_set(g: &Ground) {
    let all = json!(["CAP_NET_RAW"]);
    let sets = json!({ "bounding": all, "effective": all, "permitted": all, "inheritable": all, "ambient": all });
    let bundle = g.bundle().set("/process/capabilities", sets);
    let script = "grep Cap /proc/self/status | awk '{print $2}' | sort -u";
    bundle.sh(script).run().prints("0000000000002000");
}

fn capabilities_are_kept_by_a_user_who_is_not_root_when_ambient(g: &Ground) {
    let all = json!(["CAP_NET_RAW"]);
    let sets = json!({ "bounding": all, "effective": all, "permitted": all, "inheritable": all, "ambient": all });
    let bundle = g.bundle().set("/process/capabilities", sets);
    let bundle = bundle.set("/process/user", json!({ "uid": 1000, "gid": 1000 }));
    let script = "grep Cap /proc/self/status | awk '{print $2}' | sort -u";
    bundle.sh(script).run().prints("0000000000002000");
}

fn user_who_is_not_root_has_no_effective_capabilities(g: &Ground) {
    let bundle = g.bundle().set("/process/user", json!({ "uid": 1000, "gid": 1000 }));
    let script = "grep -E 'Cap(Eff|Prm|Amb)' /proc/self/status | awk '{print $2}' | sort -u";
    bundle.sh(script).run().prints("0000000000000000");
}

fn no_capabilities_means_none(g: &Ground) {
    let script = "grep Cap /proc/self/status | awk '{print $2}' | sort -u";
    g.bundle().set("/process/capabilities", json!({})).sh(script).run().prints("0000000000000000");
}

fn capability_that_is_unknown_is_ignored_with_a_warning(g: &Ground) {
    let caps = ["CAP_CHOWN", "CAP_NO_SUCH"];
    g.bundle().capabilities(&caps).sh("echo ran").run().prints("ran").says("CAP_NO_SUCH");
}

fn new_privileges_are_barred(g: &Ground) {
    let bundle = g.bundle().set("/process/noNewPrivileges", true);
    bundle.sh("grep NoNewPrivs /proc/self/status | cut -f 2").run().prints("1");
}

fn new_privileges_are_possible_where_not_barred(g: &Ground) {
    g.bundle().sh("grep NoNewPrivs /proc/self/status | cut -f 2").run().prints("0");
}

fn oom_score_is_adjusted(g: &Ground) {
    g.bundle().set("/process/oomScoreAdj", 321).sh("cat /proc/self/oom_score_adj").run().prints("321");
}

fn oom_score_is_inherited_where_it_is_not_configured(g: &Ground) {
    let bundle = g.bundle().sh("cat /proc/self/oom_score_adj");
    bundle.write();
    let (dir, id) = (bundle.dir.display(), &bundle.id);
    g.script(&format!("echo 222 >/proc/self/oom_score_adj; $RT run --bundle {dir} {id}")).prints("222");
}

fn scheduler_policy_is_set(g: &Ground) {
    let bundle = g.bundle().set("/process/scheduler", json!({ "policy": "SCHED_BATCH", "nice": 5 }));
    // The 41st word is the policy, the 19th the nice value (proc_pid_stat(5)).
    bundle.sh("cut -d ' ' -f 19,41 /proc/self/stat").run().prints("5 3");
    let idle = g.bundle().set("/process/scheduler", json!({ "policy": "SCHED_IDLE" }));
    idle.sh("cut -d ' ' -f 41 /proc/self/stat").run().prints("5");
}

fn scheduler_that_is_unknown_is_refused(g: &Ground) {
    g.bundle().set("/process/scheduler", json!({ "policy": "SCHED_NOSUCH" })).is_refused();
}

fn io_priority_is_set(g: &Ground) {
    let priority = json!({ "class": "IOPRIO_CLASS_BE", "priority": 6 });
    let bundle = g.bundle().set("/process/ioPriority", priority);
    bundle.sh("ionice -p $$").run().prints("best-effort: prio 6");
}

fn personality_is_set(g: &Ground) {
    let bundle = g.bundle().set("/linux/personality", json!({ "domain": "LINUX32" }));
    bundle.args(&["uname", "-m"]).run().prints("i686");
}

fn personality_of_another_domain_is_refused(g: &Ground) {
    g.bundle().set("/linux/personality", json!({ "domain": "SOLARIS" })).is_refused();
}

fn input_is_passed_on(g: &Ground) {
    let bundle = g.bundle().args(&["cat"]);
    bundle.write();
    g.script(&format!("echo typed | $RT run --bundle {} {}", bundle.dir.display(), bundle.id)).prints("typed");
}

fn first_process_is_pid_one(g: &Ground) {
    g.bundle().sh("echo $$").run().prints("1");
}

fn signals_are_neither_blocked_nor_ignored(g: &Ground) {
    let out = g.bundle().args(&["grep", "-E", "Sig(Blk|Ign)", "/proc/self/status"]).run().ok();
    for line in out.stdout.lines() {
        let mask = line.split_whitespace().nth(1).expect("a mask");
        let mask = u64::from_str_radix(mask, 16).expect("a mask is hexadecimal");
        // 32 and 33 belong to the C library; no caller can set them free.
        assert_eq!(mask & !0x1_8000_0000, 0, "{line}");
    }
}

fn no_descriptor_but_three_is_open(g: &Ground) {
    g.bundle().sh("ls /proc/$$/fd; true").run().prints("0\n1\n2");
}

fn session_keyring_is_a_new_one(g: &Ground) {
    let bundle = g.bundle().sh("cat /proc/keys");
    bundle.run().ok().shows("_ses");
    // Told not to make one, it keeps the caller's.
    let other = g.bundle().sh("cat /proc/keys");
    other.run_with(&["--no-new-keyring"]).ok().hides(&format!("_ses.{}", other.id));
}

fn apparmor_profile_where_the_kernel_has_none_is_refused(g: &Ground) {
    if std::path::Path::new("/sys/kernel/security/apparmor").exists() {
        g.skip("this kernel has AppArmor");
    }
    g.bundle().set("/process/apparmorProfile", "some-profile").is_refused().says("apparmor");
}

fn apparmor_profile_of_exec_where_the_kernel_has_none_is_refused(g: &Ground) {
    if std::path::Path::new("/sys/kernel/security/apparmor").exists() {
        g.skip("this kernel has AppArmor");
    }
    let bundle = g.bundle().up();
    bundle.exec_with(&["--apparmor", "some-profile"], &["true"]).refused().says("apparmor");
    assert_eq!(bundle.status(), "running");
}

fn selinux_label_where_the_kernel_has_none_is_refused(g: &Ground) {
    is_refused_without_selinux(g, "/process/selinuxLabel");
}

fn mount_label_where_the_kernel_has_none_is_refused(g: &Ground) {
    is_refused_without_selinux(g, "/linux/mountLabel");
}

#[track_caller]
fn is_refused_without_selinux(g: &Ground, pointer: &str) {
    if std::fs::read_dir("/sys/fs/selinux").is_ok_and(|mut files| files.next().is_some()) {
        g.skip("this kernel has SELinux");
    }
    let label = "system_u:system_r:container_t:s0:c1,c2";
    let outcome = g.bundle().set(pointer, label).is_refused();
    // Others tell of what the kernel says to it.
    if g.runtime == Runtime::Skiff {
        outcome.says("selinux").says("leave it out");
    }
}

fn affinity_of_the_first_process_is_that_of_its_group(g: &Ground) {
    let bundle = g.bundle().set("/linux/resources/cpu", json!({ "cpus": "0" }));
    bundle.sh("grep Cpus_allowed_list /proc/self/status | cut -f 2").run().prints("0");
}
