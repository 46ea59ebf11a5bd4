//! Hooks of the six kinds: when they run, where, and what comes of their failure.

use std::fs;
use std::path::PathBuf;

use serde_json::{Value, json};

use crate::harness::{Bundle, Ground, cases};

cases! {
    hooks_run_in_the_order_of_the_lifecycle (
        Runc: "1.1 runs poststart at create",
        Crun: "1.8 does not wait for startContainer"
    );
    hooks_of_a_kind_run_in_their_order;
    state_is_on_standard_input (Crun: "takes / for the bundle at startContainer");
    state_tells_creating_at_first_and_created_later (Runc: "1.1 says created at createRuntime", Crun: "1.8 says created at createRuntime");
    prestart_runs_in_the_runtime_s_namespaces;
    create_runtime_sees_the_container_s_pid;
    create_container_runs_in_the_container_s_namespaces;
    start_container_runs_in_the_container_s_root;
    poststart_runs_after_the_process_was_started (Runc: "1.1 runs poststart at create");
    poststop_runs_after_delete;
    poststop_runs_once_for_run;
    arguments_and_environment_are_those_configured;
    hook_that_fails_before_the_start_ends_the_creation;
    create_container_hook_that_fails_ends_the_creation;
    start_container_hook_that_fails_ends_the_start;
    poststart_hook_that_fails_ends_the_container (
        Runc: "1.1 runs poststart at create",
        Crun: "1.8 lets it live, as the specification once said"
    );
    poststop_hook_that_fails_does_not_keep_the_container;
    hook_that_takes_too_long_is_ended;
    hook_that_is_missing_is_refused;
    hook_with_a_relative_path_is_refused (Crun: "1.8 looks from where it is");
    hook_that_does_not_read_is_no_error (Crun: "1.8 may be ended by SIGPIPE");
    hook_with_much_output_is_no_error;
    hook_gets_no_descriptor_of_the_runtime;
    annotations_reach_hooks;
}

const KINDS: [&str; 6] = ["prestart", "createRuntime", "createContainer", "startContainer", "poststart", "poststop"];

/// Adds a hook that is a shell's script; the host's shell and the container's are the same file.
///
/// It reads what is left of the state: crun is ended by SIGPIPE where nobody does.
fn hook<'g>(bundle: Bundle<'g>, kind: &str, script: &str) -> Bundle<'g> {
    hook_that_ends(bundle, kind, &format!("({script}); code=$?; cat >/dev/null; exit $code"))
}

fn hook_that_ends<'g>(bundle: Bundle<'g>, kind: &str, script: &str) -> Bundle<'g> {
    hook_with(bundle, kind, json!({ "path": "/bin/sh", "args": ["sh", "-c", script], "env": ["PATH=/usr/bin:/bin"] }))
}

fn hook_with<'g>(bundle: Bundle<'g>, kind: &str, value: Value) -> Bundle<'g> {
    bundle.push(&format!("/hooks/{kind}"), value)
}

/// A directory that is at the same path in the container.
fn common<'g>(g: &'g Ground) -> (Bundle<'g>, PathBuf) {
    let bundle = g.bundle();
    let dir = bundle.volume("common");
    let at = dir.to_str().expect("text").to_owned();
    (bundle.bind(&dir, &at, &["rw"]), dir)
}

fn text(dir: &std::path::Path, name: &str) -> String {
    fs::read_to_string(dir.join(name)).unwrap_or_default()
}

fn hooks_run_in_the_order_of_the_lifecycle(g: &Ground) {
    let (mut bundle, dir) = common(g);
    let log = dir.join("log");
    for kind in KINDS {
        bundle = hook(bundle, kind, &format!("echo {kind} >>{}", log.display()));
    }
    let bundle = bundle.args(&["sleep", "1000"]);
    bundle.create().ok();
    let created = "prestart\ncreateRuntime\ncreateContainer\n";
    assert_eq!(text(&dir, "log"), created);
    bundle.start().ok();
    let started = format!("{created}startContainer\npoststart\n");
    assert_eq!(text(&dir, "log"), started);
    bundle.kill("KILL").ok();
    bundle.until_stopped();
    assert_eq!(text(&dir, "log"), started);
    bundle.delete().ok();
    assert_eq!(text(&dir, "log"), format!("{started}poststop\n"));
}

fn hooks_of_a_kind_run_in_their_order(g: &Ground) {
    let (mut bundle, dir) = common(g);
    for number in 1..=3 {
        bundle = hook(bundle, "createRuntime", &format!("echo {number} >>{}/log", dir.display()));
    }
    bundle.run().ok();
    assert_eq!(text(&dir, "log"), "1\n2\n3\n");
}

fn state_is_on_standard_input(g: &Ground) {
    let (mut bundle, dir) = common(g);
    for kind in KINDS {
        bundle = hook(bundle, kind, &format!("cat >{}/{kind}", dir.display()));
    }
    bundle.run().ok();
    for kind in KINDS {
        let state: Value = serde_json::from_str(&text(&dir, kind)).expect("a state");
        assert_eq!(state["id"], bundle.id.as_str(), "{kind}");
        assert_eq!(state["bundle"], bundle.dir.to_str().expect("text"), "{kind}");
        assert!(state["ociVersion"].is_string() && state["status"].is_string(), "{kind}: {state}");
        if !["poststop", "createContainer", "startContainer"].contains(&kind) {
            assert!(state["pid"].as_i64().is_some_and(|pid| pid > 0), "{kind}: {state}");
        }
    }
}

fn state_tells_creating_at_first_and_created_later(g: &Ground) {
    let (mut bundle, dir) = common(g);
    for kind in KINDS {
        bundle = hook(bundle, kind, &format!("cat >{}/{kind}", dir.display()));
    }
    bundle.run().ok();
    for (kind, status) in [("createRuntime", "creating"), ("startContainer", "created"), ("poststart", "running"), ("poststop", "stopped")] {
        let state: Value = serde_json::from_str(&text(&dir, kind)).expect("a state");
        assert_eq!(state["status"], status, "{kind}");
    }
}

fn prestart_runs_in_the_runtime_s_namespaces(g: &Ground) {
    let (bundle, dir) = common(g);
    let script = format!("readlink /proc/self/ns/pid >{}/ns", dir.display());
    hook(bundle, "prestart", &script).run().ok();
    let own = fs::read_link("/proc/self/ns/pid").expect("a namespace");
    assert_eq!(text(&dir, "ns").trim(), own.to_str().expect("text"));
}

fn create_runtime_sees_the_container_s_pid(g: &Ground) {
    let (bundle, dir) = common(g);
    let script = format!(
        "pid=$(sed 's/.*\"pid\": *\\([0-9]*\\).*/\\1/'); readlink /proc/$pid/ns/net >{}/net",
        dir.display()
    );
    hook(bundle.namespace("network"), "createRuntime", &script).run().ok();
    let own = fs::read_link("/proc/self/ns/net").expect("a namespace");
    let seen = text(&dir, "net");
    assert!(seen.starts_with("net:") && seen.trim() != own.to_str().expect("text"), "{seen}");
}

fn create_container_runs_in_the_container_s_namespaces(g: &Ground) {
    let (bundle, dir) = common(g);
    // The host's root is still there, so that the file is found by its path outside.
    let script = format!("readlink /proc/self/ns/uts >{}/ns", dir.display());
    let script = format!("{script}; hostname >>{}/ns", dir.display());
    hook(bundle, "createContainer", &script).run().ok();
    let own = fs::read_link("/proc/self/ns/uts").expect("a namespace");
    let seen = text(&dir, "ns");
    assert!(seen.starts_with("uts:") && !seen.starts_with(own.to_str().expect("text")), "{seen}");
}

fn start_container_runs_in_the_container_s_root(g: &Ground) {
    let (bundle, dir) = common(g);
    let script = format!("cat /only-inside >{}/seen", dir.display());
    let bundle = hook(bundle.file("/only-inside", "inside"), "startContainer", &script);
    bundle.create().ok();
    assert_eq!(text(&dir, "seen"), "");
    bundle.start().ok();
    bundle.until_stopped();
    assert_eq!(text(&dir, "seen"), "inside");
}

fn poststart_runs_after_the_process_was_started(g: &Ground) {
    let (bundle, dir) = common(g);
    let script = format!("cat >/dev/null; touch {}/started", dir.display());
    let bundle = hook(bundle.args(&["sleep", "1000"]), "poststart", &script);
    bundle.create().ok();
    assert!(!dir.join("started").exists());
    bundle.start().ok();
    assert!(dir.join("started").exists());
}

fn poststop_runs_after_delete(g: &Ground) {
    let (bundle, dir) = common(g);
    let bundle = hook(bundle, "poststop", &format!("touch {}/gone", dir.display()));
    bundle.create().ok();
    bundle.start().ok();
    bundle.until_stopped();
    assert!(!dir.join("gone").exists());
    bundle.delete().ok();
    assert!(dir.join("gone").exists());
}

fn poststop_runs_once_for_run(g: &Ground) {
    let (bundle, dir) = common(g);
    hook(bundle, "poststop", &format!("echo x >>{}/log", dir.display())).run().ok();
    assert_eq!(text(&dir, "log"), "x\n");
}

fn arguments_and_environment_are_those_configured(g: &Ground) {
    let (bundle, dir) = common(g);
    let script = format!("echo $0 $1 $A >{}/seen", dir.display());
    let value = json!({ "path": "/bin/sh", "args": ["other", "-c", script, "zero", "one two"], "env": ["A=b=c"] });
    hook_with(bundle, "createRuntime", value).run().ok();
    assert_eq!(text(&dir, "seen"), "zero one two b=c\n");
}

fn hook_that_fails_before_the_start_ends_the_creation(g: &Ground) {
    for kind in ["prestart", "createRuntime"] {
        hook(g.bundle(), kind, "echo sorry >&2; exit 3").is_refused();
        hook(g.bundle(), kind, "exit 1").create().refused();
        g.is_clean();
    }
}

fn create_container_hook_that_fails_ends_the_creation(g: &Ground) {
    hook(g.bundle(), "createContainer", "exit 1").create().refused();
    g.is_clean();
}

fn start_container_hook_that_fails_ends_the_start(g: &Ground) {
    let bundle = hook(g.bundle().sh("touch /ran; sleep 1000"), "startContainer", "exit 1");
    bundle.create().ok();
    bundle.start();
    bundle.until_stopped();
    assert!(!bundle.rootfs().join("ran").exists());
}

fn poststart_hook_that_fails_ends_the_container(g: &Ground) {
    let bundle = hook(g.bundle().sleeper(), "poststart", "exit 1");
    bundle.create().ok();
    bundle.start().refused();
    bundle.until_stopped();
}

fn poststop_hook_that_fails_does_not_keep_the_container(g: &Ground) {
    let bundle = hook(g.bundle(), "poststop", "exit 1");
    bundle.create().ok();
    bundle.start().ok();
    bundle.until_stopped();
    bundle.delete();
    g.is_clean();
}

fn hook_that_takes_too_long_is_ended(g: &Ground) {
    let value = json!({ "path": "/bin/sh", "args": ["sh", "-c", "exec sleep 300"], "env": ["PATH=/bin:/usr/bin"], "timeout": 1 });
    hook_with(g.bundle(), "createRuntime", value).is_refused();
}

fn hook_that_is_missing_is_refused(g: &Ground) {
    hook_with(g.bundle(), "createRuntime", json!({ "path": "/no/such/hook" })).is_refused().says("/no/such/hook");
}

fn hook_with_a_relative_path_is_refused(g: &Ground) {
    hook_with(g.bundle(), "createRuntime", json!({ "path": "bin/true" })).is_refused();
}

fn hook_that_does_not_read_is_no_error(g: &Ground) {
    let mut bundle = g.bundle().sh("echo ran");
    // A state too big for a pipe that nobody reads.
    bundle = bundle.set("/annotations/big", "x".repeat(100_000).as_str());
    hook_that_ends(bundle, "createRuntime", "exec true").run().prints("ran");
}

fn hook_with_much_output_is_no_error(g: &Ground) {
    let bundle = hook(g.bundle().sh("echo ran"), "createRuntime", "head -c 1000000 /dev/zero; head -c 1000000 /dev/zero >&2");
    bundle.run().ok().shows("ran");
}

fn hook_gets_no_descriptor_of_the_runtime(g: &Ground) {
    let (mut bundle, dir) = common(g);
    for kind in ["createRuntime", "poststart", "poststop"] {
        bundle = hook(bundle, kind, &format!("ls /proc/$$/fd >{}/{kind}; true", dir.display()));
    }
    bundle.run().ok();
    for kind in ["createRuntime", "poststart", "poststop"] {
        let open: Vec<u32> = text(&dir, kind).lines().filter_map(|line| line.parse().ok()).collect();
        // The shell itself keeps its script or a saved stream at ten and above.
        assert!(open.iter().all(|fd| *fd < 3 || *fd >= 10), "{kind}: {open:?}");
    }
}

fn annotations_reach_hooks(g: &Ground) {
    let (bundle, dir) = common(g);
    let bundle = bundle.set("/annotations", json!({ "key": "value" }));
    hook(bundle, "createRuntime", &format!("cat >{}/state", dir.display())).run().ok();
    let state: Value = serde_json::from_str(&text(&dir, "state")).expect("a state");
    assert_eq!(state["annotations"]["key"], "value");
}
