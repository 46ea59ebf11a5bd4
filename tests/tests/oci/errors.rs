//! What callers get wrong: ids, bundles, programs. Each is told, and nothing is left.

use std::fs;

use serde_json::json;

use crate::harness::{Ground, cases};

cases! {
    id_that_is_taken_is_refused_and_the_first_lives;
    id_with_a_slash_is_refused (Crun: "takes /absolute");
    id_of_dots_is_refused (Crun: "removes the directory above");
    empty_id_is_refused;
    id_with_odd_characters_is_refused (Crun: "takes what a file name can hold");
    id_with_permitted_signs_runs;
    id_of_a_kilobyte_is_refused;
    unknown_id_is_refused_by_every_command;
    unknown_command_is_refused;
    unknown_flag_is_refused;
    missing_id_is_refused;
    missing_bundle_is_refused;
    missing_configuration_is_refused;
    missing_root_is_refused;
    missing_program_is_named;
    program_without_permission_is_refused;
    program_that_is_a_directory_is_refused;
    script_without_interpreter_is_refused;
    missing_program_is_found_at_create;
    missing_working_directory_is_made;
    relative_working_directory_is_refused (Crun: "takes it as seen from the root");
    working_directory_that_is_a_file_is_refused;
    empty_arguments_are_refused;
    missing_process_is_refused;
    pid_file_in_a_missing_directory_leaves_nothing;
    console_socket_that_is_missing_leaves_nothing;
    terminal_without_console_socket_is_refused_by_create;
    console_socket_without_terminal_is_refused (Crun: "ignores it");
    exec_of_a_missing_program_is_told_and_harmless;
    exec_into_a_created_container_is_possible;
    exec_into_a_stopped_container_is_refused;
    pause_of_a_stopped_container_is_refused;
    resume_of_a_running_container_is_refused (Crun: "thaws what is not frozen");
    root_that_nobody_can_make_is_refused;
}

fn id_that_is_taken_is_refused_and_the_first_lives(g: &Ground) {
    let first = g.bundle().up();
    first.run().refused().says("exist");
    assert_eq!(first.status(), "running");
    assert!(first.exec(&["true"]).succeeded());
}

fn id_with_a_slash_is_refused(g: &Ground) {
    for id in ["../escaped", "a/b", "/absolute", "a/../../b"] {
        let mut bundle = g.bundle();
        bundle.id = id.to_owned();
        bundle.is_refused();
    }
    assert!(!g.dir.join("escaped").exists());
}

fn id_of_dots_is_refused(g: &Ground) {
    for id in [".", ".."] {
        let mut bundle = g.bundle();
        bundle.id = id.to_owned();
        bundle.is_refused();
        g.call(&["delete", "--force", id]);
    }
    assert!(g.dir.join("calls").exists(), "a directory above was removed");
}

fn empty_id_is_refused(g: &Ground) {
    let mut bundle = g.bundle();
    bundle.id = String::new();
    bundle.is_refused();
}

fn id_with_odd_characters_is_refused(g: &Ground) {
    for id in ["a b", "a\nb", "a\u{e4}b", "a;b", "a%b", "a*"] {
        let mut bundle = g.bundle();
        bundle.id = id.to_owned();
        bundle.is_refused();
    }
}

fn id_with_permitted_signs_runs(g: &Ground) {
    let mut bundle = g.bundle().sh("echo ran");
    bundle.id = format!("{}-A_b+c.d", bundle.id);
    bundle.run().prints("ran");
}

fn id_of_a_kilobyte_is_refused(g: &Ground) {
    let mut bundle = g.bundle();
    bundle.id = "x".repeat(1025);
    bundle.is_refused();
}

fn unknown_id_is_refused_by_every_command(g: &Ground) {
    for command in ["start", "state", "kill", "delete", "pause", "resume", "ps"] {
        g.call(&[command, "nobody"]).refused();
    }
    g.call(&["exec", "nobody", "true"]).refused();
    g.call(&["update", "--pids-limit", "5", "nobody"]).refused();
    g.is_clean();
}

fn unknown_command_is_refused(g: &Ground) {
    let outcome = g.call(&["frobnicate"]);
    assert!(!outcome.succeeded() || outcome.stderr.contains("frobnicate") || outcome.stdout.contains("frobnicate"));
}

fn unknown_flag_is_refused(g: &Ground) {
    let bundle = g.bundle();
    bundle.run_with(&["--no-such-flag"]).refused();
    g.is_clean();
}

fn missing_id_is_refused(g: &Ground) {
    for command in ["create", "start", "state", "kill", "delete", "exec", "pause", "resume", "ps", "run"] {
        g.call(&[command]).refused();
    }
}

fn missing_bundle_is_refused(g: &Ground) {
    g.call(&["run", "--bundle", "/no/such/bundle", "nobody"]).refused();
    g.is_clean();
}

fn missing_configuration_is_refused(g: &Ground) {
    let bundle = g.bundle();
    let dir = bundle.dir.to_str().expect("text");
    g.call(&["run", "--bundle", dir, &bundle.id]).refused().says("config.json");
    g.is_clean();
}

fn missing_root_is_refused(g: &Ground) {
    let bundle = g.bundle().set("/root/path", "nowhere");
    bundle.is_refused().says("nowhere");
}

fn missing_program_is_named(g: &Ground) {
    let outcome = g.bundle().args(&["no-such-program"]).is_refused();
    outcome.says("no-such-program");
}

fn program_without_permission_is_refused(g: &Ground) {
    g.bundle().file("/plain", "text").args(&["/plain"]).is_refused().says("permission denied");
}

fn program_that_is_a_directory_is_refused(g: &Ground) {
    g.bundle().args(&["/tmp"]).is_refused();
}

fn script_without_interpreter_is_refused(g: &Ground) {
    let bundle = g.bundle().file("/script", "#!/no/interpreter\n").args(&["/script"]);
    let path = bundle.rootfs().join("script");
    fs::set_permissions(path, std::os::unix::fs::PermissionsExt::from_mode(0o755)).expect("chmod");
    bundle.is_refused();
}

fn missing_program_is_found_at_create(g: &Ground) {
    g.bundle().args(&["no-such-program"]).create().refused();
    g.is_clean();
}

fn missing_working_directory_is_made(g: &Ground) {
    g.bundle().set("/process/cwd", "/made/for/it").args(&["pwd"]).run().prints("/made/for/it");
}

fn relative_working_directory_is_refused(g: &Ground) {
    g.bundle().set("/process/cwd", "tmp").is_refused();
}

fn working_directory_that_is_a_file_is_refused(g: &Ground) {
    g.bundle().file("/plain", "").set("/process/cwd", "/plain").is_refused();
}

fn empty_arguments_are_refused(g: &Ground) {
    g.bundle().set("/process/args", json!([])).is_refused();
}

fn missing_process_is_refused(g: &Ground) {
    g.bundle().without("/process").is_refused();
}

fn pid_file_in_a_missing_directory_leaves_nothing(g: &Ground) {
    g.bundle().create_with(&["--pid-file", "/no/such/dir/pid"]).refused();
    g.is_clean();
}

fn console_socket_that_is_missing_leaves_nothing(g: &Ground) {
    let bundle = g.bundle().set("/process/terminal", true);
    bundle.create_with(&["--console-socket", "/no/such/socket"]).refused();
    g.is_clean();
}

fn terminal_without_console_socket_is_refused_by_create(g: &Ground) {
    g.bundle().set("/process/terminal", true).create().refused();
    g.is_clean();
}

fn console_socket_without_terminal_is_refused(g: &Ground) {
    let socket = crate::harness::console::Socket::bind(g.dir.join("console"));
    g.bundle().create_with(&["--console-socket", socket.text()]).refused();
    g.is_clean();
}

fn exec_of_a_missing_program_is_told_and_harmless(g: &Ground) {
    let bundle = g.bundle().up();
    bundle.exec(&["no-such-program"]).refused().says("no-such-program");
    assert_eq!(bundle.status(), "running");
    bundle.exec(&["true"]).ok();
}

fn exec_into_a_created_container_is_possible(g: &Ground) {
    let bundle = g.bundle().sleeper();
    bundle.create().ok();
    bundle.exec(&["echo", "early"]).prints("early");
}

fn exec_into_a_stopped_container_is_refused(g: &Ground) {
    let bundle = g.bundle();
    bundle.create().ok();
    bundle.start().ok();
    bundle.until_stopped();
    bundle.exec(&["true"]).refused();
}

fn pause_of_a_stopped_container_is_refused(g: &Ground) {
    let bundle = g.bundle();
    bundle.create().ok();
    bundle.start().ok();
    bundle.until_stopped();
    bundle.call(&["pause"]).refused();
}

fn resume_of_a_running_container_is_refused(g: &Ground) {
    g.bundle().up().call(&["resume"]).refused();
}

fn root_that_nobody_can_make_is_refused(g: &Ground) {
    let bundle = g.bundle();
    bundle.write();
    let mut command = g.runtime.command();
    command.args(["--root", "/proc/no/such", "run", "--bundle"]).arg(&bundle.dir).arg(&bundle.id);
    g.end(&mut command).refused();
    g.is_clean();
}
