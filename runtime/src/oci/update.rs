//! `update`: what a container may use, changed while it runs.
//!
//! The configuration that is kept of it is changed with it, and all of it is
//! taken back where the kernel refuses a part.

use std::io::Read;
use std::path::Path;

use oci_spec::runtime::LinuxResources;
use serde_json::{Map, Value, json};

use super::context::Context;
use super::error::OrRefuse;
use super::flags::{Flag, Flags, value};
use super::place::read_bounded;
use super::status::Found;
use super::{Refusal, Result};

pub const FLAGS: &[Flag] = &[
    value(
        &["resources", "r"],
        "file",
        "linux.resources as JSON; - is the standard input",
    ),
    value(&["blkio-weight"], "n", "block I/O weight, 10 to 1000"),
    value(&["cpu-period"], "us", "the period of the CPU quota"),
    value(&["cpu-quota"], "us", "CPU time in a period"),
    value(&["cpu-burst"], "us", "CPU time that may be saved up"),
    value(&["cpu-share", "cpu-shares"], "n", "CPU shares"),
    value(&["cpu-rt-period"], "us", "the period of realtime tasks"),
    value(&["cpu-rt-runtime"], "us", "realtime CPU time in a period"),
    value(&["cpu-idle"], "n", "1: only when nothing else runs"),
    value(&["cpuset-cpus"], "list", "CPUs to use"),
    value(&["cpuset-mems"], "list", "memory nodes to use"),
    value(
        &["kernel-memory"],
        "bytes",
        "ignored: the kernel has no such limit",
    ),
    value(
        &["kernel-memory-tcp"],
        "bytes",
        "ignored: the kernel has no such limit",
    ),
    value(&["memory"], "bytes", "memory"),
    value(
        &["memory-reservation"],
        "bytes",
        "memory that is kept for it",
    ),
    value(&["memory-swap"], "bytes", "memory and swap; -1 for any"),
    value(&["pids-limit"], "n", "processes"),
    value(&["l3-cache-schema"], "text", "not supported"),
    value(&["mem-bw-schema"], "text", "not supported"),
];

pub fn command(context: &Context, flags: &Flags) -> Result<u8> {
    let found = Found::lock(&context.root, flags.id())?;
    if !found.status.is_alive() {
        return Err(Refusal::Status("container not running".into()));
    }
    for intel in ["l3-cache-schema", "mem-bw-schema"] {
        if flags.value(intel).is_some() {
            let why = "Intel RDT is not supported";
            return Err(Refusal::Usage(format!("--{intel}: {why}")));
        }
    }
    let mut wanted = match flags.value("resources") {
        Some("-") => {
            let mut text = Vec::new();
            let read = std::io::stdin().take(1 << 20).read_to_end(&mut text);
            read.or_refuse(|| "read the standard input".into())?;
            parse(&text)?
        }
        Some(path) => parse(&read_bounded(Path::new(path))?)?,
        None => of_flags(flags)?,
    };
    // As runc: what devices there are is settled when the container is made.
    wanted.set_devices(None);
    change(&found, &wanted)?;
    Ok(0)
}

fn change(found: &Found, wanted: &LinuxResources) -> Result<()> {
    let owned = found.owned()?;
    let mut config = found.place.config()?;
    if let Err(why) = owned.update(wanted) {
        // The first error says more than a second could.
        let _ = before(&config).map(|before| owned.update(&before));
        return Err(why);
    }
    let wanted = serde_json::to_value(wanted).expect("resources have only string keys");
    merge(&mut config["linux"]["resources"], wanted);
    found.place.save_config(&config)
}

/// What was in force until now.
fn before(config: &Value) -> Option<LinuxResources> {
    let resources = config.pointer("/linux/resources")?.clone();
    let mut resources: LinuxResources = serde_json::from_value(resources).ok()?;
    resources.set_devices(None);
    Some(resources)
}

/// Sets what `new` has, part by part, and leaves the rest.
fn merge(old: &mut Value, new: Value) {
    match new {
        Value::Object(new) if old.is_object() => {
            for (key, value) in new {
                merge(&mut old[key], value);
            }
        }
        new => *old = new,
    }
}

fn parse(text: &[u8]) -> Result<LinuxResources> {
    serde_json::from_slice(text).or_refuse(|| "understand the resources".into())
}

/// The same JSON that `--resources` takes, put together from the flags.
fn of_flags(flags: &Flags) -> Result<LinuxResources> {
    let mut resources = Map::new();
    let numbers = [
        ("blkio-weight", "blockIO", "weight"),
        ("cpu-period", "cpu", "period"),
        ("cpu-quota", "cpu", "quota"),
        ("cpu-burst", "cpu", "burst"),
        ("cpu-share", "cpu", "shares"),
        ("cpu-rt-period", "cpu", "realtimePeriod"),
        ("cpu-rt-runtime", "cpu", "realtimeRuntime"),
        ("cpu-idle", "cpu", "idle"),
        ("pids-limit", "pids", "limit"),
    ];
    for (flag, group, field) in numbers {
        if let Some(number) = flags.number::<i64>(flag)? {
            put(&mut resources, group, field, json!(number));
        }
    }
    for (flag, field) in [
        ("memory", "limit"),
        ("memory-reservation", "reservation"),
        ("memory-swap", "swap"),
    ] {
        if let Some(size) = flags.value(flag).filter(|v| !v.is_empty()) {
            put(&mut resources, "memory", field, json!(bytes(flag, size)?));
        }
    }
    for (flag, field) in [("cpuset-cpus", "cpus"), ("cpuset-mems", "mems")] {
        if let Some(list) = flags.value(flag) {
            put(&mut resources, "cpu", field, json!(list));
        }
    }
    serde_json::from_value(Value::Object(resources)).map_err(|e| Refusal::Usage(e.to_string()))
}

fn put(resources: &mut Map<String, Value>, group: &str, field: &str, value: Value) {
    let group = resources.entry(group).or_insert_with(|| json!({}));
    group[field] = value;
}

/// `-1`, `1024`, `512m`, `2GiB`: as Docker's go-units reads RAM.
fn bytes(flag: &str, size: &str) -> Result<i64> {
    let refused = || Refusal::Usage(format!("invalid value {size:?} for --{flag}: no size"));
    if size == "-1" {
        return Ok(-1);
    }
    let end = size
        .find(|c: char| !c.is_ascii_digit())
        .unwrap_or(size.len());
    let number: i64 = size[..end].parse().map_err(|_| refused())?;
    let unit = size[end..].trim().to_lowercase();
    let unit = unit.trim_end_matches('b').trim_end_matches('i');
    let shift = match unit {
        "" => 0,
        "k" => 10,
        "m" => 20,
        "g" => 30,
        "t" => 40,
        "p" => 50,
        _ => return Err(refused()),
    };
    number.checked_mul(1 << shift).ok_or_else(refused)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sizes_are_read_as_docker_reads_them() {
        let size = |s: &str| bytes("memory", s);
        assert_eq!(size("-1").unwrap(), -1);
        assert_eq!(size("1024").unwrap(), 1024);
        assert_eq!(size("64m").unwrap(), 64 << 20);
        assert_eq!(size("2GiB").unwrap(), 2 << 30);
        for word in ["", "m", "12x", "-2", "99999999999p"] {
            assert!(size(word).is_err(), "{word}");
        }
    }

    #[test]
    fn flags_become_the_specs_resources() {
        let args = [
            "--memory",
            "64m",
            "--cpu-share=512",
            "--cpuset-cpus",
            "0",
            "id",
        ];
        let args = args.iter().map(|&a| a.to_owned()).collect();
        let flags = Flags::parse(FLAGS, args, crate::oci::flags::Order::Anywhere).unwrap();
        let resources = of_flags(&flags).unwrap();
        assert_eq!(resources.memory().unwrap().limit(), Some(64 << 20));
        let cpu = resources.cpu().clone().unwrap();
        assert_eq!(
            (cpu.shares(), cpu.cpus().as_deref()),
            (Some(512), Some("0"))
        );
    }

    #[test]
    fn what_is_changed_takes_the_place_of_what_was_and_the_rest_stays() {
        let mut old = json!({ "memory": { "limit": 5, "swap": 6 }, "pids": { "limit": 7 } });
        merge(
            &mut old,
            json!({ "memory": { "limit": 8 }, "cpu": { "shares": 9 } }),
        );
        let new = json!({ "memory": { "limit": 8, "swap": 6 }, "pids": { "limit": 7 }, "cpu": { "shares": 9 } });
        assert_eq!(old, new);
        let mut none = Value::Null;
        merge(&mut none, json!({ "pids": { "limit": 1 } }));
        assert_eq!(none, json!({ "pids": { "limit": 1 } }));
    }
}
