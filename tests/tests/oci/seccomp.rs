//! Seccomp filters: actions, arguments, architectures, flags and the listener.

use std::time::Duration;

use serde_json::{Value, json};

use crate::harness::console::Socket;
use crate::harness::{Bundle, Ground, cases};

cases! {
    filter_is_there;
    no_filter_is_there_where_none_is_configured;
    allowed_call_is_allowed;
    errno_is_eperm_where_not_configured;
    errno_is_the_one_configured;
    default_errno_is_the_one_configured;
    kill_ends_the_process;
    kill_process_ends_the_process;
    trap_sends_sigsys;
    log_lets_the_call_through;
    trace_without_a_tracer_is_enosys;
    arguments_are_compared;
    arguments_are_compared_under_a_mask;
    arguments_of_all_operators_are_compared;
    call_that_is_unknown_to_the_machine_is_passed_over;
    other_architectures_are_taken;
    architecture_that_is_unknown_is_refused;
    action_that_is_unknown_is_refused;
    operator_that_is_unknown_is_refused;
    errno_beyond_bounds_is_refused (Runc: "1.1 takes what fits", Crun: "takes what fits");
    flags_are_taken (Runc: "1.1 knows no flags");
    filter_with_new_privileges_barred;
    filter_applies_to_a_user_without_capabilities;
    filter_of_docker_s_size_is_loaded;
    runtime_s_own_calls_need_not_be_allowed;
    notifications_come_to_the_listener;
    notify_of_write_is_refused (Crun: "lets it hang");
    notify_without_a_listener_is_refused (Crun: "1.8 takes it");
    notify_with_a_missing_listener_leaves_nothing;
}

fn filter(default: &str, rules: &Value) -> Value {
    json!({ "defaultAction": default, "syscalls": rules })
}

/// A container whose filter has this one rule for mkdir, which its script calls.
fn with_rule<'g>(g: &'g Ground, action: &str, more: &Value) -> Bundle<'g> {
    let mut rule = json!({ "names": ["mkdir", "mkdirat"], "action": action });
    let more = more.as_object().expect("an object").clone();
    rule.as_object_mut().expect("an object").extend(more);
    let bundle = g.bundle().set("/linux/seccomp", filter("SCMP_ACT_ALLOW", &json!([rule])));
    bundle.sh("mkdir /made 2>&1; echo $?")
}

fn filter_is_there(g: &Ground) {
    let bundle = with_rule(g, "SCMP_ACT_ERRNO", &json!({}));
    bundle.sh("grep '^Seccomp:' /proc/self/status | cut -f 2").run().prints("2");
}

fn no_filter_is_there_where_none_is_configured(g: &Ground) {
    g.bundle().sh("grep '^Seccomp:' /proc/self/status | cut -f 2").run().prints("0");
}

fn allowed_call_is_allowed(g: &Ground) {
    let bundle = with_rule(g, "SCMP_ACT_ALLOW", &json!({}));
    bundle.run().prints("0");
    assert!(bundle.rootfs().join("made").exists());
}

fn errno_is_eperm_where_not_configured(g: &Ground) {
    with_rule(g, "SCMP_ACT_ERRNO", &json!({})).run().ok().shows("Operation not permitted");
}

fn errno_is_the_one_configured(g: &Ground) {
    with_rule(g, "SCMP_ACT_ERRNO", &json!({ "errnoRet": 28 })).run().ok().shows("No space left");
}

fn default_errno_is_the_one_configured(g: &Ground) {
    let bundle = with_rule(g, "SCMP_ACT_ALLOW", &json!({}));
    // All calls are listed but mkdir's, by way of a default that refuses and a list of many.
    let names = json!([{ "names": ALL_BUT_MKDIR, "action": "SCMP_ACT_ALLOW" }]);
    let mut value = filter("SCMP_ACT_ERRNO", &names);
    value["defaultErrnoRet"] = 30.into();
    bundle.set("/linux/seccomp", value).run().ok().shows("Read-only file system");
}

fn kill_ends_the_process(g: &Ground) {
    with_rule(g, "SCMP_ACT_KILL", &json!({})).run().ok().shows("159");
}

fn kill_process_ends_the_process(g: &Ground) {
    with_rule(g, "SCMP_ACT_KILL_PROCESS", &json!({})).run().ok().shows("159");
}

fn trap_sends_sigsys(g: &Ground) {
    with_rule(g, "SCMP_ACT_TRAP", &json!({})).run().ok().shows("159");
}

fn log_lets_the_call_through(g: &Ground) {
    with_rule(g, "SCMP_ACT_LOG", &json!({})).run().prints("0");
}

fn trace_without_a_tracer_is_enosys(g: &Ground) {
    with_rule(g, "SCMP_ACT_TRACE", &json!({ "errnoRet": 1 })).run().ok().shows("Function not implemented");
}

/// Which of modes 0700 and 0755 a chmod may set, when the second argument is barred by `compare`.
fn chmods(g: &Ground, compare: &Value) -> String {
    let rule = |name: &str, index: u32| {
        let mut args = compare.clone();
        args["index"] = index.into();
        json!({ "names": [name], "action": "SCMP_ACT_ERRNO", "args": [args] })
    };
    let rules = json!([rule("chmod", 1), rule("fchmodat", 2)]);
    let bundle = g.bundle().file("/file", "").set("/linux/seccomp", filter("SCMP_ACT_ALLOW", &rules));
    let script = "for mode in 0600 0700 0755; do chmod $mode /file 2>/dev/null && echo $mode; done; true";
    bundle.sh(script).run().ok().stdout.split_whitespace().collect::<Vec<_>>().join(" ")
}

fn arguments_are_compared(g: &Ground) {
    assert_eq!(chmods(g, &json!({ "value": 0o700, "op": "SCMP_CMP_EQ" })), "0600 0755");
}

fn arguments_are_compared_under_a_mask(g: &Ground) {
    let compare = json!({ "value": 0o055, "valueTwo": 0o055, "op": "SCMP_CMP_MASKED_EQ" });
    assert_eq!(chmods(g, &compare), "0600 0700");
}

fn arguments_of_all_operators_are_compared(g: &Ground) {
    for (op, allowed) in [("NE", "0700"), ("LT", "0700 0755"), ("LE", "0755"), ("GT", "0600 0700"), ("GE", "0600")] {
        let compare = json!({ "value": 0o700, "op": format!("SCMP_CMP_{op}") });
        assert_eq!(chmods(g, &compare), allowed, "{op}");
    }
}

fn call_that_is_unknown_to_the_machine_is_passed_over(g: &Ground) {
    let bundle = with_rule(g, "SCMP_ACT_ERRNO", &json!({ "names": ["no_such_call", "mkdir", "mkdirat"] }));
    bundle.run().ok().shows("Operation not permitted");
}

fn other_architectures_are_taken(g: &Ground) {
    let architectures = json!(["SCMP_ARCH_X86_64", "SCMP_ARCH_X86", "SCMP_ARCH_X32"]);
    let bundle = with_rule(g, "SCMP_ACT_ERRNO", &json!({})).set("/linux/seccomp/architectures", architectures);
    bundle.run().ok().shows("Operation not permitted");
}

fn architecture_that_is_unknown_is_refused(g: &Ground) {
    let bundle = with_rule(g, "SCMP_ACT_ERRNO", &json!({}));
    bundle.set("/linux/seccomp/architectures", json!(["SCMP_ARCH_ABACUS"])).is_refused();
}

fn action_that_is_unknown_is_refused(g: &Ground) {
    with_rule(g, "SCMP_ACT_FORGIVE", &json!({})).is_refused();
    g.bundle().set("/linux/seccomp", filter("SCMP_ACT_FORGIVE", &json!([]))).is_refused();
}

fn operator_that_is_unknown_is_refused(g: &Ground) {
    let args = json!({ "args": [{ "index": 0, "value": 1, "op": "SCMP_CMP_NEARLY" }] });
    with_rule(g, "SCMP_ACT_ERRNO", &args).is_refused();
}

fn errno_beyond_bounds_is_refused(g: &Ground) {
    with_rule(g, "SCMP_ACT_ERRNO", &json!({ "errnoRet": 70_000 })).is_refused();
}

fn flags_are_taken(g: &Ground) {
    let bundle = with_rule(g, "SCMP_ACT_ERRNO", &json!({}));
    bundle.set("/linux/seccomp/flags", json!(["SECCOMP_FILTER_FLAG_LOG"])).run().ok().shows("not permitted");
}

fn filter_with_new_privileges_barred(g: &Ground) {
    let bundle = with_rule(g, "SCMP_ACT_ERRNO", &json!({})).set("/process/noNewPrivileges", true);
    bundle.run().ok().shows("not permitted");
}

fn filter_applies_to_a_user_without_capabilities(g: &Ground) {
    let bundle = with_rule(g, "SCMP_ACT_ERRNO", &json!({ "errnoRet": 28 }));
    let bundle = bundle.set("/process/user", json!({ "uid": 1000, "gid": 1000 }));
    bundle.set("/process/capabilities", json!({})).run().ok().shows("No space left");
}

fn filter_of_docker_s_size_is_loaded(g: &Ground) {
    let names = json!([{ "names": ALL_BUT_MKDIR, "action": "SCMP_ACT_ALLOW" }]);
    let bundle = with_rule(g, "SCMP_ACT_ALLOW", &json!({})).set("/linux/seccomp", filter("SCMP_ACT_ERRNO", &names));
    let architectures = json!(["SCMP_ARCH_X86_64", "SCMP_ARCH_X86", "SCMP_ARCH_X32"]);
    bundle.set("/linux/seccomp/architectures", architectures).run().ok().shows("not permitted");
}

/// The filter bars what only the runtime needs between its loading and the exec.
fn runtime_s_own_calls_need_not_be_allowed(g: &Ground) {
    let rule = json!([{ "names": ["mount", "pivot_root", "setns", "unshare", "sethostname"], "action": "SCMP_ACT_KILL" }]);
    g.bundle().set("/linux/seccomp", filter("SCMP_ACT_ALLOW", &rule)).sh("echo ran").run().prints("ran");
}

fn notifications_come_to_the_listener(g: &Ground) {
    let socket = Socket::bind(g.dir.join("listener"));
    let bundle = with_rule(g, "SCMP_ACT_NOTIFY", &json!({}));
    let bundle = bundle.set("/linux/seccomp/listenerPath", socket.text());
    let bundle = bundle.set("/linux/seccomp/listenerMetadata", "of mine").sh("mkdir /made; sleep 1000");
    bundle.create().ok();
    let (message, fds) = socket.receive();
    let state: Value = serde_json::from_slice(&message).expect("a state");
    assert_eq!(state["metadata"], "of mine");
    assert_eq!(state["state"]["id"], bundle.id.as_str());
    assert_eq!(fds.len(), state["fds"].as_array().expect("names").len());
    bundle.start().ok();
    let mut poll = [nix::poll::PollFd::new(std::os::fd::AsFd::as_fd(&fds[0]), nix::poll::PollFlags::POLLIN)];
    let limit = nix::poll::PollTimeout::try_from(Duration::from_secs(30)).expect("fits");
    assert_eq!(nix::poll::poll(&mut poll, limit).expect("poll"), 1, "no notification came");
    assert!(!bundle.rootfs().join("made").exists());
}

fn notify_of_write_is_refused(g: &Ground) {
    let socket = Socket::bind(g.dir.join("listener"));
    let rule = json!([{ "names": ["write"], "action": "SCMP_ACT_NOTIFY" }]);
    let bundle = g.bundle().set("/linux/seccomp", filter("SCMP_ACT_ALLOW", &rule));
    bundle.set("/linux/seccomp/listenerPath", socket.text()).is_refused();
}

fn notify_without_a_listener_is_refused(g: &Ground) {
    with_rule(g, "SCMP_ACT_NOTIFY", &json!({})).is_refused();
}

fn notify_with_a_missing_listener_leaves_nothing(g: &Ground) {
    let bundle = with_rule(g, "SCMP_ACT_NOTIFY", &json!({}));
    bundle.set("/linux/seccomp/listenerPath", "/no/such/listener").is_refused();
}

/// What a busybox shell, and a runtime that loads its filter early, call, but for mkdir.
const ALL_BUT_MKDIR: &[&str] = &[
    "accept", "access", "arch_prctl", "brk", "capget", "capset", "chdir", "chmod", "chown", "clock_gettime", "clone",
    "clone3", "close", "close_range", "connect", "dup", "dup2", "dup3", "epoll_create1", "epoll_ctl", "epoll_pwait",
    "epoll_wait", "execve", "execveat", "exit", "exit_group", "faccessat", "faccessat2", "fchdir", "fchown", "fcntl",
    "fstat", "fstatfs", "futex", "getcwd", "getdents64", "getegid", "geteuid", "getgid", "getgroups", "getpgrp",
    "getpid", "getppid", "getrandom", "getrlimit", "getsockopt", "gettid", "getuid", "ioctl", "kill", "lseek", "lstat",
    "madvise", "mmap", "mprotect", "munmap", "nanosleep", "newfstatat", "open", "openat", "openat2", "pipe", "pipe2",
    "poll", "ppoll", "prctl", "pread64", "prlimit64", "read", "readlink", "readlinkat", "recvfrom", "recvmsg",
    "restart_syscall", "rseq", "rt_sigaction", "rt_sigprocmask", "rt_sigreturn", "sched_getaffinity", "sched_yield",
    "select", "sendmsg", "sendto", "set_robust_list", "set_tid_address", "setgid", "setgroups", "setpgid", "setsid",
    "setuid", "sigaltstack", "socket", "socketpair", "stat", "statfs", "statx", "tgkill", "time", "timerfd_create", "umask", "uname",
    "unlink", "vfork", "wait4", "waitid", "write", "writev", "seccomp", "setresuid", "setresgid", "setfsuid", "setfsgid", "pselect6",
];
