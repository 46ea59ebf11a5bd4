//! Hostile `config.json`s: whatever stands in one, the runtime ends in time, with
//! a program run or an error told, and leaves nothing behind.
//!
//! A good config is changed at a few places: values are left out, of another type,
//! huge, contradictory. Paths that name the host's directories are not among them,
//! for those the runtime is to use.
#![expect(clippy::unwrap_used, reason = "these are tests")]

use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use proptest::prelude::*;
use proptest::test_runner::{Config, FileFailurePersistence, TestRunner};
use serde_json::{Value, json};

/// How many configs are tried.
const CASES: u32 = 150;

/// The slowest start of a program that needs no time at all.
const PATIENCE: Duration = Duration::from_secs(30);

/// What becomes of one value.
#[derive(Debug, Clone)]
enum Change {
    Remove,
    Replace(Value),
    /// The list twice over, the string many times.
    Repeat(usize),
}

fn changes() -> impl Strategy<Value = Vec<(prop::sample::Index, Change)>> {
    let hostile = prop_oneof![
        Just(json!(null)),
        Just(json!(true)),
        Just(json!([])),
        Just(json!({})),
        Just(json!("")),
        Just(json!("a\u{0}b")),
        Just(json!("-1")),
        Just(json!("../../..")),
        Just(json!("no-such-word")),
        Just(json!("\u{fffd}\u{202e}%s%n$(id)")),
        Just(json!([[[[[]]]]])),
        Just(json!({ "type": "x", "path": "y", "a": [{}] })),
        any::<i64>().prop_map(|n| json!(n)),
        any::<u64>().prop_map(|n| json!(n)),
        any::<f64>().prop_map(|n| json!(n)),
        prop::sample::select(vec![0, 1, -1, 2, 7, 4096, i64::MAX, i64::MIN, 1 << 32])
            .prop_map(|n| json!(n)),
        (0usize..200_000).prop_map(|n| json!("x".repeat(n))),
    ];
    let change = prop_oneof![
        1 => Just(Change::Remove),
        4 => hostile.prop_map(Change::Replace),
        1 => (2usize..50).prop_map(Change::Repeat),
    ];
    prop::collection::vec((any::<prop::sample::Index>(), change), 1..4)
}

/// Every place of a document, as JSON pointers.
fn places(value: &Value, at: String, all: &mut Vec<String>) {
    match value {
        Value::Object(map) => map
            .iter()
            .for_each(|(key, value)| places(value, format!("{at}/{key}"), all)),
        Value::Array(list) => list
            .iter()
            .enumerate()
            .for_each(|(index, value)| places(value, format!("{at}/{index}"), all)),
        _ => {}
    }
    if !at.is_empty() {
        all.push(at);
    }
}

/// What a change there would have the host's directories used for, as the spec says.
fn is_the_hosts(place: &str) -> bool {
    ["/root/path", "/root", "/linux/cgroupsPath"].contains(&place) || place.ends_with("/source")
}

fn apply(config: &mut Value, place: &str, change: &Change) {
    let (parent, key) = place.rsplit_once('/').unwrap();
    match change {
        _ if is_the_hosts(place) => {}
        Change::Remove => match config.pointer_mut(parent) {
            Some(Value::Object(map)) => drop(map.remove(key)),
            Some(Value::Array(list)) => {
                let index: usize = key.parse().unwrap();
                if index < list.len() {
                    list.remove(index);
                }
            }
            _ => {}
        },
        Change::Replace(value) => {
            if let Some(place) = config.pointer_mut(place) {
                *place = value.clone();
            }
        }
        Change::Repeat(times) => match config.pointer_mut(place) {
            Some(Value::Array(list)) => {
                *list = std::iter::repeat_n(list.clone(), *times)
                    .flatten()
                    .collect()
            }
            Some(Value::String(text)) => *text = text.repeat(*times),
            _ => {}
        },
    }
}

/// A bundle with busybox, and a runtime of its own.
struct Bench {
    dir: tempfile::TempDir,
    oci: PathBuf,
    group: String,
}

impl Bench {
    fn open() -> Option<Self> {
        if !nix::unistd::geteuid().is_root() {
            eprintln!("skipped: containers take root");
            return None;
        }
        let dir = tempfile::tempdir().unwrap();
        let bin = dir.path().join("bundle/rootfs/bin");
        fs::create_dir_all(&bin).unwrap();
        fs::copy("/bin/busybox", bin.join("busybox")).expect("apt-get install busybox-static");
        std::os::unix::fs::symlink("busybox", bin.join("true")).unwrap();
        let tests = std::env::current_exe().unwrap();
        let target = tests.parent().unwrap().parent().unwrap();
        Some(Self {
            dir,
            oci: target.join("examples/oci"),
            group: format!("skiff-hostile-{}", std::process::id()),
        })
    }

    fn config(&self) -> Value {
        let mounts = |at: &str, kind: &str, options: &[&str]| json!({ "destination": at, "type": kind, "source": kind, "options": options });
        json!({
            "ociVersion": "1.2.0",
            "process": {
                "terminal": false, "cwd": "/", "args": ["true"], "env": ["PATH=/bin"],
                "user": { "uid": 0, "gid": 0, "umask": 18, "additionalGids": [1, 2] },
                "rlimits": [{ "type": "RLIMIT_NOFILE", "hard": 64, "soft": 32 }],
                "capabilities": { "bounding": ["CAP_KILL"], "effective": ["CAP_KILL"], "permitted": ["CAP_KILL"] },
                "oomScoreAdj": 100, "noNewPrivileges": true,
                "scheduler": { "policy": "SCHED_BATCH", "nice": 1 },
                "ioPriority": { "class": "IOPRIO_CLASS_BE", "priority": 4 },
            },
            "root": { "path": "rootfs", "readonly": false },
            "hostname": "h", "domainname": "d",
            "mounts": [
                mounts("/proc", "proc", &["nosuid"]),
                mounts("/dev", "tmpfs", &["nosuid", "mode=755", "size=64k", "tmpcopyup"]),
                mounts("/dev/pts", "devpts", &["newinstance", "mode=0620"]),
                mounts("/sys", "sysfs", &["ro", "rro", "rprivate"]),
                mounts("/sys/fs/cgroup", "cgroup", &["ro"]),
                json!({ "destination": "/data", "type": "bind", "source": "rootfs/bin", "options": ["rbind", "ro", "idmap"],
                    "uidMappings": [{ "containerID": 0, "hostID": 1000, "size": 10 }],
                    "gidMappings": [{ "containerID": 0, "hostID": 1000, "size": 10 }] }),
            ],
            "annotations": { "a": "b" },
            "linux": {
                "cgroupsPath": format!("/{}/c", self.group),
                "namespaces": [
                    { "type": "mount" }, { "type": "pid" }, { "type": "network" }, { "type": "ipc" },
                    { "type": "uts" }, { "type": "cgroup" }, { "type": "time" },
                ],
                "timeOffsets": { "boottime": { "secs": 5, "nanosecs": 1 } },
                "devices": [{ "path": "/dev/more", "type": "c", "major": 1, "minor": 3, "fileMode": 438, "uid": 0, "gid": 0 }],
                "resources": {
                    "devices": [{ "allow": false, "access": "rwm" }, { "allow": true, "type": "c", "major": 1, "minor": 3, "access": "rw" }],
                    "memory": { "limit": 67_108_864, "swap": 67_108_864, "reservation": 33_554_432 },
                    "cpu": { "shares": 512, "quota": 50000, "period": 100_000, "cpus": "0", "mems": "0" },
                    "pids": { "limit": 50 },
                },
                "sysctl": { "net.ipv4.ip_forward": "1", "kernel.shmmax": "4096" },
                "seccomp": { "defaultAction": "SCMP_ACT_ALLOW", "architectures": ["SCMP_ARCH_X86_64"],
                    "syscalls": [{ "names": ["mkdir"], "action": "SCMP_ACT_ERRNO", "errnoRet": 1,
                        "args": [{ "index": 0, "value": 1, "valueTwo": 2, "op": "SCMP_CMP_MASKED_EQ" }] }] },
                "maskedPaths": ["/proc/keys", "/sys/firmware"],
                "readonlyPaths": ["/proc/sys"],
                "rootfsPropagation": "rslave",
                "personality": { "domain": "LINUX" },
            },
        })
    }

    /// Runs a container of this config; gives its exit code and what was said.
    fn run(&self, config: &Value) -> Result<(i32, String), String> {
        let bundle = self.dir.path().join("bundle");
        fs::write(bundle.join("config.json"), config.to_string()).unwrap();
        let said = self.dir.path().join("said");
        let mut oci = Command::new(&self.oci);
        oci.arg("--root").arg(self.dir.path().join("state"));
        oci.args(["run", "--bundle"]).arg(&bundle).arg("c");
        let output = fs::File::create(&said).unwrap();
        oci.stdin(Stdio::null())
            .stdout(output.try_clone().unwrap())
            .stderr(output);
        let mut child = oci.spawn().unwrap();
        let end = Instant::now() + PATIENCE;
        let status = loop {
            match child.try_wait().unwrap() {
                Some(status) => break status,
                None if Instant::now() > end => {
                    child.kill().unwrap();
                    child.wait().unwrap();
                    return Err("it hangs".into());
                }
                None => std::thread::sleep(Duration::from_millis(1)),
            }
        };
        let said = String::from_utf8_lossy(&fs::read(said).unwrap()).into_owned();
        match status.code() {
            Some(code) if !said.contains("panicked") => Ok((code, said)),
            _ => Err(format!("{status}: {said}")),
        }
    }

    /// What a container left: its directory, groups, mounts, processes.
    fn leftovers(&self) -> Vec<String> {
        let is_ours = |text: &str| text.contains(self.dir.path().to_str().unwrap());
        let mounts = fs::read_to_string("/proc/self/mountinfo").unwrap();
        let mounts = mounts.lines().filter(|l| is_ours(l)).map(str::to_owned);
        let state = fs::read_dir(self.dir.path().join("state"));
        let state = state.into_iter().flatten().flatten().map(|e| e.path());
        let groups = self.groups().into_iter().map(|group| group.join("c"));
        let paths = state.chain(groups.filter(|group| group.exists()));
        mounts
            .chain(paths.map(|p| p.display().to_string()))
            .collect()
    }

    /// The parent of the container's group, which stays as other runtimes leave it.
    fn groups(&self) -> Vec<PathBuf> {
        let root = Path::new("/sys/fs/cgroup");
        let hierarchies = fs::read_dir(root).unwrap().flatten().map(|e| e.path());
        let groups = hierarchies
            .chain([root.to_owned()])
            .map(|h| h.join(&self.group));
        groups.filter(|group| group.exists()).collect()
    }
}

impl Drop for Bench {
    fn drop(&mut self) {
        for group in self.groups() {
            // What a failed test left in it stays, for who looks.
            let _ = fs::remove_dir(group);
        }
    }
}

#[test]
fn a_hostile_config_ends_in_time_and_leaves_nothing() {
    let Some(bench) = Bench::open() else { return };
    let good = bench.config();
    let (code, said) = bench.run(&good).unwrap();
    assert_eq!(
        (code, said.as_str()),
        (0, ""),
        "the config to start from is good"
    );
    let mut all = Vec::new();
    places(&good, String::new(), &mut all);
    let mut runner = TestRunner::new(Config {
        cases: CASES,
        max_shrink_iters: 30,
        failure_persistence: Some(Box::new(FileFailurePersistence::Off)),
        ..Config::default()
    });
    let outcome = runner.run(&changes(), |changes| {
        let mut config = good.clone();
        let mut changed = Vec::new();
        for (index, change) in &changes {
            let place = index.get(&all);
            apply(&mut config, place, change);
            changed.push(place);
        }
        let ran = bench.run(&config);
        prop_assert!(ran.is_ok(), "{changed:?}: {ran:?}");
        let (code, said) = ran.unwrap();
        prop_assert!(
            code == 0 || !said.is_empty(),
            "{changed:?}: nothing was said"
        );
        prop_assert_eq!(bench.leftovers(), Vec::<String>::new(), "{:?}", changed);
        Ok(())
    });
    if let Err(failure) = outcome {
        panic!("{failure}");
    }
}

#[test]
fn what_is_no_config_is_an_error() {
    let Some(bench) = Bench::open() else { return };
    for config in [
        json!(null),
        json!([]),
        json!({}),
        json!("x"),
        json!({ "ociVersion": 1 }),
    ] {
        let (code, said) = bench.run(&config).unwrap();
        assert!(code != 0 && !said.is_empty(), "{config}");
        assert_eq!(bench.leftovers(), Vec::<String>::new());
    }
}
