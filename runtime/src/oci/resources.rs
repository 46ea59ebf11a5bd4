//! `events` and `update`: what a container uses, and what it may use.

use std::io::Read;
use std::path::Path;
use std::time::Duration;

use oci_spec::runtime::LinuxResources;
use serde_json::{Map, Value, json};

use super::context::Context;
use super::error::OrRefuse;
use super::flags::{Flag, Flags, switch, value};
use super::place::read_bounded;
use super::status::{Found, Status};
use super::{Refusal, Result, say};
use crate::cgroup::Group;

pub const EVENTS_FLAGS: &[Flag] = &[
    value(&["interval"], "time", "how often, such as 5s"),
    switch(&["stats"], "print the use once, and exit"),
];

pub const UPDATE_FLAGS: &[Flag] = &[
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

pub fn update(context: &Context, flags: &Flags) -> Result<u8> {
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
    let wanted = match flags.value("resources") {
        Some("-") => {
            let mut text = Vec::new();
            let read = std::io::stdin().take(1 << 20).read_to_end(&mut text);
            read.or_refuse(|| "read the standard input".into())?;
            parse(&text)?
        }
        Some(path) => parse(&read_bounded(Path::new(path))?)?,
        None => of_flags(flags)?,
    };
    found.owned()?.update(&wanted)?;
    Ok(0)
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

pub fn events(context: &Context, flags: &Flags) -> Result<u8> {
    let interval = interval(flags.value("interval").unwrap_or("5s"))?;
    loop {
        let found = Found::look(&context.root, flags.id())?;
        match found.status {
            Status::Stopped if !flags.has("stats") => return Ok(0),
            status if !status.is_alive() => {
                let why = format!("container with id {} is not running", found.record.id);
                return Err(Refusal::Status(why));
            }
            _ => {}
        }
        say(stats(&found.record.id, &found.group()?)?);
        if flags.has("stats") {
            return Ok(0);
        }
        std::thread::sleep(interval);
    }
}

/// Go's durations, as far as an interval goes.
fn interval(word: &str) -> Result<Duration> {
    let refused = || Refusal::Usage("duration interval must be greater than 0".into());
    let end = word
        .find(|c: char| !c.is_ascii_digit() && c != '.')
        .ok_or_else(refused)?;
    let number: f64 = word[..end].parse().map_err(|_| refused())?;
    let unit = match &word[end..] {
        "ms" => 0.001,
        "s" => 1.0,
        "m" => 60.0,
        "h" => 3600.0,
        _ => return Err(refused()),
    };
    let interval = Duration::try_from_secs_f64(number * unit).map_err(|_| refused())?;
    if interval.is_zero() {
        return Err(refused());
    }
    Ok(interval)
}

fn stats(id: &str, group: &Group) -> Result<Value> {
    let stats = group.stats()?;
    Ok(json!({
        "type": "stats",
        "id": id,
        "data": {
            "cpu": { "usage": { "total": stats.cpu_usage_ns } },
            "memory": {
                "usage": { "usage": stats.memory_usage_bytes },
                "raw": {
                    "rss": stats.memory_rss_bytes,
                    "pgfault": stats.page_faults,
                    "pgmajfault": stats.major_page_faults,
                },
            },
            "pids": { "current": stats.pids },
        },
    }))
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
        let flags = Flags::parse(UPDATE_FLAGS, args, crate::oci::flags::Order::Anywhere).unwrap();
        let resources = of_flags(&flags).unwrap();
        assert_eq!(resources.memory().unwrap().limit(), Some(64 << 20));
        let cpu = resources.cpu().clone().unwrap();
        assert_eq!(
            (cpu.shares(), cpu.cpus().as_deref()),
            (Some(512), Some("0"))
        );
    }

    #[test]
    fn an_interval_is_a_duration_of_go_and_more_than_nothing() {
        assert_eq!(interval("1.5s").unwrap(), Duration::from_millis(1500));
        assert_eq!(interval("100ms").unwrap(), Duration::from_millis(100));
        for word in ["", "5", "0s", "xs", "1y"] {
            assert!(interval(word).is_err(), "{word}");
        }
    }
}
