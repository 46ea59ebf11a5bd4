//! Containers from `create` to `delete`, and the calls in between.

use std::fs;
use std::time::Duration;

use crate::harness::{Ground, cases};

cases! {
    run_gives_the_exit_code;
    run_passes_output_through;
    run_removes_the_container_at_its_end;
    run_tells_128_and_the_signal_of_a_killed_process;
    create_then_start_then_stopped_then_delete;
    created_process_does_not_run_before_start;
    state_has_what_the_specification_asks_for;
    state_of_created_has_a_living_pid;
    state_of_stopped_has_pid_zero;
    state_has_annotations;
    run_in_the_background_returns_while_it_lives;
    bundle_is_the_working_directory_where_none_is_named;
    pid_file_has_the_pid_and_nothing_else;
    pid_file_of_exec_has_the_pid_seen_outside;
    kill_takes_names_numbers_and_prefixes;
    kill_with_an_unknown_signal_is_refused (Crun: "takes unknown names for 0");
    kill_is_sigterm_where_none_is_named;
    kill_all_reaches_processes_beside_the_first;
    kill_of_a_stopped_container_is_refused;
    delete_of_a_running_container_is_refused;
    delete_force_ends_a_running_container;
    delete_force_of_an_unknown_container_is_no_error;
    delete_removes_a_created_container_with_force;
    delete_ends_what_a_container_without_pid_namespace_left;
    paused_is_frozen_and_resumed_goes_on;
    paused_container_is_deleted_with_force;
    exec_into_a_paused_container_is_refused;
    start_of_a_running_container_is_refused;
    start_of_a_stopped_container_is_refused;
    list_shows_all_with_their_states;
    list_quiet_is_ids_only;
    list_of_an_empty_root_is_empty;
    ps_names_processes_by_their_pids_outside;
    keep_leaves_a_stopped_container (Crun: "1.8 has no such flag");
    containers_of_two_roots_do_not_meet;
    five_hundred_words_of_arguments_arrive;
    hostname_and_domainname_are_set (Runc: "1.1 knows no domainname");
    log_goes_to_a_file_as_json;
    log_goes_to_a_file_as_text;
    spec_writes_a_configuration_that_runs;
    spec_does_not_overwrite;
    spec_rootless_has_a_user_namespace (Crun: "writes no id maps into it");
    features_are_told_as_json (Crun: "1.8 has no such command");
    version_names_the_specification;
    help_is_no_error;
}

fn run_gives_the_exit_code(g: &Ground) {
    g.bundle().sh("exit 0").run().code(0);
    g.bundle().sh("exit 7").run().code(7);
    g.bundle().sh("exit 255").run().code(255);
}

fn run_passes_output_through(g: &Ground) {
    let outcome = g.bundle().sh("echo out; echo err >&2").run();
    outcome.prints("out").says("err");
}

fn run_removes_the_container_at_its_end(g: &Ground) {
    let bundle = g.bundle();
    bundle.run().ok();
    g.is_clean();
    bundle.call(&["state"]).refused();
}

fn run_tells_128_and_the_signal_of_a_killed_process(g: &Ground) {
    // Pid 1 cannot kill itself: its child does, and its shell passes that on.
    g.bundle().no_namespace("pid").sh("kill -9 $$").run().code(137);
}

fn create_then_start_then_stopped_then_delete(g: &Ground) {
    let bundle = g.bundle().sleeper();
    bundle.create().ok();
    assert_eq!(bundle.status(), "created");
    bundle.start().ok();
    assert_eq!(bundle.status(), "running");
    bundle.kill("KILL").ok();
    bundle.until_stopped();
    bundle.delete().ok();
    g.is_clean();
}

fn created_process_does_not_run_before_start(g: &Ground) {
    let bundle = g.bundle().sh("touch /ran");
    bundle.create().ok();
    assert!(!bundle.rootfs().join("ran").exists());
    bundle.start().ok();
    bundle.until_stopped();
    assert!(bundle.rootfs().join("ran").exists());
}

fn state_has_what_the_specification_asks_for(g: &Ground) {
    let bundle = g.bundle().up();
    let state = bundle.state();
    assert!(state["ociVersion"].as_str().is_some_and(|version| version.starts_with("1.")));
    assert_eq!(state["id"], bundle.id.as_str());
    assert_eq!(state["status"], "running");
    assert_eq!(state["bundle"], bundle.dir.to_str().expect("text"));
    let pid = state["pid"].as_i64().expect("a number");
    assert!(fs::exists(format!("/proc/{pid}")).expect("/proc can be read"));
}

fn state_of_created_has_a_living_pid(g: &Ground) {
    let bundle = g.bundle();
    bundle.create().ok();
    let pid = bundle.pid();
    assert!(pid > 1 && fs::exists(format!("/proc/{pid}")).expect("/proc can be read"));
}

fn state_of_stopped_has_pid_zero(g: &Ground) {
    let bundle = g.bundle();
    bundle.create().ok();
    bundle.start().ok();
    bundle.until_stopped();
    assert_eq!(bundle.pid(), 0);
}

fn state_has_annotations(g: &Ground) {
    let bundle = g.bundle().set("/annotations", serde_json::json!({ "a.b/c": "d" })).up();
    assert_eq!(bundle.state()["annotations"]["a.b/c"], "d");
}

fn run_in_the_background_returns_while_it_lives(g: &Ground) {
    let bundle = g.bundle().sleeper();
    bundle.run_with(&["--detach"]).ok();
    assert_eq!(bundle.status(), "running");
}

fn bundle_is_the_working_directory_where_none_is_named(g: &Ground) {
    let bundle = g.bundle().sh("echo here");
    bundle.write();
    let mut command = g.command();
    g.end(command.args(["run", &bundle.id]).current_dir(&bundle.dir)).prints("here");
}

fn pid_file_has_the_pid_and_nothing_else(g: &Ground) {
    let bundle = g.bundle().sleeper();
    let file = bundle.dir.join("pid");
    bundle.create_with(&["--pid-file", file.to_str().expect("text")]).ok();
    let text = fs::read_to_string(file).expect("a pid file");
    assert_eq!(text, bundle.pid().to_string());
}

fn pid_file_of_exec_has_the_pid_seen_outside(g: &Ground) {
    let bundle = g.bundle().up();
    let file = bundle.dir.join("pid");
    let flags = ["--detach", "--pid-file", file.to_str().expect("text")];
    bundle.exec_with(&flags, &["sleep", "777"]).ok();
    let pid = fs::read_to_string(file).expect("a pid file");
    // crun does not wait for the program to be executed.
    until("the program's own words", || {
        let words = fs::read_to_string(format!("/proc/{pid}/cmdline")).expect("a living process");
        words == ["sleep", "777", ""].join("\0")
    });
}

fn kill_takes_names_numbers_and_prefixes(g: &Ground) {
    let script = "trap 'echo usr >>/seen' USR1; touch /ready; while :; do sleep 0.01; done";
    let bundle = g.bundle().sh(script);
    bundle.run_with(&["--detach"]).ok();
    let seen = bundle.rootfs().join("seen");
    until("the trap is set", || bundle.rootfs().join("ready").exists());
    for (count, signal) in ["USR1", "SIGUSR1", "10"].iter().enumerate() {
        bundle.kill(signal).ok();
        until("the signal is handled", || {
            fs::read_to_string(&seen).unwrap_or_default().lines().count() == count + 1
        });
    }
}

fn kill_with_an_unknown_signal_is_refused(g: &Ground) {
    let bundle = g.bundle().up();
    bundle.kill("NOSUCH").refused();
    bundle.kill("-5").refused();
    bundle.kill("4096").refused();
    assert_eq!(bundle.status(), "running");
}

fn kill_is_sigterm_where_none_is_named(g: &Ground) {
    let bundle = g.bundle().sh("trap 'touch /termed; exit 0' TERM; touch /ready; while :; do sleep 0.01; done");
    bundle.run_with(&["--detach"]).ok();
    until("the trap is set", || bundle.rootfs().join("ready").exists());
    bundle.call(&["kill"]).ok();
    bundle.until_stopped();
    assert!(bundle.rootfs().join("termed").exists());
}

fn kill_all_reaches_processes_beside_the_first(g: &Ground) {
    let script = "trap '' TERM; (trap - TERM; exec sleep 1000) & echo $! >/child; while :; do sleep 0.05; done";
    let bundle = g.bundle().sh(script);
    bundle.run_with(&["--detach"]).ok();
    let is_sleeping = || bundle.exec_sh("grep -q sleep /proc/$(cat /child)/comm").succeeded();
    until("the child is there", is_sleeping);
    g.call(&["kill", "--all", &bundle.id, "TERM"]).ok();
    until("the child is gone", || !is_sleeping());
    assert_eq!(bundle.status(), "running");
}

fn kill_of_a_stopped_container_is_refused(g: &Ground) {
    let bundle = g.bundle();
    bundle.create().ok();
    bundle.start().ok();
    bundle.until_stopped();
    bundle.kill("KILL").refused();
}

fn delete_of_a_running_container_is_refused(g: &Ground) {
    let bundle = g.bundle().up();
    bundle.delete().refused();
    assert_eq!(bundle.status(), "running");
}

fn delete_force_ends_a_running_container(g: &Ground) {
    let bundle = g.bundle().up();
    let pid = bundle.pid();
    bundle.call(&["delete", "--force"]).ok();
    g.is_clean();
    let status = fs::read_to_string(format!("/proc/{pid}/status")).unwrap_or_default();
    assert!(status.is_empty() || status.contains("Z (zombie)"), "it lives on: {status}");
}

fn delete_force_of_an_unknown_container_is_no_error(g: &Ground) {
    g.call(&["delete", "--force", "nobody"]).ok();
    g.call(&["delete", "nobody"]).refused();
}

fn delete_removes_a_created_container_with_force(g: &Ground) {
    let bundle = g.bundle();
    bundle.create().ok();
    bundle.call(&["delete", "--force"]).ok();
    g.is_clean();
}

fn delete_ends_what_a_container_without_pid_namespace_left(g: &Ground) {
    let bundle = g.bundle().no_namespace("pid").sh("sleep 1234 & echo $! >/child; exec sleep 1000");
    bundle.run_with(&["--detach"]).ok();
    until("the child is there", || bundle.rootfs().join("child").exists());
    bundle.call(&["delete", "--force"]).ok();
    g.is_clean();
}

fn paused_is_frozen_and_resumed_goes_on(g: &Ground) {
    let bundle = g.bundle().sh("while :; do echo x >>/count; sleep 0.01; done");
    bundle.run_with(&["--detach"]).ok();
    let size = || fs::metadata(bundle.rootfs().join("count")).map_or(0, |data| data.len());
    until("it counts", || size() > 0);
    bundle.call(&["pause"]).ok();
    until("it is paused", || bundle.status() == "paused");
    let before = size();
    std::thread::sleep(Duration::from_millis(50));
    assert_eq!(size(), before);
    bundle.call(&["resume"]).ok();
    assert_eq!(bundle.status(), "running");
    until("it counts again", || size() > before);
}

fn paused_container_is_deleted_with_force(g: &Ground) {
    let bundle = g.bundle().up();
    bundle.call(&["pause"]).ok();
    bundle.call(&["delete", "--force"]).ok();
    g.is_clean();
}

fn exec_into_a_paused_container_is_refused(g: &Ground) {
    let bundle = g.bundle().up();
    bundle.call(&["pause"]).ok();
    bundle.exec(&["true"]).refused();
    bundle.call(&["resume"]).ok();
}

fn start_of_a_running_container_is_refused(g: &Ground) {
    let bundle = g.bundle().up();
    bundle.start().refused();
}

fn start_of_a_stopped_container_is_refused(g: &Ground) {
    let bundle = g.bundle();
    bundle.create().ok();
    bundle.kill("KILL").ok();
    bundle.until_stopped();
    bundle.start().refused();
}

fn list_shows_all_with_their_states(g: &Ground) {
    let running = g.bundle().up();
    let created = g.bundle();
    created.create().ok();
    g.call(&["list"]).ok().shows(&running.id).shows("running").shows(&created.id).shows("created");
    let all = g.call(&["list", "--format", "json"]).ok().json();
    let all = all.as_array().expect("a list");
    assert_eq!(all.len(), 2);
    let one = all.iter().find(|state| state["id"] == running.id.as_str()).expect("it is listed");
    assert_eq!(one["status"], "running");
    assert_eq!(one["pid"], running.pid());
    assert_eq!(one["bundle"], running.dir.to_str().expect("text"));
}

fn list_quiet_is_ids_only(g: &Ground) {
    let bundle = g.bundle().up();
    g.call(&["list", "--quiet"]).prints(&bundle.id);
}

fn list_of_an_empty_root_is_empty(g: &Ground) {
    g.call(&["list", "--quiet"]).prints("");
}

fn ps_names_processes_by_their_pids_outside(g: &Ground) {
    let bundle = g.bundle().up();
    let pids = bundle.call(&["ps", "--format", "json"]).ok().json();
    let pids = pids.as_array().expect("a list of pids");
    assert!(pids.contains(&bundle.pid().into()), "{pids:?}");
    until("shell and sleep are both there", || {
        let pids = bundle.call(&["ps", "--format", "json"]).ok().json();
        pids.as_array().is_some_and(|pids| pids.len() == 2)
    });
    bundle.call(&["ps"]).ok().shows("PID").shows(&bundle.pid().to_string());
}

fn keep_leaves_a_stopped_container(g: &Ground) {
    let bundle = g.bundle().sh("exit 3");
    bundle.run_with(&["--keep"]).code(3);
    assert_eq!(bundle.status(), "stopped");
    bundle.delete().ok();
}

fn containers_of_two_roots_do_not_meet(g: &Ground) {
    let bundle = g.bundle().up();
    let mut other = g.runtime.command();
    other.arg("--root").arg(g.dir.join("elsewhere")).args(["state", &bundle.id]);
    g.end(&mut other).refused();
}

fn five_hundred_words_of_arguments_arrive(g: &Ground) {
    let words: Vec<String> = (0..500).map(|word| format!("word {word} of \"many\"\n")).collect();
    let mut args = vec!["sh", "-c", "echo $#; echo \"$499\"", "name"];
    args.extend(words.iter().map(String::as_str));
    g.bundle().args(&args).run().ok().shows("500");
}

fn hostname_and_domainname_are_set(g: &Ground) {
    let bundle = g.bundle().set("/hostname", "some-host").set("/domainname", "some.domain");
    let script = "hostname; cat /proc/sys/kernel/domainname";
    bundle.sh(script).run().prints("some-host\nsome.domain");
}

fn log_goes_to_a_file_as_json(g: &Ground) {
    let log = g.dir.join("log");
    let flags = ["--log", log.to_str().expect("text"), "--log-format", "json"];
    g.call(&[&flags[..], &["state", "nobody"]].concat()).refused();
    let text = fs::read_to_string(log).expect("a log");
    let line = text.lines().last().expect("a line");
    let entry: serde_json::Value = serde_json::from_str(line).expect("JSON");
    assert_eq!(entry["level"], "error");
    assert!(entry["msg"].as_str().is_some_and(|msg| !msg.is_empty()));
    assert!(entry["time"].is_string());
}

fn log_goes_to_a_file_as_text(g: &Ground) {
    let log = g.dir.join("log");
    g.call(&["--log", log.to_str().expect("text"), "state", "nobody"]).refused();
    assert!(!fs::read_to_string(log).expect("a log").is_empty());
}

fn spec_writes_a_configuration_that_runs(g: &Ground) {
    let bundle = g.bundle();
    let mut command = g.command();
    g.end(command.arg("spec").current_dir(&bundle.dir)).ok();
    let text = fs::read_to_string(bundle.dir.join("config.json")).expect("a config.json");
    let mut bundle = bundle;
    bundle.spec = serde_json::from_str(&text).expect("JSON");
    assert_eq!(bundle.spec["process"]["args"], serde_json::json!(["sh"]));
    let path = format!("/{}", bundle.id);
    bundle.set("/process/terminal", false).set("/linux/cgroupsPath", path).sh("echo ran").run().prints("ran");
}

fn spec_does_not_overwrite(g: &Ground) {
    let dir = g.bundle().volume("new");
    fs::write(dir.join("config.json"), "mine").expect("write");
    g.call(&["spec", "--bundle", dir.to_str().expect("text")]).refused();
    assert_eq!(fs::read_to_string(dir.join("config.json")).expect("still there"), "mine");
}

fn spec_rootless_has_a_user_namespace(g: &Ground) {
    let dir = g.bundle().volume("new");
    g.call(&["spec", "--rootless", "--bundle", dir.to_str().expect("text")]).ok();
    let text = fs::read_to_string(dir.join("config.json")).expect("a config.json");
    let spec: serde_json::Value = serde_json::from_str(&text).expect("JSON");
    let kinds = spec["linux"]["namespaces"].as_array().expect("a list");
    assert!(kinds.iter().any(|namespace| namespace["type"] == "user"));
    assert!(spec["linux"]["uidMappings"].is_array());
}

fn features_are_told_as_json(g: &Ground) {
    let features = g.call(&["features"]).ok().json();
    assert!(features["ociVersionMin"].is_string() && features["ociVersionMax"].is_string());
    let has = |pointer: &str, word: &str| {
        let list = features.pointer(pointer).and_then(|list| list.as_array());
        list.is_some_and(|list| list.iter().any(|entry| entry == word))
    };
    assert!(has("/hooks", "createRuntime") && has("/mountOptions", "rbind"));
    assert!(has("/linux/namespaces", "cgroup") && has("/linux/capabilities", "CAP_CHOWN"));
    assert_eq!(features["linux"]["cgroup"]["v2"], true);
    assert_eq!(features["linux"]["seccomp"]["enabled"], true);
}

fn version_names_the_specification(g: &Ground) {
    g.call(&["--version"]).ok().shows("spec: 1.");
}

fn help_is_no_error(g: &Ground) {
    g.call(&["--help"]).ok().shows("create").shows("delete");
    g.call(&["create", "--help"]).ok().shows("bundle");
}

#[track_caller]
fn until(what: &str, mut ask: impl FnMut() -> bool) {
    e2e::until(what, Duration::from_secs(30), || ask().then_some(()));
}
