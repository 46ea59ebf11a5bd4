//! Configurations that are wrong, contradictory, huge or of other types: an error, and nothing left.

use std::fs;

use serde_json::{Value, json};

use crate::harness::case::is_brief;
use crate::harness::{Bundle, Ground, Outcome, cases};

cases! {
    text_that_is_no_json_is_refused;
    json_of_another_type_is_refused;
    empty_object_is_refused;
    every_field_of_another_type_is_refused_or_harmless (Crun: "leaves mounts and groups");
    every_field_missing_is_refused_or_harmless (Crun: "leaves mounts and groups");
    every_field_null_is_refused_or_harmless (Crun: "leaves mounts and groups");
    every_number_out_of_range_is_refused_or_harmless (Crun: "leaves mounts and groups");
    every_text_of_odd_bytes_is_refused_or_harmless;
    deep_nesting_is_refused;
    configuration_of_a_hundred_megabytes_is_refused (Runc: "reads it", Crun: "reads it");
    configuration_that_is_a_directory_is_refused;
    configuration_that_is_a_pipe_does_not_hang (Runc: "waits for a writer", Crun: "waits for a writer");
    configuration_that_is_a_link_to_nowhere_is_refused;
    configuration_of_broken_text_encoding_is_refused (Runc: "replaces what is broken");
    unknown_fields_are_passed_over;
    version_that_is_unknown_is_refused (Runc: "1.1 does not look");
    version_that_is_missing_is_refused (Runc: "1.1 does not look");
    user_id_out_of_range_is_refused;
    negative_user_id_is_refused;
    arguments_with_a_null_byte_are_refused;
    environment_with_a_null_byte_is_refused (Crun: "cuts it off");
    mount_destination_with_a_null_byte_is_refused (Crun: "cuts it off");
    hostname_that_is_too_long_is_refused;
    hostname_with_a_null_byte_is_refused (Runc: "hands it to the kernel", Crun: "cuts it off");
    ten_thousand_arguments_of_a_kilobyte_are_refused_or_run;
    a_hundred_thousand_mounts_are_refused (Runc: "tries", Crun: "tries");
    root_that_is_a_file_is_refused;
    root_that_is_the_host_s_is_refused_or_harmless;
    windows_and_vm_sections_are_passed_over;
    process_of_a_platform_that_is_missing_is_refused (Runc: "mounts in the caller's namespace, and leaves it");
    group_path_with_dots_is_refused_or_stays (Crun: "leaves a group");
    group_path_with_a_null_byte_is_refused (Crun: "cuts it off");
    intel_rdt_where_the_machine_has_none_is_refused (Crun: "1.8 ignores it");
    negative_limit_of_memory_is_refused_or_none (Crun: "leaves its groups");
}

/// Runs what `config` holds as it is.
fn run_text(g: &Ground, config: impl AsRef<[u8]>) -> (Bundle<'_>, Outcome) {
    let bundle = g.bundle();
    fs::write(bundle.dir.join("config.json"), config).expect("write");
    let outcome = g.call(&["run", "--bundle", bundle.dir.to_str().expect("text"), &bundle.id]);
    (bundle, outcome)
}

/// A run that ends: well or with an error in words, but neither by a signal nor in a panic, and with nothing left.
#[track_caller]
fn is_harmless(g: &Ground, what: &str, spec: &Value) {
    let (_bundle, outcome) = run_text(g, spec.to_string());
    let known = outcome.code_is_known();
    assert!(known, "{what}: {outcome:?}");
    let panicked = outcome.stderr.contains("panicked") || outcome.stderr.contains("goroutine");
    assert!(!panicked, "{what}: {outcome:?}");
    g.is_clean();
}

fn text_that_is_no_json_is_refused(g: &Ground) {
    for text in ["", " ", "{", "}", "{\"ociVersion\": \"1.0.2\"", "\u{0}", "hello", "{'a': 1}"] {
        run_text(g, text).1.refused();
        g.is_clean();
    }
}

fn json_of_another_type_is_refused(g: &Ground) {
    for text in ["[]", "\"text\"", "5", "null", "true"] {
        run_text(g, text).1.refused();
        g.is_clean();
    }
}

fn empty_object_is_refused(g: &Ground) {
    run_text(g, "{}").1.refused();
    g.is_clean();
}

/// The default configuration with more of what may be in one.
fn rich(g: &Ground) -> Value {
    let mut spec = g.bundle().spec;
    spec["linux"]["maskedPaths"] = json!(["/proc/kcore"]);
    spec["linux"]["readonlyPaths"] = json!(["/proc/sys"]);
    spec["linux"]["resources"]["memory"] = json!({ "limit": 67_108_864 });
    spec["linux"]["resources"]["pids"] = json!({ "limit": 100 });
    spec["linux"]["seccomp"] = json!({
        "defaultAction": "SCMP_ACT_ALLOW",
        "syscalls": [{ "names": ["mkdir"], "action": "SCMP_ACT_ERRNO" }],
    });
    spec["process"]["rlimits"] = json!([{ "type": "RLIMIT_NOFILE", "soft": 100, "hard": 100 }]);
    spec
}

/// All paths to values in a configuration, as JSON pointers.
fn pointers(value: &Value, at: &str, found: &mut Vec<String>) {
    let children: Vec<(String, &Value)> = match value {
        Value::Object(map) => map.iter().map(|(key, value)| (format!("{at}/{key}"), value)).collect(),
        Value::Array(list) => list.iter().take(2).enumerate().map(|(i, value)| (format!("{at}/{i}"), value)).collect(),
        _ => Vec::new(),
    };
    for (path, child) in children {
        pointers(child, &path, found);
        found.push(path);
    }
}

/// Plays the configuration with each value in turn changed by `change`, which may pass one over.
fn change_each(g: &Ground, change: impl Fn(&mut Value) -> bool) {
    let spec = rich(g);
    let mut paths = Vec::new();
    pointers(&spec, "", &mut paths);
    assert!(paths.len() > 50);
    let step = if is_brief() { 7 } else { 1 };
    for path in paths.into_iter().step_by(step) {
        let mut changed = spec.clone();
        if change(changed.pointer_mut(&path).expect("it was found there")) {
            is_harmless(g, &path, &changed);
        }
    }
}

fn every_field_of_another_type_is_refused_or_harmless(g: &Ground) {
    change_each(g, |value| {
        *value = if value.is_array() || value.is_object() { json!(7) } else { json!([{ "a": 7 }]) };
        true
    });
}

fn every_field_missing_is_refused_or_harmless(g: &Ground) {
    let spec = rich(g);
    let mut paths = Vec::new();
    pointers(&spec, "", &mut paths);
    for path in paths {
        let mut changed = spec.clone();
        let (parent, key) = path.rsplit_once('/').expect("pointers have a slash");
        let Some(Value::Object(map)) = changed.pointer_mut(parent) else { continue };
        map.remove(key);
        is_harmless(g, &path, &changed);
    }
}

fn every_field_null_is_refused_or_harmless(g: &Ground) {
    change_each(g, |value| {
        *value = Value::Null;
        true
    });
}

fn every_number_out_of_range_is_refused_or_harmless(g: &Ground) {
    for number in [json!(-1), json!(i64::MIN), json!(u64::MAX), json!(1e300), json!(0.5)] {
        change_each(g, |value| {
            let is_number = value.is_number();
            *value = number.clone();
            is_number
        });
    }
}

fn every_text_of_odd_bytes_is_refused_or_harmless(g: &Ground) {
    for text in ["\u{0}", "../../../../..", "%s%n\n\r\u{1b}[2J"] {
        change_each(g, |value| {
            let is_text = value.is_string();
            *value = text.into();
            is_text
        });
    }
}

fn deep_nesting_is_refused(g: &Ground) {
    let deep = format!("{{\"ociVersion\": \"1.0.2\", \"x\": {}{}}}", "[".repeat(100_000), "]".repeat(100_000));
    run_text(g, deep).1.refused();
    g.is_clean();
}

fn configuration_of_a_hundred_megabytes_is_refused(g: &Ground) {
    let bundle = g.bundle();
    let mut text = bundle.spec.to_string();
    text.push_str(&" ".repeat(100_000_000));
    run_text(g, text).1.refused();
    g.is_clean();
}

fn configuration_that_is_a_directory_is_refused(g: &Ground) {
    let bundle = g.bundle();
    fs::create_dir(bundle.dir.join("config.json")).expect("create");
    g.call(&["run", "--bundle", bundle.dir.to_str().expect("text"), &bundle.id]).refused();
    g.is_clean();
}

fn configuration_that_is_a_pipe_does_not_hang(g: &Ground) {
    let bundle = g.bundle();
    nix::unistd::mkfifo(&bundle.dir.join("config.json"), nix::sys::stat::Mode::S_IRWXU).expect("mkfifo");
    g.call(&["run", "--bundle", bundle.dir.to_str().expect("text"), &bundle.id]).refused();
    g.is_clean();
}

fn configuration_that_is_a_link_to_nowhere_is_refused(g: &Ground) {
    let bundle = g.bundle();
    std::os::unix::fs::symlink("/no/where", bundle.dir.join("config.json")).expect("link");
    g.call(&["run", "--bundle", bundle.dir.to_str().expect("text"), &bundle.id]).refused();
    g.is_clean();
}

fn configuration_of_broken_text_encoding_is_refused(g: &Ground) {
    let text = g.bundle().set("/hostname", "QQ").spec.to_string();
    let bytes: Vec<u8> = text.bytes().map(|byte| if byte == b'Q' { 0xff } else { byte }).collect();
    run_text(g, bytes).1.refused();
    g.is_clean();
}

fn unknown_fields_are_passed_over(g: &Ground) {
    let bundle = g.bundle().set("/x-future", json!({ "a": [1, 2] })).set("/process/x-future", true);
    bundle.set("/linux/x-future", "new").sh("echo ran").run().prints("ran");
}

fn version_that_is_unknown_is_refused(g: &Ground) {
    for version in ["", "abc", "99.0.0"] {
        g.bundle().set("/ociVersion", version).is_refused();
    }
}

fn version_that_is_missing_is_refused(g: &Ground) {
    g.bundle().without("/ociVersion").is_refused();
}

fn user_id_out_of_range_is_refused(g: &Ground) {
    for id in [json!(4_294_967_296_u64), json!(u64::MAX), json!(1e20)] {
        g.bundle().set("/process/user/uid", id.clone()).is_refused();
        g.bundle().set("/process/user/gid", id).is_refused();
    }
}

fn negative_user_id_is_refused(g: &Ground) {
    g.bundle().set("/process/user/uid", -1).is_refused();
    g.bundle().set("/process/user/additionalGids", json!([-1])).is_refused();
}

fn arguments_with_a_null_byte_are_refused(g: &Ground) {
    g.bundle().args(&["\u{0}true"]).is_refused();
}

fn environment_with_a_null_byte_is_refused(g: &Ground) {
    g.bundle().push("/process/env", json!("A=b\u{0}C=d")).is_refused();
}

fn mount_destination_with_a_null_byte_is_refused(g: &Ground) {
    g.bundle().mount("/t\u{0}x", "tmpfs", "tmpfs", &[]).is_refused();
}

fn hostname_that_is_too_long_is_refused(g: &Ground) {
    g.bundle().set("/hostname", "x".repeat(65).as_str()).is_refused();
}

fn hostname_with_a_null_byte_is_refused(g: &Ground) {
    g.bundle().set("/hostname", "a\u{0}b").is_refused();
}

fn ten_thousand_arguments_of_a_kilobyte_are_refused_or_run(g: &Ground) {
    let word = "x".repeat(1000);
    let mut args = vec!["true"];
    args.extend(std::iter::repeat_n(word.as_str(), 10_000));
    is_harmless(g, "10 MB of arguments", &g.bundle().args(&args).spec);
}

fn a_hundred_thousand_mounts_are_refused(g: &Ground) {
    let mount = json!({ "destination": "/t", "type": "tmpfs", "source": "tmpfs" });
    let bundle = g.bundle().set("/mounts", Value::Array(vec![mount; 110_000]));
    bundle.is_refused();
}

fn root_that_is_a_file_is_refused(g: &Ground) {
    let bundle = g.bundle().file("/plain", "");
    bundle.set("/root/path", "rootfs/plain").is_refused();
}

fn root_that_is_the_host_s_is_refused_or_harmless(g: &Ground) {
    let bundle = g.bundle().set("/root", json!({ "path": "/", "readonly": true })).set("/mounts", json!([]));
    is_harmless(g, "the host's root", &bundle.args(&["/bin/true"]).spec);
    assert!(fs::exists("/etc/passwd").expect("the host is there"));
}

fn windows_and_vm_sections_are_passed_over(g: &Ground) {
    let bundle = g.bundle().set("/vm", json!({ "kernel": { "path": "/x" } }));
    bundle.sh("echo ran").run().prints("ran");
}

fn process_of_a_platform_that_is_missing_is_refused(g: &Ground) {
    g.bundle().without("/linux").without("/hostname").set("/process/args", json!([""])).is_refused();
}

fn group_path_with_dots_is_refused_or_stays(g: &Ground) {
    let bundle = g.bundle();
    let path = format!("/{}/../../../../tmp/{}", bundle.id, bundle.id);
    let bundle = bundle.set("/linux/cgroupsPath", path);
    let outcome = bundle.run();
    assert!(outcome.code_is_known());
    assert!(!std::path::Path::new("/tmp").join(&bundle.id).exists());
    for root in crate::harness::cgroups::hierarchies() {
        crate::harness::cgroups::remove(&root.join("tmp").join(&bundle.id));
        let _ = fs::remove_dir(root.join("tmp"));
    }
}

fn group_path_with_a_null_byte_is_refused(g: &Ground) {
    let path = format!("/{}\u{0}x", g.bundle().id);
    g.bundle().set("/linux/cgroupsPath", path).is_refused();
}

fn intel_rdt_where_the_machine_has_none_is_refused(g: &Ground) {
    if fs::exists("/sys/fs/resctrl/info").expect("readable") {
        g.skip("this machine has it");
    }
    g.bundle().set("/linux/intelRdt", json!({ "closID": "x", "l3CacheSchema": "L3:0=f" })).is_refused();
}

fn negative_limit_of_memory_is_refused_or_none(g: &Ground) {
    for limit in [json!(-2), json!(i64::MIN), json!(1)] {
        let mut bundle = g.bundle();
        bundle.spec["linux"]["resources"]["memory"] = json!({ "limit": limit });
        is_harmless(g, &limit.to_string(), &bundle.spec);
    }
}
