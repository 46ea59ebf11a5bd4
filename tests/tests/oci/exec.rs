//! Processes that are started in a container that runs.

use std::fs;

use serde_json::{Value, json};

use crate::harness::console::Socket;
use crate::harness::{Bundle, Ground, cases};

cases! {
    exec_gives_the_exit_code;
    exec_passes_output_and_input_through;
    exec_tells_128_and_the_signal;
    exec_is_in_all_namespaces_of_the_container;
    exec_is_in_the_groups_of_the_container;
    exec_has_the_environment_of_the_container;
    exec_adds_variables (Crun: "takes those given for all");
    exec_enters_the_working_directory_of_the_container (Crun: "starts in the root");
    exec_enters_a_working_directory_of_its_own;
    exec_as_a_user_and_a_group;
    exec_with_additional_groups (Crun: "1.8 has no such flag");
    exec_with_a_user_name_is_refused (Crun: "takes -1 for 0");
    exec_with_a_user_out_of_range_is_refused (Runc: "takes 4294967296 for 0", Crun: "takes 4294967296 for 0");
    exec_with_a_capability_more (Crun: "takes those given for all");
    exec_has_the_capabilities_of_the_container;
    exec_has_no_inheritable_capabilities;
    exec_without_new_privileges;
    exec_has_the_seccomp_filter_of_the_container;
    exec_has_the_limits_of_the_container (Runc: "Go raises the soft limit now and then", Crun: "1.8 leaves the caller's");
    exec_of_a_process_file;
    exec_of_a_process_file_with_limits_and_capabilities (Crun: "1.8 fails at the streams");
    exec_of_a_broken_process_file_is_refused;
    exec_of_a_missing_process_file_is_refused;
    exec_in_the_background_returns_while_it_lives;
    exec_with_a_terminal;
    exec_with_a_terminal_of_the_caller (Runc: "needs a terminal of its own", Crun: "needs a terminal of its own");
    exec_preserves_descriptors_only_when_asked;
    exec_ends_with_the_container;
    exec_in_a_container_without_pid_namespace;
    exec_takes_the_first_word_with_dashes_as_the_program_s_own;
    exec_joins_a_user_namespace;
    many_at_once;
}

fn exec_gives_the_exit_code(g: &Ground) {
    let bundle = g.bundle().up();
    bundle.exec(&["true"]).code(0);
    bundle.exec_sh("exit 42").code(42);
}

fn exec_passes_output_and_input_through(g: &Ground) {
    let bundle = g.bundle().up();
    bundle.exec_sh("echo out; echo err >&2").prints("out").says("err");
    g.script(&format!("echo typed | $RT exec {} cat", bundle.id)).prints("typed");
}

fn exec_tells_128_and_the_signal(g: &Ground) {
    g.bundle().up().exec_sh("kill -9 $$").code(137);
}

fn exec_is_in_all_namespaces_of_the_container(g: &Ground) {
    let bundle = g.bundle().namespace("network").namespace("cgroup").up();
    for kind in ["pid", "ipc", "uts", "mnt", "net", "cgroup"] {
        let of_first = bundle.exec(&["readlink", &format!("/proc/1/ns/{kind}")]).ok().stdout;
        bundle.exec(&["readlink", &format!("/proc/self/ns/{kind}")]).prints(of_first.trim());
    }
}

fn exec_is_in_the_groups_of_the_container(g: &Ground) {
    let bundle = g.bundle().up();
    bundle.exec_sh("cmp /proc/1/cgroup /proc/self/cgroup && echo same");
    let of_first = bundle.exec(&["cat", "/proc/1/cgroup"]).ok().stdout;
    bundle.exec(&["cat", "/proc/self/cgroup"]).prints(of_first.trim());
}

fn exec_has_the_environment_of_the_container(g: &Ground) {
    let bundle = g.bundle().push("/process/env", json!("OF=container")).up();
    bundle.exec_sh("echo $OF").prints("container");
}

fn exec_adds_variables(g: &Ground) {
    let bundle = g.bundle().push("/process/env", json!("A=old")).up();
    bundle.exec_with(&["--env", "A=new", "--env", "B=b=b"], &["sh", "-c", "echo $A $B"]).prints("new b=b");
}

fn exec_enters_the_working_directory_of_the_container(g: &Ground) {
    g.bundle().set("/process/cwd", "/home").up().exec(&["pwd"]).prints("/home");
}

fn exec_enters_a_working_directory_of_its_own(g: &Ground) {
    let bundle = g.bundle().up();
    bundle.exec_with(&["--cwd", "/home/user"], &["pwd"]).prints("/home/user");
    bundle.exec_with(&["--cwd", "relative"], &["pwd"]).refused();
}

fn exec_as_a_user_and_a_group(g: &Ground) {
    let bundle = g.bundle().up();
    bundle.exec_with(&["--user", "12:34"], &["sh", "-c", "id -u; id -g"]).prints("12\n34");
    bundle.exec_with(&["-u", "12"], &["id", "-u"]).prints("12");
}

fn exec_with_additional_groups(g: &Ground) {
    let flags = ["--user", "12:34", "--additional-gids", "7", "--additional-gids", "9"];
    let script = "grep Groups /proc/self/status | tr -s ' \\t' ' '";
    g.bundle().up().exec_with(&flags, &["sh", "-c", script]).prints("Groups: 7 9");
}

fn exec_with_a_user_name_is_refused(g: &Ground) {
    let bundle = g.bundle().up();
    for user in ["user", "0x0", "1:user", "-1", " 1", ""] {
        let outcome = bundle.exec_with(&["--user", user], &["id", "-u"]);
        // An empty name may mean none; it must not mean another one.
        assert!(!outcome.succeeded() || user.is_empty(), "{user:?}: {outcome:?}");
    }
}

fn exec_with_a_user_out_of_range_is_refused(g: &Ground) {
    let bundle = g.bundle().up();
    for user in ["4294967296", "4294967295", "1:4294967296", "99999999999999999999"] {
        bundle.exec_with(&["--user", user], &["id", "-u"]).refused();
    }
}

fn exec_with_a_capability_more(g: &Ground) {
    let bundle = g.bundle().capabilities(&["CAP_CHOWN"]).up();
    let script = "grep CapEff /proc/self/status | cut -f 2";
    bundle.exec_with(&["--cap", "CAP_KILL"], &["sh", "-c", script]).prints("0000000000000021");
}

fn exec_has_the_capabilities_of_the_container(g: &Ground) {
    let bundle = g.bundle().capabilities(&["CAP_CHOWN", "CAP_KILL"]).up();
    let script = "grep -E 'Cap(Eff|Bnd|Prm)' /proc/self/status | cut -f 2 | sort -u";
    bundle.exec_sh(script).prints("0000000000000021");
}

/// CVE-2022-27650, CVE-2022-29162.
fn exec_has_no_inheritable_capabilities(g: &Ground) {
    let bundle = g.bundle().capabilities(&["CAP_CHOWN"]).up();
    let script = "grep -E 'Cap(Inh|Amb)' /proc/self/status | cut -f 2 | sort -u";
    bundle.exec_with(&["--cap", "CAP_KILL"], &["sh", "-c", script]).prints("0000000000000000");
}

fn exec_without_new_privileges(g: &Ground) {
    let bundle = g.bundle().up();
    let script = "grep NoNewPrivs /proc/self/status | cut -f 2";
    bundle.exec_sh(script).prints("0");
    bundle.exec_with(&["--no-new-privs"], &["sh", "-c", script]).prints("1");
}

fn exec_has_the_seccomp_filter_of_the_container(g: &Ground) {
    let rule = json!({ "names": ["mkdir", "mkdirat"], "action": "SCMP_ACT_ERRNO", "errnoRet": 30 });
    let filter = json!({ "defaultAction": "SCMP_ACT_ALLOW", "syscalls": [rule] });
    let bundle = g.bundle().set("/linux/seccomp", filter).up();
    bundle.exec(&["mkdir", "/made"]).refused().says("read-only file system");
    assert!(!bundle.rootfs().join("made").exists());
}

fn exec_has_the_limits_of_the_container(g: &Ground) {
    let limits = json!([{ "type": "RLIMIT_NOFILE", "soft": 123, "hard": 456 }]);
    let bundle = g.bundle().set("/process/rlimits", limits).up();
    bundle.exec_sh("ulimit -Sn; ulimit -Hn").prints("123\n456");
}

/// A file with a process that runs `script`.
fn process_file(bundle: &Bundle, script: &str, more: &Value) -> String {
    let mut process = json!({
        "args": ["sh", "-c", script], "cwd": "/tmp", "env": ["PATH=/bin", "A=file"], "user": { "uid": 5, "gid": 6 },
    });
    let more = more.as_object().expect("an object").clone();
    process.as_object_mut().expect("an object").extend(more);
    let path = bundle.dir.join("process.json");
    fs::write(&path, process.to_string()).expect("write a process");
    path.to_str().expect("text").to_owned()
}

fn exec_of_a_process_file(g: &Ground) {
    let bundle = g.bundle().up();
    let file = process_file(&bundle, "echo $A; pwd; id -u; id -g", &json!({}));
    bundle.exec_with(&["--process", &file], &[]).prints("file\n/tmp\n5\n6");
}

fn exec_of_a_process_file_with_limits_and_capabilities(g: &Ground) {
    let bundle = g.bundle().up();
    let caps = ["CAP_KILL"];
    let more = json!({
        "user": { "uid": 0, "gid": 0, "additionalGids": [3] },
        "capabilities": { "bounding": caps, "effective": caps, "permitted": caps },
        "rlimits": [{ "type": "RLIMIT_NOFILE", "soft": 12, "hard": 34 }],
        "noNewPrivileges": true,
    });
    let script = "grep -E 'CapEff|NoNew' /proc/self/status | cut -f 2; ulimit -Hn; id -G";
    let file = process_file(&bundle, script, &more);
    bundle.exec_with(&["--process", &file], &[]).prints("0000000000000020\n1\n34\n0 3");
}

fn exec_of_a_broken_process_file_is_refused(g: &Ground) {
    let bundle = g.bundle().up();
    let file = bundle.dir.join("process.json");
    for content in ["", "{", "[]", "{\"args\": 5}", "{\"args\": []}"] {
        fs::write(&file, content).expect("write");
        bundle.exec_with(&["--process", file.to_str().expect("text")], &[]).refused();
    }
    assert_eq!(bundle.status(), "running");
}

fn exec_of_a_missing_process_file_is_refused(g: &Ground) {
    g.bundle().up().exec_with(&["--process", "/no/such/file"], &[]).refused();
}

fn exec_in_the_background_returns_while_it_lives(g: &Ground) {
    let bundle = g.bundle().up();
    bundle.exec_with(&["--detach"], &["sleep", "1234"]).ok();
    bundle.exec_sh("pidof sleep | wc -w").prints("2");
}

fn exec_with_a_terminal(g: &Ground) {
    let bundle = g.bundle().up();
    let socket = Socket::bind(g.dir.join("console"));
    let flags = ["--tty", "--detach", "--console-socket", socket.text()];
    let script = "tty; read line; echo got:$line; exec sleep 1000";
    bundle.exec_with(&flags, &["sh", "-c", script]).ok();
    let mut terminal = socket.terminal();
    terminal.read_until("/dev/pts/");
    terminal.write("hello\n");
    terminal.read_until("got:hello");
}

fn exec_with_a_terminal_of_the_caller(g: &Ground) {
    let bundle = g.bundle().up();
    bundle.exec_with(&["--tty"], &["tty"]).ok().shows("/dev/pts/");
}

fn exec_preserves_descriptors_only_when_asked(g: &Ground) {
    let bundle = g.bundle().up();
    let id = &bundle.id;
    let script = "ls /proc/self/fd | wc -l";
    g.script(&format!("exec 3</dev/null 4</dev/null; $RT exec {id} sh -c '{script}; true'")).prints("4");
    let kept = format!("exec 3</dev/null 4</dev/null; $RT exec --preserve-fds 2 {id} sh -c '{script}; true'");
    g.script(&kept).prints("6");
}

fn exec_ends_with_the_container(g: &Ground) {
    let bundle = g.bundle().up();
    let file = bundle.dir.join("pid");
    let flags = ["--detach", "--pid-file", file.to_str().expect("text")];
    bundle.exec_with(&flags, &["sleep", "1234"]).ok();
    bundle.kill("KILL").ok();
    bundle.until_stopped();
    let pid = fs::read_to_string(file).expect("a pid file");
    let status = fs::read_to_string(format!("/proc/{pid}/status")).unwrap_or_default();
    assert!(status.is_empty() || status.contains("Z (zombie)"), "it lives on: {status}");
}

fn exec_in_a_container_without_pid_namespace(g: &Ground) {
    let bundle = g.bundle().no_namespace("pid").up();
    bundle.exec(&["echo", "ran"]).prints("ran");
    bundle.kill("KILL").ok();
    bundle.until_stopped();
}

fn exec_takes_the_first_word_with_dashes_as_the_program_s_own(g: &Ground) {
    g.bundle().up().exec(&["echo", "--user", "-t", "--", "x"]).prints("--user -t -- x");
}

fn exec_joins_a_user_namespace(g: &Ground) {
    let bundle = g.bundle().user_namespace().up();
    bundle.exec_sh("id -u; tr -s ' ' </proc/self/uid_map").prints("0\n 0 100000 65536");
}

fn many_at_once(g: &Ground) {
    let bundle = g.bundle().up();
    let script = format!("for i in 1 2 3 4 5 6 7 8; do $RT exec {} echo ran & done; wait", bundle.id);
    let out = g.script(&script).ok();
    assert_eq!(out.stdout.matches("ran").count(), 8, "{}", out.stderr);
}
