//! Calls of the runtime, what is there before them, and what they come to.

use std::fs::{self, File};
use std::process::{Command, Stdio};
use std::time::Duration;

use serde_json::json;

use crate::harness::{Bundle, cgroups};
use crate::strace::{Ended, PROGRAM};

pub struct Scenario {
    pub name: &'static str,
    /// Changes the bundle that all have in common.
    pub bundle: fn(Bundle<'_>) -> Bundle<'_>,
    /// What is done before the call.
    pub before: fn(&Bundle),
    pub call: fn(&Bundle, &mut Command),
    /// What came of a call that succeeded.
    pub result: fn(&Bundle, &Ended) -> String,
    /// What a call that failed may leave.
    pub check_failed: fn(&Bundle),
    pub leaves: Leaves,
}

/// When there may be a container after the call.
#[derive(Clone, Copy, PartialEq, Eq)]
pub enum Leaves {
    Nothing,
    IfItSucceeds,
    IfItFails,
    Always,
}

impl Leaves {
    pub fn may(self, succeeded: bool) -> bool {
        match self {
            Self::Nothing => false,
            Self::IfItSucceeds => succeeded,
            Self::IfItFails => !succeeded,
            Self::Always => true,
        }
    }
}

pub fn run() -> Scenario {
    Scenario {
        name: "run",
        bundle: |bundle| bundle,
        before: |_| {},
        call: |bundle, command| {
            command
                .args(["run", "--bundle"])
                .arg(&bundle.dir)
                .arg(&bundle.id);
        },
        result: |_, ended| shown(&ended.said()),
        check_failed: |_| {},
        leaves: Leaves::Nothing,
    }
}

pub fn run_in_a_user_namespace() -> Scenario {
    Scenario {
        name: "run in a user namespace, with a terminal",
        bundle: |bundle| {
            let data = bundle.volume("mapped");
            let map = json!([{ "containerID": 0, "hostID": 100_000, "size": 65536 }]);
            let bundle = bundle
                .without("/linux/devices")
                .user_namespace()
                .set("/process/terminal", true);
            bundle.push(
                "/mounts",
                json!({ "destination": "/tmp", "type": "bind", "source": data, "options": ["bind", "idmap"],
                    "uidMappings": map, "gidMappings": map }),
            )
        },
        ..run()
    }
}

pub fn create() -> Scenario {
    Scenario {
        name: "create",
        call: |bundle, command| {
            let pid = bundle.dir.join("pid");
            command
                .args(["create", "--bundle"])
                .arg(&bundle.dir)
                .arg("--pid-file")
                .arg(pid)
                .arg(&bundle.id);
        },
        result: |bundle, ended| {
            let pid = fs::read_to_string(bundle.dir.join("pid")).expect("a pid file");
            if !ended.was_container_hit() {
                assert_eq!(pid.parse(), Ok(bundle.pid()));
            }
            // It is traced still: what fails now is the program's start, and told by that.
            if !bundle.start().succeeded() {
                return "not started".to_owned();
            }
            bundle.until_stopped();
            shown(&ended.said())
        },
        leaves: Leaves::IfItSucceeds,
        ..run()
    }
}

pub fn start() -> Scenario {
    Scenario {
        name: "start",
        before: |bundle| {
            let mut create = bundle.ground.command();
            create
                .args(["create", "--bundle"])
                .arg(&bundle.dir)
                .arg(&bundle.id);
            let output = File::create(bundle.ground.dir.join("output")).expect("create a file");
            let status = create.stdin(Stdio::null()).stdout(output).status();
            assert!(status.expect("skiff is there").success());
        },
        call: |bundle, command| {
            command.args(["start", &bundle.id]);
        },
        result: |bundle, _| {
            bundle.until_stopped();
            shown(&fs::read_to_string(bundle.ground.dir.join("output")).expect("its output"))
        },
        // It waits still, or it is over.
        check_failed: |bundle| {
            e2e::until("it does not run", Duration::from_secs(60), || {
                (bundle.status() != "running").then_some(())
            });
        },
        leaves: Leaves::Always,
        ..run()
    }
}

pub fn exec() -> Scenario {
    Scenario {
        name: "exec",
        bundle: |bundle| bundle.args(&["sleep", "1000"]),
        before: |bundle| drop(bundle.run_with(&["--detach"]).ok()),
        call: |bundle, command| {
            command.args(["exec", &bundle.id]).args(program());
        },
        result: |_, ended| shown(&ended.said()),
        check_failed: |bundle| {
            e2e::until(
                "only the first process is there",
                Duration::from_secs(60),
                || {
                    let pids = bundle.call(&["ps", "--format", "json"]).ok().json();
                    (pids == json!([bundle.pid()])).then_some(())
                },
            );
        },
        leaves: Leaves::Always,
    }
}

pub fn exec_detached() -> Scenario {
    Scenario {
        name: "exec, detached",
        call: |bundle, command| {
            let pid = bundle.dir.join("pid");
            command
                .args(["exec", "--detach", "--pid-file"])
                .arg(pid)
                .arg(&bundle.id)
                .args(program());
        },
        result: |bundle, ended| {
            assert!(bundle.dir.join("pid").exists(), "there is no pid file");
            (exec().check_failed)(bundle);
            shown(&ended.said())
        },
        check_failed: |bundle| {
            assert!(!bundle.dir.join("pid").exists(), "a pid file is left");
            (exec().check_failed)(bundle);
        },
        ..exec()
    }
}

pub fn delete() -> Scenario {
    Scenario {
        name: "delete",
        call: |bundle, command| {
            command.args(["delete", "--force", &bundle.id]);
        },
        result: |_, _| String::new(),
        check_failed: |_| {},
        leaves: Leaves::IfItFails,
        ..exec()
    }
}

/// A container with some of everything, whose program shows what it got.
pub fn rich(bundle: Bundle<'_>) -> Bundle<'_> {
    let data = bundle.volume("data");
    let hook = json!([{ "path": "/bin/busybox", "args": ["true"], "timeout": 100 }]);
    let inside = json!([{ "path": "/bin/true", "args": ["true"] }]);
    let bundle = bundle
        .args(&program().each_ref().map(String::as_str))
        .namespace("network")
        .namespace("cgroup")
        .bind(data, "/home", &["ro"])
        .mount("/etc", "tmpfs", "tmpfs", &["tmpcopyup"])
        .mount("/sys", "sysfs", "sysfs", &["ro"])
        .mount("/sys/fs/cgroup", "cgroup", "cgroup", &["ro"])
        .set("/linux/maskedPaths", json!(["/proc/kcore", "/proc/keys", "/sys/firmware"]))
        .set("/linux/readonlyPaths", json!(["/proc/sys"]))
        .set("/linux/sysctl", json!({ "net.ipv4.ip_forward": "1" }))
        .set("/linux/devices", json!([{ "path": "/dev/more", "type": "c", "major": 1, "minor": 5 }]))
        .set("/linux/resources/pids", json!({ "limit": 77 }))
        .set("/linux/resources/memory", json!({ "limit": 134_217_728 }))
        .set("/process/user", json!({ "uid": 1000, "gid": 1000, "umask": 63, "additionalGids": [2000] }))
        .set("/process/noNewPrivileges", true)
        .set("/process/oomScoreAdj", 100)
        .set("/process/rlimits", json!([{ "type": "RLIMIT_NOFILE", "soft": 100, "hard": 200 }]))
        .set("/process/ioPriority", json!({ "class": "IOPRIO_CLASS_BE", "priority": 6 }))
        .set(
            "/linux/seccomp",
            json!({ "defaultAction": "SCMP_ACT_ALLOW", "syscalls": [{ "names": ["mkdir"], "action": "SCMP_ACT_ERRNO" }] }),
        );
    ["createRuntime", "createContainer", "poststart", "poststop"]
        .iter()
        .fold(bundle, |bundle, kind| {
            bundle.set(&format!("/hooks/{kind}"), hook.clone())
        })
        .set("/hooks/startContainer", inside)
}

/// Shows all that the runtime is to see to.
fn program() -> [String; 10] {
    let group = |v1: &str, v2: &str| {
        let below = if cgroups::are_v2() { v2 } else { v1 };
        format!("/sys/fs/cgroup/{below}")
    };
    [
        PROGRAM.to_owned(),
        "/proc/self/status".to_owned(),
        "/proc/self/limits".to_owned(),
        "/proc/self/mountinfo".to_owned(),
        "/proc/self/cgroup".to_owned(),
        "/proc/self/oom_score_adj".to_owned(),
        "/proc/sys/kernel/hostname".to_owned(),
        "/proc/sys/net/ipv4/ip_forward".to_owned(),
        group("pids/pids.max", "pids.max"),
        group("memory/memory.limit_in_bytes", "memory.max"),
    ]
}

/// What the program has shown, without what is another each time.
fn shown(said: &str) -> String {
    const KEPT: [&str; 12] = [
        "Umask",
        "Uid",
        "Gid",
        "Groups",
        "SigBlk",
        "SigIgn",
        "Cap",
        "NoNewPrivs",
        "Seccomp",
        "Cpus",
        "Mems",
        "THP",
    ];
    let is_status = |line: &str| {
        line.split_once(":\t")
            .is_some_and(|(key, _)| !key.contains(' '))
    };
    let mut kept = Vec::new();
    for line in said.lines() {
        let fields: Vec<&str> = line.split(' ').collect();
        if let Some(dash) = fields.iter().position(|field| *field == "-") {
            // A mount: its ids, its device and its peer groups differ.
            let (of_itself, peers) = fields[..dash].split_at(dash.min(6));
            let peers = peers.iter().filter_map(|field| field.split(':').next());
            let of_itself = of_itself.iter().skip(3).copied();
            let rest = fields[dash..].iter().copied();
            let all: Vec<&str> = of_itself.chain(peers).chain(rest).collect();
            kept.push(all.join(" "));
        } else if !is_status(line) || KEPT.iter().any(|key| line.starts_with(key)) {
            kept.push(line.to_owned());
        }
    }
    kept.join("\n")
}
