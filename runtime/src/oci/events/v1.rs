//! What a group uses, by the files of cgroup v1.

use std::collections::BTreeMap;

use super::files::{Files, parse};
use super::stats::{
    BlockIo, BlockIoEntry, Cpu, CpuSet, CpuUsage, HugePages, Memory, MemoryUse, Pids, Stats,
    Throttling,
};
use crate::cgroup::Group;

/// What the kernel tells times to processes in, whatever it counts in itself (sysconf(3)).
const NANOSECONDS_A_TICK: u64 = 10_000_000;

pub fn read(group: &Group) -> Stats {
    let files = |controller| Files(group.directory(controller));
    Stats {
        cpu: cpu(&files("cpu"), &files("cpuacct")),
        cpuset: cpuset(&files("cpuset")),
        memory: memory(&files("memory")),
        pids: pids(&files("pids")),
        blkio: block_io(&files("blkio")),
        hugetlb: huge_pages(&files("hugetlb")),
        ..Stats::default()
    }
}

fn cpu(cpu: &Files, accounted: &Files) -> Cpu {
    let throttled = cpu.keyed("cpu.stat");
    let of = |key: &str| throttled.get(key).copied().unwrap_or(0);
    let ticks = accounted.keyed("cpuacct.stat");
    let ticks = |key: &str| ticks.get(key).copied().unwrap_or(0) * NANOSECONDS_A_TICK;
    let (percpu_user, percpu_kernel) = each_cpu(accounted);
    Cpu {
        usage: CpuUsage {
            total: accounted.number("cpuacct.usage"),
            percpu: accounted.numbers("cpuacct.usage_percpu"),
            percpu_kernel,
            percpu_user,
            kernel: ticks("system"),
            user: ticks("user"),
        },
        throttling: Throttling {
            periods: of("nr_periods"),
            throttled_periods: of("nr_throttled"),
            throttled_time: of("throttled_time"),
        },
        psi: None,
    }
}

/// `cpu user system` is the head, and then one line a CPU.
fn each_cpu(accounted: &Files) -> (Vec<u64>, Vec<u64>) {
    let text = accounted.text("cpuacct.usage_all").unwrap_or_default();
    let line = |line: &str| {
        let mut numbers = line.split(' ').skip(1).map(parse::<u64>);
        Some((numbers.next()??, numbers.next()??))
    };
    text.lines().skip(1).filter_map(line).unzip()
}

fn cpuset(files: &Files) -> CpuSet {
    let number = |name: &str| files.number(&format!("cpuset.{name}"));
    let level = files.text("cpuset.sched_relax_domain_level");
    CpuSet {
        cpus: files.list("cpuset.cpus"),
        cpu_exclusive: number("cpu_exclusive"),
        mems: files.list("cpuset.mems"),
        mem_hardwall: number("mem_hardwall"),
        mem_exclusive: number("mem_exclusive"),
        memory_migrate: number("memory_migrate"),
        memory_spread_page: number("memory_spread_page"),
        memory_spread_slab: number("memory_spread_slab"),
        memory_pressure: number("memory_pressure"),
        sched_load_balance: number("sched_load_balance"),
        sched_relax_domain_level: level.and_then(|l| parse(l.trim())).unwrap_or(0),
    }
}

fn memory(files: &Files) -> Memory {
    let raw = files.keyed("memory.stat");
    let part = |name: &str| MemoryUse {
        limit: files.number(&format!("{name}.limit_in_bytes")),
        usage: files.number(&format!("{name}.usage_in_bytes")),
        max: files.number(&format!("{name}.max_usage_in_bytes")),
        failcnt: files.number(&format!("{name}.failcnt")),
    };
    Memory {
        cache: raw.get("cache").copied().unwrap_or(0),
        usage: part("memory"),
        swap: part("memory.memsw"),
        kernel: part("memory.kmem"),
        kernel_tcp: part("memory.kmem.tcp"),
        raw,
        psi: None,
    }
}

pub fn pids(files: &Files) -> Pids {
    Pids {
        current: files.number("pids.current"),
        limit: Some(files.number("pids.max"))
            .filter(|max| *max != u64::MAX)
            .unwrap_or(0),
    }
}

/// Where the entries of a file go.
type Place = fn(&mut BlockIo) -> &mut Vec<BlockIoEntry>;

/// What is there depends on the scheduler of the disks: the first group that has entries is taken whole.
const BLOCK_IO: [&[(&str, Place)]; 4] = [
    &[
        ("bfq.sectors_recursive", |io| &mut io.sectors_recursive),
        ("bfq.io_service_time_recursive", |io| {
            &mut io.io_service_time_recursive
        }),
        ("bfq.io_wait_time_recursive", |io| {
            &mut io.io_wait_time_recursive
        }),
        ("bfq.io_merged_recursive", |io| &mut io.io_merged_recursive),
        ("bfq.io_queued_recursive", |io| &mut io.io_queue_recursive),
        ("bfq.time_recursive", |io| &mut io.io_time_recursive),
        ("bfq.io_serviced_recursive", |io| {
            &mut io.io_serviced_recursive
        }),
        ("bfq.io_service_bytes_recursive", |io| {
            &mut io.io_service_bytes_recursive
        }),
    ],
    &[
        ("bfq.io_serviced_recursive", |io| {
            &mut io.io_serviced_recursive
        }),
        ("bfq.io_service_bytes_recursive", |io| {
            &mut io.io_service_bytes_recursive
        }),
    ],
    &[
        ("throttle.io_serviced_recursive", |io| {
            &mut io.io_serviced_recursive
        }),
        ("throttle.io_service_bytes_recursive", |io| {
            &mut io.io_service_bytes_recursive
        }),
    ],
    &[
        ("throttle.io_serviced", |io| &mut io.io_serviced_recursive),
        ("throttle.io_service_bytes", |io| {
            &mut io.io_service_bytes_recursive
        }),
    ],
];

fn block_io(files: &Files) -> BlockIo {
    let group = |group: &&[(&str, Place)]| {
        let mut io = BlockIo::default();
        for (file, place) in *group {
            let entries = block_io_entries(&files.text(&format!("blkio.{file}"))?);
            if entries.is_empty() {
                return None;
            }
            *place(&mut io) = entries;
        }
        Some(io)
    };
    BLOCK_IO.iter().find_map(group).unwrap_or_default()
}

/// `8:0 Read 4096`, without the operation where there is only one; `Total` is nobody's.
fn block_io_entries(text: &str) -> Vec<BlockIoEntry> {
    let entry = |line: &str| {
        let words: Vec<&str> = line.split([' ', ':']).collect();
        let (major, minor, op, value) = match words[..] {
            [major, minor, op, value] => (major, minor, op, value),
            [major, minor, value] => (major, minor, "", value),
            _ => return None,
        };
        Some(BlockIoEntry {
            major: parse(major)?,
            minor: parse(minor)?,
            op: op.to_owned(),
            value: parse(value)?,
        })
    };
    text.lines().filter_map(entry).collect()
}

fn huge_pages(files: &Files) -> BTreeMap<String, HugePages> {
    let sizes = files.page_sizes(".usage_in_bytes").into_iter();
    let used = |size: String| {
        // What is promised counts, where the kernel tells it.
        let promised = format!("hugetlb.{size}.rsvd");
        let prefix = match files.text(&format!("{promised}.usage_in_bytes")) {
            Some(_) => promised,
            None => format!("hugetlb.{size}"),
        };
        let number = |name: &str| files.number(&format!("{prefix}.{name}"));
        let pages = HugePages {
            usage: number("usage_in_bytes"),
            max: number("max_usage_in_bytes"),
            failcnt: number("failcnt"),
        };
        (size, pages)
    };
    sizes.map(used).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn files(of: &[(&str, &str)]) -> (tempfile::TempDir, Files) {
        let dir = tempfile::tempdir().unwrap();
        for (file, text) in of {
            std::fs::write(dir.path().join(file), text).unwrap();
        }
        let files = Files(Some(dir.path().to_owned()));
        (dir, files)
    }

    #[test]
    fn time_is_told_in_nanoseconds_whole_and_of_each_cpu() {
        let (_dir, files) = files(&[
            ("cpuacct.usage", "11526579\n"),
            ("cpuacct.usage_percpu", "7352428 4174151 \n"),
            ("cpuacct.usage_all", "cpu user system\n0 4 3\n1 0 1\n"),
            ("cpuacct.stat", "user 2\nsystem 5\n"),
            (
                "cpu.stat",
                "nr_periods 9\nnr_throttled 3\nthrottled_time 700\n",
            ),
        ]);
        let cpu = serde_json::to_value(cpu(&files, &files)).unwrap();
        let expected = serde_json::json!({
            "usage": {
                "total": 11_526_579, "percpu": [7_352_428, 4_174_151], "percpu_user": [4, 0],
                "percpu_kernel": [3, 1], "user": 20_000_000, "kernel": 50_000_000,
            },
            "throttling": { "periods": 9, "throttledPeriods": 3, "throttledTime": 700 },
        });
        assert_eq!(cpu, expected);
    }

    #[test]
    fn block_io_is_that_of_the_first_files_with_entries() {
        let (_dir, files) = files(&[
            ("blkio.bfq.io_serviced_recursive", "Total 0\n"),
            ("blkio.bfq.io_service_bytes_recursive", "Total 0\n"),
            (
                "blkio.throttle.io_serviced_recursive",
                "8:0 Read 2\nTotal 2\n",
            ),
            (
                "blkio.throttle.io_service_bytes_recursive",
                "8:16 Write 4096\nTotal 4096\n",
            ),
        ]);
        let io = block_io(&files);
        let entry = |minor, op: &str, value| BlockIoEntry {
            major: 8,
            minor,
            op: op.into(),
            value,
        };
        assert_eq!(io.io_serviced_recursive, [entry(0, "Read", 2)]);
        assert_eq!(io.io_service_bytes_recursive, [entry(16, "Write", 4096)]);
    }

    #[test]
    fn memory_is_told_with_all_of_its_statistics() {
        let (_dir, files) = files(&[
            ("memory.limit_in_bytes", "1000\n"),
            ("memory.usage_in_bytes", "10\n"),
            ("memory.failcnt", "1\n"),
            ("memory.stat", "cache 3\nrss 4\n"),
        ]);
        let memory = serde_json::to_value(memory(&files)).unwrap();
        assert_eq!(
            memory["usage"],
            serde_json::json!({ "limit": 1000, "usage": 10, "failcnt": 1 })
        );
        assert_eq!(
            (&memory["cache"], &memory["raw"]["rss"]),
            (&3.into(), &4.into())
        );
    }
}
