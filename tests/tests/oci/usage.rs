//! What a container uses, and limits that are changed while it runs.

use std::fs;
use std::io::Write;
use std::process::Stdio;

use serde_json::{Value, json};

use crate::groups::{has_shares, resources};
use crate::harness::{Bundle, Ground, Outcome, cases, cgroups};

cases! {
    update_changes_memory;
    update_changes_cpu;
    update_changes_pids;
    update_reads_resources_from_standard_input;
    update_reads_resources_from_a_file;
    update_with_nonsense_is_refused (Crun: "takes an empty file");
    update_of_a_stopped_container_is_refused (Crun: "says nothing");
    update_that_fails_in_part_changes_nothing (Runc: "1.1 leaves what it has written", Crun: "leaves what it has written");
    update_is_kept_with_the_container (Runc: "keeps it in a form of its own", Crun: "keeps it in a form of its own");
    events_show_statistics (Crun: "1.8 has no such command");
    events_show_all_that_is_counted (Crun: "1.8 has no such command");
    events_come_until_the_container_ends (Crun: "1.8 has no such command");
    events_tell_of_a_want_of_memory (Crun: "1.8 has no such command");
    events_of_a_stopped_container_are_refused (Crun: "1.8 has no such command");
}

fn update_changes_memory(g: &Ground) {
    let bundle = resources(g.bundle(), json!({ "memory": { "limit": 67_108_864 } })).up();
    bundle.call(&["update", "--memory", "33554432"]).ok();
    assert_eq!(bundle.group_says("memory", "memory.limit_in_bytes", "memory.max"), "33554432");
    bundle.call(&["update", "--memory-reservation", "8388608"]).ok();
    assert_eq!(bundle.group_says("memory", "memory.soft_limit_in_bytes", "memory.low"), "8388608");
    assert_eq!(bundle.group_says("memory", "memory.limit_in_bytes", "memory.max"), "33554432");
}

fn update_changes_cpu(g: &Ground) {
    let bundle = g.bundle().up();
    bundle.call(&["update", "--cpu-quota", "30000", "--cpu-period", "60000", "--cpuset-cpus", "0"]).ok();
    let (quota, wanted) = if cgroups::are_v2() { ("cpu.max", "30000 60000") } else { ("cpu.cfs_quota_us", "30000") };
    assert_eq!(bundle.group_says("cpu", quota, quota), wanted);
    assert_eq!(bundle.group_says("cpuset", "cpuset.cpus", "cpuset.cpus"), "0");
    bundle.call(&["update", "--cpu-share", "2048"]).ok();
    has_shares(&bundle, "2048", ["79", "174"]);
}

fn update_changes_pids(g: &Ground) {
    let bundle = g.bundle().up();
    bundle.call(&["update", "--pids-limit", "33"]).ok();
    assert_eq!(bundle.group_says("pids", "pids.max", "pids.max"), "33");
}

fn update_reads_resources_from_standard_input(g: &Ground) {
    let bundle = g.bundle().up();
    let file = bundle.dir.join("resources.json");
    let mut written = fs::File::create(&file).expect("create");
    write!(written, "{}", json!({ "pids": { "limit": 21 } })).expect("write");
    let mut command = g.command();
    command.args(["update", "--resources", "-", &bundle.id]);
    let input = Stdio::from(fs::File::open(&file).expect("open"));
    Outcome::with_input(&mut command, &g.dir.join("calls"), input).ok();
    assert_eq!(bundle.group_says("pids", "pids.max", "pids.max"), "21");
}

fn update_reads_resources_from_a_file(g: &Ground) {
    let bundle = g.bundle().up();
    let file = bundle.dir.join("resources.json");
    fs::write(&file, json!({ "memory": { "limit": 33_554_432 } }).to_string()).expect("write");
    bundle.call(&["update", "--resources", file.to_str().expect("text")]).ok();
    assert_eq!(bundle.group_says("memory", "memory.limit_in_bytes", "memory.max"), "33554432");
}

fn update_with_nonsense_is_refused(g: &Ground) {
    let bundle = resources(g.bundle(), json!({ "pids": { "limit": 12 } })).up();
    bundle.call(&["update", "--pids-limit", "many"]).refused();
    let file = bundle.dir.join("resources.json");
    for content in ["", "{", "{\"pids\": {\"limit\": \"many\"}}"] {
        fs::write(&file, content).expect("write");
        bundle.call(&["update", "--resources", file.to_str().expect("text")]).refused();
    }
    assert_eq!(bundle.group_says("pids", "pids.max", "pids.max"), "12");
}

fn update_of_a_stopped_container_is_refused(g: &Ground) {
    let bundle = g.bundle();
    bundle.create().ok();
    bundle.start().ok();
    bundle.until_stopped();
    bundle.call(&["update", "--pids-limit", "5"]).refused();
}

fn events_show_statistics(g: &Ground) {
    let bundle = g.bundle().up();
    let event = bundle.call(&["events", "--stats"]).ok().json();
    assert_eq!(event["type"], "stats");
    assert_eq!(event["id"], bundle.id.as_str());
    assert!(event["data"]["memory"]["usage"]["usage"].as_u64().is_some_and(|bytes| bytes > 0), "{event}");
    assert!(event["data"]["pids"]["current"].as_u64().is_some_and(|pids| pids >= 1), "{event}");
    assert!(event["data"]["cpu"]["usage"]["total"].as_u64().is_some(), "{event}");
}

fn update_that_fails_in_part_changes_nothing(g: &Ground) {
    let limits = json!({ "pids": { "limit": 12 }, "memory": { "limit": 67_108_864 } });
    let bundle = resources(g.bundle(), limits).up();
    let file = bundle.dir.join("resources.json");
    // No period is that short.
    let wanted = json!({ "pids": { "limit": 5 }, "memory": { "limit": 33_554_432 }, "cpu": { "period": 1, "quota": 1 } });
    fs::write(&file, wanted.to_string()).expect("write");
    bundle.call(&["update", "--resources", file.to_str().expect("text")]).refused();
    assert_eq!(bundle.group_says("pids", "pids.max", "pids.max"), "12");
    assert_eq!(bundle.group_says("memory", "memory.limit_in_bytes", "memory.max"), "67108864");
}

fn update_is_kept_with_the_container(g: &Ground) {
    let bundle = resources(g.bundle(), json!({ "pids": { "limit": 12 } })).up();
    bundle.call(&["update", "--memory", "33554432"]).ok();
    let kept = fs::read(g.root().join(&bundle.id).join("config.json")).expect("kept");
    let kept: Value = serde_json::from_slice(&kept).expect("JSON");
    let limits = &kept["linux"]["resources"];
    assert_eq!((&limits["memory"]["limit"], &limits["pids"]["limit"]), (&json!(33_554_432), &json!(12)));
    assert_eq!(kept["process"]["args"], bundle.spec["process"]["args"]);
}

/// The shape is runc's on either version of control groups.
fn events_show_all_that_is_counted(g: &Ground) {
    let limits = json!({ "memory": { "limit": 67_108_864 }, "pids": { "limit": 12 }, "cpu": { "quota": 50_000, "period": 100_000 } });
    let bundle = resources(g.bundle(), limits).up();
    let event = bundle.call(&["events", "--stats"]).ok().json();
    let data = &event["data"];
    assert_eq!(data["memory"]["usage"]["limit"], 67_108_864, "{event}");
    assert_eq!(data["pids"]["limit"], 12, "{event}");
    assert!(data["memory"]["raw"]["pgfault"].as_u64().is_some_and(|faults| faults > 0), "{event}");
    for number in ["cpu/usage/user", "cpu/usage/kernel", "memory/swap/limit", "memory/kernel/failcnt", "cpuset/cpu_exclusive"] {
        assert!(data.pointer(&format!("/{number}")).is_some_and(Value::is_u64), "no {number}: {event}");
    }
    for object in ["cpu/throttling", "blkio", "hugetlb", "intel_rdt", "memory/kernelTCP"] {
        assert!(data.pointer(&format!("/{object}")).is_some_and(Value::is_object), "no {object}: {event}");
    }
    assert_eq!(data["network_interfaces"], Value::Null, "{event}");
    if !cgroups::are_v2() {
        assert!(data["cpu"]["usage"]["percpu"].as_array().is_some_and(|cpus| !cpus.is_empty()), "{event}");
        assert!(data["cpuset"]["cpus"].as_array().is_some_and(|cpus| !cpus.is_empty()), "{event}");
    }
}

/// Ends the container once `events` has printed a line, and gives all lines.
fn events(g: &Ground, bundle: &Bundle, wanted: &str) -> Vec<Value> {
    let id = &bundle.id;
    let script = format!(
        "$RT events --interval 1s {id} >events & \
        for i in $(seq 100); do grep -q {wanted} events && break; sleep 0.5; done; $RT delete --force {id}; wait $! && cat events"
    );
    let out = g.script(&script).ok();
    out.stdout.lines().map(|line| serde_json::from_str(line).expect("a line is JSON")).collect()
}

fn events_come_until_the_container_ends(g: &Ground) {
    let bundle = g.bundle().up();
    let lines = events(g, &bundle, "stats");
    assert!(!lines.is_empty() && lines.iter().all(|line| line["type"] == "stats"), "{lines:?}");
}

fn events_tell_of_a_want_of_memory(g: &Ground) {
    let memory = json!({ "memory": { "limit": 16_777_216, "swap": 16_777_216 } });
    // Again and again, for whoever listens begins to some time.
    let script = "while :; do dd if=/dev/zero of=/dev/null bs=64M count=1 2>/dev/null; sleep 0.2; done";
    let bundle = resources(g.bundle(), memory).sh(script);
    bundle.run_with(&["--detach"]).ok();
    let lines = events(g, &bundle, "oom");
    let oom = lines.iter().find(|line| line["type"] == "oom").expect("it was looked for");
    assert_eq!(*oom, json!({ "type": "oom", "id": bundle.id }));
}

fn events_of_a_stopped_container_are_refused(g: &Ground) {
    let bundle = g.bundle();
    bundle.create().ok();
    bundle.start().ok();
    bundle.until_stopped();
    bundle.call(&["events"]).refused().says("not running");
}
