//! What a group uses, by the files of cgroup v2, told as if by v1's.

use std::collections::BTreeMap;

use super::files::{Files, parse};
use super::stats::{
    BlockIo, BlockIoEntry, Cpu, CpuUsage, HugePages, Memory, MemoryUse, Pressure, PressureLine,
    Stats, Throttling,
};
use super::v1::pids;
use crate::cgroup::Group;

pub fn read(group: &Group) -> Stats {
    let files = Files(group.directory(""));
    Stats {
        cpu: cpu(&files),
        memory: memory(&files),
        pids: pids(&files),
        blkio: block_io(&files),
        hugetlb: huge_pages(&files),
        ..Stats::default()
    }
}

fn cpu(files: &Files) -> Cpu {
    let stat = files.keyed("cpu.stat");
    let of = |key: &str| stat.get(key).copied().unwrap_or(0);
    Cpu {
        usage: CpuUsage {
            total: of("usage_usec") * 1000,
            kernel: of("system_usec") * 1000,
            user: of("user_usec") * 1000,
            ..CpuUsage::default()
        },
        throttling: Throttling {
            periods: of("nr_periods"),
            throttled_periods: of("nr_throttled"),
            throttled_time: of("throttled_usec") * 1000,
        },
        psi: pressure(files, "cpu.pressure"),
    }
}

fn memory(files: &Files) -> Memory {
    let raw = files.keyed("memory.stat");
    let part = |name: &str| MemoryUse {
        limit: files.number(&format!("{name}.max")),
        usage: files.number(&format!("{name}.current")),
        max: files.number(&format!("{name}.peak")),
        failcnt: 0,
    };
    let usage = part("memory");
    // v1 counts memory and swap together, and so do all who read this.
    let mut swap = part("memory.swap");
    swap.usage += usage.usage;
    if swap.limit != u64::MAX {
        swap.limit = swap.limit.saturating_add(usage.limit);
    }
    Memory {
        cache: raw.get("file").copied().unwrap_or(0),
        usage,
        swap,
        raw,
        psi: pressure(files, "memory.pressure"),
        ..Memory::default()
    }
}

/// `8:0 rbytes=4096 wbytes=0 rios=1 wios=0 dbytes=0 dios=0`
fn block_io(files: &Files) -> BlockIo {
    let mut io = BlockIo {
        psi: pressure(files, "io.pressure"),
        ..BlockIo::default()
    };
    let text = files.text("io.stat").unwrap_or_default();
    for line in text.lines() {
        let Some((device, counts)) = line.split_once(' ') else {
            continue;
        };
        let Some((Some(major), Some(minor))) =
            device.split_once(':').map(|(a, b)| (parse(a), parse(b)))
        else {
            continue;
        };
        for (key, value) in counts.split(' ').filter_map(|word| word.split_once('=')) {
            let (list, op) = match key {
                "rbytes" => (&mut io.io_service_bytes_recursive, "Read"),
                "wbytes" => (&mut io.io_service_bytes_recursive, "Write"),
                "rios" => (&mut io.io_serviced_recursive, "Read"),
                "wios" => (&mut io.io_serviced_recursive, "Write"),
                // v1 has no name for the rest.
                _ => continue,
            };
            list.push(BlockIoEntry {
                major,
                minor,
                op: op.to_owned(),
                value: parse(value).unwrap_or(0),
            });
        }
    }
    io
}

fn huge_pages(files: &Files) -> BTreeMap<String, HugePages> {
    let sizes = files.page_sizes(".current").into_iter();
    let used = |size: String| {
        let promised = format!("hugetlb.{size}.rsvd.current");
        let file = match files.text(&promised) {
            Some(_) => promised,
            None => format!("hugetlb.{size}.current"),
        };
        let failed = files.keyed(&format!("hugetlb.{size}.events"));
        let pages = HugePages {
            usage: files.number(&file),
            max: 0,
            failcnt: failed.get("max").copied().unwrap_or(0),
        };
        (size, pages)
    };
    sizes.map(used).collect()
}

/// `some avg10=0.00 avg60=0.00 avg300=0.00 total=0`, and `full` likewise.
fn pressure(files: &Files, file: &str) -> Option<Pressure> {
    let text = files.text(file)?;
    let mut pressure = Pressure::default();
    for line in text.lines() {
        let mut words = line.split(' ');
        let line = match words.next() {
            Some("some") => &mut pressure.some,
            Some("full") => &mut pressure.full,
            _ => continue,
        };
        *line = pressure_line(words);
    }
    Some(pressure)
}

fn pressure_line<'a>(words: impl Iterator<Item = &'a str>) -> PressureLine {
    let mut line = PressureLine::default();
    for (key, value) in words.filter_map(|word| word.split_once('=')) {
        match key {
            "avg10" => line.avg10 = parse(value).unwrap_or(0.0),
            "avg60" => line.avg60 = parse(value).unwrap_or(0.0),
            "avg300" => line.avg300 = parse(value).unwrap_or(0.0),
            "total" => line.total = parse(value).unwrap_or(0),
            _ => {}
        }
    }
    line
}

#[cfg(test)]
mod tests {
    use super::*;

    fn stats(of: &[(&str, &str)]) -> serde_json::Value {
        let dir = tempfile::tempdir().unwrap();
        for (file, text) in of {
            std::fs::write(dir.path().join(file), text).unwrap();
        }
        let files = Files(Some(dir.path().to_owned()));
        serde_json::json!({
            "cpu": cpu(&files), "memory": memory(&files), "pids": pids(&files), "blkio": block_io(&files),
            "hugetlb": huge_pages(&files),
        })
    }

    #[test]
    fn swap_is_told_together_with_memory_as_by_v1() {
        let stats = stats(&[
            ("memory.current", "10\n"),
            ("memory.max", "100\n"),
            ("memory.swap.current", "5\n"),
            ("memory.swap.max", "50\n"),
        ]);
        assert_eq!(stats["memory"]["swap"]["usage"], 15);
        assert_eq!(stats["memory"]["swap"]["limit"], 150);
    }

    #[test]
    fn reads_and_writes_have_the_lists_of_v1() {
        let stat = "8:0 rbytes=4096 wbytes=512 rios=2 wios=1 dbytes=7 dios=1\n254:1 \n";
        let stats = stats(&[("io.stat", stat)]);
        let expected = serde_json::json!({
            "ioServiceBytesRecursive": [
                { "major": 8, "op": "Read", "value": 4096 }, { "major": 8, "op": "Write", "value": 512 },
            ],
            "ioServicedRecursive": [
                { "major": 8, "op": "Read", "value": 2 }, { "major": 8, "op": "Write", "value": 1 },
            ],
        });
        assert_eq!(stats["blkio"], expected);
    }

    #[test]
    fn pressure_and_limits_are_told_where_the_kernel_has_them() {
        let stats = stats(&[
            (
                "cpu.pressure",
                "some avg10=1.50 avg60=0.25 avg300=0.00 total=77\nfull avg10=0.00 avg60=0.00 avg300=0.00 total=3\n",
            ),
            ("cpu.stat", "usage_usec 7\nnr_throttled 2\n"),
            ("pids.max", "max\n"),
            ("hugetlb.2MB.current", "2097152\n"),
            ("hugetlb.2MB.events", "max 4\n"),
        ]);
        assert_eq!(stats["cpu"]["psi"]["some"]["avg10"], 1.5);
        assert_eq!(stats["cpu"]["psi"]["full"]["total"], 3);
        assert_eq!(stats["cpu"]["usage"]["total"], 7000);
        assert_eq!(stats["pids"], serde_json::json!({}));
        assert_eq!(
            stats["hugetlb"]["2MB"],
            serde_json::json!({ "usage": 2_097_152, "failcnt": 4 })
        );
        assert!(stats["memory"].get("psi").is_none());
    }
}
